"""The OpenAPI document of the API, for the file that is committed."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand

from review.api.root import api


class Command(BaseCommand):
    help = "Print the OpenAPI document: `… openapi > docs/openapi.json`."

    def handle(self, *args: Any, **options: Any) -> None:
        schema = api.get_openapi_schema()
        self.stdout.write(json.dumps(schema, indent=2, ensure_ascii=False))
