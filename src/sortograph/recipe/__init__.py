"""A recipe: everything that decides how a model is made, in one frozen object and one TOML file.

`schema` says what it may hold, `reading` reads and writes it; named recipes lie in `recipes/`. Unknown keys
and values out of range are refused, all of them at once, each with the nearest name that exists.
"""

from sortograph.recipe.reading import (
    DEFAULT,
    load_recipe,
    make_recipe,
    recipe_names,
    recipe_text,
    recipe_toml,
)
from sortograph.recipe.schema import (
    SAFE_NAME,
    SAFE_NAME_IS,
    Augment,
    Auto,
    BackboneChoice,
    Data,
    Finetune,
    Head,
    Model,
    Pixels,
    Recipe,
    Split,
    Train,
)

__all__ = [
    "DEFAULT",
    "SAFE_NAME",
    "SAFE_NAME_IS",
    "Augment",
    "Auto",
    "BackboneChoice",
    "Data",
    "Finetune",
    "Head",
    "Model",
    "Pixels",
    "Recipe",
    "Split",
    "Train",
    "load_recipe",
    "make_recipe",
    "recipe_names",
    "recipe_text",
    "recipe_toml",
]
