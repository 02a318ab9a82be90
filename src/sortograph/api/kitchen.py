"""recipes: list, copy, check."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sortograph.errors import StorageError
from sortograph.files import write_atomic
from sortograph.models import plan
from sortograph.recipe import load_recipe, recipe_names, recipe_text

_SUFFIX = ".toml"


def recipes() -> list[tuple[str, str]]:
    """Name and purpose of every recipe that comes with sortograph."""
    return [(name, load_recipe(name).about) for name in recipe_names()]


def copy_recipe(name: str, file: str | os.PathLike[str]) -> Path:
    """Write a named recipe to a file of your own, and return it: ".toml" is added where it is missing.

    Raises RecipeError, and StorageError if the file exists.
    """
    text, path = recipe_text(name), Path(file)
    if path.suffix != _SUFFIX and not path.exists():  # without it, nothing would read the copy
        path = path.with_name(path.name + _SUFFIX)
    if path.exists():
        raise StorageError("there is such a file already", where=str(path), fix="choose another name")
    write_atomic(path, text.encode())
    return path


def check_recipe(recipe: str, overrides: Sequence[str] = (), *, classes: int | None = None) -> str:
    """The layers of a recipe's network with their shapes. Raises RecipeError with every mistake.

    classes: how many; None for as many as the recipe names, else 2
    """
    settings = load_recipe(recipe, overrides)
    count = classes or len(settings.data.classes) or 2
    made = plan(settings.model, settings.pixels.spec().size, count)
    return f"{settings.name}: {settings.about}\n{made.summary()}"
