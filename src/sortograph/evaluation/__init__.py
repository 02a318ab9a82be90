"""Measured numbers with their counts and intervals; NumPy alone."""

from sortograph.evaluation.gaps import with_gaps
from sortograph.evaluation.intervals import mcnemar_exact, paired_difference, wilson
from sortograph.evaluation.metrics import judge

__all__ = ["judge", "mcnemar_exact", "paired_difference", "wilson", "with_gaps"]
