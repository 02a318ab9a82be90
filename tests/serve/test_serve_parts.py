"""The desk that answers in batches, the workers that read, the names of models: each by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from serve_tools import photo
from sortograph.api.serving import Serving, make_server, serve
from sortograph.errors import MissingExtra, UsageError
from sortograph.images.preprocess import prepare
from sortograph.images.process import command
from sortograph.records import Prediction, PreprocessSpec
from sortograph.serve.batching import Desk
from sortograph.serve.decoding import Decoders
from sortograph.serve.heat import Late, heatmap
from sortograph.serve.limits import Limits
from sortograph.serve.models import best_batch, sources
from sortograph.serve.problems import Refusal


class Work:
    """Answers with the number in the first pixel; remembers its batches."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.batches, self.alone = seconds, [], []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, pixels, alone):
        self.go.wait(10)
        time.sleep(self.seconds)
        self.batches.append(len(pixels))
        self.alone.append(alone)
        return [Prediction(str(one[0, 0, 0]), "cat", 1.0) for one in pixels]


def pixels(number):
    return np.full((2, 2, 3), number, np.uint8)


def test_photos_that_wait_are_answered_together_each_with_its_own_answer():
    work = Work()
    work.go.clear()

    async def run():
        desk = Desk(work, lanes=1, most=8)
        first = asyncio.ensure_future(desk.ask(pixels(0)))
        await asyncio.sleep(0.05)
        rest = [asyncio.ensure_future(desk.ask(pixels(k))) for k in range(1, 14)]
        await asyncio.sleep(0.05)
        work.go.set()
        found = await asyncio.gather(first, *rest)
        desk.close()
        return found

    found = asyncio.run(run())
    assert [one.path for one in found] == [str(k) for k in range(14)]
    assert work.batches == [1, 8, 5]


def test_a_photo_that_is_alone_does_not_wait():
    work = Work()

    async def run():
        desk = Desk(work, lanes=2, most=8)
        seconds = []
        for _ in range(40):
            began = time.perf_counter()
            await desk.ask(pixels(1))
            seconds.append(time.perf_counter() - began)
        desk.close()
        return min(seconds)

    assert asyncio.run(run()) < 0.002
    assert set(work.batches) == {1}
    assert all(work.alone)


def test_a_photo_waits_a_moment_for_another_that_is_coming():
    work = Work()

    async def run():
        desk = Desk(work, lanes=1, most=8)
        with desk.expecting():
            first = asyncio.ensure_future(desk.ask(pixels(1)))
            await asyncio.sleep(0)
            second = asyncio.ensure_future(desk.ask(pixels(2)))
            began = time.perf_counter()
            await asyncio.gather(first, second)
            desk.close()
            return time.perf_counter() - began

    assert asyncio.run(run()) < 0.5  # it does not wait for ever for what never comes
    assert work.batches in ([2], [1, 1])
    assert not any(work.alone)


def test_photos_are_spread_over_free_lanes():
    work = Work(0.02)

    async def run():
        desk = Desk(work, lanes=2, most=8)
        work.go.clear()
        asked = [asyncio.ensure_future(desk.ask(pixels(k))) for k in range(9)]
        await asyncio.sleep(0.05)
        work.go.set()
        await asyncio.gather(*asked)
        desk.close()

    asyncio.run(run())
    assert sum(work.batches) == 9
    assert max(work.batches) <= 5


def test_who_no_longer_waits_is_left_out():
    work = Work()
    work.go.clear()

    async def run():
        desk = Desk(work, lanes=1, most=8)
        first = asyncio.ensure_future(desk.ask(pixels(0)))
        await asyncio.sleep(0.05)
        gone, kept = (asyncio.ensure_future(desk.ask(pixels(k))) for k in (1, 2))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0.01)
        work.go.set()
        found = await asyncio.gather(first, kept)
        desk.close()
        return found

    assert [one.path for one in asyncio.run(run())] == ["0", "2"]
    assert work.batches == [1, 1]


