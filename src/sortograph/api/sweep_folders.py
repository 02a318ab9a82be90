"""The folder of a sweep: its space.toml, whether it is that of the same sweep, and which runs it keeps."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sortograph import runs
from sortograph.dataset.halves import reserved
from sortograph.errors import RecipeError, RunError, UsageError
from sortograph.files import write_atomic
from sortograph.models.aliases import ALIASES
from sortograph.recipe import Recipe, load_recipe, make_recipe
from sortograph.records import SPLITS, DatasetIndex, RunRecord
from sortograph.records.sweeps import RunTask
from sortograph.sweeps.reading import FOUND
from sortograph.sweeps.space import Space

SPACE, STATE = "space.toml", "sweep.json"
_CHOOSING = "choosing"  # in [found]: how many validation photos choose; older sweeps let all of them
# What may change: no run hangs on it, or on what is compared elsewhere.
_FREE = ("trials", "about", "photos", "claims", "quick", _CHOOSING)


def own_space(folder: Path) -> Path:
    return folder / SPACE


def found_in(index: DatasetIndex, space: Space) -> dict[str, Any]:
    """What a sweep remembers of its photos: it may not go on with others.

    How many of them choose is known where half of the validation photos is kept for that, which
    --set split.reserve=false alone forbids.
    """
    counts = {split: len(index.rows(split)) for split in SPLITS}
    found = {"fingerprint": index.fingerprint, "classes": list(index.classes), **counts}
    split = load_recipe(space.base, ("split.reserve=true", *space.overrides)).split
    if split.reserve:
        found[_CHOOSING] = len(reserved(index, index.rows("validation"), split.seed))
    return found


def is_halved(folder: Path) -> bool:
    """Whether half of the validation photos choose among the runs of a sweep, and the others calibrate."""
    return _CHOOSING in _kept(folder).get(FOUND, {})


def write_space(space: Space, found: Mapping[str, Any], folder: Path) -> None:
    """space.toml, with all that the command line has changed. Raises StorageError.

    A sweep that began with all validation photos choosing goes on so: its runs calibrated on all of them.
    """
    import tomli_w

    data = _data(space, found)
    if own_space(folder).is_file() and not is_halved(folder):
        data[FOUND].pop(_CHOOSING, None)
    write_atomic(own_space(folder), tomli_w.dumps(data).encode())


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


def kept_run(task: RunTask, photos: int) -> RunRecord | None:
    """The run that has finished in the folder of a task, by the same recipe, on so many training photos.

    None for any other: a name says little, since a space may name other settings so. Raises RunError for a
    damaged one.
    """
    folder = task.folder
    if not (folder / "run.json").is_file() or not (folder / "predictions.csv").is_file():
        return None
    record = runs.read_run(folder)
    is_same = record.status == "finished" and _is_asked(task, record) and _taught(record) in (None, photos)
    return record if is_same else None


def _is_asked(task: RunTask, record: RunRecord) -> bool:
    """Whether a run has the recipe of its task, but for what may differ: its words, and threads."""
    asked = load_recipe(str(task.recipe), task.overrides, task.seed)
    try:
        found = make_recipe(record.recipe, str(task.folder))  # one of an older version lacks later settings
    except RecipeError:
        return False
    if asked.model.kind == "auto":
        kept = ("auto", "split", "data") if found.model.kind == "backbone" else ("split", "data")
        return all(getattr(asked, part) == getattr(found, part) for part in kept)
    return _names_fit(asked, found) and _decisive(asked, asked) == _decisive(found, asked)


def _decisive(recipe: Recipe, asked: Recipe) -> dict[str, Any]:
    """What a run keeps of the recipe that it was asked for.

    A backbone puts its own [pixels] in the place of what was not set, and its full name.
    """
    data = recipe.to_dict()
    data.pop("name"), data.pop("about"), data["train"].pop("threads")
    if asked.model.kind == "backbone":
        data["pixels"] = {key: data["pixels"][key] for key in sorted(asked.pixels.model_fields_set)}
        data["backbone"].pop("names")
        if isinstance(side := data["pixels"].get("size"), int):
            data["pixels"]["size"] = [side, side]
    return data


def _names_fit(asked: Recipe, found: Recipe) -> bool:
    pairs = zip(asked.backbone.names, found.backbone.names, strict=False)
    is_long = len(asked.backbone.names) == len(found.backbone.names)
    return is_long and all(_name_fits(name, full) for name, full in pairs)


def _name_fits(name: str, full: str) -> bool:
    """Whether `full` may have been asked for by this name; other weights may stand in for an alias."""
    if name in ALIASES:
        return full == ALIASES[name] or full not in ALIASES.values()
    return full == name or full.startswith(f"{name}.")


def _taught(record: RunRecord) -> int | None:
    train = record.evaluation.get("train")
    return None if train is None else train.n


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
