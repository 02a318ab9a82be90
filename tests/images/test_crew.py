from __future__ import annotations

import hashlib
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortograph.images import crew as module
from sortograph.images import process
from sortograph.images.crew import Crew, Limits, Reading, shared_crew
from sortograph.images.decode import decode
from sortograph.images.inspect import facts_of
from sortograph.images.preprocess import prepare, resize
from sortograph.records import PreprocessSpec

posix = pytest.mark.skipif(os.name != "posix", reason="needs pipes, signals and names of any bytes")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
CLUMSY = """
import os, sys, time
sys.path[:] = {path!r}
from sortograph.images import worker
read = worker.read_photo
def read_photo(root, path):
    {stumble}
    return read(root, path)
worker.read_photo = read_photo
worker.main(10**9)
"""


def clumsy(stumble: str) -> list[str]:
    """The command of a worker that does something else before it reads the photo `path`."""
    return [sys.executable, "-P", "-c", CLUMSY.format(path=[p for p in sys.path if p], stumble=stumble)]


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


NAMES = [f"{number}.png" for number in range(40)]


@pytest.fixture
def make() -> Iterator[Callable[..., Crew]]:
    made: list[Crew] = []

    def build(**given: object) -> Crew:
        made.append(Crew(**given))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for crew in made:
        crew.close()


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    one = Crew(workers=1)
    yield one
    one.close()


def widths(readings: Sequence[Reading]) -> list[int]:
    return [reading.facts.width if reading.facts else 0 for reading in readings]


def test_facts_in_the_order_of_the_paths(folder: Path, make: Callable[..., Crew]) -> None:
    names = NAMES[::-1] * 3
    readings = list(make(workers=2).read(folder, names))
    assert widths(readings) == [10 + int(name.removesuffix(".png")) for name in names]
    for name, reading in zip(names, readings, strict=True):
        wanted = facts_of((folder / name).read_bytes())
        assert reading.facts == wanted
        assert wanted.look is not None
        assert reading.facts is not None
        assert reading.facts.look is not None
        assert reading.facts.look.tobytes() == wanted.look.tobytes()
        assert (reading.reason, reading.pixels) == ("", ())


SPECS = [
    PreprocessSpec(size=(20, 30)),
    PreprocessSpec(size=(64, 50), mode="crop", interpolation="bicubic"),
    PreprocessSpec(size=(33, 33), mode="pad"),
]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("look", [True, False])
def test_the_same_pixels_as_prepare(tmp_path: Path, crew: Crew, suffix: str, look: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photos = [(40, 30), (900, 500), (1700, 1900)] if suffix == "jpg" else [(40, 30), (300, 200)]
    names = [f"{number}.{suffix}" for number in range(len(photos))]
    for name, size in zip(names, photos, strict=True):
        # Noise that is smooth enough for shrunk decoding to differ by little, but to differ.
        noise(size[0] // 10, size[1] // 10).resize(size).save(tmp_path / name, exif=exif)
    sizes = [(spec, factor) for spec in SPECS for factor in (1.0, 1.25, 4.0)]
    for name, reading in zip(names, crew.read(tmp_path, names, sizes, look), strict=True):
        data = (tmp_path / name).read_bytes()
        assert reading.facts == facts_of(data)
        assert (reading.facts.look is None) == (not look)
        for (spec, factor), pixels in zip(sizes, reading.pixels, strict=True):
            height, width = (round(side * factor) for side in spec.size)
            wanted = resize(decode(data, at_least=(height, width)), spec, factor)
            np.testing.assert_array_equal(pixels, wanted)
            if factor == 1.0:
                np.testing.assert_array_equal(pixels, prepare(data, spec))


def test_unreadable_files_have_a_reason(tmp_path: Path, crew: Crew) -> None:
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    noise(300, 300).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:9000])
    names = ["text.jpg", "empty.jpg", "folder.jpg", "cut.jpg", "gone.jpg", "a\0b.jpg", "a" * 300 + ".jpg"]
    readings = list(crew.read(tmp_path, names, [(SPECS[0], 1.0)]))
    wanted = [
        "not a photo",
        "empty",
        "a folder",
        "damaged",
        "no such file",
        "cannot be opened",
        "cannot be opened",
    ]
    assert all(w in r.reason for r, w in zip(readings, wanted, strict=True)), readings
    assert all(reading.facts is None and reading.pixels == () for reading in readings)


