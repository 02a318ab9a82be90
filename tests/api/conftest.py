"""Photos that a tiny network tells apart in two epochs, and one run on them that many tests look at."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sortograph
from sortograph.records import RunRecord
from swept import make_record, quickly, space

__all__ = ["make_record", "quickly", "space"]  # fixtures that stand elsewhere

CLASSES = ("red", "green", "blue")
TINY = (
    "pixels.size=16",
    "model.filters=[4]",
    "model.dense=[16]",
    "train.epochs=2",
    "train.batch_size=8",
    "train.learning_rate=0.01",
    "train.precision=float32",
)
SIDE = 32
UNHURRIED = 600.0  # seconds for heatmaps, of which a loaded machine would else draw fewer and coarser ones


def _paint(folder: Path, classes: Sequence[str] = CLASSES, count: int = 10, first: int = 0) -> Path:
    """<folder>/<class>/<n>.png: noise, brighter in the channel of the class; all contents differ."""
    for k, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for n in range(first, first + count):
            pixels = np.random.default_rng([k, n]).integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8)
            pixels[..., k % 3] += 140
            Image.fromarray(pixels).save(folder / name / f"{n}.png", compress_level=1)
    return folder


def _tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Path → content hash and time of the last change, of all that is below."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in sorted(folder.rglob("*"))
    }


def _train(photos: Path, out: Path | None, *more: str, **options: Any) -> RunRecord:
    """The recipe "weather" made tiny; `more` are further overrides."""
    overrides = () if "resume" in options else (*TINY, *more)
    options = {"recipe": "weather", "overrides": overrides, "out": out, **options}
    return sortograph.train(photos, **options)


@pytest.fixture(scope="session")
def paint() -> Callable[..., Path]:
    return _paint


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, tuple[str, int]]]:
    return _tree


@pytest.fixture(scope="session")
def train() -> Callable[..., RunRecord]:
    return _train


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty photos; never written to by a test."""
    return _paint(tmp_path_factory.mktemp("colours") / "photos")


@pytest.fixture
def own_photos(tmp_path: Path) -> Path:
    """Photos that a test may change."""
    return _paint(tmp_path / "photos")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(cache))


@pytest.fixture(scope="session")
def run(photos: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """A finished run with its report; its classes are not in natural order. Never written to by a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SORTOGRAPH_CACHE", str(cache))
        patch.setattr("sortograph.api.sheets.HEATMAP_SECONDS", UNHURRIED)
        return _train(photos, tmp_path_factory.mktemp("runs") / "colours", classes=CLASSES)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No report at the end of training: it takes ten times as long as everything else here."""
    monkeypatch.setattr("sortograph.api.reviewing.draw_report", lambda *_: None)


@pytest.fixture
def watch() -> Iterator[Callable[[Path], Path]]:
    """`watch(folder)`: nothing below it may differ at the end of the test."""
    before: dict[Path, dict[str, tuple[str, int]]] = {}

    def start(folder: Path) -> Path:
        before[folder] = _tree(folder)
        return folder

    yield start
    for folder, contents in before.items():
        assert _tree(folder) == contents


class Stop:
    """A progress callback that presses Ctrl-C once, at the first event for which `when` is true."""

    def __init__(self, when: Callable[[Any], bool]) -> None:
        self.when, self.pressed = when, False

    def __call__(self, event: Any) -> None:
        if not self.pressed and self.when(event):
            self.pressed = True
            # In the background jobs of a shell script it is ignored.
            if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="session")
def stop() -> type[Stop]:
    return Stop
