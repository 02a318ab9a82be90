"""The index of a folder of photos."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sortograph.records.looks import LOOK

if TYPE_CHECKING:
    import pandas

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What is known of one readable photo: content hash, and width and height after EXIF turning.

    look  one element of dtype `records.looks.LOOK`, shape (); None where nobody looked
    """

    sha256: str
    width: int
    height: int
    look: NDArray[np.void] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that was left out, and why. `path` is relative to the root, posix."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class DatasetIndex:
    """N photos of one folder, in natural order of their paths.

    root     the folder itself; never written to any file
    classes  C names in the order of the model's outputs
    paths    N relative posix paths
    labels   int64 (N,), index into classes; −1 unlabelled
    groups   N names; photos of one group stay on one side of every cut; "" is a group of its own
    splits   N of "train", "validation", "test", or "" while not cut yet
    sha256   N content hashes (hex)
    sizes    int32 (N, 2): width, height after EXIF turning
    looks    (N,) of dtype `records.looks.LOOK`; (0,) where nobody looked
    twins    N names; near duplicates of each other share one, the path of the photo that stands for them;
             "" has none. () where nobody looked
    notes    one-line facts that a person should be told (what was cut from what)
    """

    root: Path
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    sha256: tuple[str, ...]
    sizes: NDArray[np.int32]
    rejected: tuple[Rejected, ...] = ()
    ignored: int = 0
    notes: tuple[str, ...] = field(default=())
    looks: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, dtype=LOOK))
    twins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.paths)
        columns = (self.labels, self.groups, self.splits, self.sha256, self.sizes)
        if any(len(column) != n for column in columns):
            raise ValueError(f"every column needs {n} rows")
        if len(self.looks) not in (0, n) or len(self.twins) not in (0, n):
            raise ValueError(f"looks and twins need {n} rows, or none")
        if n and not (int(self.labels.min()) >= -1 and int(self.labels.max()) < len(self.classes)):
            raise ValueError("a label points outside the classes")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: NDArray[Any]) -> DatasetIndex:
        """The same index with only these rows: a boolean mask (N,) or integer rows."""
        chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        pick = [int(row) for row in chosen]
        return replace(
            self,
            paths=tuple(self.paths[i] for i in pick),
            labels=self.labels[chosen],
            groups=tuple(self.groups[i] for i in pick),
            splits=tuple(self.splits[i] for i in pick),
            sha256=tuple(self.sha256[i] for i in pick),
            sizes=self.sizes[chosen],
            looks=self.looks[chosen] if len(self.looks) else self.looks,
            twins=tuple(self.twins[i] for i in pick) if self.twins else (),
        )

    def rows(self, split: str) -> NDArray[np.int64]:
        """Row numbers of one split, ascending."""
        return np.array([i for i, name in enumerate(self.splits) if name == split], dtype=np.int64)

    def counts(self) -> dict[str, dict[str, int]]:
        """Photos per split and class; splits without photos are left out, uncut photos count as "all"."""
        table: dict[str, dict[str, int]] = {}
        for split in (*SPLITS, ""):
            labels = self.labels[self.rows(split)]
            if len(labels):
                table[split or "all"] = {c: int((labels == k).sum()) for k, c in enumerate(self.classes)}
        return table

    def overlaps(self) -> dict[tuple[str, str], int]:
        """(first split, second split) → photos of the second that the first holds, too.

        That is the same content, or a near duplicate where `twins` are known. The pairs are in the order
        train, validation, test; those without such photos are left out.
        """
        counts = {
            (first, second): int(self.held_by(first, self.rows(second)).sum())
            for first, second in combinations(SPLITS, 2)
        }
        return {pair: count for pair, count in counts.items() if count}

    def held_by(self, split: str, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """bool (n,): which of these rows have their content, or a near duplicate, in a split."""
        there = self.rows(split)
        contents = {self.sha256[row] for row in there}
        twins = {self.twins[row] for row in there} - {""} if self.twins else set()
        same = [self.sha256[row] in contents or (bool(twins) and self.twins[row] in twins) for row in rows]
        return np.array(same, dtype=np.bool_)

    @property
    def fingerprint(self) -> str:
        """Changes when a class, a path, a content, a label or a split does.

        Paths count as NFC: systems that spell names in other ways give one fingerprint.
        """
        digest = hashlib.sha256("\0".join(self.classes).encode("utf-8", "surrogateescape"))
        rows = zip(self.paths, self.sha256, self.labels.tolist(), self.splits, strict=True)
        for path, content, label, split in rows:
            path = unicodedata.normalize("NFC", path)
            digest.update(f"\n{path}\0{content}\0{label}\0{split}".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def to_pandas(self) -> pandas.DataFrame:
        """Columns path, class_name, class_index, split.

        Raises MissingExtra where pandas is not installed.
        """
        from sortograph.errors import MissingExtra

        try:
            import pandas
        except ImportError:
            raise MissingExtra.of("train", "pandas") from None
        names = [self.classes[k] if k >= 0 else None for k in self.labels]
        return pandas.DataFrame(
            {
                "path": list(self.paths),
                "class_name": names,
                "class_index": self.labels,
                "split": list(self.splits),
            }
        )
