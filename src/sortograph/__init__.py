"""sortograph: a folder of labelled photos in; a trained, honestly evaluated, deployable classifier out.

Each public name is loaded when it is first asked for, so that nobody waits for what they do not use.
"""

from typing import TYPE_CHECKING

from sortograph import lazy

if TYPE_CHECKING:
    from sortograph.api import (
        add_weights,
        audit,
        backbones,
        cache_info,
        clear_cache,
        compare,
        demo,
        diagnose,
        doctor,
        evaluate,
        explain,
        index,
        load,
        predict,
        quarantine,
        recipes,
        report,
        sweep,
        train,
        weights,
    )
    from sortograph.classify import Classifier, FakeClassifier
    from sortograph.errors import SortographError
    from sortograph.records import (
        AuditResult,
        BundleManifest,
        Compared,
        DatasetIndex,
        Diagnosis,
        EpochDone,
        Estimate,
        EvaluationResult,
        Explanation,
        Finding,
        Prediction,
        PreprocessSpec,
        RunRecord,
        Said,
        Step,
        Swept,
    )

__version__ = "0.1.0"

__all__ = [
    "AuditResult",
    "BundleManifest",
    "Classifier",
    "Compared",
    "DatasetIndex",
    "Diagnosis",
    "EpochDone",
    "Estimate",
    "EvaluationResult",
    "Explanation",
    "FakeClassifier",
    "Finding",
    "Prediction",
    "PreprocessSpec",
    "RunRecord",
    "Said",
    "SortographError",
    "Step",
    "Swept",
    "__version__",
    "add_weights",
    "audit",
    "backbones",
    "cache_info",
    "clear_cache",
    "compare",
    "demo",
    "diagnose",
    "doctor",
    "evaluate",
    "explain",
    "index",
    "load",
    "predict",
    "quarantine",
    "recipes",
    "report",
    "sweep",
    "train",
    "weights",
]

_NAMES = {
    "api": (
        "add_weights",
        "audit",
        "backbones",
        "cache_info",
        "clear_cache",
        "compare",
        "demo",
        "diagnose",
        "doctor",
        "evaluate",
        "explain",
        "index",
        "load",
        "predict",
        "quarantine",
        "recipes",
        "report",
        "sweep",
        "train",
        "weights",
    ),
    "classify": ("Classifier", "FakeClassifier"),
    "errors": ("SortographError",),
    "records": (
        "AuditResult",
        "BundleManifest",
        "Compared",
        "DatasetIndex",
        "Diagnosis",
        "EpochDone",
        "Estimate",
        "EvaluationResult",
        "Explanation",
        "Finding",
        "Prediction",
        "PreprocessSpec",
        "RunRecord",
        "Said",
        "Step",
        "Swept",
    ),
}
__getattr__ = lazy.getter(__name__, _NAMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
