"""sortograph: a folder of labelled photos in; a trained, honestly evaluated, deployable classifier out.

Each public name is loaded when it is first asked for, so that nobody waits for what they do not use.
"""

from typing import TYPE_CHECKING

from sortograph import lazy

if TYPE_CHECKING:
    from sortograph.api import (
        audit,
        demo,
        doctor,
        evaluate,
        index,
        load,
        predict,
        quarantine,
        recipes,
        report,
        train,
    )
    from sortograph.classify import Classifier, FakeClassifier
    from sortograph.errors import SortographError
    from sortograph.records import (
        AuditResult,
        BundleManifest,
        DatasetIndex,
        EpochDone,
        Estimate,
        EvaluationResult,
        Finding,
        Prediction,
        PreprocessSpec,
        RunRecord,
        Said,
        Step,
    )

__version__ = "0.1.0"

__all__ = [
    "AuditResult",
    "BundleManifest",
    "Classifier",
    "DatasetIndex",
    "EpochDone",
    "Estimate",
    "EvaluationResult",
    "FakeClassifier",
    "Finding",
    "Prediction",
    "PreprocessSpec",
    "RunRecord",
    "Said",
    "SortographError",
    "Step",
    "__version__",
    "audit",
    "demo",
    "doctor",
    "evaluate",
    "index",
    "load",
    "predict",
    "quarantine",
    "recipes",
    "report",
    "train",
]

_NAMES = {
    "api": (
        "audit",
        "demo",
        "doctor",
        "evaluate",
        "index",
        "load",
        "predict",
        "quarantine",
        "recipes",
        "report",
        "train",
    ),
    "classify": ("Classifier", "FakeClassifier"),
    "errors": ("SortographError",),
    "records": (
        "AuditResult",
        "BundleManifest",
        "DatasetIndex",
        "EpochDone",
        "Estimate",
        "EvaluationResult",
        "Finding",
        "Prediction",
        "PreprocessSpec",
        "RunRecord",
        "Said",
        "Step",
    ),
}
__getattr__ = lazy.getter(__name__, _NAMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
