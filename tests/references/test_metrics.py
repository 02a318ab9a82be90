"""Our figures against scikit-learn's and SciPy's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from sortograph.evaluation import judge, mcnemar_exact
from sortograph.evaluation.intervals import t_value
from sortograph.records import PredictionTable

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")


def draw(seed: int, n: int, classes: int, absent: int) -> PredictionTable:
    """Noisy logits of n photos; the last `absent` classes have no photos."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes - absent, n)
    logits = random.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    return PredictionTable(
        np.arange(n), logits.astype(np.float32), labels, tuple(map(str, range(classes))), "test"
    )


def of_probabilities(truth: np.ndarray, shares: np.ndarray) -> dict[str, float]:
    """Brier score, and the macro averages over the classes that have photos."""
    one_hot, present = np.eye(shares.shape[1])[truth], np.unique(truth)
    each = [(one_hot[:, k], shares[:, k]) for k in present]
    return {
        "brier": metrics.brier_score_loss(
            truth, shares, labels=list(range(shares.shape[1])), scale_by_half=False
        ),
        "auroc": float(np.mean([metrics.roc_auc_score(*pair) for pair in each])),
        "average_precision": float(np.mean([metrics.average_precision_score(*pair) for pair in each])),
    }


@pytest.mark.parametrize(
    ("seed", "n", "classes", "absent"), [(0, 40, 2, 0), (1, 200, 5, 0), (2, 30, 12, 0), (3, 90, 7, 2)]
)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_values_are_those_of_scikit_learn(
    seed: int, n: int, classes: int, absent: int, temperature: float
) -> None:
    table = draw(seed, n, classes, absent)
    truth, predicted, every = table.labels, table.predicted(), list(range(classes))
    result = judge(table, temperature=temperature)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn tells of predicted classes without photos
        balanced = metrics.balanced_accuracy_score(truth, predicted)
    expected = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": balanced,
        "macro_f1": metrics.f1_score(
            truth, predicted, labels=np.unique(truth), average="macro", zero_division=0
        ),
        "log_loss": metrics.log_loss(truth, table.probabilities(temperature), labels=every),
        **of_probabilities(truth, table.probabilities(temperature)),
    }
    if classes > 5:
        expected["top5_accuracy"] = metrics.top_k_accuracy_score(truth, table.logits, k=5, labels=every)
    own = ("ece", "ece_uncalibrated", "log_loss_uncalibrated")
    found = {name: estimate.value for name, estimate in result.metrics.items() if name not in own}
    assert found == pytest.approx(expected, abs=1e-9, rel=0)
    assert np.array_equal(result.confusion, metrics.confusion_matrix(truth, predicted, labels=every))
    columns = metrics.precision_recall_fscore_support(truth, predicted, labels=every, zero_division=0)
    found = [(s.precision.value, s.recall.value, s.f1.value, s.support) for s in result.per_class]
    assert np.allclose(np.array(found).T, np.array(columns))


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (3, 9), (40, 41), (700, 500)])
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    a = np.array([True] * only_a + [False] * only_b + [True] * 5)
    b = np.array([False] * only_a + [True] * only_b + [True] * 5)
    assert mcnemar_exact(a, b) == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_student_quantiles_are_close(level: float) -> None:
    for degrees in (1, 2, 3, 5, 30, 1000):
        assert t_value(level, degrees) == pytest.approx(stats.t.ppf((1 + level) / 2, degrees), rel=0.01)
