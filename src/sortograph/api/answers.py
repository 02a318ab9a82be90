"""What runs said of photos, photo by photo: as they wrote it down, or asked anew."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.bundle.runtime import Bundle, open_bundle
from sortograph.cores import cores
from sortograph.dataset.halves import reserved
from sortograph.dataset.names import shown
from sortograph.errors import RunError, counted
from sortograph.evaluation import groups_of
from sortograph.files import unguard
from sortograph.images.inspect import read_photo
from sortograph.images.preprocess import prepare
from sortograph.records import DatasetIndex, PreprocessSpec, Progress, RunRecord, Step

_FILE = "predictions.csv"
_COLUMNS = ["path", "split", "label", "predicted", "probability", "right"]
_BATCH = 32
Right = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SplitAnswers:
    """N photos of one split in the order of content, label, path; and whether a run named each rightly.

    groups  int64 (N,), equal for photos that belong together; None where each stands for itself
    """

    contents: tuple[str, ...]
    labels: tuple[str, ...]
    paths: tuple[str, ...]
    groups: NDArray[np.int64] | None
    right: Right

    def apart(self, other: SplitAnswers) -> str:
        """How the photos of another run's split differ from these, in a few words; "" where they do not."""
        if (self.contents, self.labels) == (other.contents, other.labels):
            return ""
        shared = (Counter(self.contents) & Counter(other.contents)).total()
        same = (Counter(self._labelled()) & Counter(other._labelled())).total()
        words = []
        if not shared == len(self.contents) == len(other.contents):
            words.append(f"{len(self.contents)} and {len(other.contents)} photos, {shared} of them the same")
        if same < shared:
            words.append(f"{counted(shared - same, 'shared photo')} with other labels{self._example(other)}")
        return " and ".join(words)

    def _labelled(self) -> list[tuple[str, str]]:
        return list(zip(self.contents, self.labels, strict=True))

    def _example(self, other: SplitAnswers) -> str:
        known = set(other._labelled())
        there = dict(zip(other.contents, other.labels, strict=True))
        rows = zip(self.contents, self.labels, self.paths, strict=True)
        odd = ((p, label, there[c]) for c, label, p in rows if c in there and (c, label) not in known)
        found = next(odd, None)
        return f", such as {shown(found[0])} ({found[1]!r} and {found[2]!r})" if found else ""


def split_answers(record: RunRecord, index: DatasetIndex, split: str) -> SplitAnswers:
    """The answers of a run to the photos of one of its splits, from its predictions.csv.

    Raises RunError when the file is missing or damaged, or does not fit the index and the evaluation.
    """
    names = [index.classes[label] if label >= 0 else "" for label in index.labels.tolist()]
    said = _said(record.folder / _FILE)
    rows = sorted(index.rows(split).tolist(), key=lambda k: (index.sha256[k], names[k], index.paths[k]))
    if any(said.get(index.paths[k], ())[:2] != (split, names[k]) for k in rows):
        raise _damaged(record.folder, f"without a line for each photo of {split}, or with another label")
    right = np.array([said[index.paths[k]][2] == names[k] for k in rows], dtype=np.bool_)
    measured = record.evaluation[split]
    if measured.n != len(rows) or round(measured.metrics["accuracy"].value * len(rows)) != right.sum():
        raise _damaged(record.folder, f"not what evaluation.json measured on {split}")
    return SplitAnswers(
        contents=tuple(index.sha256[k] for k in rows),
        labels=tuple(names[k] for k in rows),
        paths=tuple(index.paths[k] for k in rows),
        groups=groups_of(index, np.array(rows, dtype=np.int64)),
        right=right,
    )


def uncalibrated(record: RunRecord, index: DatasetIndex, paths: Sequence[str]) -> Right | None:
    """bool (N,): by which of its N validation photos a run may be chosen, since it did not calibrate on them.

    All of them where it calibrated on none; None where it left none out of calibration.
    """
    if record.trust is None:
        return np.ones(len(paths), dtype=np.bool_)
    seed = record.recipe.get("split", {}).get("seed", 0)
    rows = reserved(index, index.rows("validation"), seed)
    if len(rows) != record.evaluation["validation"].chose:
        return None
    kept = {index.paths[row] for row in rows.tolist()}
    return np.array([path in kept for path in paths], dtype=np.bool_)


