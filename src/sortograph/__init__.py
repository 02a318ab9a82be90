"""sortograph: a folder of labelled photos in; a trained, honestly evaluated, deployable classifier out.

Each public name is loaded when it is first asked for, so that nobody waits for what they do not use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sortograph.api import demo, doctor, evaluate, index, load, predict, recipes, report, train
    from sortograph.classify import Classifier, FakeClassifier
    from sortograph.errors import SortographError
    from sortograph.records import (
        BundleManifest,
        DatasetIndex,
        EpochDone,
        Estimate,
        EvaluationResult,
        Prediction,
        PreprocessSpec,
        RunRecord,
        Said,
        Step,
    )

__version__ = "0.1.0"

__all__ = [
    "BundleManifest",
    "Classifier",
    "DatasetIndex",
    "EpochDone",
    "Estimate",
    "EvaluationResult",
    "FakeClassifier",
    "Prediction",
    "PreprocessSpec",
    "RunRecord",
    "Said",
    "SortographError",
    "Step",
    "__version__",
    "demo",
    "doctor",
    "evaluate",
    "index",
    "load",
    "predict",
    "recipes",
    "report",
    "train",
]

_NAMES = {
    "api": ("demo", "doctor", "evaluate", "index", "load", "predict", "recipes", "report", "train"),
    "classify": ("Classifier", "FakeClassifier"),
    "errors": ("SortographError",),
    "records": (
        "BundleManifest",
        "DatasetIndex",
        "EpochDone",
        "Estimate",
        "EvaluationResult",
        "Prediction",
        "PreprocessSpec",
        "RunRecord",
        "Said",
        "Step",
    ),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
