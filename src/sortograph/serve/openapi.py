"""The OpenAPI document: what FastAPI cannot tell by itself of bodies and refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel

from sortograph.serve.answers import Health, Problem
from sortograph.serve.problems import MEDIA_TYPE

_WHY = {
    400: "The request makes no sense.",
    401: "A token is missing or wrong.",
    403: "Another host, a page of another site, or something that this server does not do.",
    404: "No such model, or nothing here.",
    408: "The request took too long to arrive.",
    413: "Too large, or too many parts.",
    415: "A body of another kind.",
    422: "The photo cannot be read, or the label is no class of the model.",
    429: "Too much at once: try again after Retry-After seconds.",
    500: "A bug.",
    503: "Stopping, or the model failed: try again after Retry-After seconds.",
    507: "The photo cannot be stored.",
}
_ALWAYS = (400, 403, 500)
_TAKES_BODY = (401, 404, 408, 413, 415, 422, 429, 503)
_PHOTO = {"type": "string", "format": "binary", "contentMediaType": "image/*"}
_PHOTOS = {"type": "array", "items": _PHOTO, "minItems": 1}


def _form(required: tuple[str, ...], properties: Mapping[str, Any]) -> dict[str, Any]:
    shape = {"type": "object", "required": list(required), "properties": dict(properties)}
    return {"schema": {**shape, "additionalProperties": False}}


_BODIES: dict[str, dict[str, Any]] = {
    "predict": {
        "multipart/form-data": _form(("photo",), {"photo": _PHOTOS}),
        **{
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
        },
    },
    "corrections": {
        "multipart/form-data": _form(
            ("photo", "label"),
            {
                "photo": _PHOTO,
                **{name: {"type": "string"} for name in ("label", "predicted", "model")},
                "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            },
        )
    },
}
_STATUSES = {
    "predict": _TAKES_BODY,
    "corrections": (*_TAKES_BODY, 507),
    "model": (401, 404),
    "reload": (401,),
    "metrics": (401,),
    "": (401,),
}


def documented(answer: type[BaseModel] | None, kind: str = "") -> dict[str, Any]:
    """Arguments of a route: what it answers, takes and refuses."""
    statuses = sorted({*_ALWAYS, *_STATUSES.get(kind, ())})
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": _WHY[status]} for status in statuses
    }
    if kind == "readyz":
        responses[503] = {"model": Health, "description": "Not now."}
    made: dict[str, Any] = {
        "responses": responses,
        "response_class": PlainTextResponse if answer is None else JSONResponse,
        "response_model": answer,
        "status_code": 201 if kind == "corrections" else 200,
    }
    if kind in _BODIES:
        made["openapi_extra"] = {"requestBody": {"required": True, "content": _BODIES[kind]}}
    return made


def finish(app: FastAPI, *, token: bool) -> None:
    """Makes `app.openapi` give the finished document."""
    made = type(app).openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _finished(made(app), token)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _finished(document: dict[str, Any], token: bool) -> dict[str, Any]:
    for path, methods in document["paths"].items():
        for method in methods.values():
            guarded = path.startswith("/v1/") or path == "/metrics"
            _correct(method["responses"])
            if token and guarded:
                method["security"] = [{"token": []}]
    components = document["components"]
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    if token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return document


def _correct(responses: dict[str, Any]) -> None:
    """FastAPI tells of wrong parameters otherwise than this server does; and refusals have their own type."""
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for response in responses.values():
        content = response.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema.get("$ref", "").endswith("/Problem"):
            content[MEDIA_TYPE] = content.pop("application/json")