def test_a_desk_that_failed_refuses_all_who_wait():
    def fails(*_):
        time.sleep(0.05)
        raise MemoryError

    async def run():
        desk = Desk(fails, lanes=1, most=1)
        asked = [asyncio.ensure_future(desk.ask(pixels(k))) for k in range(4)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        with pytest.raises(Refusal, match="failed"):
            await desk.ask(pixels(9))
        return found

    found = asyncio.run(run())
    assert [type(one) for one in found] == [Refusal] * 4
    assert {one.status for one in found} == {503}


def test_workers_give_the_pixels_of_the_classifier():
    spec = PreprocessSpec(size=(20, 24), mode="crop")
    data = photo(kind="JPEG", size=(90, 70))

    async def run():
        decoders = Decoders(1)
        try:
            await decoders.start()
            good, bad, empty = [await decoders.read(one, spec) for one in (data, b"no photo", b"")]
            return good, bad, empty, decoders.pids()
        finally:
            decoders.close()

    good, bad, empty, pids = asyncio.run(run())
    assert np.array_equal(good.pixels[0], prepare(data, spec))
    assert bad.reason.startswith("not a photo")
    assert empty.reason == "empty file"
    assert len(pids) == 1


def test_a_photo_that_is_read_too_long_costs_itself_alone(monkeypatch):
    """The worker is told to sleep on a certain photo, and is ended for it."""
    spec = PreprocessSpec(size=(8, 8))
    code = (
        "import time; import sortograph.serve.decoding as d; real = d.Upload.answer; main = d.main; "
        "d.Upload.answer = lambda self, data: time.sleep(60) if data == b'sleep' else real(self, data)"
    )

    def slow(memory, module):
        return [word.replace(f"from {module} import main", code) for word in command(memory, module)]

    monkeypatch.setattr("sortograph.serve.decoding.command", slow)

    async def run():
        decoders = Decoders(1, seconds=0.4)
        try:
            await decoders.start()
            return [await decoders.read(one, spec) for one in (b"sleep", photo())]
        finally:
            decoders.close()

    slow, good = asyncio.run(run())
    assert slow.reason == "took longer than 0.4 s to decode"
    assert good.reason == ""


def ends_at_once(found):
    return [sys.executable, "-c", ""]


def finds_no_room(found):
    raise OSError(11, "no room for another process")


@pytest.mark.parametrize("fail", [ends_at_once, finds_no_room])
def test_workers_that_do_not_start_are_replaced_for_ever(monkeypatch, fail):
    """Photos are never read in the process of the server instead."""
    spec, starts = PreprocessSpec(size=(8, 8)), []

    def failing(memory, module):
        starts.append(module)
        found = command(memory, module)
        return fail(found) if 1 < len(starts) < 5 else found

    monkeypatch.setattr("sortograph.serve.decoding.command", failing)
    monkeypatch.setattr("sortograph.serve.decoding._AGAIN", 0.01)

    async def run():
        decoders = Decoders(1)
        try:
            await decoders.start()
            os.kill(decoders.pids()[0], getattr(signal, "SIGKILL", signal.SIGTERM))
            reading = await decoders.read(photo(), spec)
            return reading.reason, decoders.pids()
        finally:
            decoders.close()

    reason, pids = asyncio.run(run())
    assert reason == ""
    assert len(pids) == 1
    assert len(starts) == 5


def test_names_of_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = ["runs/a", "runs/a/model.onnx", "b.onnx", "other/b.onnx", "model.onnx"]
    (tmp_path / "runs" / "a").mkdir(parents=True)
    found = [source.name for source in sources([Path(path) for path in paths], 1, None)]
    assert found == ["a", "a-2", "b", "b-2", tmp_path.name]


def test_a_batch_is_only_as_large_as_pays():
    class Bundle:
        def __init__(self, each):
            self.each = each

        def run(self, photos):
            time.sleep(0.002 + self.each * len(photos))

    class Classifier:
        def __init__(self, each):
            self.bundle = Bundle(each)
            self.manifest = type("Manifest", (), {"preprocess": PreprocessSpec(size=(2, 2))})

    assert best_batch(Classifier(0.0)) == 16  # all of the time is spent on the call
    assert best_batch(Classifier(0.02)) == 1  # all of it on the photos


def test_a_heatmap_that_takes_too_long():
    with pytest.raises(Late):
        heatmap(pixels(3), lambda photos: np.zeros((len(photos), 2), np.float32), 0, seconds=-1)


@pytest.mark.parametrize(
    "wrong", [{"body": 0}, {"seconds": 0.0}, {"held": 1, "body": 2}, {"pixels": 50_000_001}]
)
def test_limits_that_let_nothing_through(wrong):
    with pytest.raises(UsageError):
        Limits(**wrong)


def test_the_server_is_made_of_no_more_than_it_needs():
    """What answers photos never loads what trains."""
    modules = ("app", "server", "heat")
    code = f"import sys, {', '.join(f'sortograph.serve.{name}' for name in modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"fastapi", "uvicorn"} <= loaded
    assert not loaded & {"torch", "torchvision", "timm", "onnx", "pandas", "sklearn", "scipy", "matplotlib"}


def test_no_model_and_one_path(model):
    with pytest.raises(UsageError, match="no model"):
        make_server([])
    with pytest.raises(UsageError, match="a list"):
        serve(str(model))


def test_a_missing_extra_is_named(model, monkeypatch):
    monkeypatch.setattr("sortograph.api.serving._NEEDED", ("fastapi", "no_such_module"))
    with pytest.raises(MissingExtra, match="no_such_module") as raised:
        make_server([model], options=Serving(port=0))
    assert "sortograph[serve]" in raised.value.fix