@posix
@pytest.mark.parametrize(
    "name", ["한글 사진.png", "new\nline\r.png", '"quoted" \\.png', "-rf.png", "\udcff\udc80.png"]
)
def test_names_of_any_kind(tmp_path: Path, crew: Crew, name: str) -> None:
    root = tmp_path / f"{name}.folder"
    try:
        root.mkdir()
        noise(31, 10).save(tmp_path / "plain.png")
        (tmp_path / "plain.png").rename(root / name)
    except OSError:
        pytest.skip("the file system refuses this name")
    assert widths(list(crew.read(root, [name]))) == [31]


def test_without_a_choice_of_pipes_photos_are_read(
    folder: Path, make: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert widths(list(make(workers=1).read(folder, NAMES[:1]))) == [10]


@linux
def test_pipes_have_room_for_a_photo(folder: Path, make: Callable[..., Crew]) -> None:
    import fcntl

    ends = os.pipe()
    try:
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 1 << 18)
    except OSError:
        pytest.skip("the user's pipes may not be larger")
    finally:
        for end in ends:
            os.close(end)
    crew = make(workers=1)
    assert widths(list(crew.read(folder, NAMES[:1]))) == [10]
    (hand,) = crew._hands
    assert fcntl.fcntl(hand.worker._raw.fileno(), fcntl.F_GETPIPE_SZ) == 1 << 18


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs /proc and glibc")
def test_the_memory_of_a_photo_is_kept_for_the_next(tmp_path: Path, make: Callable[..., Crew]) -> None:
    noise(800, 600).save(tmp_path / "a.png")
    crew = make(workers=1)

    def faults_of(count: int) -> int:
        def told() -> int:
            stat = Path(f"/proc/{crew._hands[0].worker.pid}/stat").read_text(encoding="ascii")
            return int(stat.rpartition(")")[2].split()[7])

        before = told()
        assert widths(list(crew.read(tmp_path, ["a.png"] * count))) == [800] * count
        return told() - before

    list(crew.read(tmp_path, ["a.png"] * 3))
    of_pixels = 800 * 600 * 4 / os.sysconf("SC_PAGE_SIZE")
    assert faults_of(20) < 20 * of_pixels / 4


@posix
def test_a_pipe_is_refused_without_waiting(tmp_path: Path, crew: Crew) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (reading,) = crew.read(tmp_path, ["pipe.jpg"])
    assert "regular" in reading.reason


