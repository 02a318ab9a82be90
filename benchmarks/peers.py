"""What the peer programs share: the photos of an index.csv, the arguments, the result file.

Standard library alone, so that it runs in every peer's own environment. A peer imports it before its
framework: the clock starts here, so that `seconds` counts the framework's import too.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

_STARTED = time.perf_counter()
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Photos:
    """One split: N absolute paths and N class indices."""

    paths: list[str]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.paths)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch. `seconds_training` leaves the validation pass out; None where it cannot be told apart."""

    seconds: float
    seconds_training: float | None
    train_accuracy: float | None
    validation_accuracy: float


@dataclass(frozen=True, slots=True)
class Training:
    """What a peer measured.

    seconds   from the start of the program to the moment the test photos were judged by the best weights
    best      the first epoch (from 1) with the highest validation accuracy
    accuracy  "best" and "last" → split → accuracy, 0–1, on photos as they are (no augmentation)
    """

    epochs: Sequence[Epoch]
    seconds: float
    best: int
    accuracy: Mapping[str, Mapping[str, float]]


def elapsed() -> float:
    """Seconds since this module was imported."""
    return time.perf_counter() - _STARTED


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments that every peer takes."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--index", type=Path, required=True, help="index.csv of a sortograph run")
    made.add_argument("--photos", type=Path, required=True, help="the folder that its paths start from")
    made.add_argument("--classes", help="names in the order of the outputs, by comma; default: sorted")
    made.add_argument("--epochs", type=int, default=20, help="passes over the training photos")
    made.add_argument("--batch-size", type=int, default=32, help="photos in one step")
    made.add_argument("--size", type=int, default=180, help="height and width in pixels")
    made.add_argument("--augment", action=argparse.BooleanOptionalAction, default=True, help="or the base")
    made.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation")
    made.add_argument("--threads", type=int, default=2, help="of the arithmetic")
    made.add_argument("--out", type=Path, required=True, help="where the result goes, JSON")
    return made


def classes_of(options: argparse.Namespace) -> list[str]:
    """The class names in the order of the outputs."""
    found = sorted({row["class"] for row in _rows(options.index)})
    named = options.classes.split(",") if options.classes else found
    if sorted(named) != found:
        raise SystemExit(f"--classes {','.join(named)}: {options.index} has {','.join(found)}")
    return list(named)


def read_photos(options: argparse.Namespace) -> dict[str, Photos]:
    """The photos of each split. Exits with a message when a file or a split is missing."""
    number = {name: i for i, name in enumerate(classes_of(options))}
    splits = {name: Photos([], []) for name in SPLITS}
    for row in _rows(options.index):
        photos = splits[row["split"]]
        photos.paths.append(str(options.photos / row["path"]))
        photos.labels.append(number[row["class"]])
    missing = [path for photos in splits.values() for path in photos.paths if not Path(path).is_file()]
    if missing:
        raise SystemExit(f"{len(missing)} photos of {options.index} are missing, the first is {missing[0]}")
    if empty := [name for name, photos in splits.items() if not len(photos)]:
        raise SystemExit(f"{options.index} has no photos for {', '.join(empty)}")
    return splits


def _rows(index: Path) -> list[dict[str, str]]:
    with index.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def best_epoch(epochs: Sequence[Epoch]) -> int:
    """
    >>> best_epoch([Epoch(1, 1, 0.5, 0.4), Epoch(1, 1, 0.6, 0.7), Epoch(1, 1, 0.7, 0.7)])
    2
    """
    return 1 + max(range(len(epochs)), key=lambda i: (epochs[i].validation_accuracy, -i))


def steady_speed(photos: int, seconds: Sequence[float | None]) -> float | None:
    """Photos per second: the median over the epochs after the first (or over the only one).

    >>> steady_speed(100, [10.0, 2.0, 4.0, 5.0])
    25.0
    """
    counted = [value for value in (seconds[1:] or seconds) if value is not None]
    return statistics.median(photos / value for value in counted) if counted else None


def versions_of(*packages: str) -> dict[str, str]:
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def write_result(
    program: str,
    options: argparse.Namespace,
    photos: Mapping[str, Photos],
    done: Training,
    versions: Mapping[str, str],
) -> None:
    """Write the JSON that `from_scratch.py` reads."""
    n = len(photos["train"])
    places = ("index", "photos", "out", "yolo")
    result: dict[str, Any] = {
        "program": program,
        "photos": {split: len(part) for split, part in photos.items()},
        "seconds": round(done.seconds, 3),
        "seconds_in_all": round(elapsed(), 3),
        "photos_per_second": steady_speed(n, [e.seconds_training for e in done.epochs]),
        "photos_per_second_with_validation": steady_speed(n, [e.seconds for e in done.epochs]),
        "best_epoch": done.best,
        "accuracy": done.accuracy,
        "epochs": [asdict(epoch) for epoch in done.epochs],
        "options": {name: value for name, value in vars(options).items() if name not in places},
        "versions": dict(versions),
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
