"""A server that is asked without a pause: no request may fail, and memory may not grow.

    python benchmarks/soak.py --model RUN --photos FOLDER              # 10 minutes, 32 clients
    python benchmarks/soak.py --model RUN --photos FOLDER --minutes 1

What grows is told of the second half, since the first one fills caches: the median of the last tenth of all
samples less that of the tenth in the middle, over the server and its workers together. The test in
tests/serve runs the same function for seconds, and once more on a server that leaks on purpose.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

import serve

MOST = 100.0  # megabytes that a soak of ten minutes may add
_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Soaked:
    """rate: requests a second; growth: megabytes in the second half."""

    requests: int
    failed: int
    rate: float
    growth: float


def soak(port: int, pid: int, requests: list[bytes], clients: int, seconds: float) -> Soaked:
    """Ask the server on this port, which is process `pid`, with so many clients for so long."""
    samples: list[float] = []
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(psutil.Process(pid), samples, over))
    watcher.start()
    try:
        found = asyncio.run(serve.load_with(port, requests, clients, seconds))
    finally:
        over.set()
        watcher.join()
    return Soaked(round(found.rate * seconds), found.failed, found.rate, growth(samples))


def growth(samples: list[float]) -> float:
    """By how much the last tenth is above the tenth in the middle.

    >>> growth([1.0] * 50 + [1.0] * 10 + [2.0] * 30 + [5.0] * 10)
    4.0
    """
    tenth = max(1, len(samples) // 10)
    middle = samples[len(samples) // 2 :][:tenth]
    return statistics.median(samples[-tenth:]) - statistics.median(middle)


def _watch(root: psutil.Process, samples: list[float], over: threading.Event) -> None:
    while not over.wait(_PAUSE):
        samples.append(_megabytes(root))


def _megabytes(root: psutil.Process) -> float:
    total = 0
    for process in (root, *root.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:  # a worker that was replaced
            continue
    return total / 1e6


def main() -> int:
    options = parse()
    photos = [path.read_bytes() for path in sorted(Path(options.photos).rglob("*.jpg"))[::20]]
    requests = [serve.request(photo, "/v1/predict") for photo in photos]
    began = time.perf_counter()
    with serve.running(serve.ours(options.model, options.port), options.port) as process:
        found = soak(options.port, process.pid, requests, options.clients, 60 * options.minutes)
    print(
        f"{found.requests} requests by {options.clients} clients, {found.rate:.1f}/s, {found.failed} failed, "
        f"{found.growth:+.1f} MB in the second half ({time.perf_counter() - began:.0f} s)"
    )
    return int(found.failed > 0 or found.growth > MOST)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--port", type=int, default=8766)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
