"""Answers in files: a table that grows while they come, a grid and a page that are drawn in the end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sortograph.cli.predict_options import STDOUT
from sortograph.errors import StorageError

if TYPE_CHECKING:
    from sortograph.classify import Classifier
    from sortograph.classify.journal import Journal
    from sortograph.classify.tally import Tally
    from sortograph.records import Prediction

_CSV_HEAD = b"path,label,probability,unsure,error"


class _Pictures(Protocol):
    """Takes answers, and draws the first of them in the end; `finish` gives a line that tells of it."""

    def take(self, answer: Prediction) -> None: ...

    def finish(self, tally: Tally, /) -> str: ...


class Files:
    """All files that were asked for.

    Raises UsageError, StorageError and MissingExtra, before anything is answered.
    """

    def __init__(self, options: argparse.Namespace, classifier: Classifier) -> None:
        self._pictures: list[_Pictures] = [Grid(options)] if options.grid else []
        self._pictures += [Page(options, classifier)] if options.html else []
        has_table = options.parquet or options.csv not in (None, STDOUT)
        self._table = Table(options, classifier) if has_table else None  # last: it begins a file
        self.before = self._table.journal.rows if self._table else 0

    def rest(self, photos: Iterator[Path], tell: Callable[[Prediction], None]) -> Iterator[Path]:
        """The photos that have no answer yet; `tell` gets those of the others."""

        def told(answer: Prediction) -> None:
            self._show(answer)
            tell(answer)

        return self._table.journal.rest(photos, told) if self._table else photos

    def take(self, answer: Prediction) -> None:
        """Raises StorageError."""
        self._show(answer)
        if self._table:
            self._table.journal.take(answer)

    def _show(self, answer: Prediction) -> None:
        for pictures in self._pictures:
            pictures.take(answer)

    def finish(self, tally: Tally) -> Iterator[str]:
        """Lines that tell where things are. Raises StorageError."""
        if self._table:
            yield self._table.finish()
        for pictures in self._pictures:
            yield pictures.finish(tally)

    def stop(self) -> str:
        """Keeps what there is of a table, and says so; "" where there is nothing."""
        return self._table.journal.stop() if self._table else ""


class Table:
    """CSV and Parquet."""

    def __init__(self, options: argparse.Namespace, classifier: Classifier) -> None:
        self._csv = None if options.csv in (None, STDOUT) else Path(options.csv)
        self._parquet: Path | None = options.parquet
        if self._parquet is not None:
            from sortograph.classify import parquet

            parquet.check()
            _refuse_foreign(self._parquet, parquet.is_table)
        if self._csv is not None:
            _refuse_foreign(self._csv, _is_table)
        for place, by in ((self._csv, "--csv"), (self._parquet, "--parquet")):
            if place is not None:
                _refuse_among(options.inputs, place, by)
        self.journal = self._opened(options, classifier)

    def _opened(self, options: argparse.Namespace, classifier: Classifier) -> Journal:
        from sortograph.classify.journal import Journal

        about = {"model": classifier.bundle.sha256, "top_k": options.top_k, "max_error": options.max_error}
        place = self._csv or self._parquet
        assert place is not None
        return Journal(place, about, options.top_k, resume=options.resume)

    def finish(self) -> str:
        if self._parquet is None:
            self.journal.finish()
        else:
            from sortograph.classify import parquet

            self.journal.finish(parquet.convert, self._parquet)
        return f"table: {', '.join(str(place) for place in (self._csv, self._parquet) if place)}"


class Grid:
    """The first photos with their answers."""

    def __init__(self, options: argparse.Namespace) -> None:
        from sortograph.api.predicting import GRID_PHOTOS
        from sortograph.api.writing import picture_file

        self._place = picture_file(options.grid)  # which may not be a photo, as in `--grid *.png`
        _refuse_among(options.inputs, self._place, "--grid")
        self._answers = _First(GRID_PHOTOS)
        self._isolate: bool = options.isolate

    def take(self, answer: Prediction) -> None:
        if answer.label is not None:
            self._answers.take(answer)

    def finish(self, _tally: Tally) -> str:
        from sortograph.api.predicting import prediction_grid

        drawn = prediction_grid(self._answers.kept, self._place, isolate=self._isolate)
        return f"grid: {drawn}{self._answers.told()}" if drawn else "no grid is drawn: no photo could be read"


class Page:
    """The first photos with their answers, for a browser."""

    def __init__(self, options: argparse.Namespace, classifier: Classifier) -> None:
        from sortograph.api.predicting import PAGE_PHOTOS
        from sortograph.api.writing import page_file

        self._place, self._classifier = page_file(options.html), classifier
        _refuse_among(options.inputs, self._place, "--html")
        self._answers = _First(PAGE_PHOTOS)
        self._isolate: bool = options.isolate

    def take(self, answer: Prediction) -> None:
        self._answers.take(answer)

    def finish(self, tally: Tally) -> str:
        from sortograph.api.predicting import prediction_page

        kept = self._answers.kept
        prediction_page(kept, self._place, self._classifier, tally=tally, isolate=self._isolate)
        return f"page: {self._place}{self._answers.told()}"


class _First:
    """Keeps the first answers, and counts them all."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self.kept: list[Prediction] = []

    def take(self, answer: Prediction) -> None:
        self._count += 1
        if len(self.kept) < self._most:
            self.kept.append(answer)

    def told(self) -> str:
        return f" (the first {self._most} of {self._count} photos)" if self._count > self._most else ""


def _refuse_among(inputs: Iterable[str], place: Path, by: str) -> None:
    """Nothing is written into a folder of photos that was given. Raises UsageError."""
    from sortograph.api.writing import check_place

    for given in inputs:
        check_place(Path(given), place, by=by)


def _is_table(place: Path) -> bool:
    from sortograph.files import storage_errors

    with storage_errors(place), place.open("rb") as file:
        return file.read(len(_CSV_HEAD)) == _CSV_HEAD


def _refuse_foreign(place: Path, is_ours: Callable[[Path], bool]) -> None:
    """Only a table that this command wrote may be replaced. Raises StorageError."""
    if place.exists() and not is_ours(place):
        raise StorageError(
            "a file that is no table of predictions is in the way",
            where=str(place),
            fix="choose another name, or move it away",
        )
