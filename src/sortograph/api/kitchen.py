"""recipes: list, copy, check."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sortograph.errors import StorageError, counted
from sortograph.files import write_atomic
from sortograph.models import plan
from sortograph.recipe import Recipe, load_recipe, recipe_names, recipe_text

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
    """The layers of a recipe's network with their shapes, or its backbone and head.

    Raises RecipeError with every mistake.

    classes: how many; None for as many as the recipe names, else 2
    """
    settings = load_recipe(recipe, overrides)
    count = classes or len(settings.data.classes) or 2
    return f"{settings.name}: {settings.about}\n{_summary(settings, count)}"


def _summary(settings: Recipe, classes: int) -> str:
    if settings.model.kind in ("backbone", "auto"):
        return "\n".join(f"{name:<14}{told}" for name, told in _of_backbones(settings))
    return plan(settings.model, settings.pixels.spec().size, classes).summary()


def _of_backbones(settings: Recipe) -> list[tuple[str, str]]:
    """What a backbone's embeddings are and what is made of them; their length is known when it is opened."""
    choice, head, tuned = settings.backbone, settings.head, settings.finetune
    if settings.model.kind == "auto":
        wanted = ", ".join(settings.auto.backbones) or "those at hand"
        return [("backbones", wanted), ("budget", f"{settings.auto.budget:g} s"), ("head", head.kind)]
    weights = "" if choice.pretrained else " with random weights"
    dense = f", dense {' → '.join(map(str, head.dense))}" if head.dense else ""
    views = [f"{choice.views} augmented for each training photo"] if choice.views else []
    views += ["mirrored, too"] if choice.mirror else []
    lines = [
        ("backbone", " + ".join(choice.names) + weights),
        ("views", ", ".join(views) or "photos as they are"),
    ]
    lines.append(("head", f"{head.kind}{dense}"))
    if tuned.epochs:
        part = f"the last {tuned.blocks} stages" if tuned.blocks else "all of it"
        lines.append(("fine-tuning", f"{part}, {counted(tuned.epochs, 'epoch')}"))
    return lines
