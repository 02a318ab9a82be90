"""The page of an audit in a real browser. SORTOGRAPH_CHROMIUM names another one than that on PATH."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph.records import AuditResult, DatasetIndex, Finding, Rejected
from sortograph.reporting.audit_page import AuditPage, jpeg_thumbnail, write_audit_page

NAMES = ("chromium", "chromium-browser", "google-chrome")
FOUND = os.environ.get("SORTOGRAPH_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PHONE, DESK = 390, 1280
CLASSES = ("<script>document.title='run'</script>", "맑음", "x" * 120)
HOSTILE = '"><img src=http://example.invalid/x.png onerror="document.title=\'run\'">'

pytestmark = pytest.mark.skipif(FOUND is None, reason="no Chromium on PATH; SORTOGRAPH_CHROMIUM names one")


def browse(page: Path, folder: Path, *options: str) -> tuple[str, str]:
    """(DOM, console) of the page as a browser has it."""
    done = subprocess.run(
        [FOUND, *QUIET, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={folder / 'net.json'}",
         "--enable-logging=stderr", *(options or ("--dump-dom",)), page.as_uri()],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    console = re.findall(r":CONSOLE[:(].*", done.stderr.decode("utf-8", "replace"))
    return done.stdout.decode("utf-8"), "\n".join(console)


def framed(page: Path, folder: Path, width: int, told: str) -> list[str]:
    """Words that the expression `told`, with the page's document as `d`, gives at this width."""
    frame = folder / "frame.html"
    frame.write_text(
        '<!doctype html><meta charset="utf-8"><body style="margin:0">'
        f'<iframe style="width:{width}px;height:800px;border:0" '
        f'onload="let d = this.contentDocument; document.title = {escape(told)}" '
        f'srcdoc="{escape(page.read_text("utf-8"))}"></iframe>',
        encoding="utf-8",
    )
    return re.search(r"<title>(.*?)</title>", browse(frame, folder)[0])[1].split()


def thumbnail(path: str) -> bytes:
    noise = np.random.default_rng(len(path)).integers(0, 255, (90, 120, 3))
    return jpeg_thumbnail(noise.astype(np.uint8))


@pytest.fixture(scope="module")
def audit(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    paths = tuple(f"{name}/{i}{HOSTILE}.jpg" for name in CLASSES for i in range(10))
    index = DatasetIndex(
        root=folder, classes=CLASSES, paths=paths, labels=np.arange(30) // 10, groups=("",) * 30,
        splits=("train", "test") * 15, sha256=("0" * 64,) * 30,
        sizes=np.full((30, 2), 90, dtype=np.int32), rejected=(Rejected(f"맑음/{HOSTILE}", HOSTILE),),
    )  # fmt: skip
    findings = (
        Finding("leakage", paths[:2], 0.9, HOSTILE, CLASSES[0], paths[1:2]),
        Finding("near-duplicates", paths, 0.5, CLASSES[2], "Keep one."),
        *(Finding("label-errors", (path,), 0.2, f"looks like {CLASSES[0]}", "Look.") for path in paths[5:9]),
        Finding("unreadable", (f"맑음/{HOSTILE}",), 0.1, "1 file cannot be read.", "Replace it."),
    )
    result = AuditResult(findings, ("leakage", "dark-photos"), {"blurred-photos": HOSTILE})
    view = AuditPage(
        result, index, lambda asked: {path: thumbnail(path) for path in asked}, CLASSES[0], HOSTILE
    )
    return write_audit_page(view, folder / "audit.html")


def test_it_asks_nobody_for_anything_and_runs_nothing(audit, tmp_path):
    dom, console = browse(audit, tmp_path)
    assert console == ""
    assert "<script" not in dom
    assert "<title>Audit of &lt;script&gt;" in dom  # a script of a name would have changed it
    events = json.loads((tmp_path / "net.json").read_text("utf-8"))["events"]
    assert not any("example.invalid" in str((event.get("params") or {}).get("url")) for event in events)


@pytest.mark.parametrize("width", [PHONE, 768, DESK])
def test_nothing_sticks_out(audit, tmp_path, width):
    told = "d.documentElement.scrollWidth + ' ' + d.documentElement.clientWidth"
    content, window = map(int, framed(audit, tmp_path, width, told))
    assert width - 20 <= window <= width  # less the bar to scroll with
    assert content <= window


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_two_photos_of_a_finding_stand_side_by_side(audit, tmp_path, width):
    box = "[...d.querySelectorAll('.finding.grave .frame')].map(f => f.getBoundingClientRect())"
    told = f"{box}.map(b => b.left + ' ' + b.top + ' ' + b.right).join(' ')"
    left, top, right, next_left, next_top, next_right = map(float, framed(audit, tmp_path, width, told))
    assert top == next_top
    assert right < next_left
    assert 110 < next_right - next_left <= 160
    assert right - left == pytest.approx(next_right - next_left, abs=0.1)


def test_all_thumbnails_are_drawn(audit, tmp_path):
    told = "[...d.images].filter(i => i.complete && i.naturalWidth == 120).length + ' ' + d.images.length"
    assert framed(audit, tmp_path, DESK, told) == ["18", "18"]


def test_a_tick_taken_away_hides_findings_of_that_kind_only(audit, tmp_path):
    counted = "[...d.querySelectorAll('.finding')].filter(f => f.getClientRects().length).length"
    told = (
        f"{counted} + ' ' + (d.getElementById('show-minor').click(), {counted})"
        f" + ' ' + (d.getElementById('show-grave').click(), {counted})"
    )
    assert framed(audit, tmp_path, DESK, told) == ["7", "2", "1"]


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_stands_out_in_the_dark_and_in_the_light(audit, tmp_path, scheme):
    picture = tmp_path / "seen.png"
    options = (f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={DESK},1600")
    browse(audit, tmp_path, *options, f"--screenshot={picture}")
    with Image.open(picture) as image:
        grey = np.asarray(image.convert("L")).astype(int)
    ground = int(np.median(grey))
    assert ground < 60 if scheme == 0 else ground > 200
    assert (np.abs(grey - ground) > 140).mean() > 0.01
