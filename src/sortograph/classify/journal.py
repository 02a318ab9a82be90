"""A table of answers that is written while they come, and gone on with after a stop.

FILE.part holds the rows so far, FILE.part.json what they were made with. FILE appears when all is done.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from sortograph.classify.rows import answer_of, header, row
from sortograph.errors import StorageError, UsageError, counted
from sortograph.files import csv_text, make_folder, storage_errors, sync_folder, unguard, write_json
from sortograph.moving.journal import alone
from sortograph.records.predictions import Prediction

_BLOCK_ROWS, _BLOCK_SECONDS = 256, 1.0  # what a stop may lose, at the most
_ENCODING = ("utf-8", "surrogateescape")
_AGAIN = "start anew without --resume, once {} is deleted"


class Journal:
    """The rows of FILE while it is not complete.

    file: the table that is wanted
    about: what the answers depend on, such as the model; JSON's kinds alone
    top_k: classes of a row
    resume: whether to go on where a part was left; nothing is asked of one that is not there

    Raises UsageError where the part is not to be gone on with, or was made otherwise; DataError while another
    process writes it; StorageError where it cannot be written.
    """

    def __init__(self, file: Path, about: Mapping[str, Any], top_k: int, *, resume: bool) -> None:
        self.file, self.part = file, file.with_name(f"{file.name}.part")
        self._about = self.part.with_name(f"{self.part.name}.json")
        self._header = header(top_k)
        self._waiting: list[tuple[str, ...]] = []
        self._written = time.monotonic()
        self._done = False
        make_folder(file.parent)
        with contextlib.ExitStack() as held:
            held.enter_context(alone(self.part))
            self.rows = self._continued(about) if resume and self.part.exists() else self._started(about)
            with storage_errors(self.part):
                self._out = self.part.open("ab", buffering=0)  # a buffer would write again what has failed
                self._end = self._out.seek(0, os.SEEK_END)
            self._held = held.pop_all()

    def _started(self, about: Mapping[str, Any]) -> int:
        if self.part.exists():
            raise UsageError(
                "a table that was not completed is there",
                where=str(self.part),
                fix=f"add --resume to go on with it, or delete {self.part}",
            )
        write_json(self._about, dict(about))
        with storage_errors(self.part), self.part.open("xb") as out:
            out.write(_encoded(self._header, ()))
        return 0

    def _continued(self, about: Mapping[str, Any]) -> int:
        """Cuts off a row that was written in half."""
        _check_same(self.part, self._about, about)
        rows, end = 0, 0
        for rows, (_, end) in enumerate(self._read()):  # noqa: B007
            pass
        if not end:
            raise UsageError("a damaged part", where=str(self.part), fix=_AGAIN.format(self.part))
        with storage_errors(self.part):
            os.truncate(self.part, end)
        return rows

    def _read(self) -> Iterator[tuple[list[str], int]]:
        """Rows, the header first, and where each of them ends, as far as they are complete."""
        end = 0

        def lines() -> Iterator[str]:
            nonlocal end
            with self.part.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        end += len(line)
                        yield line.decode(*_ENCODING)

        with storage_errors(self.part), contextlib.suppress(csv.Error):
            for cells in csv.reader(lines(), strict=True):
                if len(cells) != len(self._header):
                    return
                yield cells, end

    def answers(self) -> Iterator[Prediction]:
        """Those that are there already."""
        for cells, _ in islice(self._read(), 1, 1 + self.rows):
            yield answer_of([unguard(cell) for cell in cells])

    def rest(self, photos: Iterable[Path], tell: Callable[[Prediction], None]) -> Iterator[Path]:
        """The photos without a row; `tell` gets the answers of the others.

        Raises UsageError where the first photos are not those of the rows.
        """
        source = iter(photos)
        for answer in self.answers():
            photo = next(source, None)
            if photo is None or os.fspath(photo) != answer.path:
                raise UsageError(
                    f"other photos than when it was started: {photo or 'none'} instead of {answer.path}",
                    where=str(self.part),
                    expected="the same photos in the same order",
                    fix=_AGAIN.format(self.part),
                )
            tell(answer)
        yield from source

    def take(self, answer: Prediction) -> None:
        """Raises StorageError."""
        self._waiting.append(row(answer, len(self._header)))
        late = time.monotonic() - self._written > _BLOCK_SECONDS
        if late or len(self._waiting) >= _BLOCK_ROWS:
            self._write()

    def _write(self) -> None:
        """All rows that wait, or none of them."""
        rest = memoryview(_encoded(None, self._waiting))
        size = len(rest)
        with storage_errors(self.part):
            try:
                while rest:
                    rest = rest[self._out.write(rest) :]
            except OSError:
                with contextlib.suppress(OSError):
                    self._out.truncate(self._end)
                raise
        self._end += size
        self.rows += len(self._waiting)
        self._waiting, self._written = [], time.monotonic()

    def stop(self) -> str:
        """Keeps what there is and says so; "" where there is nothing, or all is done."""
        if self._done:
            return ""
        with self._held:
            if not self._out.closed:
                with contextlib.suppress(StorageError):
                    self._write()
                with contextlib.suppress(OSError):
                    self._out.close()
            if not self.rows:
                self.part.unlink(missing_ok=True)
                self._about.unlink(missing_ok=True)
                return ""
        return f"{counted(self.rows, 'answer')} {'is' if self.rows == 1 else 'are'} in {self.part}"

    def finish(self, convert: Callable[[Path, Path], None] | None = None, to: Path | None = None) -> None:
        """The part becomes the table; before, `convert(part, to)` may make another file of it.

        Raises StorageError, and what `convert` raises; the part is then still there.
        """
        self._write()
        with storage_errors(self.part):
            os.fsync(self._out.fileno())
            self._out.close()
            if convert is not None and to is not None:
                convert(self.part, to)
            if to == self.file:
                self.part.unlink()
            else:
                self.part.replace(self.file)
            self._about.unlink(missing_ok=True)
        sync_folder(self.file.parent)
        self._done = True
        self._held.close()


def _encoded(head: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> bytes:
    text = csv_text(head or ("-",), rows)
    return (text if head else text.partition("\n")[2]).encode(*_ENCODING)


def _check_same(part: Path, file: Path, about: Mapping[str, Any]) -> None:
    try:
        before = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        before = None
    if not isinstance(before, dict):
        raise UsageError(
            "nothing tells what the part was made with", where=str(file), fix=_AGAIN.format(part)
        )
    named = [name for name in about if before.get(name) != about[name]]
    if named:
        changes = (f"{name.replace('_', '-')} was {before.get(name)}, is {about[name]}" for name in named)
        raise UsageError(f"made with others: {'; '.join(changes)}", where=str(part), fix=_AGAIN.format(part))
