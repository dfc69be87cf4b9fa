"""What is answered where something broke: by what broke."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.defaults import server_error

AGAIN = 5  # seconds


def broken(request: HttpRequest) -> HttpResponseBase:
    """Django's handler of what nobody caught. The database away or full: 503, and ask again.

    Nothing was saved then, or nobody knows: the same POST again, with its key, finds it out.
    """
    if not isinstance(sys.exc_info()[1], (OperationalError, InterfaceError)):
        return server_error(request)
    answer = render(None, "503.html", status=503)  # no request: its menu would ask the database
    answer["Retry-After"] = str(AGAIN)
    return answer
