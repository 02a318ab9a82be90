"""Where a run took place: versions, machine, commit. Neither names of people or hosts nor absolute paths."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

from sortograph.cores import cores

PACKAGES = (
    "numpy",
    "pillow",
    "torch",
    "torchvision",
    "timm",
    "accelerate",
    "onnx",
    "onnxruntime",
    "scikit-learn",
    "pandas",
    "safetensors",
)
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_GIT = ("--no-optional-locks", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch")
_GIT_SECONDS = 2.0
_REQUIREMENT = re.compile(r"([\w.-]+)(?:\[[^]]*\])?([^;]*)")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([\w.-]+)['"]""")
_AT_LEAST = re.compile(r">=\s*([\w.]+)")


def describe() -> dict[str, Any]:
    """Plain data for environment.json; what cannot be told is left out.

    sortograph, python  versions
    platform            system, machine, processor
    cpus                processors that this process may use
    packages            name → version of those in PACKAGES that are installed
    libjpeg             version that Pillow decodes with; it decides about pixels
    git                 commit and dirty (tracked files changed) of the current folder
    threads             variables of the process that set thread counts
    """
    found = {
        "sortograph": _own_version(),
        "python": platform.python_version(),
        "platform": {
            "system": platform.system(),
            "machine": platform.machine(),
            "processor": _processor(),
        },
        "cpus": cores(),
        "packages": {name: version for name in PACKAGES if (version := _installed(name))},
        "libjpeg": _libjpeg(),
        "git": _git(),
        "threads": {name: os.environ[name] for name in _THREADS if name in os.environ},
    }
    return {key: value for key, value in found.items() if value is not None}


def extras() -> dict[str, bool]:
    """Extra → whether all that it asks for is installed, in at least the version that it asks for.

    Empty where sortograph runs without being installed, because only the installed metadata knows.
    """
    try:
        lines = importlib.metadata.requires("sortograph") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    complete: dict[str, bool] = {}
    for line in lines:
        requirement, _, marker = line.partition(";")
        for extra in _EXTRA.findall(marker):
            complete[extra] = complete.get(extra, True) and _satisfied(requirement)
    return complete


def _own_version() -> str:
    # The package names every verb in its type hints; a plain import would tie this room to all above it.
    version: str = import_module("sortograph").__version__
    return version


def _satisfied(requirement: str) -> bool:
    """Only `>=` is read: it is the one operator that our own metadata has."""
    match = _REQUIREMENT.match(requirement.strip())
    version = _installed(match[1]) if match else None
    if match is None or version is None:
        return False
    return all(_numbers(version) >= _numbers(least) for least in _AT_LEAST.findall(match[2]))


def _numbers(version: str) -> tuple[int, ...]:
    """The release of a version, without zeros at its end: 2.10.0rc1+cu124 → (2, 10)."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _libjpeg() -> str | None:
    from PIL import features

    # "jpg" alone names the interface that libjpeg-turbo keeps since 1998, not the decoder.
    return features.version("libjpeg_turbo") or features.version("jpg")


def _processor() -> str:
    """The processor's trade name where the system tells it without asking another program."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine()


def _git() -> dict[str, Any] | None:
    """Commit and dirty flag of the current folder; None outside a repository or without a quick git."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        program = shutil.which("git")
        # Windows looks in the current folder first: a git.exe among the photos is not to be run.
        if program is None or Path(program).resolve().parent == Path.cwd().resolve():
            return None
        done = subprocess.run(
            [program, *_GIT, "--untracked-files=no", "--ignore-submodules=all"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_SECONDS,
            env=environment,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _commit(done.stdout.decode("utf-8", "replace").splitlines())


def _commit(lines: list[str]) -> dict[str, Any] | None:
    heads = [line.rpartition(" ")[2] for line in lines if line.startswith("# branch.oid ")]
    if not heads or not re.fullmatch(r"[0-9a-f]{40,64}", heads[0]):
        return None  # a repository before its first commit
    return {"commit": heads[0], "dirty": any(not line.startswith("#") for line in lines)}
