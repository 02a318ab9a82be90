"""Trainings that go on at the same time and share a cache."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from sortograph.loading import store
from sortograph.loading.pixels import PhotoPixels

WEIGHTS = "weights.safetensors"
_SCRIPT = """
import sys
import sortograph, sortograph.api.reviewing
sortograph.api.reviewing.draw_report = lambda *_: None
photos, recipe, out = sys.argv[1:]
sortograph.train(photos, recipe=recipe, out=out)
"""


def test_another_process_at_the_same_time_gets_the_same_model(
    run, photos, train, tmp_path, bare, monkeypatch
):
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    recipe = run.folder / "recipe.toml"
    command = [sys.executable, "-c", _SCRIPT, str(photos), str(recipe), str(tmp_path / "other")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as other:
        mine = train(photos, tmp_path / "mine", classes=("red", "green", "blue"))
        _, errors = other.communicate(timeout=120)
    assert other.returncode == 0, errors
    expected = (run.folder / WEIGHTS).read_bytes()
    assert (mine.folder / WEIGHTS).read_bytes() == expected
    assert (tmp_path / "other" / WEIGHTS).read_bytes() == expected
    assert (tmp_path / "other" / "index.csv").read_bytes() == (mine.folder / "index.csv").read_bytes()


def test_two_threads_fill_one_cold_cache(paint, train, tmp_path, bare, monkeypatch):
    """Both write other photos at the same moment; each run sees its own pixels, and none is lost."""
    plain = ("model.dropout=0",)  # torch's generator, which dropout draws from, is one for all threads
    photos = [paint(tmp_path / name, first=first) for name, first in (("a", 0), ("b", 100))]
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "apart"))
    alone = [train(folder, tmp_path / f"alone-{folder.name}", *plain) for folder in photos]

    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "shared"))
    meeting, flush, extend = threading.Barrier(2, timeout=60), PhotoPixels.flush, store._extend

    def flush_together(self):
        meeting.wait()
        flush(self)

    def extend_slowly(*arguments):
        time.sleep(0.05)
        extend(*arguments)

    monkeypatch.setattr(PhotoPixels, "flush", flush_together)
    monkeypatch.setattr(store, "_extend", extend_slowly)
    with ThreadPoolExecutor(2) as pool:
        shared = list(pool.map(lambda folder: train(folder, tmp_path / f"run-{folder.name}", *plain), photos))
    for one, other in zip(alone, shared, strict=True):
        assert (one.folder / WEIGHTS).read_bytes() == (other.folder / WEIGHTS).read_bytes()
    stores = sorted((tmp_path / "shared").rglob("values.bin"))
    assert [file.stat().st_size for file in stores] == [60 * 16 * 16 * 3, 60 * 19 * 19 * 3]


def test_two_runs_of_one_second_get_folders_of_their_own(photos, train, tmp_path, bare, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = {train(photos, None).folder for _ in range(2)}
    assert len(folders) == 2
