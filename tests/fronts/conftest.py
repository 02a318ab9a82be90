"""The command line as a process, and a run that it made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

TINY = ("pixels.size=16", "model.filters=[4,8]", "train.batch_size=8", "train.precision=float32")
CLASSES = {"cat": (200, 60, 40), "개": (40, 70, 200)}
SECONDS = 120


def settings(*values: str) -> list[str]:
    return ["--recipe", "cnn", *(word for value in (*TINY, *values) for word in ("--set", value))]


@dataclass(frozen=True)
class Shell:
    """Starts `sortograph` in `folder` as a shell would, with nothing of the outer terminal."""

    folder: Path
    cache: Path

    def words(self, arguments: Sequence[object]) -> list[str]:
        return [sys.executable, "-m", "sortograph", *map(str, arguments)]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {
            k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "PYTHONIOENCODING")
        }
        return (
            kept
            | {"SORTOGRAPH_CACHE": str(self.cache), "SORTOGRAPH_HOME": str(self.cache / "home")}
            | {"SORTOGRAPH_OFFLINE": "1", "PYTHONUTF8": "1", "TERM": "xterm"}
            | dict(more or {})
        )

    def run(self, *arguments: object, env: Mapping[str, str] | None = None, **options: Any) -> Any:
        """With `stdout` and `stderr` as bytes, where they are not sent elsewhere."""
        if "stdout" not in options and "stderr" not in options:
            options["capture_output"] = True
        return subprocess.run(
            self.words(arguments), cwd=self.folder, env=self.environment(env), timeout=SECONDS, **options
        )


@pytest.fixture(scope="session")
def make_photos() -> Callable[..., Path]:
    def make(folder: Path, count: int = 20, classes: Mapping[str, tuple[int, int, int]] = CLASSES) -> Path:
        noise = np.random.default_rng(5)
        for name, colour in classes.items():
            (folder / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(noise.normal(colour, 60, (24, 24, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / name / f"{number}.png")
        return folder

    return make


@pytest.fixture(scope="session")
def place(tmp_path_factory, make_photos) -> Shell:
    """A folder with photos/ of two classes."""
    folder = tmp_path_factory.mktemp("shell")
    make_photos(folder / "photos")
    return Shell(folder, folder / "cache")


@pytest.fixture(scope="session")
def tiny() -> Callable[..., list[str]]:
    """The options that make training quick."""
    return settings


@pytest.fixture(scope="session")
def trained(place, tiny) -> Any:
    """What `sortograph train photos --out run` wrote; the run lies in `place.folder / "run"`."""
    done = place.run("train", "photos", "--out", "run", *tiny("train.epochs=3", "augment.rotation=0.1"))
    assert done.returncode == 0, done.stderr.decode()
    return done


@pytest.fixture(scope="session")
def parse() -> Callable[[list[str]], None]:
    """Checks the words after `sortograph` and runs nothing; raises UsageError for what cannot be parsed."""
    from sortograph.cli import app, predict_options
    from sortograph.errors import UsageError

    def check(words: list[str]) -> None:
        if words[:1] == ["predict"]:
            predict_options.parse(words[1:])
            return
        try:
            app.app()(words, prog_name="sortograph", standalone_mode=False)
        except Exception as error:
            raise UsageError(str(error)) from error

    return check


@pytest.fixture
def shell(tmp_path) -> Shell:
    """A folder of the test's own."""
    return Shell(tmp_path, tmp_path / "cache")
