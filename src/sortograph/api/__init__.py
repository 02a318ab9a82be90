"""The verbs: the only place where rooms are wired together. Each loads what it needs when it is called."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sortograph.api.digits import demo
    from sortograph.api.kitchen import check_recipe, copy_recipe, recipes
    from sortograph.api.machine import doctor
    from sortograph.api.photos import index
    from sortograph.api.predicting import load, predict, prediction_grid
    from sortograph.api.reviewing import Evaluated, evaluate, report
    from sortograph.api.training import train

__all__ = [
    "Evaluated",
    "check_recipe",
    "copy_recipe",
    "demo",
    "doctor",
    "evaluate",
    "index",
    "load",
    "predict",
    "prediction_grid",
    "recipes",
    "report",
    "train",
]

_NAMES = {
    "digits": ("demo",),
    "kitchen": ("check_recipe", "copy_recipe", "recipes"),
    "machine": ("doctor",),
    "photos": ("index",),
    "predicting": ("load", "predict", "prediction_grid"),
    "reviewing": ("Evaluated", "evaluate", "report"),
    "training": ("train",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
