"""How many answers there are, and of what kind."""

from __future__ import annotations

from sortograph.records.predictions import Prediction


class Tally:
    """Counts of answers: all, by class, unsure (withheld ones among them), withheld, and unreadable."""

    __slots__ = ("_labels", "failed", "total", "unsure", "withheld")

    def __init__(self) -> None:
        self.total, self.failed, self.unsure, self.withheld = 0, 0, 0, 0
        self._labels: dict[str, int] = {}

    def add(self, answer: Prediction) -> None:
        self.total += 1
        self.unsure += answer.unsure is not None
        if answer.error is not None:
            self.failed += 1
        elif answer.label is None:
            self.withheld += 1
        else:
            self._labels[answer.label] = self.labels(answer.label) + 1

    def labels(self, name: str) -> int:
        """
        >>> tally = Tally()
        >>> tally.add(Prediction("a.jpg", "cat", 0.9))
        >>> tally.labels("cat"), tally.labels("dog")
        (1, 0)
        """
        return self._labels.get(name, 0)
