"""The files that the server shows: exactly these, read once at the start. Nothing is looked up by a path."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

HTML = "text/html; charset=utf-8"
CSS = "text/css; charset=utf-8"
JS = "text/javascript; charset=utf-8"
JSON = "application/json"
SVG = "image/svg+xml"

INDEX = "index.html"
PAGE = {
    INDEX: HTML,
    "page.css": CSS,
    "page.js": JS,
    "api.js": JS,
    "camera.js": JS,
    "cards.js": JS,
    "closer.js": JS,
    "corrections.js": JS,
    "csv.js": JS,
    "dom.js": JS,
    "heat.js": JS,
    "intake.js": JS,
    "model.js": JS,
    "notices.js": JS,
    "photos.js": JS,
    "results.js": JS,
    "settings.js": JS,
    "thumbnails.js": JS,
    "toolbar.js": JS,
    "uploads.js": JS,
    "words.js": JS,
    "en.json": JSON,
    "ko.json": JSON,
    "icon.svg": SVG,
}
DOCS = {INDEX: HTML, "docs.css": CSS, "docs.js": JS}


@dataclass(frozen=True, slots=True)
class Asset:
    data: bytes
    media_type: str
    etag: str


def read(folder: str, names: Mapping[str, str]) -> dict[str, Asset]:
    """Those of the named files that are there, of a folder beside this module."""
    found = {}
    for name, media_type in names.items():
        file = files(__package__) / folder / name
        if file.is_file():
            data = file.read_bytes()
            found[name] = Asset(data, media_type, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
    return found
