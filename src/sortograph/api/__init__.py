"""The verbs: the only place where rooms are wired together. Each loads what it needs when it is called."""

from typing import TYPE_CHECKING

from sortograph import lazy

if TYPE_CHECKING:
    from sortograph.api.auditing import Audited, audit
    from sortograph.api.caching import cache_info, clear_cache
    from sortograph.api.comparing import compare
    from sortograph.api.diagnosing import diagnose
    from sortograph.api.digits import demo
    from sortograph.api.explaining import explain, explain_photos
    from sortograph.api.kitchen import check_recipe, copy_recipe, recipes
    from sortograph.api.machine import doctor
    from sortograph.api.photos import index
    from sortograph.api.predicting import load, predict, prediction_grid
    from sortograph.api.quarantining import quarantine
    from sortograph.api.reviewing import Evaluated, evaluate, report
    from sortograph.api.sorting import apply_sort, resume_sort, review, sort, undo, watch_sort
    from sortograph.api.stock import add_weights, backbones, weights
    from sortograph.api.sweeping import sweep
    from sortograph.api.training import train

__all__ = [
    "Audited",
    "Evaluated",
    "add_weights",
    "apply_sort",
    "audit",
    "backbones",
    "cache_info",
    "check_recipe",
    "clear_cache",
    "compare",
    "copy_recipe",
    "demo",
    "diagnose",
    "doctor",
    "evaluate",
    "explain",
    "explain_photos",
    "index",
    "load",
    "predict",
    "prediction_grid",
    "quarantine",
    "recipes",
    "report",
    "resume_sort",
    "review",
    "sort",
    "sweep",
    "train",
    "undo",
    "watch_sort",
    "weights",
]

_NAMES = {
    "auditing": ("Audited", "audit"),
    "caching": ("cache_info", "clear_cache"),
    "comparing": ("compare",),
    "diagnosing": ("diagnose",),
    "digits": ("demo",),
    "explaining": ("explain", "explain_photos"),
    "kitchen": ("check_recipe", "copy_recipe", "recipes"),
    "machine": ("doctor",),
    "photos": ("index",),
    "predicting": ("load", "predict", "prediction_grid"),
    "quarantining": ("quarantine",),
    "reviewing": ("Evaluated", "evaluate", "report"),
    "sorting": ("apply_sort", "resume_sort", "review", "sort", "undo", "watch_sort"),
    "stock": ("add_weights", "backbones", "weights"),
    "sweeping": ("sweep",),
    "training": ("train",),
}
__getattr__ = lazy.getter(__name__, _NAMES)
