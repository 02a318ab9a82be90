"""The routes. `docs/serve.md` has them as tables, with examples."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from sortograph import __version__
from sortograph.errors import StorageError
from sortograph.images.decode import FORMATS
from sortograph.serve import answers, assets, bodies, forms, openapi
from sortograph.serve.bodies import Client, Part, Receive
from sortograph.serve.gate import App, Gate, Rules, Scope, Send, bug
from sortograph.serve.limits import TOP_K
from sortograph.serve.metrics import CONTENT_TYPE_LATEST
from sortograph.serve.models import Model
from sortograph.serve.presence import presence_of
from sortograph.serve.problems import METHOD, NO_TOKEN, NOT_FOUND, PARAMETER, STORAGE, Refusal
from sortograph.serve.service import Answered, Asked, Service, corrections_off

Name = Annotated[str | None, Query(max_length=200, description="Which model; left out: the default one.")]
TopK = Annotated[int, Query(ge=1, le=TOP_K, description="How many classes to name.")]
Heat = Annotated[bool, Query(description="Also tell where on the photo the answer comes from; one photo.")]
_PREDICT = "/v1/predict"
_SILENT: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
_TOKEN_FILE = "sortograph serve MODEL --token-file FILE"
_log = logging.getLogger("sortograph.serve")
_RAW = b"application/octet-stream"


def make_app(service: Service, rules: Rules, max_error: float | None = None) -> App:
    """The whole application, ready for an ASGI server."""
    made = FastAPI(
        title="sortograph",
        version=__version__,
        summary="Photos in, labels out.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        default_response_class=Response,
        telemetry=_SILENT,
    )
    routes = _Routes(service, rules, max_error)
    routes.add_to(made)
    _add_files(made)
    _add_failures(made)
    openapi.finish(made, token=bool(rules.token))
    return Gate(_Straight(made, routes), rules, service.metrics)


class _Straight:
    """Predictions that ask for nothing special, past FastAPI: there is nothing for it to check, and its way
    to a route takes a twentieth of all that an answer takes. Everything else goes through it."""

    def __init__(self, app: App, routes: _Routes) -> None:
        self._app, self._routes = app, routes
        self.path = _PREDICT  # of the route, for the metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        special = scope["type"] != "http" or scope["path"] != _PREDICT or scope["method"] != "POST"
        if special or scope.get("query_string"):
            await self._app(scope, receive, send)
            return
        scope["route"] = self
        try:
            answer = await self._routes.predict(Request(scope, receive))
        except Exception as error:
            answer = _told(error)
        await answer(scope, receive, send)


class _Routes:
    """The routes of one service."""

    def __init__(self, service: Service, rules: Rules, max_error: float | None) -> None:
        self._service, self._rules, self._max_error = service, rules, max_error

    def add_to(self, app: FastAPI) -> None:
        shown = openapi.documented
        app.post(_PREDICT, **shown(answers.Answer, "predict"))(self.predict)
        app.get("/v1/models", **shown(answers.Models))(self.models)
        app.get("/v1/model", **shown(answers.Detail, "model"))(self.model)
        app.post("/v1/corrections", **shown(answers.Corrected, "corrections"))(self.correct)
        app.post("/v1/reload", **shown(answers.Reread, "reload"))(self.reload)
        app.get("/healthz", **shown(answers.Health))(self.healthz)
        app.get("/readyz", **shown(answers.Health, "readyz"))(self.readyz)
        app.get("/metrics", **shown(None, "metrics"))(self.metrics)

    async def predict(
        self, request: Request, model: Name = None, top_k: TopK = 5, heatmap: Heat = False
    ) -> Response:
        """What is on one photo or several."""
        forms.only(request, "model", "top_k", "heatmap")
        service = self._service
        with ExitStack() as stack:
            stack.enter_context(service.accepted())
            used = stack.enter_context(service.shelf.lease(model))
            share = stack.enter_context(service.held.share())
            photos = await self._photos(request, share)
            if heatmap and len(photos) > 1:
                raise Refusal(PARAMETER, "a heatmap of several photos", expected="heatmap with one photo")
            asked = Asked(photos, top_k, heatmap)
            found = await service.predict(used, asked, presence_of(request.scope))
        rows = [each.to_json(top_k) for each in found]
        answer = {"model": used.name, "sha256": used.sha256, "predictions": rows}
        return _json(answer, headers={"server-timing": _timing(found)})

    async def models(self) -> Response:
        """What can be asked, and how much of it."""
        service, limits = self._service, self._service.limits
        return _json(
            {
                "default": service.shelf.default,
                "models": [_served(model) for model in service.shelf.all()],
                "limits": {
                    "body_bytes": limits.body,
                    "photos": limits.photos,
                    "pixels": limits.pixels,
                    "top_k": TOP_K,
                    "seconds": limits.seconds,
                },
                "formats": list(FORMATS),
                "corrections": service.corrections is not None,
                "max_error": self._max_error,
                "token": bool(self._rules.token),
                "version": __version__,
            }
        )

    async def model(self, request: Request, model: Name = None) -> Response:
        """The manifest of a model: its classes, how it was evaluated, how far it may be trusted."""
        forms.only(request, "model")
        found = self._service.shelf.get(model)
        manifest = json.loads(found.manifest.to_json())
        known = {"name": found.name, "sha256": found.sha256, "loaded": _time(found)}
        return _json({**known, "manifest": manifest})

    async def correct(self, request: Request) -> Response:
        """Store a photo with its right label, for training."""
        forms.only(request)
        service = self._service
        if service.corrections is None:
            raise corrections_off()
        with service.accepted(), service.held.share() as share:
            headers = forms.headers_of(request)
            if bodies.media_type(headers) != bodies.FORM:
                raise forms.other_media("multipart/form-data")
            parts = await bodies.read_form(headers, request.receive, service.limits, share)
            photo, given = forms.one_photo(parts), forms.fields_of(parts)
            with service.shelf.lease(given.get("model") or None) as used:
                told = (given.get("predicted", ""), given.get("sha256") or used.sha256)
                forms.check_label(given.get("label"), used.manifest.classes, told)
                stored = await service.correct(used, photo.data, given["label"], told)
        return _json(stored, status=201)

    async def reload(self, request: Request) -> Response:
        """Read all models again; those that cannot be opened stay as they are."""
        forms.only(request)
        if not self._rules.token:
            raise Refusal(NO_TOKEN, "a server without a token reloads nothing", fix=_TOKEN_FILE)
        found = await self._service.shelf.reload()
        failed = [{"model": name, "what": what} for name, what in found.failed]
        return _json({"reloaded": found.reloaded, "unchanged": found.unchanged, "failed": failed})

    async def healthz(self) -> Response:
        """Whether the process lives."""
        return _json({"status": "alive"})

    async def readyz(self) -> Response:
        """Whether to send requests here."""
        state = self._service.state
        return _json({"status": state}, status=200 if state == "ready" else 503)

    async def metrics(self) -> Response:
        """Counts for Prometheus."""
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def _photos(self, request: Request, share: bodies.Share) -> list[Part]:
        headers, limits = forms.headers_of(request), self._service.limits
        media = bodies.media_type(headers)
        if media == bodies.FORM:
            parts = await bodies.read_form(headers, request.receive, limits, share)
            return forms.photos_of(parts, limits.photos)
        if media == _RAW or media.startswith(b"image/"):
            data = await bodies.read_body(headers, request.receive, limits, share)
            if not data:
                raise forms.no_photo()
            return [Part("photo", "", data)]
        raise forms.other_media("multipart/form-data, image/* or application/octet-stream")


def _add_files(app: FastAPI) -> None:
    page, docs = assets.read("page", assets.PAGE), assets.read("docs", assets.DOCS)

    async def index(request: Request) -> Response:
        return _file(request, page.get(assets.INDEX))

    async def page_file(request: Request, name: str) -> Response:
        return _file(request, page.get(name))

    async def docs_index(request: Request) -> Response:
        return _file(request, docs.get(assets.INDEX))

    async def docs_file(request: Request, name: str) -> Response:
        return _file(request, docs.get(name))

    for path, shown in (("/", index), ("/page/{name}", page_file)):
        app.get(path, include_in_schema=False)(shown)
    for path, shown in (("/docs", docs_index), ("/docs/{name}", docs_file)):
        app.get(path, include_in_schema=False)(shown)


def _file(request: Request, asset: assets.Asset | None) -> Response:
    if asset is None:
        raise _not_found()
    headers = {"cache-control": "no-cache", "etag": asset.etag}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.data, media_type=asset.media_type, headers=headers)


def _add_failures(app: FastAPI) -> None:
    async def told(_: Request, error: Exception) -> Response:
        return _told(error)

    for kind in (Exception, Client, Refusal, RequestValidationError, HTTPException, StorageError):
        app.add_exception_handler(kind, told)


def _told(error: Exception) -> Response:
    """The answer to a request that failed, whatever FastAPI or a route has to complain of."""
    match error:
        case Refusal():
            return _refusal(error)
        case Client():
            return Response(status_code=499)  # for the metrics: nobody reads it
        case RequestValidationError():
            wrong = "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors())
            return _refusal(Refusal(PARAMETER, "parameters that cannot be used", expected=wrong))
        case HTTPException(status_code=405):
            made = _refusal(Refusal(METHOD, "a method that this address does not know"))
            made.headers.update(error.headers or {})
            return made
        case HTTPException():
            return _refusal(_not_found())
        case StorageError():
            return _refusal(Refusal(STORAGE, error.what, expected="tell whoever runs this server"))
    _log.error("a bug in the server", exc_info=error)
    return _refusal(bug())


def _refusal(refusal: Refusal) -> Response:
    made = Response(refusal.body(), status_code=refusal.status)
    made.raw_headers.extend(refusal.headers())
    return made


def _json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    # ASCII: class names may hold bytes that are no text, which JSON's own escapes can carry.
    body = json.dumps(data, allow_nan=False).encode("ascii")
    return Response(body, status, headers, "application/json")


def _timing(found: Sequence[Answered]) -> str:
    """Of the slowest photo."""
    decode, answer = max(each.decode for each in found), max(each.answer for each in found)
    return f"decode;dur={1000 * decode:.1f}, model;dur={1000 * answer:.1f}"


def _served(model: Model) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "name": model.name,
        "sha256": model.sha256,
        "classes": list(manifest.classes),
        "recipe": manifest.recipe,
        "loaded": _time(model),
        "photos_size": list(manifest.preprocess.size),
        "accuracy": _accuracy(model),
    }


def _accuracy(model: Model) -> dict[str, Any] | None:
    """With its split, its count and its interval, of the split that judges best; None where none is known."""
    for split in ("test", "validation"):
        result = model.manifest.evaluation.get(split)
        metrics = result.get("metrics") if isinstance(result, dict) else None
        found = metrics.get("accuracy") if isinstance(metrics, dict) else None
        if isinstance(found, dict):
            return {"split": split, **found}
    return None


def _time(model: Model) -> str:
    return model.loaded.isoformat().replace("+00:00", "Z")


def _not_found() -> Refusal:
    return Refusal(NOT_FOUND, "nothing here", expected="an address of GET /docs")
