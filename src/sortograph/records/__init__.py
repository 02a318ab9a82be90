"""Frozen records: the only things that rooms hand to each other.

Each name is loaded when it is first asked for: a prediction needs few of them, and making a dataclass
takes longer than decoding a small photo.
"""

from typing import TYPE_CHECKING

from sortograph import lazy

if TYPE_CHECKING:
    from sortograph.records.audit import AuditResult, Finding
    from sortograph.records.backbone import Backbone
    from sortograph.records.bundle import BundleManifest
    from sortograph.records.comparison import Choice, ClassCounts, Compared, Contender, Pair
    from sortograph.records.dataset import SPLITS, DatasetIndex, PhotoFacts, Rejected
    from sortograph.records.diagnosis import CurvePoint, Diagnosis, LearningCurve, Remedy, Trial, Verdict
    from sortograph.records.evaluation import ClassScore, Estimate, EvaluationResult, Slice, leaks
    from sortograph.records.explanation import Explanation
    from sortograph.records.features import FeatureTable
    from sortograph.records.heads import Rung
    from sortograph.records.looks import LOOK
    from sortograph.records.pixels import PreprocessSpec
    from sortograph.records.predictions import Prediction, PredictionTable
    from sortograph.records.progress import EpochDone, Event, Progress, Said, Step, silent
    from sortograph.records.run import EpochRow, RunRecord
    from sortograph.records.sorting import (
        Correction,
        Renamed,
        Review,
        Sorted,
        SortFile,
        SortPlan,
        Undone,
    )
    from sortograph.records.sweeps import (
        Claimed,
        Configuration,
        Contrast,
        Runner,
        RunOutcome,
        RunTask,
        Standing,
        Swept,
    )
    from sortograph.records.trust import AbstainRow, ConformalRow, LikenessRow, ReliabilityBin, Trust

__all__ = [
    "LOOK",
    "SPLITS",
    "AbstainRow",
    "AuditResult",
    "Backbone",
    "BundleManifest",
    "Choice",
    "Claimed",
    "ClassCounts",
    "ClassScore",
    "Compared",
    "Configuration",
    "ConformalRow",
    "Contender",
    "Contrast",
    "Correction",
    "CurvePoint",
    "DatasetIndex",
    "Diagnosis",
    "EpochDone",
    "EpochRow",
    "Estimate",
    "EvaluationResult",
    "Event",
    "Explanation",
    "FeatureTable",
    "Finding",
    "LearningCurve",
    "LikenessRow",
    "Pair",
    "PhotoFacts",
    "Prediction",
    "PredictionTable",
    "PreprocessSpec",
    "Progress",
    "Rejected",
    "ReliabilityBin",
    "Remedy",
    "Renamed",
    "Review",
    "RunOutcome",
    "RunRecord",
    "RunTask",
    "Rung",
    "Runner",
    "Said",
    "Slice",
    "SortFile",
    "SortPlan",
    "Sorted",
    "Standing",
    "Step",
    "Swept",
    "Trial",
    "Trust",
    "Undone",
    "Verdict",
    "leaks",
    "silent",
]

_NAMES = {
    "audit": ("AuditResult", "Finding"),
    "backbone": ("Backbone",),
    "bundle": ("BundleManifest",),
    "comparison": ("Choice", "ClassCounts", "Compared", "Contender", "Pair"),
    "dataset": ("SPLITS", "DatasetIndex", "PhotoFacts", "Rejected"),
    "diagnosis": ("CurvePoint", "Diagnosis", "LearningCurve", "Remedy", "Trial", "Verdict"),
    "evaluation": ("ClassScore", "Estimate", "EvaluationResult", "Slice", "leaks"),
    "explanation": ("Explanation",),
    "features": ("FeatureTable",),
    "heads": ("Rung",),
    "looks": ("LOOK",),
    "pixels": ("PreprocessSpec",),
    "predictions": ("Prediction", "PredictionTable"),
    "progress": ("EpochDone", "Event", "Progress", "Said", "Step", "silent"),
    "run": ("EpochRow", "RunRecord"),
    "sorting": ("Correction", "Renamed", "Review", "SortFile", "SortPlan", "Sorted", "Undone"),
    "trust": ("AbstainRow", "ConformalRow", "LikenessRow", "ReliabilityBin", "Trust"),
    "sweeps": (
        "Claimed",
        "Configuration",
        "Contrast",
        "RunOutcome",
        "RunTask",
        "Runner",
        "Standing",
        "Swept",
    ),
}
__getattr__ = lazy.getter(__name__, _NAMES)
