"""Runs with planted faults, and whether `diagnose` names them.

    python benchmarks/diagnosis.py --photos ../shared/data/weather
    python benchmarks/diagnosis.py --photos ../shared/data/weather --only leaked,healthy --out FOLDER

needs sortograph[train], and photos in class folders. Every run is a small network on photos of 64 × 64
pixels, taught by one thread: some minutes together on one core. Each fault is planted by the recipe, or by
folders of links to the photos: copies of training photos among the test photos, a class with few photos.
A run with a planted fault must have its verdict, the healthy one no other than "healthy".

`--save FOLDER` writes what the tests of the verdicts use: the history of each run, and its counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import sortograph
from sortograph import runs
from sortograph.errors import GateError
from sortograph.records import Diagnosis

SMALL = ("pixels.size=64", "train.threads=1", "train.precision=float32")
SEED = 1


@dataclass(frozen=True, slots=True)
class Planted:
    """A run and the verdicts that it must have; `photos` arranges them, by default as they lie."""

    recipe: str
    sets: tuple[str, ...]
    expected: tuple[str, ...]
    photos: Callable[[Path, Path], Path] = lambda given, _folder: given


def leaked(given: Path, folder: Path) -> Path:
    """Split folders; two fifths of the test photos are training photos under another name."""
    train, test = parted(given, 0.7)
    for name, paths in train.items():
        linked(paths, folder / "train" / name)
        linked(paths[: round(0.67 * len(test[name]))], folder / "test" / name, "copy-")
    for name, paths in test.items():
        linked(paths, folder / "test" / name)
    return folder


def starved(given: Path, folder: Path) -> Path:
    """Split folders; one class has a dozen photos to train on."""
    train, test = parted(given, 0.7)
    poor = sorted(train)[1]
    for name, paths in train.items():
        linked(paths[:12] if name == poor else paths, folder / "train" / name)
    for name, paths in test.items():
        linked(paths, folder / "test" / name)
    return folder


def parted(given: Path, share: float) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """class → photos, for train and for test."""
    train, test = {}, {}
    for place in sorted(path for path in given.iterdir() if path.is_dir()):
        paths = sorted(path for path in place.iterdir() if path.is_file())
        np.random.default_rng(SEED).shuffle(paths)
        cut = round(share * len(paths))
        train[place.name], test[place.name] = paths[:cut], paths[cut:]
    return train, test


def linked(paths: Sequence[Path], folder: Path, prefix: str = "") -> None:
    """Hard links, or copies where the system has none there."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        target = folder / f"{prefix}{path.name}"
        try:
            target.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, target)


def deep(layers: int, units: int) -> str:
    return f"model.dense={[units] * layers}"


PLANTED: Mapping[str, Planted] = {
    "healthy": Planted(
        "cnn",
        ("train.epochs=30", "split.seed=123", "split.test=0.3", "split.validation=0.105"),
        ("healthy",),
    ),
    "overfitted": Planted("weather-base", ("train.epochs=30", "train.keep=last"), ("overfitting",)),
    "too-long": Planted(
        "weather-base",
        ("train.epochs=60", "split.test=0.6", "split.validation=0.2"),
        ("overfitting", "too-many-epochs"),
    ),
    "underfitted": Planted(
        "weather",
        ("model.filters=[2, 2]", "model.dense=[4]", "train.epochs=5", "train.learning_rate=0.0003"),
        ("underfitting",),
    ),
    "leaked": Planted("weather", ("train.epochs=8",), ("leak",), leaked),
    "starved": Planted("weather", ("train.epochs=15",), ("starved-class",), starved),
    "rate-too-high": Planted(
        "weather-base", ("train.learning_rate=0.1", "train.epochs=8"), ("learning-rate",)
    ),
    "zigzag": Planted(
        "weather-base",
        ("train.optimiser=sgd", "train.learning_rate=0.1", "train.epochs=15"),
        ("learning-rate",),
    ),
    "exploded": Planted(
        "weather-base",
        ("train.optimiser=sgd", "train.momentum=0.9", "train.learning_rate=5.0", "train.epochs=3"),
        ("exploding-gradients", "learning-rate"),
    ),
    "vanishing": Planted(
        "weather-base",
        (
            "model.kind=dense",
            deep(30, 16),
            "train.optimiser=sgd",
            "train.learning_rate=0.001",
            "train.epochs=6",
        ),
        ("vanishing-gradients",),
    ),
}


def diagnosed(name: str, planted: Planted, given: Path, folder: Path) -> Diagnosis:
    """Trains, and lets the records speak."""
    run = folder / name
    with contextlib.suppress(GateError):  # its record tells
        sortograph.train(
            planted.photos(given, folder / f"{name}-photos"),
            recipe=planted.recipe,
            overrides=(*SMALL, *planted.sets),
            seed=SEED,
            out=run,
        )
    return sortograph.diagnose(run)


def is_right(planted: Planted, found: Diagnosis) -> bool:
    names = {verdict.name for verdict in found.verdicts}
    return names == {"healthy"} if "healthy" in planted.expected else names >= set(planted.expected)


def save(run: Path, target: Path) -> None:
    """What the verdicts look at, without paths, hashes and times."""
    record, index = runs.read_run(run), runs.read_data(run)
    data: dict[str, Any] = {
        "recipe": {section: record.recipe[section] for section in ("model", "augment", "train")},
        "status": record.status,
        "best_epoch": record.best_epoch,
        "classes": list(index.classes),
        "counts": {split: list(counts.values()) for split, counts in index.counts().items()},
        "splits": {split: result.to_json() for split, result in record.evaluation.items()},
    }
    for result in data["splits"].values():
        for key in ("reliability", "slices", "per_class", "gaps", "gap_intervals"):
            result.pop(key, None)
        kept = ("accuracy", "accuracy_unseen", "log_loss")
        result["metrics"] = {name: value for name, value in result["metrics"].items() if name in kept}
    target.mkdir(parents=True, exist_ok=True)
    (target / f"{run.name}.json").write_text(json.dumps(data) + "\n", "utf-8")
    if record.history:
        shutil.copyfile(run / "history.csv", target / f"{run.name}.csv")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--only", default=",".join(PLANTED), help="names, separated by commas")
    parser.add_argument("--out", type=Path, help="where runs are kept; else they are thrown away")
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    wrong = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        for name in options.only.split(","):
            began = time.monotonic()
            found = diagnosed(name, PLANTED[name], options.photos, folder)
            good = is_right(PLANTED[name], found)
            wrong += [] if good else [name]
            seconds = time.monotonic() - began
            print(f"{name}: {'as planted' if good else 'MISSED'}, {seconds:.0f} s", flush=True)
            for verdict in found.verdicts:
                print(f"  {verdict.name} {verdict.severity:.2f}: {verdict.message}", flush=True)
            if options.save:
                save(folder / name, options.save)
    if wrong:
        raise SystemExit(f"missed: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
