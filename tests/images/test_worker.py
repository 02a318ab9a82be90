from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph.errors import PhotoError
from sortograph.images import photo, process, worker
from sortograph.images.inspect import facts_of
from sortograph.images.preprocess import prepare
from sortograph.images.worker import READY, Job, Reading, framed, receive, request
from sortograph.records import PreprocessSpec

SPEC = PreprocessSpec(size=(12, 20), mode="crop", interpolation="bicubic", mean=(0.5, 0.5, 0.5))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    Image.fromarray(pixels).save(tmp_path / "b.png")
    return tmp_path


def test_a_job_survives_as_text() -> None:
    job = Job(Path("여기") / "\udcff\n", ((SPEC, 1.25), (PreprocessSpec(size=(3, 4)), 1.0)), look=False)
    assert Job.from_text(job.to_text()) == job
    assert job.to_text().isascii()
    assert job.shapes() == [(15, 25, 3), (3, 4, 3)]
    assert job.bytes_each() == 15 * 25 * 3 + 36


def test_sizes_are_those_of_the_pixels(root: Path) -> None:
    for factor in (1.0, 1.06, 1.25, 1.3333):
        spec = PreprocessSpec(size=(37, 150))
        reading = read(Job(root, ((spec, factor),)), "b.png")
        assert reading.pixels[0].shape == (*spec.scaled(factor), 3)


def read(job: Job, path: str) -> Reading:
    return job.unpack(job.answer(path))


@pytest.mark.parametrize("name", ["a.jpg", "b.png"])
@pytest.mark.parametrize("look", [True, False])
def test_an_answer_holds_facts_and_pixels(root: Path, name: str, look: bool) -> None:
    reading = read(Job(root, ((SPEC, 1.0), (SPEC, 2.0)), look), name)
    data = (root / name).read_bytes()
    wanted = facts_of(data)
    assert reading.facts == wanted
    assert (reading.facts.width, reading.facts.height) == (500, 300)
    if look:
        assert reading.facts.look is not None
        assert wanted.look is not None
        assert reading.facts.look.tobytes() == wanted.look.tobytes()
    else:
        assert reading.facts.look is None
    assert [pixels.dtype for pixels in reading.pixels] == [np.uint8] * 2
    np.testing.assert_array_equal(reading.pixels[0], prepare(data, SPEC))


def test_without_sizes_and_look_the_photo_is_still_decoded(root: Path) -> None:
    (root / "cut.png").write_bytes((root / "b.png").read_bytes()[:-5000])
    assert "damaged" in read(Job(root, look=False), "cut.png").reason
    assert read(Job(root, look=False), "b.png").facts == facts_of((root / "b.png").read_bytes())


def test_a_look_does_not_keep_the_pixels_in_memory(root: Path) -> None:
    facts = read(Job(root, ((SPEC, 1.0),)), "b.png").facts
    assert facts is not None
    assert facts.look is not None
    assert facts.look.base is None


@pytest.mark.parametrize(
    ("raised", "reason"),
    [(PhotoError("no \udcff, 한글"), "no \\udcff, 한글"), (MemoryError(), "too large to decode in memory")],
)
def test_a_refusal_has_its_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, reason: str
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise raised

    monkeypatch.setattr(worker, "resize", fail)
    assert read(Job(root, ((SPEC, 1.0),)), "b.png") == Reading(None, reason, ())


def test_each_picture_is_decoded_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    real = photo.decoded

    def spy(image: Image.Image, at_least: tuple[int, int] | None) -> object:
        opened.append(at_least)
        return real(image, at_least)

    monkeypatch.setattr(photo, "decoded", spy)
    sizes = tuple((PreprocessSpec(size=size), 1.0) for size in ((200, 200), (150, 250), (40, 40), (20, 20)))
    read(Job(root, sizes), "b.png")
    assert len(opened) == 1
    opened.clear()
    read(Job(root, sizes), "a.jpg")
    assert len(opened) == 3  # 500×300, and at half and a quarter of it


def test_bodies_have_their_length_before_them() -> None:
    pipe = io.BytesIO(framed(b"abc") + framed(b"") + framed(b"cut")[:-1])
    assert [receive(pipe) for _ in range(4)] == [b"abc", b"", None, None]
    assert framed(b"abc") == b"\3\0\0\0abc"


