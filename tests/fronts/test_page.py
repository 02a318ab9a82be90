"""report.html in a real browser. SORTOGRAPH_CHROMIUM names another one than that on PATH."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
FOUND = os.environ.get("SORTOGRAPH_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PHONE, DESK = 390, 1280

pytestmark = pytest.mark.skipif(FOUND is None, reason="no Chromium on PATH; SORTOGRAPH_CHROMIUM names one")


@dataclass(frozen=True)
class Seen:
    """A page as a browser has it: its DOM, what its console said, what it asked the network for."""

    dom: str
    console: list[str]
    requests: list[str]


def browse(page: Path, folder: Path, *options: str) -> Seen:
    log = folder / "net.json"
    done = subprocess.run(
        [FOUND, *QUIET, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}",
         "--enable-logging=stderr", *(options or ("--dump-dom",)), page.as_uri()],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    events = json.loads(log.read_text("utf-8"))["events"]
    asked = [event["params"] for event in events if "url" in (event.get("params") or {})]
    # The browser's own requests have no page that began them.
    requests = [
        params["url"] for params in asked if params.get("initiator", "not an origin") != "not an origin"
    ]
    console = re.findall(r":CONSOLE[:(].*", done.stderr.decode("utf-8", "replace"))
    return Seen(
        done.stdout.decode("utf-8"), console, [url for url in requests if not url.startswith("data:")]
    )


def measured(page: Path, folder: Path, width: int) -> tuple[int, int]:
    """(width of the content, width of the window) where the window is `width` pixels wide."""
    frame = folder / "frame.html"
    element = "this.contentDocument.documentElement"
    told = f"document.title = {element}.scrollWidth + ' ' + {element}.clientWidth"
    frame.write_text(
        '<!doctype html><meta charset="utf-8"><body style="margin:0">'
        f'<iframe style="width:{width}px;height:800px;border:0" onload="{told}" '
        f'srcdoc="{escape(page.read_text("utf-8"))}"></iframe>',
        encoding="utf-8",
    )
    content, window = re.search(r"<title>(\d+) (\d+)</title>", browse(frame, folder).dom).groups()
    return int(content), int(window)


def heights(page: Path, folder: Path, width: int, *ids: str) -> list[int]:
    """Where elements end, in pixels from the top of the page."""
    frame = folder / "heights.html"
    ends = "+' '+".join(
        f"Math.round(d.getElementById('{name}').closest('section').getBoundingClientRect().bottom)"
        for name in ids
    )
    told = f"const d = this.contentDocument; document.title = '' + {ends}"
    frame.write_text(
        '<!doctype html><meta charset="utf-8"><body style="margin:0">'
        f'<iframe style="width:{width}px;height:800px;border:0" onload="{told}" '
        f'srcdoc="{escape(page.read_text("utf-8"))}"></iframe>',
        encoding="utf-8",
    )
    return [int(end) for end in re.search(r"<title>([\d ]+)</title>", browse(frame, folder).dom)[1].split()]


@pytest.fixture(scope="module")
def report(place, trained) -> Path:
    return place.folder / "run" / "report.html"


@pytest.fixture
def bad(tmp_path) -> Path:
    page = tmp_path / "bad.html"
    page.write_text(
        '<!doctype html><div style="width:2000px">wide</div><img src="http://example.invalid/x.png">'
        "<script>missing()</script>",
        encoding="utf-8",
    )
    return page


def test_these_tests_see_faults(bad, tmp_path):
    seen = browse(bad, tmp_path)
    assert seen.requests == ["http://example.invalid/x.png"]
    assert len(seen.console) == 1
    assert "missing is not defined" in seen.console[0]
    assert all(
        content > window for content, window in (measured(bad, tmp_path, width) for width in (PHONE, DESK))
    )


def test_it_asks_nobody_for_anything_and_complains_of_nothing(report, tmp_path):
    seen = browse(report, tmp_path)
    assert seen.requests == []
    assert seen.console == []


def test_it_says_what_the_run_found(report, trained, tmp_path):
    text = unescape(re.sub(r"<[^>]+>", " ", browse(report, tmp_path).dom))
    test = next(line for line in trained.stdout.decode().splitlines() if line.startswith("test"))
    _, count, accuracy, *_ = test.split()
    assert "개" in text
    assert re.search(r"fitted to\s+\d+\s+validation photos", text)
    assert "Is anything wrong with it?" in text
    assert "cat" in text
    assert re.search(rf"\b{count}\b", text)
    assert accuracy.removesuffix(".0") in text


def test_the_first_screen_answers_what_is_asked_first(report, tmp_path):
    good, trust, wrong, after = heights(report, tmp_path, DESK, "result", "trust", "diagnosis", "next")
    assert good < trust == wrong < after <= 1200, "trust and diagnosis stand side by side"
    good, trust, wrong, after = heights(report, tmp_path, PHONE, "result", "trust", "diagnosis", "next")
    assert good < trust < wrong < after, "on a phone one follows the other"


def test_dark_and_light_differ(report, tmp_path):
    means = []
    for name, options in (("light", ()), ("dark", ("--blink-settings=preferredColorScheme=0",))):
        picture = tmp_path / f"{name}.png"
        browse(report, tmp_path, f"--window-size={DESK},900", *options, f"--screenshot={picture}")
        with Image.open(picture) as image:
            means.append(float(np.asarray(image.convert("L")).mean()))
    assert means[0] > 200
    assert means[1] < 60


@pytest.mark.parametrize("width", [PHONE, 768, DESK])
def test_nothing_sticks_out(report, tmp_path, width):
    content, window = measured(report, tmp_path, width)
    assert width - 20 <= window <= width  # less the bar to scroll with
    assert content <= window


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_something_is_drawn(report, tmp_path, width):
    picture = tmp_path / "seen.png"
    browse(report, tmp_path, f"--window-size={width},1600", f"--screenshot={picture}")
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[1] >= width
    ground = np.abs(pixels - pixels[4, 4]).sum(axis=2) < 24
    assert 0.2 < ground.mean() < 0.99  # neither empty nor one block
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200  # letters, plots and photos
