"""What runs said of each photo: right or wrong, seeds as rows, the same photos for all."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.errors import RunError
from sortograph.files import unguard

Right = NDArray[np.float64]
_AGAIN = "remove the run folder, then type the command again: it is trained anew"


@dataclass(frozen=True, slots=True)
class Answers:
    """One configuration on one split.

    paths  (N,), ascending; right  float64 (S, N) of 0 and 1
    units  (N,): photos with the same number belong together; empty where each stands for itself
    """

    paths: tuple[str, ...]
    right: Right
    units: tuple[int, ...] = ()


def read_answers(folders: Sequence[Path], units: Mapping[str, int] | None = None) -> dict[str, Answers]:
    """Split → answers of the runs of one configuration, a run for each seed.

    units: path → which photos belong together, the same number for those; None where each stands for itself

    Raises RunError where predictions.csv is missing or damaged, or the runs were judged on other photos.
    """
    runs = [_read(folder / "predictions.csv") for folder in folders]
    made = {}
    for split in runs[0] if runs else ():
        paths = tuple(sorted(runs[0][split]))
        if any(set(run.get(split, ())) != set(paths) for run in runs):
            raise RunError(
                f"runs of one configuration have other {split} photos", where=str(folders[0]), fix=_AGAIN
            )
        right = np.array([[run[split][path] for path in paths] for run in runs], dtype=np.float64)
        made[split] = Answers(paths, right, _numbers(paths, units))
    return made


def _numbers(paths: Sequence[str], units: Mapping[str, int] | None) -> tuple[int, ...]:
    """A photo that nobody knows stands for itself."""
    return tuple(units.get(path, -1 - k) for k, path in enumerate(paths)) if units else ()


def held_out(answers: Mapping[str, Answers]) -> str:
    """The split that judges: test, or validation where nothing was held out for it; "" without either."""
    return next((split for split in ("test", "validation") if split in answers), "")


def _read(file: Path) -> dict[str, dict[str, bool]]:
    try:
        text = file.read_bytes().decode("utf-8", "surrogateescape")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        found: dict[str, dict[str, bool]] = {}
        for row in rows:
            found.setdefault(row["split"], {})[unguard(row["path"])] = row["right"] == "true"
    except (OSError, csv.Error, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise RunError(f"cannot be read ({reason})", where=str(file), fix=_AGAIN) from None
    return found
