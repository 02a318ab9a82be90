"""What a request may hold: its parameters, and the fields of its form. Everything unknown is refused."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from sortograph.errors import nearest
from sortograph.serve.bodies import Headers, Part
from sortograph.serve.problems import LABEL, MEDIA, MULTIPART, NO_PHOTO, PARAMETER, PARTS, Refusal

PHOTO = "photo"
_FIELDS = ("label", "predicted", "model", "sha256")
_LONGEST = 1000  # bytes of a field
_HASH = 64


def headers_of(request: Request) -> Headers:
    return dict(request.scope["headers"])


def only(request: Request, *known: str) -> None:
    """Raises Refusal for parameters that are not known: a typo must not pass for an answer."""
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        name = unknown[0][:40]
        raise Refusal(
            PARAMETER,
            f"unknown parameter {name!r}{nearest(name, known)}",
            expected=", ".join(known) or "no parameters",
        )


def photos_of(parts: Sequence[Part], most: int) -> list[Part]:
    other = [part.name[:40] for part in parts if part.name != PHOTO]
    if other:
        raise Refusal(
            MULTIPART,
            f"unknown field {other[0]!r}{nearest(other[0], [PHOTO])}",
            expected="photo, once or several times",
        )
    if not parts:
        raise no_photo()
    if len(parts) > most:
        raise Refusal(PARTS, f"{len(parts)} photos in one request", expected=f"at most {most}")
    return list(parts)


def one_photo(parts: Sequence[Part]) -> Part:
    photos = [part for part in parts if part.name == PHOTO]
    if len(photos) != 1 or not photos[0].data:
        raise no_photo()
    return photos[0]


def fields_of(parts: Sequence[Part]) -> dict[str, str]:
    given = [part for part in parts if part.name != PHOTO]
    wrong = next(
        (part.name[:40] for part in given if part.name not in _FIELDS or len(part.data) > _LONGEST), None
    )
    if wrong is not None:
        raise Refusal(
            MULTIPART,
            f"a field {wrong!r} that is unknown or too long{nearest(wrong, _FIELDS)}",
            expected=f"photo, {', '.join(_FIELDS)}",
        )
    return {part.name: part.data.decode("utf-8", "surrogateescape") for part in given}


def check_label(label: str | None, classes: Sequence[str], told: tuple[str, str]) -> None:
    predicted, sha256 = told
    if label not in classes or (predicted and predicted not in classes):
        wrong = label if label not in classes else predicted
        raise Refusal(
            LABEL,
            f"no class of this model{nearest(wrong or '', classes)}",
            expected="one of its classes (GET /v1/models)",
        )
    if len(sha256) != _HASH or not set(sha256) <= set("0123456789abcdef"):
        raise Refusal(MULTIPART, "sha256 is no hash of a model", expected="64 hexadecimal digits")


def no_photo() -> Refusal:
    return Refusal(NO_PHOTO, "a request without a photo", expected="one or more, in parts named photo")


def other_media(expected: str) -> Refusal:
    return Refusal(MEDIA, "a body of another kind", expected=expected)
