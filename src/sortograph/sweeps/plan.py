"""A space → its configurations, and the recipe of each."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sortograph.errors import RecipeError
from sortograph.recipe import Recipe, make_recipe, recipe_text
from sortograph.records.sweeps import Configuration
from sortograph.sweeps.reading import refuse
from sortograph.sweeps.space import PER_CLASS, Space, Variant

_NONE = Variant.model_construct(name="", about="", recipe="", set={})


def grid(space: Space) -> list[Configuration]:
    """Every combination, variants first, at most `trials`: the first of them.

    Names are those of the whole grid: more trials never change what a configuration is called.
    """
    names, axes = list(space.space), [axis.values() for axis in space.space.values()]
    every = (
        (variant, dict(zip(names, values, strict=True)))
        for variant in space.variant or (_NONE,)
        for values in itertools.product(*axes)
    )
    made, width = itertools.islice(every, space.trials), len(str(grid_size(space)))
    return [
        configuration(space, variant.name, point, _title(variant.name, point, number, width))
        for number, (variant, point) in enumerate(made, start=1)
    ]


def grid_size(space: Space) -> int:
    """Combinations of the whole grid, whatever `trials` says."""
    return max(1, len(space.variant)) * math.prod(len(axis.values()) for axis in space.space.values())


def _title(variant: str, point: Mapping[str, Any], number: int, width: int) -> str:
    if variant and not point:
        return variant
    return f"{variant or 'c'}{'-' if variant else ''}{number:0{width}}"


def configuration(space: Space, variant: str, point: Mapping[str, Any], name: str) -> Configuration:
    """One point: what the space sets, then the variant, then the axes."""
    chosen = next((one for one in space.variant if one.name == variant), _NONE)
    settings = {**space.set, **chosen.set, **point}
    per_class = settings.pop(PER_CLASS, space.subset.per_class if space.subset else None)
    return Configuration(
        name=name,
        variant=variant,
        recipe=chosen.recipe or space.recipe or space.base,
        settings=settings,
        told={**chosen.set, **point},
        per_class=per_class,
    )


def recipe_data(space: Space, one: Configuration, *, halved: bool = False) -> dict[str, Any]:
    """The recipe of a configuration as plain data: only what is set, since some sections ask what is.

    [split] and [data] are those of the space's recipe for all, so that all have the same photos.
    halved: whether half of the validation photos choose among runs, and are kept out of calibration
    """
    data, base = _loaded(one.recipe), _loaded(space.base)
    for section in ("split", "data"):
        data.pop(section, None)
        if section in base:
            data[section] = base[section]
    if halved:
        data["split"] = {**data.get("split", {}), "reserve": True}
    for key, value in one.settings.items():
        section, _, name = key.partition(".")
        data[section] = {**data.get(section, {}), name: value}
    about = next((variant.about for variant in space.variant if variant.name == one.variant), "")
    return {**data, "name": one.name, "about": about or data.get("about", "")}


def check(space: Space, where: str) -> None:
    """Whether each value is one that its recipe takes. Raises UsageError with every mistake."""
    refuse(
        dict.fromkeys(itertools.chain.from_iterable(_problems(space, one) for one in samples(space))), where
    )


def samples(space: Space) -> Iterable[Configuration]:
    """Configurations that stand for all: those of a grid, else each end of each axis."""
    if space.method == "grid":
        return grid(space)
    return _ends(space)


def _ends(space: Space) -> Iterator[Configuration]:
    first = {key: axis.ends()[0] for key, axis in space.space.items()}
    points = [first, *({**first, key: end} for key, axis in space.space.items() for end in axis.ends()[1:])]
    for variant in space.variant or (_NONE,):
        yield from (configuration(space, variant.name, point, variant.name or "c") for point in points)


def _problems(space: Space, one: Configuration) -> list[str]:
    named = f"variant {one.variant}: " if one.variant else ""
    wrong = []
    if one.per_class is not None and (type(one.per_class) is not int or one.per_class < 1):
        wrong.append(f"{named}{PER_CLASS}: expected a whole number from 1, not {one.per_class!r}")
    try:
        resolved(space, one)
    except RecipeError as error:
        lines = error.what.splitlines()
        wrong += [f"{named}{line.strip()}" for line in lines[1:] or lines]
    return wrong


def resolved(space: Space, one: Configuration) -> Recipe:
    """Raises RecipeError."""
    return make_recipe(recipe_data(space, one), one.name)


def _loaded(name: str) -> dict[str, Any]:
    text = recipe_text(name)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"not valid TOML ({error})", where=name) from None
