"""Frozen records: the only things that rooms hand to each other.

Each name is loaded when it is first asked for: a prediction needs few of them, and making a dataclass
takes longer than decoding a small photo.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sortograph.records.bundle import BundleManifest
    from sortograph.records.dataset import SPLITS, DatasetIndex, PhotoFacts, Rejected
    from sortograph.records.evaluation import ClassScore, Estimate, EvaluationResult
    from sortograph.records.pixels import PreprocessSpec
    from sortograph.records.predictions import Prediction, PredictionTable
    from sortograph.records.progress import EpochDone, Event, Progress, Said, Step, silent
    from sortograph.records.run import EpochRow, RunRecord

__all__ = [
    "SPLITS",
    "BundleManifest",
    "ClassScore",
    "DatasetIndex",
    "EpochDone",
    "EpochRow",
    "Estimate",
    "EvaluationResult",
    "Event",
    "PhotoFacts",
    "Prediction",
    "PredictionTable",
    "PreprocessSpec",
    "Progress",
    "Rejected",
    "RunRecord",
    "Said",
    "Step",
    "silent",
]

_NAMES = {
    "bundle": ("BundleManifest",),
    "dataset": ("SPLITS", "DatasetIndex", "PhotoFacts", "Rejected"),
    "evaluation": ("ClassScore", "Estimate", "EvaluationResult"),
    "pixels": ("PreprocessSpec",),
    "predictions": ("Prediction", "PredictionTable"),
    "progress": ("EpochDone", "Event", "Progress", "Said", "Step", "silent"),
    "run": ("EpochRow", "RunRecord"),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # asked for once
    return value
