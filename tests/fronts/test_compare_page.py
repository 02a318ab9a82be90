"""The page of a comparison in a real browser. SORTOGRAPH_CHROMIUM names another one than that on PATH."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import pytest

from sortograph.records import ClassCounts, Compared, Contender, EpochRow, Estimate, Pair
from sortograph.reporting.compare_page import ComparePage, write_compare_page
from sortograph.reporting.overlay import Course

NAMES = ("chromium", "chromium-browser", "google-chrome")
FOUND = os.environ.get("SORTOGRAPH_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PHONE, DESK = 390, 1280
RUNS = ("<script>document.title='run'</script>", "맑음", "x" * 120, "weather-20260502-101500")
HISTORY = tuple(EpochRow(e, 1 / e, 0.5, 1.1 / e, 0.6, 0.1, 1.0, 9.0) for e in range(1, 6))

pytestmark = pytest.mark.skipif(FOUND is None, reason="no Chromium on PATH; SORTOGRAPH_CHROMIUM names one")


def browse(page: Path, folder: Path) -> tuple[str, list[str], list[str]]:
    """DOM of the page, what its console said, and what it asked the network for."""
    log = folder / "net.json"
    done = subprocess.run(
        [FOUND, *QUIET, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}",
         "--enable-logging=stderr", "--dump-dom", page.as_uri()],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    asked = [event.get("params") or {} for event in json.loads(log.read_text("utf-8"))["events"]]
    # The browser's own requests have no page that began them.
    urls = [a["url"] for a in asked if "url" in a and a.get("initiator", "not an origin") != "not an origin"]
    console = re.findall(r":CONSOLE[:(].*", done.stderr.decode("utf-8", "replace"))
    return done.stdout.decode("utf-8"), console, [url for url in urls if not url.startswith("data:")]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory) -> Path:
    share = Estimate(0.9, 0.84, 0.94, 0.95, 168, "wilson")
    accuracy = {"train": share, "validation": share, "test": share}
    runs = tuple(Contender(n, n, "weather", 1, 9_000_000, 83.0, 3, accuracy, share) for n in RUNS)
    difference = Estimate(0.03, -0.01, 0.07, 0.95, 168, "newcombe paired score")
    pairs = tuple(
        Pair(a, b, "mcnemar exact", difference, 8, 3, 0.1, 0.6, 6)
        for k, a in enumerate(RUNS)
        for b in RUNS[k + 1 :]
    )
    found = Compared(
        runs, "test", pairs, (ClassCounts("음식" * 40, 9, (1, 2, 3, 4)),),
        {"backbone.names": ("x" * 90,) * 4}, tied=RUNS, chosen=RUNS[2], reason=f"Tied: {', '.join(RUNS)}.",
    )  # fmt: skip
    page = ComparePage(found, tuple(Course(name, HISTORY, 3) for name in RUNS))
    return write_compare_page(page, tmp_path_factory.mktemp("comparison") / "compare.html")


def test_it_asks_nobody_for_anything_and_runs_nothing(comparison, tmp_path):
    dom, console, requests = browse(comparison, tmp_path)
    assert (console, requests) == ([], [])
    assert "<title>4 runs compared" in dom
    assert "맑음" in dom


@pytest.mark.parametrize("width", [PHONE, 768, DESK])
def test_nothing_sticks_out(comparison, tmp_path, width):
    frame = tmp_path / "frame.html"
    told = (
        "let d = this.contentDocument.documentElement; document.title = d.scrollWidth + ' ' + d.clientWidth"
    )
    frame.write_text(
        '<!doctype html><meta charset="utf-8"><body style="margin:0">'
        f'<iframe style="width:{width}px;height:800px;border:0" onload="{told}" '
        f'srcdoc="{escape(comparison.read_text("utf-8"))}"></iframe>',
        encoding="utf-8",
    )
    dom, _, _ = browse(frame, tmp_path)
    content, window = map(int, re.search(r"<title>(\d+) (\d+)</title>", dom).groups())
    assert width - 20 <= window <= width
    assert content <= window
