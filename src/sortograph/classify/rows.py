"""Answers as rows of a table, and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from sortograph.records.predictions import Prediction

START = ("path", "label", "probability", "unsure", "error")


def header(top_k: int) -> tuple[str, ...]:
    """
    >>> header(2)
    ('path', 'label', 'probability', 'unsure', 'error', 'label_2', 'probability_2')
    """
    more = (f"{name}_{rank}" for rank in range(2, top_k + 1) for name in ("label", "probability"))
    return (*START, *more)


def row(answer: Prediction, columns: int) -> tuple[str, ...]:
    """As many cells as there are columns; probabilities have six digits, what is missing is empty."""
    share = "" if answer.probability is None else f"{answer.probability:.6f}"
    cells = [answer.path, answer.label or "", share, answer.unsure or "", answer.error or ""]
    cells += chain.from_iterable((label, f"{p:.6f}") for label, p in answer.top_k[1:])
    return (*cells, *[""] * (columns - len(cells)))


def answer_of(cells: Sequence[str]) -> Prediction:
    """The answer that a row was made of, as far as the row tells: of a withheld one the class is gone.

    Raises ValueError for cells that are no row.

    >>> answer_of(row(Prediction("a.jpg", "cat", 0.75, (("cat", 0.75), ("dog", 0.25))), 7)).top_k
    (('cat', 0.75), ('dog', 0.25))
    """
    path, label, share, unsure, error, *more = cells
    if error:
        return Prediction(path, None, None, error=error)
    ranked = [(label, share), *zip(more[::2], more[1::2], strict=True)]
    top = tuple((name, float(p)) for name, p in ranked if p)
    return Prediction(path, label or None, float(share), top, unsure or None)
