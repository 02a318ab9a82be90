from __future__ import annotations

import getpass
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sortograph
from sortograph import environment
from sortograph.environment import describe, extras

git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def commit(folder: Path) -> str:
    """A repository with one commit in `folder`; gives its hash."""
    settings = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    (folder / "notes.txt").write_text("one")
    for words in (["init", "-q"], ["add", "notes.txt"], [*settings, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_versions_are_those_that_run() -> None:
    found = describe()
    assert found["sortograph"] == sortograph.__version__
    assert found["python"] == platform.python_version()
    assert found["packages"]["numpy"] == np.__version__
    assert found["platform"]["processor"]
    assert 1 <= found["cpus"] <= (os.cpu_count() or 1)
    assert found["libjpeg"][0].isdigit()


def test_it_is_plain_data_without_gaps() -> None:
    text = json.dumps(describe(), allow_nan=False)
    assert "null" not in text


def test_it_names_neither_host_nor_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(platform, "node", lambda: "secret-host")
    text = json.dumps(describe())
    assert "secret-host" not in text
    assert tmp_path.name not in text
    assert str(Path.home()) not in text
    assert f'"{getpass.getuser()}"' not in text


def test_packages_that_are_absent_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("numpy", "surely-not-installed"))
    assert list(describe()["packages"]) == ["numpy"]


def test_thread_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert describe()["threads"]["OMP_NUM_THREADS"] == "3"
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert "OMP_NUM_THREADS" not in describe()["threads"]


@git
def test_commit_and_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = commit(tmp_path)
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    (below / "run.json").write_text("{}")  # what we write ourselves is no change
    assert describe()["git"] == {"commit": head, "dirty": False}
    (tmp_path / "notes.txt").write_text("two")
    assert describe()["git"] == {"commit": head, "dirty": True}


@git
def test_no_git_outside_a_repository_or_before_its_first_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "git" not in describe()
    subprocess.run(["git", "init", "-q"], check=True, capture_output=True)
    assert "git" not in describe()


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("git"),
        subprocess.TimeoutExpired("git", 2),
        subprocess.CalledProcessError(128, "git"),
    ],
)
def test_git_in_trouble_is_left_out(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*words: Any, **options: Any) -> None:
        assert options["timeout"] == 2
        assert options["env"]["GIT_OPTIONAL_LOCKS"] == "0"
        raise error

    monkeypatch.setattr(environment.shutil, "which", lambda name: sys.executable)
    monkeypatch.setattr(environment.subprocess, "run", fail)
    assert "git" not in describe()


def test_a_program_in_the_current_folder_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment.shutil, "which", lambda name: str(tmp_path / "git.exe"))
    monkeypatch.setattr(environment.subprocess, "run", lambda *words, **options: pytest.fail("it ran"))
    assert "git" not in describe()


def test_extras_by_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=2.0",
        "pillow>=1.0; extra == 'old'",
        'pillow>=999; extra == "new"',
        "surely-not-installed>=1; extra == 'gone'",
        "numpy; extra == 'mixed'",
        "surely-not-installed[more]>=1; extra == 'mixed'",
        "numpy[more]>=1.0; python_version >= '3' and extra == 'marked'",
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    assert extras() == {"old": True, "new": False, "gone": False, "mixed": False, "marked": True}


@pytest.mark.parametrize(
    ("installed", "complete"),
    [("2.15.0+cu124", True), ("2.15", True), ("2.9.1", False), ("10.0", True), ("2.15rc1", True)],
)
def test_versions_are_compared_as_numbers(
    monkeypatch: pytest.MonkeyPatch, installed: str, complete: bool
) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["torch>=2.15.0; extra == 'train'"])
    monkeypatch.setattr(importlib.metadata, "version", lambda name: installed)
    assert extras() == {"train": complete}


def test_our_own_metadata_has_only_what_extras_reads() -> None:
    lines = importlib.metadata.requires("sortograph") or []
    requirements = [line.partition(";")[0] for line in lines]
    assert requirements
    assert not [text for text in requirements if any(sign in text for sign in ("<", "~", "!", "=="))]
    assert set(extras()) == set(importlib.metadata.metadata("sortograph").get_all("Provides-Extra") or [])


def test_extras_without_installed_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", fail)
    assert extras() == {}


def test_no_torch_is_loaded() -> None:
    code = (
        "import sys, sortograph.environment as e\n"
        "e.describe(), e.extras()\n"
        "assert not {'torch', 'onnx', 'onnxruntime', 'pandas', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
