"""Measured numbers with their counts and intervals; NumPy alone."""

from sortograph.evaluation.compare import choose_run, compare_pairs, holm
from sortograph.evaluation.gaps import with_gaps
from sortograph.evaluation.intervals import difference, mcnemar_exact, paired_difference, share, wilson
from sortograph.evaluation.leaks import groups_of, judge_all
from sortograph.evaluation.likeness import likeness_to, prototypes
from sortograph.evaluation.metrics import judge
from sortograph.evaluation.trust import trust

__all__ = [
    "choose_run",
    "compare_pairs",
    "difference",
    "groups_of",
    "holm",
    "judge",
    "judge_all",
    "likeness_to",
    "mcnemar_exact",
    "paired_difference",
    "prototypes",
    "share",
    "trust",
    "wilson",
    "with_gaps",
]
