"""Every photo that cannot be read says why in a code, too."""

from __future__ import annotations

import io
import pickle

import pytest
from PIL import Image

from sortograph.errors import PHOTO_CODES, PhotoError
from sortograph.images import decode as decoding
from sortograph.images.decode import decode


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 80).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"no photo", "not-an-image"),
        (b"\x89PNG\r\n\x1a\n and nothing of it", "damaged"),
        (picture("JPEG")[:700], "truncated"),
        (picture("PNG")[:700], "truncated"),
        (picture("BMP")[:700], "truncated"),
    ],
    ids=["empty", "text", "mark", "jpeg", "png", "bmp"],
)
def test_codes_of_bytes(data, code):
    with pytest.raises(PhotoError) as raised:
        decode(data)
    assert raised.value.code == code
    assert code in PHOTO_CODES


@pytest.mark.parametrize(("limit", "most"), [("MAX_PIXELS", 1000), ("MAX_BYTES", 100)])
def test_what_is_beyond_a_limit(monkeypatch, limit, most):
    monkeypatch.setattr(decoding, limit, most)
    with pytest.raises(PhotoError, match="above the limit") as raised:
        decode(picture("PNG"))
    assert raised.value.code == "too-large"


def test_a_format_that_needs_a_plugin(monkeypatch):
    monkeypatch.setattr(decoding.importlib, "import_module", absent)
    with pytest.raises(PhotoError, match="HEIC") as raised:
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    assert raised.value.code == "unsupported"


def absent(name: str) -> None:
    raise ImportError(name)


def test_the_code_goes_with_the_error_between_processes():
    again = pickle.loads(pickle.dumps(PhotoError("took too long", code="slow")))
    assert (type(again), again.code, again.what) == (PhotoError, "slow", "took too long")
    assert isinstance(again, PhotoError)
