"""Verdicts on a run, from its records alone, and what helps against each; NumPy alone.

One file for each family of verdicts: it yields verdicts, and a reason for each name that it cannot judge.
`check` orders them; `trials` and `learning_curve` judge what was tried on the photos.
"""

from sortograph.diagnosis.check import VERDICTS, verdicts
from sortograph.diagnosis.log import RunLog, read_log
from sortograph.diagnosis.short import Short, short

__all__ = ["VERDICTS", "RunLog", "Short", "read_log", "short", "verdicts"]
