"""What `sortograph serve` does when it is treated badly: overload, slow clients, SIGTERM, killed workers.

    python benchmarks/hardship.py --model RUN --photos FOLDER --write
    python benchmarks/hardship.py --model RUN --photos FOLDER --seconds 3 --repeats 2 --only overload workers

A real server process on loopback, asked by one process beside it; a line for each hardship. It ends with 1
where a promise was broken: a status other than those that are expected, a request without an answer, an exit
code that is not 0. Times depend on the machine, and the clients take a part of it. Needs POSIX signals.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from subprocess import Popen

import psutil

import serve
from common import append_rows, results_file, session

QUEUE, TIMES = 32, 4  # photos that may wait; how many times as many ask at once
_BACK = 5.0  # seconds after an overload within which all must be as before
RUDE = 0.1  # seconds after which a refused client asks again, whatever it was told
SLOW, HONEST, CLIENTS = 50, 4, 8
LONGEST = 60.0  # seconds that a slow client is waited for
_LAST = 3.0  # seconds before the end of the load without a kill: only who is asked sees that a worker is gone
_WORKER = "sortograph.serve.decoding"
BROKEN, ABSENT = 0, -1  # in the place of a status: no whole answer; nobody listens


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Setting:
    """seconds: of each load; repeats: of starts and ends of a server."""

    model: str
    requests: list[bytes]
    port: int
    seconds: float
    repeats: int

    def server(self, *options: str) -> serve.Server:
        return serve.ours(self.model, self.port, *options)


@dataclass(frozen=True, slots=True)
class Found:
    """What one hardship came to. kept: whether all was as it must be; figures by name, with units in it."""

    kept: bool
    figures: dict[str, float]


@dataclass(slots=True)
class Crowd:
    """Clients that ask one request after the other, until time is over or a status says so."""

    setting: Setting
    leave: frozenset[int] = frozenset()
    replies: list[Reply] = field(default_factory=list)

    async def ask(self, clients: int, seconds: float) -> list[Reply]:
        ends = time.perf_counter() + seconds
        await asyncio.gather(*(self._client(7 * k, ends) for k in range(clients)))
        return self.replies

    async def _client(self, first: int, ends: float) -> None:
        requests = self.setting.requests
        source = cycle(requests[first % len(requests) :] + requests)
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        while time.perf_counter() < ends:
            began = time.perf_counter()
            status, closes = ABSENT, True
            with suppress(OSError, EOFError):
                connection = connection or await asyncio.open_connection("127.0.0.1", self.setting.port)
                status = BROKEN
                status, closes = await serve.ask(*connection, next(source))
            self.replies.append(Reply(status, time.perf_counter() - began))
            if closes and connection is not None:
                connection[1].close()
                connection = None
            if status in self.leave:
                break
            if status != 200:
                await asyncio.sleep(RUDE)
        if connection is not None:
            connection[1].close()


def asked(setting: Setting, clients: int, seconds: float) -> list[Reply]:
    return asyncio.run(Crowd(setting).ask(clients, seconds))


def times(replies: Iterable[Reply], statuses: Callable[[int], bool]) -> list[float]:
    """Milliseconds; of no reply at all a single NaN."""
    return [1000 * reply.seconds for reply in replies if statuses(reply.status)] or [float("nan")]


def count(replies: Iterable[Reply], *statuses: int) -> int:
    return sum(reply.status in statuses for reply in replies)


def is_answer(status: int) -> bool:
    return status == 200


def overload(setting: Setting) -> Found:
    """Four times as many photos at once as may wait."""
    clients = TIMES * QUEUE
    options = ("--queue", str(QUEUE), "--clients", str(2 * clients))
    with serve.running(setting.server(*options), setting.port):
        asked(setting, CLIENTS, min(2.0, setting.seconds))  # warm
        usual = max(times(asked(setting, 1, min(3.0, setting.seconds)), is_answer))
        replies = asked(setting, clients, setting.seconds)
        over = time.perf_counter()
        while _is_slower(asked(setting, 1, 0.001), usual) and time.perf_counter() - over < _BACK:
            continue
        normal = time.perf_counter() - over
    good, bad = times(replies, is_answer), times(replies, lambda status: status in (429, 503))
    others = len(replies) - count(replies, 200, 429, 503)
    figures = {
        "answered/s": count(replies, 200) / setting.seconds,
        "429 share": count(replies, 429) / len(replies),
        "503 share": count(replies, 503) / len(replies),
        "other": others,
        "answered p50 ms": statistics.median(good),
        "answered p99 ms": serve.percentile(good, 0.99),
        "refused p50 ms": statistics.median(bad),
        "refused p99 ms": serve.percentile(bad, 0.99),
        "alone ms, at most": usual,
        "as before after s": normal,
    }
    return Found(others == 0 and count(replies, 200) > 0 and normal < _BACK, figures)


def _is_slower(replies: Sequence[Reply], usual: float) -> bool:
    return any(reply.status != 200 or 1000 * reply.seconds > usual for reply in replies)


def slow_clients(setting: Setting) -> Found:
    """Fifty clients that send a byte a second, of a head or of a body, beside four honest ones."""
    with serve.running(setting.server(), setting.port):
        asked(setting, CLIENTS, min(2.0, setting.seconds))
        without = asked(setting, HONEST, setting.seconds)
        replies, dropped = asyncio.run(_beside_slow_ones(setting))
    figures = {
        "requests/s without": len(without) / setting.seconds,
        "requests/s with": len(replies) / setting.seconds,
        **_compared(without, replies),
        "failed": _failed(without) + _failed(replies),
        "head dropped after s": max(dropped[::2]),
        "body dropped after s": max(dropped[1::2]),
    }
    return Found(figures["failed"] == 0 and max(dropped) < LONGEST, figures)


async def _beside_slow_ones(setting: Setting) -> tuple[list[Reply], list[float]]:
    """Replies to the honest ones, and after how many seconds each slow one was dropped."""
    slow = [asyncio.ensure_future(_drip(setting, k % 2 == 1)) for k in range(SLOW)]
    replies = await Crowd(setting).ask(HONEST, setting.seconds)
    return replies, await asyncio.gather(*slow)


async def _drip(setting: Setting, has_head: bool) -> float:
    """Sends a whole head or half of one, then a byte a second; seconds until the server has had enough."""
    head, _, body = setting.requests[0].partition(b"\r\n\r\n")
    start = head + b"\r\n\r\n" if has_head else head[: len(head) // 2]
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", setting.port)
    with suppress(OSError):
        writer.write(start)
        for byte in cycle(body if has_head else b"x"):
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), 1.0)  # an answer, or the end
                break
            if time.perf_counter() - began > LONGEST:
                break
            writer.write(bytes([byte]))
    writer.close()
    return time.perf_counter() - began


def sigterm(setting: Setting) -> Found:
    """SIGTERM at a random moment while eight clients ask, again and again."""
    moments = random.Random(7)
    found = [_ended(setting, moments.uniform(0.5, 2.0)) for _ in range(setting.repeats)]
    replies = [reply for some, _, _ in found for reply in some]
    seconds, codes = [each for _, each, _ in found], [code for _, _, code in found]
    lost = count(replies, BROKEN)
    figures = {
        "ends": len(found),
        "accepted": len(replies) - count(replies, 503, ABSENT),
        "answered": count(replies, 200),
        "lost": lost,
        "turned away": count(replies, 503),
        "exit p50 s": statistics.median(seconds),
        "exit at most s": max(seconds),
        "exit codes not 0": sum(code != 0 for code in codes),
    }
    others = len(replies) - count(replies, 200, 503, BROKEN, ABSENT)
    return Found(not lost and not others and not figures["exit codes not 0"], figures)


def _ended(setting: Setting, moment: float) -> tuple[list[Reply], float, int]:
    """Replies, seconds from the signal to the end, exit code. Clients leave at their first refusal."""
    with serve.running(setting.server(), setting.port) as process:
        asked(setting, 1, 0.1)
        return asyncio.run(_until_ended(setting, process, moment))


async def _until_ended(
    setting: Setting, process: Popen[bytes], moment: float
) -> tuple[list[Reply], float, int]:
    crowd = Crowd(setting, frozenset((503, BROKEN, ABSENT)))
    asking = asyncio.ensure_future(crowd.ask(CLIENTS, LONGEST))
    await asyncio.sleep(moment)
    process.terminate()
    began = time.perf_counter()
    code = await asyncio.to_thread(process.wait, 2 * LONGEST)
    seconds = time.perf_counter() - began
    return await asking, seconds, code


def killed_workers(setting: Setting) -> Found:
    """A worker that reads photos is killed, again and again, a second after all of them are ready."""
    with serve.running(setting.server(), setting.port) as process:
        asked(setting, CLIENTS, min(2.0, setting.seconds))
        without = asked(setting, CLIENTS, setting.seconds)
        replies, gaps = asyncio.run(_while_killing(setting, psutil.Process(process.pid)))
    figures = {
        "kills": len(gaps),
        "requests": len(replies),
        "failed": _failed(without) + _failed(replies),
        "requests/s without": len(without) / setting.seconds,
        "requests/s with": len(replies) / setting.seconds,
        **_compared(without, replies),
        "all ready again p50 s": statistics.median(gaps),
        "all ready again at most s": max(gaps),
    }
    return Found(figures["failed"] == 0 and max(gaps) < float("inf"), figures)


async def _while_killing(setting: Setting, server: psutil.Process) -> tuple[list[Reply], list[float]]:
    """Replies, and after each kill the seconds until as many workers are ready as before."""
    asking = asyncio.ensure_future(Crowd(setting).ask(CLIENTS, setting.seconds))
    ends, whole, gaps = time.perf_counter() + setting.seconds, len(workers(server)), []
    while time.perf_counter() < ends - min(_LAST, setting.seconds / 2):
        random.choice(workers(server)).kill()
        began = time.perf_counter()
        await asyncio.sleep(0.02)  # until it is gone
        while len(workers(server)) < whole and not asking.done():
            await asyncio.sleep(0.01)
        gaps.append(time.perf_counter() - began if len(workers(server)) >= whole else float("inf"))
        await asyncio.sleep(
            1.0
        )  # a photo is tried once more: who lost its worker shall have its answer first
    return await asking, gaps


def workers(server: psutil.Process) -> list[psutil.Process]:
    """Those of the processes that read photos which have started: they then have a second thread."""
    found = []
    for process in server.children():
        with suppress(psutil.Error):  # it ends at this moment
            if any(_WORKER in word for word in process.cmdline()) and process.num_threads() > 1:
                found.append(process)
    return found


def _compared(without: Sequence[Reply], replies: Sequence[Reply]) -> dict[str, float]:
    return {
        "p99 ms without": serve.percentile(times(without, is_answer), 0.99),
        "p99 ms with": serve.percentile(times(replies, is_answer), 0.99),
    }


def _failed(replies: Sequence[Reply]) -> int:
    return len(replies) - count(replies, 200)


HARDSHIPS: dict[str, Callable[[Setting], Found]] = {
    "overload": overload,
    "slow": slow_clients,
    "sigterm": sigterm,
    "workers": killed_workers,
}


def main() -> int:
    options = parse()
    photos = [path.read_bytes() for path in sorted(Path(options.photos).rglob("*.jpg"))[::20]]
    requests = [serve.request(photo, "/v1/predict") for photo in photos]
    setting = Setting(options.model, requests, options.port, options.seconds, options.repeats)
    start, rows, is_well = session(), [], True
    for name in options.only:
        found = HARDSHIPS[name](setting)
        is_well = is_well and found.kept
        told = " · ".join(f"{figure} {value:.4g}" for figure, value in found.figures.items())
        print(f"{name:9} {'kept  ' if found.kept else 'BROKEN'}  {told}", flush=True)
        rows += [
            {"session": start, "hardship": name, "figure": figure, "value": value}
            for figure, value in found.figures.items()
        ]
    if options.write:
        append_rows(results_file("hardship", ["onnxruntime"]), rows)
    return int(not is_well)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--photos", required=True)
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    parser.add_argument("--repeats", type=int, default=10, help="of SIGTERM")
    parser.add_argument("--only", nargs="*", default=list(HARDSHIPS), choices=list(HARDSHIPS))
    parser.add_argument("--port", type=int, default=8767)
    parser.add_argument("--write", action="store_true", help="keep the figures in results/")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
