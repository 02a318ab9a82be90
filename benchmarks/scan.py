"""How long a folder of very many small photos takes to be indexed, the first time and the second.

The photos are hard links to a few hundred made here, so that a million of them take no room; each is a
file of its own to the scan. Every scan is a new process: its time on the wall, and its peak memory and that
of its largest worker process. The second scan finds what the first has remembered.

    python benchmarks/scan.py --photos 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import common

PACKAGES = ("pillow",)
ORIGINALS = 400  # file systems allow some tens of thousands of links to one file
CLASSES = 100
SIDE = 48

SCAN = """
import json, sys, time
from pathlib import Path
from sortograph.dataset import scan
from sortograph.images.crew import shared_crew

def peak_mb(process):  # not getrusage: it counts what a child had before it became the worker
    status = Path(f"/proc/{process}/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), default=0.0)

began = time.perf_counter()
index = scan(Path(sys.argv[1]))
seconds = time.perf_counter() - began
workers = [peak_mb(process) for process in shared_crew().pids()]
print(json.dumps({"photos": len(index), "seconds": seconds, "peak_mb": peak_mb("self"),
                  "largest_worker_mb": max(workers, default=0.0), "fingerprint": index.fingerprint[:12]}))
"""


def make_photos(folder: Path, count: int) -> None:
    """<folder>/<class>/<n>.jpg, hard links to noise of 48×48 pixels, an hour old."""
    originals = folder.parent / "originals"
    originals.mkdir()
    for number in range(ORIGINALS):
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(originals / f"{number}.jpg")
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
    for number in range(count):
        target = folder / f"class {number % CLASSES}" / f"photo {number}.jpg"
        os.link(originals / f"{(number * 7 + number // ORIGINALS) % ORIGINALS}.jpg", target)
    then = time.time() - 3600
    for original in originals.iterdir():
        os.utime(original, (then, then))


def scans(folder: Path, cache: Path, times: int) -> list[dict[str, float]]:
    words = (sys.executable, "-c", SCAN, str(folder))
    command = common.Command(words, {"SORTOGRAPH_CACHE": str(cache)})
    found = []
    for number in range(1, times + 1):
        found.append({"scan": number, **json.loads(common.run(command).stdout)})
        print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=int, default=1_000_000)
    parser.add_argument("--scans", type=int, default=3)
    parser.add_argument(
        "--place", type=Path, help="where the photos are made (default: the temporary folder)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.place) as name:
        place = Path(name)
        make_photos(place / "photos", options.photos)
        time.sleep(3)  # what was changed a moment ago is read again by the next scan
        rows = scans(place / "photos", place / "cache", options.scans)
    first, others = rows[0]["seconds"], [row["seconds"] for row in rows[1:]]
    print(
        f"first {first:.0f} s; the next {first / max(others):.1f} to {first / min(others):.1f} times faster"
    )
    session = common.session()
    common.append_rows(common.results_file("scan", PACKAGES), [{"session": session, **row} for row in rows])


if __name__ == "__main__":
    main()
