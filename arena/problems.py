"""Errors of the public API: problem details by RFC 9457, in one shape, described once for the OpenAPI document."""

import json
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from ninja import Schema

MEDIA_TYPE = "application/problem+json"
SAID = {
    400: "The request makes no sense. See /api/v1/openapi.json for what there is.",
    404: "Nothing is here.",
    405: "This API is read-only: GET, HEAD and OPTIONS.",
    406: "This API answers application/json only.",
    410: "This has been taken back.",
    413: "The request is too large.",
    422: "A value in the address is not what was expected.",
    429: "Too many requests from your network. Wait as long as Retry-After says.",
    500: "Something broke on our side.",
    503: "The site cannot answer right now.",
}


class Problem(Schema):
    """What went wrong: `status` repeats the HTTP status, `title` names it, `detail` says what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def problem(status: int, detail: str = "", **headers: str) -> HttpResponse:
    """An answer in that shape, which no cache may keep. `detail` defaults to this site's words for the status."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail or SAID.get(status, ""))
    names = {"Cache-Control": "no-store"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(json.dumps(body.dict()), status=status, content_type=MEDIA_TYPE, headers=names)


def documented(*statuses: int) -> dict[str, Any]:
    """`openapi_extra` of an operation that can answer with these statuses, besides those that every operation can."""
    content = {MEDIA_TYPE: {"schema": Problem.json_schema()}}
    every = (405, 406, 429, 500, *statuses)
    answers: dict[int, Any] = {status: {"description": SAID[status], "content": content} for status in sorted(every)}
    headers = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    answers[429] = answers[429] | {"headers": headers}
    answers[304] = {"description": "Not changed since the ETag in If-None-Match."}
    return {"responses": answers}
