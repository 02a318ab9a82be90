"""The folder of a sweep: its space.toml, and whether it is that of the same sweep."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sortograph.errors import RunError, UsageError
from sortograph.files import write_atomic
from sortograph.records import SPLITS, DatasetIndex
from sortograph.sweeps.reading import FOUND
from sortograph.sweeps.space import Space

SPACE, STATE = "space.toml", "sweep.json"
_FREE = ("trials", "about", "photos", "claims", "quick")  # what may change: no run hangs on it


def own_space(folder: Path) -> Path:
    return folder / SPACE


def found_in(index: DatasetIndex) -> dict[str, Any]:
    """What a sweep remembers of its photos: it may not go on with others."""
    counts = {split: len(index.rows(split)) for split in SPLITS}
    return {"fingerprint": index.fingerprint, "classes": list(index.classes), **counts}


def write_space(space: Space, found: Mapping[str, Any], folder: Path) -> None:
    """space.toml, with all that the command line has changed. Raises StorageError."""
    import tomli_w

    write_atomic(own_space(folder), tomli_w.dumps(_data(space, found)).encode())


def check_same(space: Space, found: Mapping[str, Any], folder: Path) -> None:
    """Raises UsageError, with each difference, where the folder is that of another sweep."""
    told = [
        f"{key}: was {_shown(was)}, is {_shown(now)}"
        for key, was, now in _differences(_kept(folder), _data(space, found))
    ]
    if told:
        raise UsageError(
            f"{folder} has a sweep of another space, or of other photos:\n  " + "\n  ".join(told),
            expected="the same space and photos, to go on",
            fix="choose another folder with --out",
        )


def newest_open(space: Space, found: Mapping[str, Any], parent: Path = Path("runs")) -> Path | None:
    """The newest folder of this very sweep that has something left to do."""
    known = sorted(parent.glob(f"sweep-{space.name}-*/{SPACE}"), reverse=True)
    for file in known:
        if _is_open(file.parent) and not list(_differences(_kept(file.parent), _data(space, found))):
            return file.parent
    return None


def _is_open(folder: Path) -> bool:
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        return not isinstance(state, dict) or state.get("status") != "finished"
    except (OSError, ValueError):
        return True


def _data(space: Space, found: Mapping[str, Any]) -> dict[str, Any]:
    return {**space.to_dict(), FOUND: dict(found)}


def _kept(folder: Path) -> dict[str, Any]:
    file = own_space(folder)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(
            f"damaged ({type(error).__name__})", where=str(file), fix="choose another folder with --out"
        ) from None


def _differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted({*was, *now}):
        before, after = was.get(key), now.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from ((f"{key}.{inner}", *rest) for inner, *rest in _differences(before, after))
        elif before != after and key not in _FREE:
            yield key, before, after


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"
