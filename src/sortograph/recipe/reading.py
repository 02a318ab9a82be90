"""Recipes as files: TOML ↔ Recipe."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sortograph.errors import RecipeError, nearest
from sortograph.recipe.schema import Recipe

DEFAULT = "auto"


def load_recipe(name: str = DEFAULT, overrides: Sequence[str] = (), seed: int | None = None) -> Recipe:
    """A named recipe or a TOML file, with `key=value` overrides such as "train.epochs=5".

    seed: short for train.seed. Raises RecipeError with every mistake.

    >>> load_recipe("weather", ["train.epochs=5"]).train.epochs
    5
    """
    data = _parse(recipe_text(name), name)
    # What a run folder may be called: other characters of a file's name become hyphens.
    data.setdefault("name", re.sub(r"[^\w.+-]+", "-", Path(name).stem).strip("._+-")[:80] or "custom")
    mistakes = [mistake for text in overrides if (mistake := _override(data, text))]
    if seed is not None and (mistake := _override(data, f"train.seed={seed}")):
        mistakes.append(mistake)
    return make_recipe(data, name, mistakes)


def make_recipe(data: Mapping[str, Any], where: str, mistakes: Sequence[str] = ()) -> Recipe:
    """Plain data → Recipe. Raises RecipeError that lists `mistakes` and all that is wrong with the data."""
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        mistakes = [*mistakes, *(_explained(dict(detail)) for detail in error.errors())]
    if mistakes:
        what = "a mistake in the recipe" if len(mistakes) == 1 else f"{len(mistakes)} mistakes in the recipe"
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        raise RecipeError(f"{what} {where}:{lines}", fix=f"sortograph recipes show {where}")
    return recipe


def recipe_names() -> list[str]:
    folder = files("sortograph") / "recipes"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The TOML text of a named recipe, comments included, or of a file. Raises RecipeError."""
    known = recipe_names()
    if name in known:
        return (files("sortograph") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    path = Path(name)
    if path.suffix != ".toml":
        raise RecipeError(
            f"no recipe named {name!r}{nearest(name, known)}",
            expected=f"one of {', '.join(known)}, or a .toml file",
            fix="sortograph recipes list",
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise RecipeError(f"cannot read the recipe ({reason})", where=name) from None


def recipe_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML; `load_recipe` of it gives an equal recipe. Raises MissingExtra."""
    try:
        import tomli_w
    except ImportError:
        from sortograph.errors import MissingExtra

        raise MissingExtra.of("train", "tomli-w") from None
    return tomli_w.dumps(recipe.to_dict())


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"not valid TOML ({error})", where=where) from None


def _override(data: dict[str, Any], text: str) -> str:
    """Puts "a.b=value" into the data; what is wrong with it, or ""."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        return f"--set {text}: expected section.key=value"
    place = data
    for part in parts[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            return f"--set {text}: {part} is no section"
    place[parts[-1]] = _value(value.strip())
    return ""


def _value(text: str) -> Any:
    """What TOML reads in it; plain words are text."""
    try:
        data = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return data["value"] if len(data) == 1 else text


def _explained(detail: dict[str, Any]) -> str:
    place = [str(part) for part in detail["loc"] if not str(part).startswith(("function-", "constrained-"))]
    where = ".".join(part for part in place if part not in ("side", "sides"))
    if detail["type"] == "extra_forbidden":
        return f"unknown key {where}{_nearest_key(place)}"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    given = detail["input"]
    told = "" if isinstance(given, dict | BaseModel) else f", not {given!r}"
    return f"{where}: {message}{told}" if where else message


def _nearest_key(place: list[str]) -> str:
    """The nearest key of the same section, else the place of a key of that name in another section."""
    kind: type[BaseModel] = Recipe
    for part in place[:-1]:
        annotation = kind.model_fields[part].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        kind = annotation
    if hint := nearest(place[-1], kind.model_fields):
        return hint
    homes = {
        f"{section}.{key}"
        for section, field in Recipe.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
        if key == place[-1]
    }
    return f" (did you mean {', '.join(sorted(homes))}?)" if homes else ""
