"""The verbs: the only place where rooms are wired together. Each loads what it needs when it is called."""

from typing import TYPE_CHECKING

from sortograph import lazy

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
__getattr__ = lazy.getter(__name__, _NAMES)
