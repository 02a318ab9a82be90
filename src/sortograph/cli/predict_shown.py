"""Answers on stdout: a table, JSON lines or CSV, each as soon as it is known."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from sortograph.cli import streams
from sortograph.cli.predict_options import STDOUT
from sortograph.cli.text import padded, percent, width

if TYPE_CHECKING:
    from sortograph.records import Prediction


def shower(options: argparse.Namespace, columns: Columns) -> Callable[[Prediction], None]:
    """What prints one answer on stdout."""
    if options.json:
        return lambda answer: streams.out_json(answer.to_json())
    if options.csv == STDOUT:
        from sortograph.classify import rows

        header = rows.header(options.top_k)
        out_csv(header)
        return lambda answer: out_csv(rows.row(answer, len(header)))
    return columns.show


class Columns:
    """Path, label, probability, aligned as far as can be told before all photos are known."""

    def __init__(self, classes: Iterable[str]) -> None:
        self._path = 0
        self._label = max(width(streams.safe(name)) for name in classes)

    def widened(self, photos: Iterable[Path], ahead: int = 0) -> Iterator[Path]:
        """The photos again, the first `ahead` looked at before any is given.

        How far the model takes photos ahead of its answers depends on how fast they are.
        """
        source = iter(photos)
        first = [self._seen(photo) for photo in islice(source, ahead)]
        yield from chain(first, map(self._seen, source))

    def _seen(self, photo: Path) -> Path:
        self._path = max(self._path, width(streams.safe(str(photo))))
        return photo

    def show(self, answer: Prediction) -> None:
        path = streams.safe(answer.path)
        streams.out(f"{padded(path, self._path)}  {streams.safe(self._told(answer))}")

    def _told(self, answer: Prediction) -> str:
        if answer.error is not None:
            return f"error: {answer.error}"
        shown = answer.top_k or ((answer.label or "", answer.probability or 0.0),)
        if answer.label is None:
            return f"unsure: {answer.unsure or 'withheld'}  ({_pair(*shown[0], 0)})"
        ranked = "  ".join(_pair(label, share, self._label) for label, share in shown)
        return f"{ranked}  unsure: {answer.unsure}" if answer.unsure else ranked


def _pair(label: str, share: float, columns: int) -> str:
    return f"{padded(label, max(columns, width(label)))}  {percent(share):>7}"


def out_csv(row: tuple[str, ...]) -> None:
    from sortograph.files import csv_text

    line = csv_text(("-",), [row]).partition("\n")[2].removesuffix("\n")
    streams.out(streams.safe(line, keep="\n") if streams.draws(sys.stdout) else line)
