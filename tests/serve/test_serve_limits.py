"""S1 and S2: what is too large, too many or too slow is turned away, and costs little."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time
from contextlib import suppress
from itertools import takewhile

import psutil
import pytest

from serve_tools import parsed, photo, rest
from sortograph.bundle.runtime import Bundle
from sortograph.serve.limits import Limits

MB = 1 << 20
LIMIT = 2 * MB
SMALL = Limits(body=LIMIT, held=3 * LIMIT, photos=4, seconds=1.5, idle=0.8, clients=12)


def post(body, *headers, path="/v1/predict", kind="multipart/form-data; boundary=b0", length=True):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def part(data, name="photo"):
    return (
        f'--b0\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n\r\n'.encode()
        + data
        + b"\r\n"
    )


END = b"--b0--\r\n"


@pytest.fixture(scope="module")
def png():
    return photo()


@pytest.fixture(scope="module")
def strict(model, serving):
    with serving(model, limits=SMALL) as found:
        yield found


@pytest.fixture(autouse=True)
def _still_well(request, png):
    """After whatever was done to it, the server answers."""
    yield
    if "strict" in request.fixturenames:
        live = request.getfixturevalue("strict")
        status, _, _ = parsed(live.raw(post(part(png) + END, "Connection: close")))
        assert status == 200
        assert live.service.held.now == 0


def test_s01_a_length_that_is_too_large_is_refused_at_once(strict):
    began = time.monotonic()
    status, head, said = parsed(strict.raw(post(b"", f"Content-Length: {10**12}", length=False)))
    assert (status, said["code"]) == (413, "body-too-large")
    assert b"connection: close" in head
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "٣", "9" * 30, "5, 5"])
def test_s01_a_length_that_is_no_number(strict, length):
    raw = strict.raw(post(b"hello", f"Content-Length: {length}", length=False))
    assert not raw or parsed(raw)[0] in (400, 413)


def test_s01_a_length_that_promises_more_than_comes(strict):
    """The client goes away: nobody is answered, nothing is kept."""
    raw = strict.raw(post(b"x" * 10, f"Content-Length: {LIMIT}", length=False), half=True)
    assert not raw or parsed(raw)[0] in (400, 408)


@pytest.mark.parametrize("query", ["", "?top_k=5"])
def test_a_client_that_goes_away_is_no_bug(strict, caplog, query):
    def left(client):
        counted = 'sortograph_http_requests_total{method="POST",route="/v1/predict",status="499"} '
        return sum(
            float(line.removeprefix(counted))
            for line in client.get("/metrics").text.splitlines()
            if line.startswith(counted)
        )

    with strict.client() as client:
        before, ends = left(client), time.monotonic() + 5
        with strict.connect() as connection:
            head = post(
                b"x" * 10,
                f"Content-Length: {LIMIT}",
                path=f"/v1/predict{query}",
                kind="image/png",
                length=False,
            )
            connection.sendall(head)
            time.sleep(0.1)
        while left(client) == before and time.monotonic() < ends:
            time.sleep(0.02)
        assert left(client) == before + 1
    assert "bug" not in caplog.text


def test_s01_two_lengths_and_both_kinds_of_framing(strict, png):
    body = part(png) + END
    twice = post(body, f"Content-Length: {len(body)}", f"Content-Length: {len(body) + 7}", length=False)
    both = post(body, "Transfer-Encoding: chunked")
    for raw in (twice, both):
        assert parsed(strict.raw(raw))[0] == 400


def chunked(size, count):
    return b"".join(b"%x\r\n%s\r\n" % (size, b"x" * size) for _ in range(count)) + b"0\r\n\r\n"


def test_s01_a_chunked_body_that_goes_on_and_on(strict):
    raw = strict.raw(
        post(chunked(64 * 1024, 80), "Transfer-Encoding: chunked", kind="image/png", length=False)
    )
    status, _, said = parsed(raw)
    assert (status, said["code"]) == (413, "body-too-large")


def test_s01_a_chunked_body_within_the_limit(strict, png):
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(png), png)
    status, _, said = parsed(
        strict.raw(
            post(body, "Transfer-Encoding: chunked", "Connection: close", kind="image/png", length=False)
        )
    )
    assert (status, said["predictions"][0]["error"]) == (200, None)


def test_s01_a_packed_body(strict, png):
    status, _, said = parsed(strict.raw(post(gzip.compress(part(png) + END), "Content-Encoding: gzip")))
    assert (status, said["code"]) == (415, "media-type")


def test_s01_very_many_parts(strict):
    body = b'--b0\r\nContent-Disposition: form-data; name="photo"\r\n\r\n\r\n' * 30_000 + END
    assert len(body) < LIMIT
    status, _, said = parsed(strict.raw(post(body)))
    assert (status, said["code"]) == (413, "too-many-parts")


@pytest.mark.parametrize("count", [5, 8])
def test_s01_more_photos_than_it_takes(strict, png, count):
    status, _, said = parsed(strict.raw(post(part(png) * count + END, "Connection: close")))
    assert (status, said["code"]) == (413, "too-many-parts")


@pytest.mark.parametrize("start", [b"x", b"\r\n", b"-", b"--", b"--b1"])
def test_s01_a_preamble_of_any_length(strict, png, start):
    for size in (1, MB):
        status, _, said = parsed(strict.raw(post(start + b"x" * size + b"\r\n" + part(png) + END)))
        assert (status, said["code"]) == (400, "multipart")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b0",
        b"--b0--",
        b"--b0\r\n\r\n",
        b'--b0\r\nContent-Disposition: form-data; name="photo"\r\n\r\nno end',
        b"--b0\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b0--\r\n",
        b"--b0\r\n" + b"a: b\r\n" * 50 + b"\r\nx\r\n--b0--\r\n",
        b"--b0\r\na: " + b"b" * 100_000 + b"\r\n\r\nx\r\n--b0--\r\n",
        b"--b0\r\nbad header\r\n\r\nx\r\n--b0--\r\n",
    ],
)
def test_s01_forms_that_are_none(strict, body):
    assert parsed(strict.raw(post(body, "Connection: close")))[0] == 400


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'b' * 300}"])
def test_s01_boundaries_that_are_none(strict, boundary, png):
    raw = strict.raw(post(part(png) + END, "Connection: close", kind=f"multipart/form-data{boundary}"))
    assert parsed(raw)[0] == 400


def test_s01_a_head_without_end(strict):
    with strict.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        try:
            for _ in range(200):
                connection.sendall(b"x-filler: " + b"y" * 4096 + b"\r\n")
        except OSError:
            return  # it was cut while we still sent
        raw = connection.recv(1 << 16)
    assert not raw or parsed(raw)[0] == 431


def overflow(connection):
    """Sends header lines until it is cut; what came back."""
    with suppress(OSError):  # it was cut while we still sent
        for _ in range(200):
            connection.sendall(b"x-filler: " + b"y" * 4096 + b"\r\n")
    return rest(connection)


def test_s01_trailers_without_end(strict, png):
    """What may follow a body that comes in chunks is a head, too."""
    body = b"%x\r\n%b\r\n0\r\n" % (len(png), png)
    with strict.connect() as connection:
        head = post(b"", "Transfer-Encoding: chunked", kind="image/png", length=False)
        connection.sendall(head + body)
        time.sleep(0.1)
        raw = overflow(connection)
    assert not raw or parsed(raw)[0] == 431


def test_s01_the_next_head_without_end(strict, png, monkeypatch):
    """It may come while the request before it is answered."""
    real = Bundle.run

    def run(self, photos):
        time.sleep(0.5)
        return real(self, photos)

    with strict.connect() as connection:
        monkeypatch.setattr(Bundle, "run", run)
        connection.sendall(post(part(png) + END) + b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        time.sleep(0.1)
        raw = overflow(connection)
    monkeypatch.undo()
    ends = time.monotonic() + 5
    while strict.service.at_work and time.monotonic() < ends:
        time.sleep(0.02)
    assert not raw or parsed(raw)[0] == 431


def test_trailers_are_no_headers(strict, png):
    """A second Host would be refused."""
    body = b"%x\r\n%b\r\n0\r\nHost: evil.example\r\nX: y\r\n\r\n" % (len(png), png)
    lines = ("Transfer-Encoding: chunked", "Connection: close")
    raw = strict.raw(post(b"", *lines, kind="image/png", length=False) + body)
    assert parsed(raw)[0] == 200


@pytest.mark.parametrize("framing", ["plain", "chunked"])
def test_a_large_photo_is_no_head(strict, framing):
    """Many times as large as a head may be."""
    data = photo(kind="BMP", size=(400, 300))
    length, body = f"Content-Length: {len(data)}", data
    if framing == "chunked":
        length, body = "Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
    with strict.connect() as connection:
        head = post(b"", "Connection: close", length, kind="image/bmp", length=False)
        connection.sendall(head + body[:1000])
        for start in range(1000, len(body), 20_000):
            time.sleep(0.002)  # so that it comes in pieces
            connection.sendall(body[start : start + 20_000])
        assert parsed(rest(connection))[0] == 200


def test_requests_in_a_row_on_one_connection(strict, png):
    """Much more than a head may have, though none of them is too large."""
    one = post(part(png) + END, "X: " + "y" * 9000)
    with strict.connect() as connection:
        connection.sendall(one * 8 + post(part(png) + END, "Connection: close"))
        assert rest(connection).count(b"HTTP/1.1 200") == 9


def test_s01_memory_stays_below_twice_the_limit(strict):
    """Ten bodies in a row, each ten times the limit, in every framing."""
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    most = [0]
    done = threading.Event()

    def watch():
        while not done.wait(0.005):
            most[0] = max(most[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    block = b"x" * 65536
    try:
        for number in range(10):
            framing = "Transfer-Encoding: chunked" if number % 2 else f"Content-Length: {10 * LIMIT}"
            with strict.connect() as connection:
                connection.sendall(post(b"", framing, kind="image/png", length=False))
                try:
                    for _ in range(10 * LIMIT // len(block)):
                        connection.sendall(b"10000\r\n" + block + b"\r\n" if number % 2 else block)
                except OSError:
                    continue
    finally:
        done.set()
        watcher.join()
    assert most[0] - before < 2 * LIMIT + 8 * MB  # the interpreter's own ups and downs


def test_s01_all_requests_together_hold_no_more_than_they_may(strict):
    """Four clients each send most of a large body and wait: the last of them is told that it is too much."""
    kept, codes = [], []
    try:
        for _ in range(4):
            connection = strict.connect(5)
            kept.append(connection)
            body = b"x" * (LIMIT - 10)
            connection.sendall(post(body, f"Content-Length: {LIMIT}", kind="image/png", length=False))
        for connection in kept:
            raw = rest(connection)
            codes.append(parsed(raw)[2]["code"] if raw else "")
    finally:
        for connection in kept:
            connection.close()
    assert "busy" in codes
    assert set(codes) <= {"busy", "slow"}


def test_s02_a_head_that_comes_too_slowly(strict):
    with strict.connect() as connection:
        began = time.monotonic()
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200
        sent = list(takewhile(lambda byte: sends(connection, bytes([byte])), head * 2))
    assert len(sent) < 2 * len(head)
    assert time.monotonic() - began < 4


def test_s02_a_connection_that_says_nothing(strict):
    with strict.connect(5) as connection:
        began = time.monotonic()
        assert connection.recv(10) == b""
        assert 0.5 < time.monotonic() - began < 4


def sends(connection, data):
    """Whether the other end still takes something."""
    try:
        connection.sendall(data)
        connection.settimeout(0.01)
        return connection.recv(10) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def test_s02_line_ends_do_not_keep_a_connection(strict):
    """They are no start of a request, and uvicorn's own clock would start anew with each."""
    with strict.connect(5) as connection:
        began = time.monotonic()
        is_open = True
        while is_open and time.monotonic() - began < 5:
            time.sleep(0.1)
            is_open = sends(connection, b"\r\n")
    assert not is_open
    assert time.monotonic() - began < 4


