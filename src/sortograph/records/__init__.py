"""Frozen records: the only things that rooms hand to each other."""

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