class Talk:
    """A worker process that is spoken to byte by byte."""

    def __init__(self, memory: int = 10**9, boot: str = "") -> None:
        words = process.command(memory)
        at = words.index("-c") + 1
        words[at] = words[at].replace("main(int", f"{boot}main(int")
        pipe = subprocess.PIPE
        self.program = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        assert self.program.stderr is not None
        self.requests, self.replies, self.noise = (
            self.program.stdin,
            self.program.stdout,
            self.program.stderr,
        )
        assert receive(self.replies) == READY

    def ask(self, job: Job, *paths: str) -> list[Reading]:
        self.requests.write(request(job, paths))
        self.requests.flush()
        replies = [receive(self.replies) for _ in paths]
        assert None not in replies
        return [job.unpack(reply or b"") for reply in replies]


@pytest.fixture
def talks() -> Iterator[list[Talk]]:
    """Those that are put here are ended."""
    started: list[Talk] = []
    yield started
    for talk in started:
        with talk.program as program:
            program.kill()


def test_a_process_answers_each_photo(root: Path, talks: list[Talk]) -> None:
    talks.append(Talk())
    first, second = Job(root), Job(root, ((SPEC, 1.0),), look=False)
    names = ["a.jpg", "none.jpg", "b.png"]
    for job in (first, second, first):
        found = talks[0].ask(job, *names)
        wanted = [read(job, name) for name in names]
        assert [(r.facts, r.reason) for r in found] == [(r.facts, r.reason) for r in wanted]


def test_a_process_ends_with_its_standard_input(root: Path, talks: list[Talk]) -> None:
    talks.append(Talk())
    assert talks[0].ask(Job(root), "a.jpg")[0].facts
    talks[0].requests.close()
    assert talks[0].program.wait(10) == 0


def test_a_process_ends_though_it_is_busy(root: Path, talks: list[Talk]) -> None:
    boot = (
        "import time; from sortograph.images import worker; worker.read_photo = lambda *_: time.sleep(60); "
    )
    talks.append(Talk(boot=boot))
    talks[0].requests.write(request(Job(root), ["a.jpg"]))
    talks[0].requests.close()
    assert talks[0].program.wait(10) == 0


def test_what_libraries_print_reaches_nobody(root: Path, talks: list[Talk]) -> None:
    shout = "(os.write(1, b'x' * 99), os.write(2, b'x' * 99), print('hello', flush=True))"
    boot = (
        "import os; from sortograph.images import worker; read = worker.read_photo; "
        f"worker.read_photo = lambda *given: {shout} and read(*given); "
    )
    talks.append(Talk(boot=boot))
    assert [reading.reason for reading in talks[0].ask(Job(root), "a.jpg", "b.png")] == ["", ""]
    talks[0].requests.close()
    assert talks[0].replies.read() == b""
    assert talks[0].noise.read() == b""


def test_a_request_longer_than_a_pipe_while_replies_wait(root: Path, talks: list[Talk]) -> None:
    talks.append(Talk())
    job, names = Job(root, ((PreprocessSpec(size=(500, 500)), 1.0),)), ["b.png", "x" * 200_000]
    for _ in range(3):
        talks[0].requests.write(request(job, names))
        talks[0].requests.flush()
    replies = [receive(talks[0].replies) for _ in range(6)]
    assert [len(reply or b"") > 750_000 for reply in replies] == [True, False] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_process_limits_its_memory(root: Path, talks: list[Talk]) -> None:
    talks.append(Talk(memory=123_456_789))
    pid = talks[0].program.pid
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    (space,) = (int(line.split()[3]) for line in limits if line.startswith("Max address space"))
    (core,) = (line.split()[4] for line in limits if line.startswith("Max core file size"))
    taken = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    assert 0 < space - 123_456_789 <= taken
    assert core == "0"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_lower_limit_that_is_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    changed: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1000, 2000))
    monkeypatch.setattr(resource, "setrlimit", changed.__setitem__)
    worker._limit(5)
    assert changed == {resource.RLIMIT_AS: (1000, 2000), resource.RLIMIT_CORE: (0, 2000)}


def test_a_worker_starts_without_what_it_does_not_need() -> None:
    words = [
        sys.executable,
        "-c",
        "import json, sys, sortograph.images.worker; print(json.dumps([*sys.modules]))",
    ]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {
        "torch",
        "onnxruntime",
        "pydantic",
        "typer",
        "rich",
        "pandas",
        "platformdirs",
        "asyncio",
    }


def test_the_header_of_an_answer_has_no_padding() -> None:
    assert worker._FACTS.size == struct.calcsize("<B32sII") == 41
