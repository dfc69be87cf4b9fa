"""The API put together, and the OpenAPI document of it (docs/openapi.json)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from csp.decorators import csp_update
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.parser import Parser
from pydantic_core import from_json

from . import claims, decisions, documents, projects, proposals, releases, tags
from .problem import MEDIA_TYPE, Problem, Refused, problem

DESCRIPTION = """\
Documents in, tags out. Every call needs a token: an owner of the project makes one on the page
"API tokens". The scope `read` is for all that is got, `write` for handing documents in and
ordering releases, `review` for claims and decisions. Errors are problem documents (RFC 9457). The
guide is docs/api.md.
"""
# What may be answered instead, beside what each address says itself.
ERRORS = {
    400: "The body is not JSON.",
    401: "The token is missing, or does not work.",
    403: "The token lacks the scope.",
    404: "There is no such thing in the project of the token.",
    413: "The body is larger than 10 MB.",
    422: "Something in the call is not as it must be.",
    429: "Too many calls in this minute: see Retry-After.",
}
OF_A_BODY = ("400", "413")
A_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


class Strict(Parser):
    """JSON as its standard has it: no NaN, no lone surrogate, no depth without end."""

    def parse_body(self, request: HttpRequest) -> Any:
        return from_json(request.body, allow_inf_nan=False)


class Api(NinjaAPI):
    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(self, **where: Any) -> OpenAPISchema:
        """Ninja's, with the errors that every address may answer."""
        schema = super().get_openapi_schema(**where)
        parts = schema["components"]
        parts["schemas"] |= _schemas_of_problems()
        parts["responses"] = {
            str(status): {"description": description, "content": A_PROBLEM}
            for status, description in ERRORS.items()
        }
        shared = {str(status): {"$ref": f"#/components/responses/{status}"} for status in ERRORS}
        for methods in schema["paths"].values():
            for operation in methods.values():
                answers = {str(status): told for status, told in operation["responses"].items()}
                for status, told in answers.items():
                    if status >= "400":
                        told["content"] = A_PROBLEM
                answers |= shared
                if "requestBody" not in operation:
                    for status in OF_A_BODY:
                        del answers[status]
                operation["responses"] = dict(sorted(answers.items()))
        return schema


def _schemas_of_problems() -> dict[str, Any]:
    found = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**found.pop("$defs"), "Problem": found}


# The page's styles hold small pictures of their own; nothing else of the policy is widened.
pictures = csp_update({"img-src": ["data:"]})

api = Api(
    title="Tagger",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api",
    parser=Strict(),
    docs_decorator=pictures,
)
for noun in (projects, tags, proposals, documents, claims, decisions, releases):
    api.add_router("", noun.router)


@api.exception_handler(Refused)
def refused(request: HttpRequest, error: Refused) -> HttpResponse:
    return problem(error.status, str(error), error.headers)


@api.exception_handler(AuthenticationError)
def no_token(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    told = _("This address needs a token: “Authorization: Bearer tagger_…”.")
    return problem(HTTPStatus.UNAUTHORIZED, told, {"WWW-Authenticate": "Bearer"})


@api.exception_handler(Http404)
def not_there(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(HTTPStatus.NOT_FOUND, _("There is no such thing in this project."))


@api.exception_handler(RequestDataTooBig)
def too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    told = _("The body is larger than is allowed: send fewer documents at once.")
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told)


@api.exception_handler(HttpError)
def other(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, str(error))


@api.exception_handler(ValidationError)
def faults(request: HttpRequest, error: ValidationError) -> HttpResponse:
    found = [
        {"where": ".".join(str(step) for step in fault["loc"]), "detail": fault["msg"]}
        for fault in error.errors
    ]
    told = _("Something in the call is not as it must be: see `errors`.")
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, told, errors=found)
