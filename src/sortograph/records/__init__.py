"""Frozen records: the only things that rooms hand to each other.

Each name is loaded when it is first asked for: a prediction needs few of them, and making a dataclass
takes longer than decoding a small photo.
"""

from typing import TYPE_CHECKING

from sortograph import lazy

if TYPE_CHECKING:
    from sortograph.records.bundle import BundleManifest
    from sortograph.records.dataset import SPLITS, DatasetIndex, PhotoFacts, Rejected
    from sortograph.records.evaluation import ClassScore, Estimate, EvaluationResult, leaks
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
    "leaks",
    "silent",
]

_NAMES = {
    "bundle": ("BundleManifest",),
    "dataset": ("SPLITS", "DatasetIndex", "PhotoFacts", "Rejected"),
    "evaluation": ("ClassScore", "Estimate", "EvaluationResult", "leaks"),
    "pixels": ("PreprocessSpec",),
    "predictions": ("Prediction", "PredictionTable"),
    "progress": ("EpochDone", "Event", "Progress", "Said", "Step", "silent"),
    "run": ("EpochRow", "RunRecord"),
}
__getattr__ = lazy.getter(__name__, _NAMES)
