"""Weights that the user has added: one folder each, with a description beside them.

`<home>/weights/<name>/` holds `weights.safetensors`, the network's arrays in float32 without its classifier,
and `backbone.json`, which is written last: without it, a folder counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from filelock import FileLock

from sortograph.caches import home_folder
from sortograph.errors import UsageError, WeightsError
from sortograph.files import make_folder, write_atomic, write_json
from sortograph.records import Backbone

FORMAT_VERSION = 1
_ABOUT, _WEIGHTS = "backbone.json", "weights.safetensors"
_NAME = re.compile(r"[^\W_](?:[\w.+-]{0,78}[\w+-])?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def folder() -> Path:
    """Where added weights lie; it need not be there."""
    return home_folder() / "weights"


def entries() -> dict[str, Backbone | WeightsError]:
    """Everything that was added, by name; the reason in the place of what cannot be read."""
    return {place.name: _tried(place.name) for place in _places()}


def added() -> dict[str, Backbone]:
    """Everything that was added and can be read, by name."""
    return {name: found for name, found in entries().items() if isinstance(found, Backbone)}


def is_added(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and (folder() / name / _ABOUT).exists()


def read(name: str) -> Backbone:
    """What is known of added weights. Raises WeightsError where there are none, or their description is
    damaged or of a newer version."""
    if not is_added(name):
        raise WeightsError(f"no weights were added as {name!r}", fix="sortograph weights list")
    place = folder() / name
    try:
        found = json.loads((place / _ABOUT).read_text("utf-8"))
        version = found.pop("format_version")
        if version != FORMAT_VERSION:
            raise ValueError(f"format {version!r}, from a later version than this one")
        return _sound(Backbone.from_json(found), place)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged(place, f"{type(error).__name__}: {error}") from None


def added_file(name: str) -> Path:
    """The file with the weights. Raises as `read`, and WeightsError where its content has changed."""
    expected = read(name).weights
    file = folder() / name / _WEIGHTS
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(folder() / name, str(error.strerror or error)) from None
    if found != expected:
        raise _damaged(folder() / name, f"{_WEIGHTS} is not what it was when it was added")
    return file


def check_new(name: str) -> None:
    """Raises UsageError for names that cannot be given to weights: taken ones, and what is no name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"weights cannot be called {name!r}",
            expected="a model's name, then perhaps a dot and a tag of letters, digits and _ + -",
            fix="sortograph weights add mobilenetv2_100.mine FILE",
        )
    taken = {place.name.casefold(): place for place in _places()}
    if name.casefold() in taken:
        model = name.partition(".")[0]
        raise UsageError(
            f"there are weights of that name already: {name}",
            where=str(taken[name.casefold()]),
            expected="another tag after the dot",
            fix=f"sortograph weights add {model}.TAG FILE",
        )


def add(backbone: Backbone, weights: bytes) -> Path:
    """Keep weights (a safetensors file) under `backbone.name`; their folder.

    Raises UsageError as `check_new`, StorageError where they cannot be written.
    """
    assert hashlib.sha256(weights).hexdigest() == backbone.weights
    make_folder(folder())
    with FileLock(folder() / ".lock"):
        check_new(backbone.name)
        place = make_folder(folder() / backbone.name)
        write_atomic(place / _WEIGHTS, weights)
        write_json(place / _ABOUT, {"format_version": FORMAT_VERSION, **backbone.to_json()})
    return place


def _places() -> list[Path]:
    try:
        return sorted(about.parent for about in folder().glob(f"*/{_ABOUT}"))
    except OSError:
        return []


def _tried(name: str) -> Backbone | WeightsError:
    try:
        return read(name)
    except WeightsError as error:
        return error


def _sound(backbone: Backbone, place: Path) -> Backbone:
    texts: tuple[Any, ...] = (backbone.architecture, backbone.licence, backbone.origin)
    if backbone.name != place.name or backbone.library not in ("timm", "torchvision"):
        raise ValueError("a name or library that does not fit")
    if not all(isinstance(text, str) for text in texts) or not _SHA256.fullmatch(backbone.weights):
        raise ValueError("a field of the wrong kind")
    if not all(isinstance(count, int) and count > 0 for count in (backbone.features, backbone.parameters)):
        raise ValueError("a count out of range")
    return backbone


def _damaged(place: Path, reason: str) -> WeightsError:
    return WeightsError(
        f"the added weights {place.name!r} cannot be used ({reason})",
        where=str(place),
        expected=f"{_ABOUT} and {_WEIGHTS}, as they were written",
        fix="remove that folder, then sortograph weights add NAME FILE",
    )
