"""Ten real processes, killed at random moments of a move from one file system to another."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from sortograph import sorting

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SHM = Path("/dev/shm")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal of POSIX")
def test_ten_kills(tmp_path, monkeypatch):
    if not (SHM.is_dir() and os.access(SHM, os.W_OK) and SHM.stat().st_dev != tmp_path.stat().st_dev):
        pytest.skip("needs a second file system, such as /dev/shm")
    if not BENCHMARKS.is_dir():
        pytest.skip("the benchmarks are not at hand")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    kills = _benchmark()

    def at_once(words):  # only what is killed needs a process of its own
        {kills.RESUME: sorting.resume, kills.UNDO: sorting.undo}[words[0]](Path(words[1]))

    monkeypatch.setattr(kills, "finish", at_once)
    both = [kills.sides_of(*way, 200) for way in ((SHM, tmp_path), (tmp_path, SHM))]
    try:
        rows = kills.rounds(both, 10, random.Random(3))
    finally:
        for sides in both:
            kills.shutil.rmtree(sides.source.parent)
            kills.shutil.rmtree(sides.answers.parent)
    assert len(rows) == 10
    assert any(row["between_first_and_last_act"] for row in rows)


def _benchmark():
    spec = importlib.util.spec_from_file_location("sort_kills", BENCHMARKS / "sort_kills.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sort_kills"] = module  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module