def test_a_relative_root_is_that_of_the_caller(
    folder: Path, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert widths(list(crew.read(folder, NAMES[:1]))) == [10]
    monkeypatch.chdir(folder.parent)
    assert widths(list(crew.read(Path(folder.name), NAMES[1:2]))) == [11]


def test_a_photo_that_hangs_costs_itself_alone(folder: Path, make: Callable[..., Crew]) -> None:
    crew = make(limits=Limits(seconds=0.8), workers=1, _command=clumsy("if path == '5.png': time.sleep(60)"))
    readings = list(crew.read(folder, NAMES[:20]))
    assert readings[5].reason == "took longer than 0.8 s to decode"
    assert readings[5].facts is None
    assert widths(readings) == [0 if number == 5 else 10 + number for number in range(20)]


def test_time_is_given_to_each_photo(folder: Path, make: Callable[..., Crew]) -> None:
    crew = make(limits=Limits(seconds=0.6), workers=1, _command=clumsy("time.sleep(0.15)"))
    assert 0 not in widths(list(crew.read(folder, NAMES[:8])))


def test_an_idle_worker_is_not_late(folder: Path, make: Callable[..., Crew]) -> None:
    crew = make(limits=Limits(seconds=0.5), workers=1, _command=clumsy("time.sleep(0.2)"))
    assert widths(list(crew.read(folder, NAMES[:1]))) == [10]
    before = crew.pids()
    time.sleep(0.8)
    assert widths(list(crew.read(folder, NAMES[:1]))) == [10]
    assert crew.pids() == before


@pytest.mark.parametrize("stumble", ["os.abort()", "os._exit(0)", "raise KeyError(path)", "sys.exit()"])
def test_a_photo_that_crashes_the_worker_costs_itself_alone(
    folder: Path, make: Callable[..., Crew], stumble: str
) -> None:
    crew = make(workers=1, _command=clumsy(f"if path in ('7.png', '8.png'): {stumble}"))
    readings = list(crew.read(folder, NAMES[:20]))
    assert [reading.reason for reading in readings[7:9]] == ["crashed the decoder"] * 2
    assert widths(readings) == [0 if number in (7, 8) else 10 + number for number in range(20)]


@posix
def test_a_worker_that_others_end_costs_no_photo(folder: Path, make: Callable[..., Crew]) -> None:
    crew = make(workers=2, _command=clumsy("time.sleep(0.005)"))
    readings = []
    for number, reading in enumerate(crew.read(folder, NAMES * 3)):
        readings.append(reading)
        if number in (10, 40):
            for pid in crew.pids():
                os.kill(pid, signal.SIGKILL)
    assert widths(readings) == [10 + number for number in range(40)] * 3


@linux
def test_memory_is_limited(folder: Path, tmp_path: Path, make: Callable[..., Crew]) -> None:
    Image.new("RGB", (5000, 5000)).save(tmp_path / "large.png")
    noise(10, 10).save(tmp_path / "small.png")
    names = ["small.png", "large.png", "small.png"]
    readings = list(make(limits=Limits(memory=40_000_000), workers=1).read(tmp_path, names))
    assert [reading.reason for reading in readings] == ["", "too large to decode in memory", ""]
    (reading,) = make(workers=1).read(tmp_path, ["large.png"])
    assert reading.reason == ""


def test_paths_are_taken_as_they_are_needed(folder: Path, make: Callable[..., Crew]) -> None:
    taken: list[str] = []

    def endless() -> Iterator[str]:
        while True:
            taken.append(NAMES[len(taken) % 40])
            yield taken[-1]

    readings = make(workers=1).read(folder, endless())
    assert not taken
    for _ in range(100):
        next(readings)
    assert 100 <= len(taken) <= 100 + 40
    readings.close()  # type: ignore[attr-defined]


def test_few_photos_of_many_pixels_are_under_way(folder: Path, make: Callable[..., Crew]) -> None:
    taken: list[str] = []
    paths = (taken.append(name) or name for name in NAMES)  # type: ignore[func-returns-value]
    readings = make(workers=1).read(folder, paths, [(PreprocessSpec(size=(2000, 2000)), 1.0)])
    assert next(readings).pixels[0].shape == (2000, 2000, 3)
    assert len(taken) <= 5
    readings.close()  # type: ignore[attr-defined]


def test_a_reading_that_is_abandoned_leaves_the_crew_usable(folder: Path, make: Callable[..., Crew]) -> None:
    crew = make(workers=2)
    for count in (0, 1, 9):
        readings = crew.read(folder, NAMES * 5)
        for _ in range(count):
            next(readings)
        readings.close()  # type: ignore[attr-defined]
    assert widths(list(crew.read(folder, NAMES))) == [10 + number for number in range(40)]
    assert len(crew.pids()) <= 2


def test_what_nobody_waits_for_is_not_read(folder: Path, make: Callable[..., Crew], tmp_path: Path) -> None:
    log = tmp_path / "read"
    stumble = f"open({str(log)!r}, 'a').write(path + ' '); time.sleep(0.02)"
    crew = make(workers=1, _command=clumsy(stumble))
    readings = crew.read(folder, NAMES)
    next(readings)
    readings.close()  # type: ignore[attr-defined]
    list(crew.read(folder, ["39.png"]))
    # The first request, and the two that the worker had by then; the fourth was still to be sent.
    assert log.read_text().split() == [*NAMES[:24], "39.png"]


def test_two_readings_at_once(folder: Path, make: Callable[..., Crew]) -> None:
    crew, found = make(workers=2), dict[int, list[int]]()

    def read(which: int) -> None:
        names = NAMES[::-1] if which else NAMES
        found[which] = widths(list(crew.read(folder, names * 5, [(SPECS[which], 1.0)])))

    threads = [threading.Thread(target=read, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    ascending = [10 + number for number in range(40)]
    assert found == {0: ascending * 5, 1: ascending[::-1] * 5}


def test_workers_start_as_they_are_needed(folder: Path, make: Callable[..., Crew]) -> None:
    crew = make(workers=4)
    assert crew.pids() == []
    list(crew.read(folder, NAMES[:3]))
    first = crew.pids()
    assert len(first) == 1
    list(crew.read(folder, NAMES[:3]))
    assert crew.pids() == first
    list(crew.read(folder, []))
    assert crew.pids() == first


def test_idle_workers_end(folder: Path, make: Callable[..., Crew]) -> None:
    crew = make(workers=1, idle=0.1)
    list(crew.read(folder, NAMES[:1]))
    end = time.monotonic() + 10
    while crew.pids() and time.monotonic() < end:
        time.sleep(0.02)
    assert crew.pids() == []
    assert widths(list(crew.read(folder, NAMES[:2]))) == [10, 11]


def test_a_closed_crew_starts_again(folder: Path, make: Callable[..., Crew]) -> None:
    crew = make(workers=1, _command=clumsy("if path == '39.png': time.sleep(60)"))
    readings = crew.read(folder, ["0.png", *["39.png"] * 40])
    crew.close()
    threading.Timer(0.5, crew.close).start()
    with pytest.raises(CancelledError):
        list(readings)
    assert widths(list(crew.read(folder, NAMES[:9]))) == list(range(10, 19))


@pytest.mark.parametrize("given", [["no such program"], [sys.executable, "-c", "print('hello')"]])
def test_without_processes_it_reads_by_itself(
    folder: Path, make: Callable[..., Crew], given: list[str]
) -> None:
    (folder / "text.png").write_text("hello")
    names, sizes = [*NAMES, "text.png"], [(SPECS[0], 1.0)]
    crew = make(workers=2, _command=given)
    found, wanted = (list(one.read(folder, names, sizes)) for one in (crew, make(workers=2)))
    assert crew.pids() == []
    assert [(r.facts, r.reason) for r in found] == [(r.facts, r.reason) for r in wanted]
    for mine, other in zip(found, wanted, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine.pixels, other.pixels, strict=True))


def test_frozen_programs_are_not_started_twice(
    folder: Path, make: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    crew = make(workers=1)
    assert widths(list(crew.read(folder, NAMES[:9]))) == list(range(10, 19))
    assert crew.pids() == []


def test_what_crashed_a_worker_is_not_read_by_this_process(
    folder: Path, make: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    crew = make(workers=1, _command=clumsy("if path == '3.png': os._exit(1)"))
    start = module.Process

    def once(command: Sequence[str]) -> process.Process:
        monkeypatch.setattr(module, "Process", refuse)
        return start(command)

    def refuse(command: Sequence[str]) -> process.Process:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(module, "Process", once)
    readings = list(crew.read(folder, NAMES[:10]))
    assert readings[3].reason == "crashed the decoder"
    assert widths(readings) == [0 if number == 3 else 10 + number for number in range(10)]


def test_a_photo_that_fails_in_this_process_is_refused(
    folder: Path, make: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(job: object, path: str) -> bytes:
        raise KeyError(path)

    monkeypatch.setattr("sortograph.images.worker.Job.answer", answer)
    readings = list(make(workers=1, _command=["no such program"]).read(folder, NAMES[:2]))
    assert [reading.reason for reading in readings] == ["crashed the decoder"] * 2


@posix
def test_ctrl_c_is_for_this_process_alone(folder: Path, make: Callable[..., Crew]) -> None:
    crew = make(workers=1)
    list(crew.read(folder, NAMES[:1]))
    (pid,) = crew.pids()
    os.kill(pid, signal.SIGINT)
    assert widths(list(crew.read(folder, NAMES))) == [10 + number for number in range(40)]
    assert crew.pids() == [pid]
    assert os.getpgid(pid) != os.getpgid(0)


def test_the_current_folder_is_not_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = str(Path(module.__file__).parents[2])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "lib", *(p for p in sys.path if p != ours)])
    words = process.command(7)
    assert words[0] == sys.executable
    assert "7" in words
    assert not {"", str(tmp_path)} & set(words)
    assert str(tmp_path / "lib") in words
    assert words[-1] == ours


def test_all_share_one() -> None:
    assert shared_crew() is shared_crew()
    assert shared_crew().limits == Limits(seconds=20, memory=1_500_000_000)
    assert 1 <= shared_crew().workers <= (os.cpu_count() or 1)


def test_hashes_are_of_the_whole_file(folder: Path, crew: Crew) -> None:
    (reading,) = crew.read(folder, NAMES[:1], look=False)
    assert reading.facts is not None
    assert reading.facts.sha256 == hashlib.sha256((folder / NAMES[0]).read_bytes()).hexdigest()
