"""What damaged, fuzzed and odd photos cost: every one gives pixels or a refusal, soon and in little memory.

The photos are those of `bad-images.tar.gz`, of the shared photo sets. One worker process reads one after the
other as training does: facts, look, and pixels at 224. Memory is the peak above that of the worker before it
reads this photo; the largest are measured again, each in a process of its own. It is known on Linux alone.

    python benchmarks/bad_images.py
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import statistics
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

import common
from sortograph.images.crew import Crew
from sortograph.records import PreprocessSpec

PACKAGES = ("pillow",)
SIZES = ((PreprocessSpec(size=(224, 224)), 1.0),)
MOST_SECONDS, MOST_MEGABYTES = 2.0, 300.0
SHARED = Path(__file__).parents[2] / "shared" / "data"
FIRST = "first.png"  # a photo of one pixel, after which a worker has all that it needs


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one file: reason "" where there are pixels, megabytes 0 where memory is not known."""

    name: str
    reason: str
    seconds: float
    megabytes: float

    @property
    def group(self) -> str:
        """The reason without what differs from file to file."""
        kind = re.split(r" \(", self.reason)[0]
        return re.sub(r"\d+(\.\d+)?", "N", kind)


class Reader:
    """One worker process, and what it costs to read a photo with it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._crew = folder, Crew(workers=1)
        self._process = Path("none yet")

    def read(self, path: str, name: str) -> Outcome:
        if not self._process.exists():  # the first photo, or the one before has ended the worker
            list(self._crew.read(self._folder, [FIRST], SIZES))
            self._process = Path("/proc", *map(str, self._crew.pids()))
        before = self._start_counting()
        start = time.perf_counter()
        (reading,) = self._crew.read(self._folder, [path], SIZES)
        seconds = time.perf_counter() - start
        peak = megabytes(self._process, "VmHWM") or before
        return Outcome(name, reading.reason, seconds, peak - before)

    def _start_counting(self) -> float:
        if (self._process / "clear_refs").exists():
            (self._process / "clear_refs").write_text("5", encoding="ascii")  # proc(5): resets VmHWM
        return megabytes(self._process, "VmRSS")

    def close(self) -> None:
        self._crew.close()


def megabytes(process: Path, field: str) -> float:
    """A field of /proc/PID/status; 0 where there is none."""
    file = process / "status"
    lines = file.read_text(encoding="ascii", errors="replace").splitlines() if file.exists() else []
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def unpack(archive: Path, folder: Path) -> dict[str, str]:
    """Path below the folder → the name that the file has where it comes from."""
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    (manifest,) = folder.rglob("manifest.csv")
    base = manifest.parent.relative_to(folder)
    with manifest.open(newline="", encoding="utf-8") as file:
        return {(base / row["file"]).as_posix(): row["original"] for row in csv.DictReader(file)}


def measure(folder: Path, names: dict[str, str], again: int) -> list[Outcome]:
    """One outcome for each file; the largest in memory are measured again, in processes of their own."""
    reader = Reader(folder)
    outcomes = {path: reader.read(path, name) for path, name in names.items()}
    reader.close()
    for path in sorted(outcomes, key=lambda path: -outcomes[path].megabytes)[:again]:
        alone = Reader(folder)
        outcomes[path] = replace(outcomes[path], megabytes=alone.read(path, names[path]).megabytes)
        alone.close()
    return list(outcomes.values())


def worst(outcomes: Sequence[Outcome], what: str, count: int) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: -getattr(outcome, what))[:count]


def rows(outcomes: Sequence[Outcome], session: str, shown: int) -> list[dict[str, Any]]:
    """Totals, refusals by reason, and the slowest and largest files."""
    decoded = [outcome for outcome in outcomes if not outcome.reason]
    groups = Counter(outcome.group for outcome in outcomes if outcome.reason)
    found = [
        row(session, "total", "decoded", decoded),
        row(session, "total", "refused", [outcome for outcome in outcomes if outcome.reason]),
    ]
    for group, _ in groups.most_common():
        found.append(row(session, "refused", group, [one for one in outcomes if one.group == group]))
    for what in ("seconds", "megabytes"):
        found += [row(session, f"most {what}", one.name, [one]) for one in worst(outcomes, what, shown)]
    return found


def row(session: str, kind: str, name: str, those: Sequence[Outcome]) -> dict[str, Any]:
    """Counts, and the worst of some outcomes, with the median of their seconds."""
    return {
        "session": session,
        "kind": kind,
        "name": name,
        "photos": len(those),
        "seconds_median": statistics.median(one.seconds for one in those) if those else 0.0,
        "seconds_most": max((one.seconds for one in those), default=0.0),
        "megabytes_most": max((one.megabytes for one in those), default=0.0),
    }


def tell(found: Sequence[dict[str, Any]]) -> None:
    for each in found:
        print(
            f"{each['kind']:>15}  {each['photos']:5}  median {1000 * each['seconds_median']:7.1f} ms"
            f"  most {1000 * each['seconds_most']:7.1f} ms  {each['megabytes_most']:6.1f} MB  {each['name']}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory that bad photos take.")
    shared = Path(os.environ.get("SORTOGRAPH_SHARED", SHARED))
    parser.add_argument("--archive", type=Path, default=shared / "bad-images.tar.gz", help="the photos")
    parser.add_argument("--shown", type=int, default=10, help="slowest and largest files (default: 10)")
    parser.add_argument("--results", type=Path, help="the CSV (default: in benchmarks/results)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        Image.new("RGB", (1, 1)).save(folder / FIRST)
        outcomes = measure(folder, unpack(options.archive, folder), 2 * options.shown)
    found = rows(outcomes, common.session(), options.shown)
    tell(found)
    common.append_rows(options.results or common.results_file("bad-images", PACKAGES), found)
    over = [one for one in outcomes if one.seconds > MOST_SECONDS or one.megabytes > MOST_MEGABYTES]
    print(f"{len(over)} of {len(outcomes)} files above {MOST_SECONDS:g} s or {MOST_MEGABYTES:g} MB")
    if over:
        raise SystemExit(
            "\n".join(f"{one.name}: {one.seconds:.2f} s, {one.megabytes:.0f} MB" for one in over)
        )


if __name__ == "__main__":
    main()
