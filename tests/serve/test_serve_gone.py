"""Requests whose clients go away while they wait: nothing is read, computed or kept for them any more."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager

import pytest

from serve_tools import files, photo
from sortograph.bundle.runtime import Bundle
from sortograph.serve.decoding import _Worker

GONE = r'sortograph_photos_total\{model="small",outcome="gone"\} (\d+)'


def raw(data, kind="png"):
    lines = ["POST /v1/predict HTTP/1.1", "Host: localhost", f"Content-Type: image/{kind}"]
    return "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


def until(found, seconds=8.0):
    ends = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.01)


def gone(live):
    with live.client() as client:
        found = re.search(GONE, client.get("/metrics").text)
    return int(found[1]) if found else 0


@pytest.fixture
def held(monkeypatch):
    """Runs of the model wait for `go`; `ran` has the photos of each."""
    go, ran, real = threading.Event(), [], Bundle.run
    go.set()

    def run(self, photos):
        ran.append(len(photos))
        assert go.wait(20)
        return real(self, photos)

    monkeypatch.setattr(Bundle, "run", run)
    return go, ran


@contextmanager
def leaving(live, count, data):
    """So many clients that have asked, all of whom have left again afterwards."""
    kept = [live.connect() for _ in range(count)]
    before = live.service.at_work
    for connection in kept:
        connection.sendall(raw(data)[:200])
    until(lambda: live.service.at_work == before + count)
    time.sleep(0.05)  # the server then waits for the rest
    live.server._loop.call_soon_threadsafe(time.sleep, 0.2)  # and finds all of it at once
    time.sleep(0.05)
    for connection in kept:
        connection.sendall(raw(data)[200:])
    try:
        yield
    finally:
        for connection in kept:
            connection.close()


@pytest.mark.parametrize("side", [24, 190], ids=["small", "so large that reading pauses"])
def test_nothing_is_computed_for_who_has_left(model, serving, held, side):
    go, ran = held
    with serving(model, lanes=1) as live, live.client() as client:
        go.clear()
        ran.clear()
        data = photo(kind="BMP", size=(side, side))
        with leaving(live, 1, data):
            until(lambda: ran == [1])  # in the model: that one is finished
            with leaving(live, 5, data):
                until(
                    lambda: live.service._waiting == 6 and len(live.service.shelf.get(None).desk._queue) == 5
                )
            until(lambda: live.service._waiting == 1)
            assert live.service.held.now == len(data)
            go.set()
            until(lambda: not live.service.at_work)
        assert client.post("/v1/predict", files=files(photo())).status_code == 200
        assert ran == [1, 1]
        assert gone(live) == 5


def test_nothing_is_read_for_who_has_left(model, serving, monkeypatch):
    """The only worker has another photo in hand."""
    go, sent = threading.Event(), []
    go.set()
    real_receive, real_bodies = _Worker.receive, _Worker.bodies

    def receive(self):
        go.wait(8)
        return real_receive(self)

    def bodies(self, job, paths):
        sent.extend(paths)
        return real_bodies(self, job, paths)

    monkeypatch.setattr(_Worker, "receive", receive)
    monkeypatch.setattr(_Worker, "bodies", bodies)
    first, data = photo((1, 2, 3)), photo((4, 5, 6))
    with serving(model, decoders=1) as live, live.client() as client:
        go.clear()
        with leaving(live, 1, first):
            until(lambda: sent[-1] == first)
            time.sleep(0.1)  # it then looks for no further one
            with leaving(live, 4, data):
                until(lambda: live.service._waiting == 5)
            until(lambda: live.service._waiting == 1)
        until(lambda: live.service._waiting == 0)
        go.set()
        assert client.post("/v1/predict", files=files(photo())).status_code == 200
        assert data not in sent
        assert gone(live) == 5


def test_a_heatmap_is_given_up_and_no_second_one_begins_beside_it(model, serving, monkeypatch):
    go, ran, real = threading.Event(), [], Bundle.run

    def run(self, photos):
        if len(photos) > 1:  # those of the heatmap
            ran.append(len(photos))
            assert go.wait(20)
        return real(self, photos)

    with serving(model) as live:
        monkeypatch.setattr(Bundle, "run", run)
        with live.connect() as connection:
            connection.sendall(raw(photo()).replace(b"/v1/predict", b"/v1/predict?heatmap=true"))
            until(lambda: ran)
        time.sleep(0.2)
        assert live.service._heatmaps == 1  # its thread still runs the model
        go.set()
        until(lambda: not live.service._heatmaps)
        assert len(ran) == 1
        until(lambda: gone(live) == 1)


def test_several_requests_of_one_connection_are_answered_in_turn(model, serving, held):
    """Also when the second one comes while the first one is answered."""
    go, _ = held
    with serving(model) as live, live.connect() as connection:
        go.clear()
        connection.sendall(raw(photo()) * 3)
        until(lambda: live.service._waiting == 1)
        go.set()
        found = b""
        while found.count(b"HTTP/1.1 200") < 3:
            found += connection.recv(1 << 16)
        assert gone(live) == 0
