"""Space files: TOML → Space, with everything that is wrong told at once."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sortograph.errors import RecipeError, UsageError, nearest
from sortograph.recipe import recipe_names, recipe_text
from sortograph.sweeps.space import KEYS, Claim, Quick, Space, Subset, Variant

FOUND = "found"  # the table of a sweep's own space.toml that tells of the photos
_INNER: dict[str, type[BaseModel]] = {"variant": Variant, "claims": Claim, "quick": Quick, "subset": Subset}
_SHARED = ("split.", "data.")


def study_names() -> list[str]:
    folder = files("sortograph") / "studies"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_study(name: str) -> Space:
    """A study that comes with sortograph. Raises UsageError."""
    known = study_names()
    if name not in known:
        raise UsageError(
            f"no study named {name!r}{nearest(name, known)}",
            expected=f"one of {', '.join(known)}",
            fix="sortograph sweep PHOTOS --study NAME, or --space FILE.toml for one of your own",
        )
    text = (files("sortograph") / "studies" / f"{name}.toml").read_text(encoding="utf-8")
    return make_space(_parsed(text, name), name)


def read_space(file: Path) -> Space:
    """A space file. Raises UsageError with every mistake."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"cannot read the space ({reason})", where=str(file)) from None
    data = _parsed(text, str(file))
    data.pop(FOUND, None)
    data.setdefault("name", "".join(c if c.isalnum() else "-" for c in file.stem).strip("-")[:80] or "sweep")
    return make_space(data, str(file))


def make_space(data: Mapping[str, Any], where: str) -> Space:
    """Plain data → Space. Raises UsageError that lists all that is wrong with it."""
    try:
        space = Space.model_validate(data)
    except ValidationError as error:
        refuse(dict.fromkeys(_explained(dict(detail)) for detail in error.errors()), where)
    refuse(_mistakes(space), where)
    return space


def refuse(mistakes: Iterable[str], where: str) -> None:
    """Raises UsageError where there are any."""
    told = list(mistakes)
    if told:
        what = "a mistake" if len(told) == 1 else f"{len(told)} mistakes"
        lines = "".join(f"\n  {mistake}" for mistake in told)
        raise UsageError(
            f"{what} in the space {where}:{lines}", fix="correct it, then type the command again"
        )


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"not valid TOML ({error})", where=where) from None


def _explained(detail: dict[str, Any]) -> str:
    place = [str(part) for part in detail["loc"] if not str(part).startswith(("function-", "str", "dict["))]
    where = ".".join(place)
    if detail["type"] == "extra_forbidden":
        kind = _INNER.get(place[0], Space) if len(place) > 1 else Space
        return f"unknown key {where}{nearest(place[-1], kind.model_fields)}"
    message = detail["msg"].removeprefix("Value error, ")
    given = detail["input"]
    told = "" if isinstance(given, dict | list) or detail["type"] == "missing" else f", not {given!r}"
    return f"{where}: {message[:1].lower()}{message[1:]}{told}"


def _mistakes(space: Space) -> Iterator[str]:
    """What only the parts together tell."""
    yield from _wrong_keys(space)
    yield from _wrong_names(space)
    if not space.base:
        yield f"recipe: name one, such as {recipe_names()[1]!r}"
    if not (space.space or space.variant):
        yield "nothing to vary: [space] or [[variant]] is missing"
    if space.method != "grid" and space.trials is None:
        yield f"trials: how many {space.method!r} shall try, such as 20"
    for part, axes in (("space", space.space), ("quick.space", space.quick.space if space.quick else {})):
        for key, axis in axes.items():
            if space.method == "grid" and not axis.values():
                yield f'{part}.{key}: a grid needs a list of values, or a step (or method = "tpe")'


def _wrong_keys(space: Space) -> Iterator[str]:
    quick = space.quick or Quick()
    parts: list[tuple[str, Mapping[str, Any]]] = [("set", space.set), ("space", space.space)]
    parts += [(f"variant {one.name}", one.set) for one in space.variant]
    parts += [("quick.set", quick.set), ("quick.space", quick.space)]
    for claim in (*space.claims, *quick.claims):
        parts += [("claims", side) for side in (claim.better, claim.worse) if isinstance(side, Mapping)]
    for part, settings in parts:
        yield from (f"{part}: {problem}" for key in settings if (problem := _wrong_key(key)))
    varied = {*space.space, *quick.space, *(key for one in space.variant for key in one.set)}
    for text in space.overrides:
        key = text.partition("=")[0].strip()
        if key in varied or key == "train.seed":
            yield f"--set {text}: the sweep itself varies {key}"
        elif key.startswith("subset."):
            yield f"--set {text}: no value of a recipe"


def _wrong_key(key: str) -> str:
    if key == "train.seed":
        return "train.seed is what `seeds` is for"
    if key.startswith(_SHARED):
        return f"{key} must be the same for all; change it with --set"
    if key in KEYS:
        return ""
    homes = [known for known in KEYS if known.partition(".")[2] == key.rpartition(".")[2]]
    hint = f" (did you mean {', '.join(homes)}?)" if homes else nearest(key, KEYS)
    return f"unknown key {key}{hint}"


def _wrong_names(space: Space) -> Iterator[str]:
    names = [one.name for one in space.variant]
    for name, count in Counter(names).items():
        if count > 1:
            yield f"variant {name}: named {count} times"
    for text in dict.fromkeys((space.recipe, *(one.recipe for one in space.variant))):
        yield from _wrong_recipe(text)
    used = [("reference", space.reference)] if space.reference else []
    used += [("quick.variants", name) for name in (space.quick.variants if space.quick else ())]
    claims = (*space.claims, *(space.quick.claims if space.quick else ()))
    sides = [side for claim in claims for side in (claim.better, claim.worse)]
    used += [("claims", side) for side in sides if isinstance(side, str)]
    for part, name in used:
        if name not in names:
            yield f"{part}: no variant named {name!r}{nearest(name, names)}"


def _wrong_recipe(name: str) -> Iterator[str]:
    try:
        if name:
            recipe_text(name)
    except RecipeError as error:
        yield error.what
