"""One model.onnx behind three servers, on loopback: requests a second, and the median and 99th percentile
of the time to an answer, for 1, 8 and 32 clients.

    python benchmarks/serve.py --model RUN --photos FOLDER --peer-python litserve-env/bin/python

The servers take turns, round after round, each started anew and asked by every number of clients. What is
quoted are ratios within a round, and their median. All three run as their defaults
say, but LitServe, which gets a worker for each core.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from common import append_rows, results_file
from sortograph.classify import load
from sortograph.images.sources import to_pixels

CLIENTS = (1, 8, 32)
HERE = Path(__file__).parent
BOUNDARY = b"b9f3c1"


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    words: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Load:
    """What one number of clients saw."""

    rate: float
    p50: float
    p99: float
    failed: int


def ours(model: str | Path, port: int, *options: str) -> Server:
    """sortograph as its defaults say, but for these options."""
    words = (sys.executable, "-m", "sortograph", "serve", str(model), "--port", str(port), "--quiet")
    return Server("sortograph", (*words, *options), "/v1/predict")


def servers(options: argparse.Namespace, port: int) -> list[Server]:
    classifier = load(options.model)
    spec, model = classifier.manifest.preprocess, classifier.bundle.path
    peer = (str(model), str(port), str(spec.size[0]), str(spec.crop_share))
    found = [ours(model, port)]
    for name in ("plain", "litserve"):
        words = (options.peer_python, str(HERE / f"serve_{name}.py"), *peer)
        found.append(Server(name, words, "/predict"))
    return [server for server in found if server.name in options.only]


@contextmanager
def running(server: Server, port: int) -> Iterator[subprocess.Popen[bytes]]:
    check_free(port)
    with tempfile.TemporaryFile() as said:
        # A group of its own: LitServe leaves some of its processes behind.
        process = subprocess.Popen(
            server.words, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            wait_for(port, process)
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def check_free(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise SystemExit(f"port {port} is taken; name another one with --port")


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"a server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("a server does not listen")


def request(photo: bytes, path: str) -> bytes:
    body = (
        b"--" + BOUNDARY + b'\r\ncontent-disposition: form-data; name="photo"; filename="a.jpg"\r\n'
        b"content-type: image/jpeg\r\n\r\n" + photo + b"\r\n--" + BOUNDARY + b"--\r\n"
    )
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
        f"content-type: multipart/form-data; boundary={BOUNDARY.decode()}\r\n\r\n"
    )
    return head.encode() + body


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytes) -> tuple[int, bool]:
    """The status of the answer, and whether the server closes the connection after it.

    Raises OSError or EOFError where it closes before.
    """
    writer.write(asked)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    lines = head.split(b"\r\n")
    length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length"))
    await reader.readexactly(length)
    return int(lines[0].split()[1]), b"connection: close" in lines


async def client(port: int, requests: list[bytes], first: int, ends: float, seen: list[float]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    failed, source = 0, cycle(requests[first:] + requests[:first])
    while time.perf_counter() < ends:
        began = time.perf_counter()
        status, _ = await ask(reader, writer, next(source))
        failed += status != 200
        seen.append(time.perf_counter() - began)
    writer.close()
    return failed


async def load_with(port: int, requests: list[bytes], clients: int, seconds: float) -> Load:
    seen: list[float] = []
    began = time.perf_counter()
    asked = (client(port, requests, (7 * k) % len(requests), began + seconds, seen) for k in range(clients))
    failed = sum(await asyncio.gather(*asked))
    took = time.perf_counter() - began
    return Load(len(seen) / took, statistics.median(seen), percentile(seen, 0.99), failed)


def percentile(values: Sequence[float], share: float) -> float:
    """
    >>> percentile([3.0, 1.0, 2.0], 0.99)
    2.0
    """
    return sorted(values)[int(share * (len(values) - 1))]


def bare(model: str, photos: list[bytes], seconds: float) -> dict[str, float]:
    """Median seconds in this process: of a whole prediction, and of its run of the model."""
    classifier = load(model)
    spec = classifier.manifest.preprocess
    both: list[float] = []
    runs: list[float] = []
    ends = time.perf_counter() + seconds
    for photo in cycle(photos):
        if time.perf_counter() > ends:
            break
        began = time.perf_counter()
        classifier.predict(photo)
        both.append(time.perf_counter() - began)
        pixels = to_pixels(photo, spec)[None]
        began = time.perf_counter()
        classifier.bundle.run(pixels)
        runs.append(time.perf_counter() - began)
    return {"predict": statistics.median(both), "model": statistics.median(runs)}


def main() -> None:
    options = parse()
    photos = [path.read_bytes() for path in sorted(Path(options.photos).rglob("*.jpg"))[:: options.every]]
    rows: list[dict[str, object]] = []
    for number in range(options.rounds):
        alone = bare(options.model, photos, options.seconds / 2)
        print(
            f"round {number + 1}: bare {1000 * alone['predict']:.1f} ms, model {1000 * alone['model']:.1f} ms"
        )
        for server in servers(options, options.port):
            requests = [request(photo, server.path) for photo in photos]
            with running(server, options.port):
                asyncio.run(load_with(options.port, requests, 8, 2))  # warm
                for clients in CLIENTS:
                    found = asyncio.run(load_with(options.port, requests, clients, options.seconds))
                    rows.append(row(number, server.name, clients, found, alone))
                    print(f"  {server.name:10} {clients:3} clients  {shown(found)}")
    conclude(rows)
    if options.write:
        append_rows(results_file("serve", ["onnxruntime"]), rows)


def shown(found: Load) -> str:
    times = f"p50 {1000 * found.p50:7.1f} ms  p99 {1000 * found.p99:7.1f} ms"
    return f"{found.rate:7.1f}/s  {times}  failed {found.failed}"


def row(number: int, name: str, clients: int, found: Load, alone: dict[str, float]) -> dict[str, object]:
    return {
        "round": number + 1,
        "server": name,
        "clients": clients,
        "requests_per_second": round(found.rate, 1),
        "p50_ms": round(1000 * found.p50, 2),
        "p99_ms": round(1000 * found.p99, 2),
        "failed": found.failed,
        "bare_predict_ms": round(1000 * alone["predict"], 2),
        "bare_model_ms": round(1000 * alone["model"], 2),
    }


def conclude(rows: list[dict[str, object]]) -> None:
    """The medians over rounds of what is compared within a round."""
    by = {(row["round"], row["server"], row["clients"]): row for row in rows}
    ours = [row for row in rows if row["server"] == "sortograph" and row["clients"] == 1]
    if ours:
        over = statistics.median(float(str(r["p50_ms"])) - float(str(r["bare_predict_ms"])) for r in ours)
        print(f"over a bare prediction at 1 client: {over:+.1f} ms (median of {len(ours)} rounds)")
    for name in sorted({str(row["server"]) for row in rows} - {"sortograph"}):
        for clients in CLIENTS:
            pairs = [
                (by[key], by[(key[0], name, clients)])
                for key in by
                if key[1] == "sortograph" and key[2] == clients and (key[0], name, clients) in by
            ]
            ratios = [
                float(str(a["requests_per_second"])) / float(str(b["requests_per_second"])) for a, b in pairs
            ]
            if ratios:
                print(
                    f"sortograph / {name}, {clients} clients: {statistics.median(ratios):.2f} × the requests"
                )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--every", type=int, default=20, help="take every n-th photo")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--only", nargs="*", default=["sortograph", "plain", "litserve"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--write", action="store_true", help="keep the figures in results/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
