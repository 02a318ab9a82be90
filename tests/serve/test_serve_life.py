"""S4, S11 and S12, models that are read again, and the end of a server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from serve_tools import TOKEN, files, parsed, photo, rest
from sortograph.bundle.runtime import Bundle
from sortograph.errors import BundleError, UsageError
from sortograph.serve.limits import Limits
from sortograph.serve.server import _running, listen

BEARER = {"authorization": f"Bearer {TOKEN}"}


def ask(client, colour=(9, 80, 200), **headers):
    return client.post("/v1/predict", files=files(photo(colour)), headers=headers)


def plain_client(address):
    return httpx.Client(base_url=address, trust_env=False, verify=False, timeout=20)


def until(found, seconds=8.0):
    """Waits until `found()` is true."""
    ends = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.02)


def failures(client):
    """How often the model failed, by the metrics."""
    name = 'sortograph_model_failures_total{model="small"} '
    (line,) = (line for line in client.get("/metrics").text.splitlines() if line.startswith(name))
    return float(line.removeprefix(name))


@pytest.fixture
def slow(monkeypatch):
    """Every run of a model takes so many seconds."""
    seconds = [0.05]
    real = Bundle.run

    def run(self, photos):
        time.sleep(seconds[0])
        return real(self, photos)

    monkeypatch.setattr(Bundle, "run", run)
    return seconds


def test_s04_overload_is_turned_away_and_over_at_once(model, serving, slow):
    slow[0] = 0.0
    with serving(model, limits=Limits(queue=4)) as live:
        slow[0] = 0.02

        def hammer(_):
            with live.client() as client:
                return [ask(client) for _ in range(15)]

        with ThreadPoolExecutor(16) as pool:
            found = [answer for some in pool.map(hammer, range(16)) for answer in some]
        codes = Counter(answer.status_code for answer in found)
        assert set(codes) <= {200, 429, 503}
        assert codes[200]
        assert codes[429]
        for answer in found:
            if answer.status_code == 429:
                assert answer.json()["code"] == "busy"
                assert 1 <= int(answer.headers["retry-after"]) <= 30
        began = time.monotonic()
        with live.client() as client:
            until(lambda: ask(client).status_code == 200, 5)
            assert all(ask(client).status_code == 200 for _ in range(10))
        assert time.monotonic() - began < 5
        assert live.service._waiting == 0


def test_s11_what_was_accepted_is_answered(model, serving, slow):
    """A server that is told to stop while it is asked: those it accepted get their answers."""
    slow[0] = 0.0
    with serving(model) as live:
        slow[0] = 0.3
        with ThreadPoolExecutor(9) as pool, live.client() as client:
            client.get("/healthz")
            asked = [pool.submit(ask, client, (k, 80, 200)) for k in range(8)]
            until(lambda: live.service._waiting == 8)
            live.server.stop()
            until(lambda: live.service.draining)
            assert client.get("/healthz").status_code == 200
            ready, late = client.get("/readyz"), ask(client)
            assert [future.result().status_code for future in asked] == [200] * 8
        assert (ready.status_code, ready.json()["status"]) == (503, "draining")
        assert (late.status_code, late.json()["code"]) == (503, "draining")
        assert int(late.headers["retry-after"]) >= 1


def test_s11_a_body_that_is_still_coming_is_waited_for(model, serving):
    data = photo()
    lines = ["POST /v1/predict HTTP/1.1", "Host: localhost", "Content-Type: image/png"]
    head = "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""])
    with serving(model) as live, live.connect() as connection:
        connection.sendall(head.encode() + data[:20])
        until(lambda: live.service.at_work == 1)
        live.server.stop()
        until(lambda: live.service.draining)
        time.sleep(0.7)
        connection.sendall(data[20:])
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a program could catch")
def test_s11_a_signal_waits_for_a_body_that_is_still_coming(model):
    """In the program itself, as whoever stops a container does it."""
    words = [sys.executable, "-m", "sortograph", "serve", str(model), "--port", "0", "--workers", "1"]
    data = photo()
    lines = ["POST /v1/predict HTTP/1.1", "Host: localhost", "Content-Type: image/png", "Connection: close"]
    head = "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""])
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        port = int(address.rstrip("/").rpartition(":")[2])
        with plain_client(address) as client, socket.create_connection(("127.0.0.1", port), 20) as connection:
            connection.sendall(head.encode() + data[:20])
            until(lambda: "sortograph_held_bytes 0.0" not in client.get("/metrics").text)
            process.send_signal(signal.SIGTERM)
            until(lambda: client.get("/readyz").json()["status"] == "draining")
            connection.sendall(data[20:])
            status, _, said = parsed(rest(connection))
        assert process.wait(20) == 0
        process.stderr.read()
    assert status == 200
    assert said["predictions"][0]["label"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a program could catch")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_s11_a_signal_ends_the_program_with_0(model, number):
    words = [sys.executable, "-m", "sortograph", "serve", str(model), "--port", "0", "--workers", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().strip()
        with (
            httpx.Client(base_url=address, trust_env=False, verify=False) as client,
            ThreadPoolExecutor(4) as pool,
        ):
            asked = [pool.submit(ask, client) for _ in range(4)]
            assert {future.result().status_code for future in asked} == {200}
            assert client.get("/readyz").status_code == 200
        process.send_signal(getattr(signal, number))
        assert process.wait(20) == 0
        said = process.stderr.read()
    assert "Traceback" not in said
    assert "Ctrl-C" in said


def test_s12_a_model_that_fails_is_opened_again(model, serving, monkeypatch):
    """503 for those who asked, and soon after answers again."""
    real, fails = Bundle.run, threading.Event()

    def run(self, photos):
        if fails.is_set():
            raise SystemExit("the thread is gone")  # what ends a thread
        return real(self, photos)

    monkeypatch.setattr(Bundle, "run", run)
    with serving(model) as live, live.client() as client:
        assert ask(client).status_code == 200
        fails.set()
        broken = ask(client)
        assert (broken.status_code, broken.json()["code"]) == (503, "model")
        assert int(broken.headers["retry-after"]) >= 1
        assert client.get("/readyz").json()["status"] == "failing"
        assert ask(client).json()["code"] == "model"
        fails.clear()
        until(lambda: ask(client).status_code == 200)
        assert client.get("/readyz").status_code == 200
        assert failures(client) == 1


def test_s12_a_model_that_hangs_is_given_up(model, serving, monkeypatch):
    real, hangs, over = Bundle.run, threading.Event(), threading.Event()

    def run(self, photos):
        if hangs.is_set():
            over.wait(30)
        return real(self, photos)

    monkeypatch.setattr(Bundle, "run", run)
    with serving(model) as live, live.client() as client:
        live.service.shelf.get(None).desk.patience = 0.3
        hangs.set()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, client)
            until(lambda: live.service._waiting == 1)
            time.sleep(0.1)
            hangs.clear()
            found = asked.result()
        assert (found.status_code, found.json()["code"]) == (503, "model")
        until(lambda: ask(client).status_code == 200)
        assert failures(client) == 1
        over.set()


def test_s12_a_worker_that_reads_photos_is_killed(model, serving):
    """Again and again, while photos are asked about: none of them notices."""
    with serving(model) as live, live.client() as client:
        for number in range(3):
            for pid in live.service.decoders.pids():
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            assert ask(client, (number, 3, 4)).status_code == 200


def test_an_answer_that_takes_too_long(model, serving, slow):
    slow[0] = 0.0
    with serving(model, limits=Limits(seconds=0.3)) as live, live.client() as client:
        slow[0] = 1.0
        found = ask(client)
        assert (found.status_code, found.json()["code"]) == (503, "late")
        slow[0] = 0.0
        until(lambda: ask(client).status_code == 200)


@pytest.fixture
def changing(small, tmp_path):
    """A model in a file of its own, and a function that puts another one there."""
    file = small.write(tmp_path / "changing.onnx")

    def change(new):
        other = tmp_path / "next"
        new.write(other)
        other.replace(file)

    return file, change


def test_a_changed_file_is_read_again_without_losing_a_request(changing, make_small, serving):
    file, change = changing
    stop = threading.Event()
    with serving(file) as live:

        def go_on(_):
            found = []
            with live.client() as client:
                while not stop.is_set():
                    answer = ask(client)
                    found.append((answer.status_code, answer.json()["sha256"]))
            return found

        with ThreadPoolExecutor(3) as pool:
            running = [pool.submit(go_on, k) for k in range(3)]
            before = live.service.shelf.get(None).sha256
            change(make_small(temperature=5.0))
            until(lambda: live.service.shelf.get(None).sha256 != before)
            time.sleep(0.2)
            stop.set()
            found = [one for future in running for one in future.result()]
    assert {code for code, _ in found} == {200}
    assert {sha256 for _, sha256 in found} == {before, live.service.shelf.get(None).sha256}


def test_a_file_that_is_no_model_changes_nothing(changing, serving):
    file, _ = changing
    with serving(file, token=TOKEN) as live, live.client(headers=BEARER) as client:
        before = client.get("/v1/model").json()["sha256"]
        file.write_bytes(b"nonsense")
        said = client.post("/v1/reload").json()
        assert said["reloaded"] == []
        assert said["failed"][0]["model"] == "changing"
        assert str(file.parent) not in str(said)
        assert client.get("/v1/model").json()["sha256"] == before
        assert ask(client).status_code == 200
        metrics = client.get("/metrics").text
    assert 'sortograph_model_reloads_total{model="changing",outcome="failed"} 1.0' in metrics


def test_a_model_that_did_not_change_is_not_kept_twice(changing, serving):
    file, _ = changing

    def lanes():
        return sum(thread.name == "sortograph-answer" for thread in threading.enumerate())

    with serving(file, token=TOKEN) as live, live.client(headers=BEARER) as client:
        before = lanes()
        for _ in range(10):
            assert client.post("/v1/reload").json()["unchanged"] == ["changing"]
        until(lambda: lanes() <= before)


def test_whatever_opening_a_model_raises_the_old_one_goes_on(changing, serving, monkeypatch):
    def fails(*_, **__):
        raise MemoryError("at 0x7f00deadbeef")

    with serving(changing[0], token=TOKEN) as live, live.client(headers=BEARER) as client:
        monkeypatch.setattr("sortograph.serve.models.load", fails)
        said = client.post("/v1/reload")
        assert said.json()["failed"] == [{"model": "changing", "what": "it cannot be opened"}]
        assert ask(client).status_code == 200


def test_background_work_that_fails_begins_anew(monkeypatch, caplog):
    monkeypatch.setattr("sortograph.serve.server._AGAIN", 0.01)
    begun = []

    async def work():
        begun.append(len(begun))
        if len(begun) < 3:
            raise OSError("a disk that is gone for a moment")
        await asyncio.sleep(60)

    async def run():
        async with _running(work):
            while len(begun) < 3:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 5))
    assert caplog.text.count("its background work begins anew") == 2


def test_reload_says_what_it_did(changing, make_small, serving):
    file, change = changing
    with serving(file, token=TOKEN) as live, live.client(headers=BEARER) as client:
        assert client.post("/v1/reload").json() == {
            "reloaded": [],
            "unchanged": ["changing"],
            "failed": [],
        }
        change(make_small(temperature=7.0))
        live.service.shelf.get(None).stamp = (0, 0, 0)
        said = client.post("/v1/reload").json()
        assert "changing" in said["reloaded"] + said["unchanged"]
        assert client.get("/v1/model").json()["manifest"]["temperature"] == 7.0


def test_without_a_token_nobody_may_reload(live):
    with live.client() as client:
        found = client.post("/v1/reload")
    assert (found.status_code, found.json()["code"]) == (403, "no-token")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_sighup_reads_the_models_again(changing, make_small):
    file, change = changing
    words = [sys.executable, "-m", "sortograph", "serve", str(file), "--port", "0", "--workers", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        with httpx.Client(
            base_url=process.stdout.readline().strip(), trust_env=False, verify=False
        ) as client:
            before = client.get("/v1/model").json()["sha256"]
            change(make_small(temperature=3.5))
            process.send_signal(signal.SIGHUP)
            until(lambda: client.get("/v1/model").json()["sha256"] != before)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        process.stderr.read()


def test_a_port_that_is_taken(live):
    with pytest.raises(UsageError, match="cannot listen") as raised:
        listen("127.0.0.1", live.port)
    assert "--port" in raised.value.fix


def test_a_host_that_does_not_exist():
    with pytest.raises(UsageError, match="no address"):
        listen("no.such.host.invalid", 0)


def test_a_model_that_cannot_be_opened_stops_the_start(tmp_path, serving):
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(BundleError), serving(tmp_path / "bad.onnx"):
        pass