def test_s02_a_body_that_comes_too_slowly(strict):
    with strict.connect(10) as connection:
        began = time.monotonic()
        connection.sendall(post(b"", "Content-Length: 5000", kind="image/png", length=False))
        raw = b""
        while time.monotonic() - began < 8:
            try:
                connection.sendall(b"x")
                connection.settimeout(0.1)
                raw = connection.recv(1 << 16) + rest(connection)
                break
            except TimeoutError:
                continue
            except OSError:
                break
    assert time.monotonic() - began < 6
    assert parsed(raw)[2]["code"] == "slow"


def test_s02_a_reader_that_does_not_read(strict, png):
    """Heaps of answers, none of them taken: the connection is cut, not kept."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", strict.port))
        connection.settimeout(5)
        connections = strict.service.metrics.open
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        try:
            for _ in range(4000):
                connection.sendall(asked)
        except OSError:
            pass
        ends = time.monotonic() + 6
        while time.monotonic() < ends and number(connections) > 0:
            time.sleep(0.05)
    assert number(connections) == 0


def number(gauge):
    return next(iter(gauge.collect())).samples[0].value


def test_s02_more_clients_than_it_takes(strict):
    kept = [strict.connect(5) for _ in range(SMALL.clients + 4)]
    try:
        raw = rest(kept[-1])
    finally:
        for connection in kept:
            connection.close()
    status, head, said = parsed(raw)
    assert (status, said["code"]) == (503, "clients")
    assert b"retry-after: 2" in head
    ends = time.monotonic() + 5
    while number(strict.service.metrics.open) and time.monotonic() < ends:
        time.sleep(0.02)


def test_a_client_that_asks_first_is_not_invited(strict):
    raw = strict.raw(
        post(b"", "Expect: 100-continue", f"Content-Length: {10 * LIMIT}", kind="image/png", length=False)
    )
    assert raw.startswith(b"HTTP/1.1 413")


def test_pixels_are_limited_before_a_photo_is_decoded(model, serving):
    with serving(model, limits=Limits(pixels=100_000)) as live, live.client() as client:
        found = client.post(
            "/v1/predict", content=photo(size=(400, 300)), headers={"content-type": "image/png"}
        )
    assert (found.status_code, found.json()["code"]) == (422, "photo")
    assert found.json()["detail"] == "400×300 pixels, above the limit of 0.1 megapixels"