def joined(partitions: Iterable[NDArray[np.int64] | None]) -> tuple[str, ...] | None:
    """Groups of photos that belong together in any partition, also through others; None where none do.

    partitions: int64 (N,) each, numbers of groups from 0; None where each photo stands for itself

    >>> joined([np.array([0, 0, 1, 2]), None, np.array([0, 1, 1, 2])])
    ('0', '0', '0', '3')
    """
    given = [units for units in partitions if units is not None]
    if not given:
        return None
    least = np.arange(len(given[0]))
    while True:
        before = least
        for units in given:
            lowest = np.full(int(units.max()) + 1, len(units))
            np.minimum.at(lowest, units, least)
            least = lowest[units]
        if (least == before).all():
            return tuple(map(str, least.tolist()))


def _said(file: Path) -> Mapping[str, tuple[str, str, str]]:
    """path → (split, label, predicted)."""
    try:
        text = file.read_bytes().decode("utf-8", "surrogateescape")
        lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        if next(lines, [])[: len(_COLUMNS)] != _COLUMNS:
            raise _damaged(file.parent, "the first line is not the expected one")
        rows = [[unguard(cell) for cell in line[:4]] for line in lines]
    except OSError as error:
        raise _damaged(file.parent, f"cannot be read ({error.strerror})") from None
    except csv.Error as error:
        raise _damaged(file.parent, str(error)) from None
    if any(len(row) < 4 for row in rows):
        raise _damaged(file.parent, "a line is cut short")
    return {path: (split, label, predicted) for path, split, label, predicted in rows}


def _damaged(folder: Path, what: str) -> RunError:
    return RunError(
        f"the answers of the run cannot be used: {what}",
        where=str(folder / _FILE),
        expected="the file as sortograph train wrote it",
        fix="sortograph compare RUNS --photos PHOTOS, which asks the models anew",
    )


def taught(index: DatasetIndex, of_run: DatasetIndex, split: str = "train") -> Right:
    """bool (N,): which photos of `index` a run had in a split, or of what it had there a near duplicate that
    it knows."""
    there = of_run.rows(split).tolist()
    contents = {of_run.sha256[row] for row in there}
    twins = {of_run.twins[row] for row in there} - {""} if of_run.twins else set()
    contents |= {of_run.sha256[row] for row, twin in enumerate(of_run.twins) if twin in twins}
    return np.array([content in contents for content in index.sha256], dtype=np.bool_)


def ask(index: DatasetIndex, folders: Sequence[Path], progress: Progress) -> Right:
    """Whether each of K models names each of N labelled photos rightly, bool (K, N).

    A photo is read once, and made ready once for all models that take it alike. Raises BundleError, and
    PhotoError for a photo that cannot be read any more.
    """
    bundles = [open_bundle(folder, threads=1) for folder in folders]
    names = [index.classes[label] for label in index.labels.tolist()]
    right = np.zeros((len(bundles), len(index)), dtype=np.bool_)
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(index), _BATCH):
            end = min(start + _BATCH, len(index))
            photos = list(pool.map(lambda path: read_photo(index.root, path), index.paths[start:end]))
            pixels = {
                spec: np.stack(list(pool.map(prepare, photos, [spec] * len(photos))))
                for spec in dict.fromkeys(bundle.manifest.preprocess for bundle in bundles)
            }
            for k, bundle in enumerate(bundles):
                said = _named(bundle, pixels)
                right[k, start:end] = [a == b for a, b in zip(said, names[start:end], strict=True)]
            progress(Step("asking the models", end, len(index)))
    return right


def _named(bundle: Bundle, pixels: Mapping[PreprocessSpec, NDArray[np.uint8]]) -> list[str]:
    best = bundle.run_many(pixels[bundle.manifest.preprocess]).logits.argmax(axis=1)
    return [bundle.manifest.classes[k] for k in best.tolist()]
