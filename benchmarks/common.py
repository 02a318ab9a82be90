"""What the benchmarks share: commands timed in alternation, the name of the machine, CSV results.

Times of one machine differ from hour to hour by more than the programs differ from each other, so only
ratios of runs that stood side by side are kept, and their median. Nothing here imports a framework.
"""

from __future__ import annotations

import csv
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

RESULTS = Path(__file__).with_name("results")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run: its words, and what is added to the environment."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds on the wall from the start of the process to its end, and its standard output."""

    seconds: float
    stdout: str


def run(command: Command) -> Timed:
    """Run it in a new process. Exits with the last lines it printed when it fails."""
    start = time.perf_counter()
    done = subprocess.run(
        command.words,
        env=os.environ | command.environment,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        raise SystemExit(f"{' '.join(command.words)} ended with {done.returncode}:\n{said}")
    return Timed(seconds, done.stdout)


def alternate(commands: Mapping[str, Command], repeats: int) -> list[dict[str, float]]:
    """Seconds of every command, `repeats` times, each time starting with another one.

    Each runs once before, unmeasured, so that all of them find their files in the page cache.
    """
    for command in commands.values():
        run(command)
    return [
        {name: run(commands[name]).seconds for name in rotated(list(commands), repeat)}
        for repeat in range(repeats)
    ]


def rotated(items: Sequence[Item], by: int) -> list[Item]:
    """
    >>> rotated(["a", "b", "c"], 4)
    ['b', 'c', 'a']
    """
    cut = by % len(items)
    return [*items[cut:], *items[:cut]]


def spread(values: Sequence[float]) -> dict[str, float]:
    """
    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'low': 1.0, 'high': 3.0}
    """
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def session() -> str:
    """Names one run of a benchmark: its start, UTC."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S")


def sortograph(given: Path | None) -> str:
    """The program to measure: the one given, else the one beside this Python, else the one on PATH."""
    if given is not None:
        return str(given.absolute())
    beside = shutil.which("sortograph", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("sortograph")
    if found is None:
        raise SystemExit("no sortograph in this environment; name it with --sortograph")
    return found


def results_file(benchmark: str, packages: Sequence[str]) -> Path:
    """results/<benchmark>-<cpu>-<cores>core-py<version>-<package><version>….csv, without host names."""
    python = ".".join(platform.python_version_tuple()[:2])
    parts = [benchmark, cpu(), f"{cores()}core", f"py{python}"]
    parts += [f"{name}{'.'.join(version(name).split('.')[:2])}" for name in packages]
    return RESULTS / f"{'-'.join(parts)}.csv"


def cpu() -> str:
    return slug(_cpu_name()) or platform.machine().lower()


def slug(text: str) -> str:
    """
    >>> slug("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz")
    'intel-core-i7-8700'
    """
    bare = re.sub(r"\((r|tm)\)|\bcpu\b|@.*$", " ", text.lower())
    return re.sub(r"[^a-z0-9]+", "-", bare).strip("-")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    if sys.platform == "darwin":
        return run(Command(("sysctl", "-n", "machdep.cpu.brand_string"))).stdout.strip()
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", facts.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if found:
            return found.group(1)
    return platform.processor()


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to a CSV, with a header when it is new. Exits when it has other columns."""
    columns = list(rows[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    if not is_new:
        with path.open(newline="", encoding="utf-8") as file:
            if next(csv.reader(file), []) != columns:
                raise SystemExit(f"{path} has other columns; move it away first")
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows({name: _short(row[name]) for name in columns} for row in rows)


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
