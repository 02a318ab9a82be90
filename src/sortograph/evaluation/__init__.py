"""Measured numbers with their counts and intervals; NumPy alone."""

from sortograph.evaluation.compare import choose_run, compare_pairs, holm
from sortograph.evaluation.gaps import with_gaps
from sortograph.evaluation.intervals import difference, mcnemar_exact, paired_difference, wilson
from sortograph.evaluation.leaks import judge_all
from sortograph.evaluation.metrics import judge

__all__ = [
    "choose_run",
    "compare_pairs",
    "difference",
    "holm",
    "judge",
    "judge_all",
    "mcnemar_exact",
    "paired_difference",
    "wilson",
    "with_gaps",
]
