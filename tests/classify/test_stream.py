"""Order, batches and threads of many photos."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest

from sortograph.classify import stream
from sortograph.classify.stream import Pace, best_size, ordered


def squares(source, pace):
    return list(ordered(iter(source), lambda batch: [k * k for k in batch], pace))


@pytest.mark.parametrize("runners", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 63, 200])
def test_answers_come_in_order(runners, count):
    assert squares(range(count), Pace((1, 2, 4, 8), runners)) == [k * k for k in range(count)]


@pytest.mark.parametrize("pauses", [{1}, {3, 4}, {20}, set(range(1, 21))])
def test_while_the_source_pauses_everything_before_is_answered(pauses):
    taken, answered, seen_at_pause = 0, [], {}

    def source():
        nonlocal taken
        for k in range(20):
            if taken in pauses:
                seen_at_pause[taken] = len(answered)
            taken += 1
            yield k

    for answer in ordered(source(), list, Pace((1, 2, 4, 8), 2), lambda: taken in pauses):
        answered.append(answer)
    assert answered == list(range(20))
    assert seen_at_pause == {count: count for count in pauses if count < 20}


def test_what_comes_while_another_is_answered_does_not_wait_for_it():
    second, looks = threading.Event(), iter([True, True, True])

    def work(batch):
        if batch == [0]:
            assert second.wait(5)
        else:
            second.set()
        return batch

    assert list(ordered(iter(range(2)), work, Pace((1,), 2), lambda: next(looks, False))) == [0, 1]


def test_calls_that_were_cut_short_do_not_choose_the_size(monkeypatch):
    clock, slow = Clock(), 30
    monkeypatch.setattr(stream, "_clock", clock)
    pace = Pace((1, 2, 4), 1)

    def call(photos):  # a call takes as long with many photos as with one
        clock.now += 1.0
        return photos

    taken = 0

    def source():
        nonlocal taken
        for k in range(200):
            taken += 1
            yield k

    sizes = []

    def noted(photos):
        sizes.append(len(photos))
        return call(photos)

    def work(chunk):
        return [photo for found in pace.calls(noted, chunk) for photo in found]

    assert list(ordered(source(), work, pace, lambda: taken < slow)) == list(range(200))
    assert sizes[: slow - 1] == [1] * (slow - 1)
    assert sizes[-5:-1] == [4] * 4


def test_a_slow_batch_holds_up_the_others_but_not_their_order():
    first = threading.Event()

    def work(batch):
        if batch == [0]:
            assert first.wait(5)
        elif batch == [3]:
            first.set()
        return batch

    assert list(ordered(iter(range(8)), work, Pace((1,), 2))) == list(range(8))


def test_all_threads_work_at_once():
    together = threading.Barrier(3, timeout=5)

    def work(batch):
        together.wait()
        return batch

    assert list(ordered(iter(range(9)), work, Pace((1,), 3))) == list(range(9))


def test_answers_before_a_failure_are_given():
    def work(batch):
        return [12 // (3 - k) for k in batch]

    answers = ordered(iter(range(100)), work, Pace((1,), 2))
    assert [next(answers) for _ in range(3)] == [4, 6, 12]
    with pytest.raises(ZeroDivisionError):
        next(answers)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("fixed", "each", "best"), [(0.0, 1.0, 1), (4.0, 1.0, 8), (0.2, 1.0, 4)])
def test_the_batch_that_takes_the_least_time_is_kept(monkeypatch, fixed, each, best):
    # A call costs something by itself, a photo something each, and those of a large batch more.
    clock = Clock()
    monkeypatch.setattr(stream, "_clock", clock)
    pace = Pace((1, 2, 4, 8), 1)

    def model(photos):
        clock.now += fixed + each * len(photos) * (1.06 if len(photos) == 8 else 1)
        return photos

    sizes = []
    for _ in range(20):
        sizes.append(pace.chunk())
        assert list(pace.calls(model, list(range(sizes[-1])))) == [list(range(sizes[-1]))]
    assert sizes[:12] == [1, 2, 4, 8] * 3
    assert set(sizes[12:]) == {best}
    assert best_size({1: 1.0}) == 1
    calls = list(pace.calls(model, list(range(11))))
    assert {len(call) for call in calls[:-1]} <= {best}
    assert [photo for call in calls for photo in call] == list(range(11))


def test_photos_that_cannot_be_read_do_not_keep_it_from_choosing(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(stream, "_clock", clock)
    pace = Pace((1, 2, 4), 1)

    def model(photos):
        clock.now += 1.0 * len(photos)
        return photos

    for _ in range(9):
        asked = pace.chunk()
        list(pace.calls(model, list(range(asked - (asked == 4)))))  # one photo of each four is lost
    assert pace.chunk() == 1


def test_a_batch_size_that_was_given_is_kept():
    pace = Pace((5,), 2)
    assert [pace.chunk() for _ in range(3)] == [5, 5, 5]
    assert [len(call) for call in pace.calls(list, list(range(12)))] == [5, 5, 2]


def chunks(pace, clock, each, count):
    """The chunks that a job of as many photos is cut into, where each takes as many seconds."""
    sizes = []

    def work(chunk):
        clock.now += each * len(chunk)
        sizes.append(len(chunk))
        return chunk

    left = count
    while left:
        size = min(pace.chunk(), left)
        for part in pace.parts(list(range(size)), size):
            pace.guarded(work, part)
        left -= size
    return sizes


@pytest.mark.parametrize(("each", "largest"), [(0.001, 32), (0.02, 10), (0.05, 4), (0.5, 2)])
def test_chunks_grow_as_far_as_they_are_quick(each, largest):
    clock = Clock()
    sizes = chunks(Pace((2,), 2, clock, most=32), clock, each, 2000)
    assert sizes[0] == 2
    assert max(sizes) == largest
    for done, size in enumerate(sizes):
        # No thread gets more at once than an eighth of its share so far, but for one call.
        assert size == 2 or size <= sum(sizes[:done]) / (2 * 8)


def test_a_photo_that_takes_long_makes_the_next_chunk_small():
    clock = Clock()
    pace = Pace((1,), 1, clock, most=32)
    chunks(pace, clock, 0.001, 1000)
    assert pace.chunk() == 32
    pace.guarded(lambda chunk: setattr(clock, "now", clock.now + 3.0), [0])
    assert pace.chunk() == 1


@pytest.mark.parametrize("runners", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_answers_of_large_chunks_come_in_order(runners, batch):
    pace, calls = Pace((batch,), runners, most=32), []

    def model(photos):
        calls.append(len(photos))
        return [k * k for k in photos]

    def work(chunk):
        return [answer for found in pace.calls(model, chunk) for answer in found]

    assert list(ordered(iter(range(3000)), work, pace)) == [k * k for k in range(3000)]
    assert max(calls) == batch


def test_a_slow_source_is_not_waited_for(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(stream.time, "monotonic", clock)

    def source():
        for k in range(100):
            clock.now += 0.09
            yield k

    photos = source()
    assert stream._chunk(photos, 32, lambda: False) == [0, 1, 2]
    assert stream._chunk(photos, 2, lambda: False) == [3, 4]


def test_what_is_done_is_answered_before_more_is_taken():
    answered, lags = [], []

    def source():
        for k in range(20):
            lags.append(k - len(answered))
            time.sleep(0.02)
            yield k

    for answer in ordered(source(), list, Pace((1,), 2)):
        answered.append(answer)
    assert answered == list(range(20))
    assert max(lags) <= 3  # five where what is done waits for its turn


def test_what_is_in_hand_is_given_up():
    pace, begun, large = Pace((1,), 1, most=32), [], threading.Event()

    def work(chunk):
        if len(chunk) < 32:
            return chunk
        for photo in pace.each(chunk):
            begun.append(photo)
            large.set()
            while not pace._stopped:
                time.sleep(0.001)
        return chunk

    answers = ordered(iter(range(10_000)), work, pace)
    while not large.is_set():
        next(answers)
    answers.close()
    assert len(begun) == 1
    with pytest.raises(CancelledError):
        list(pace.each([1]))


def test_where_the_source_ends_all_threads_share_the_rest():
    clock = Clock()
    pace = Pace((8,), 2, clock, most=32)  # and calls stay as large as they were wanted
    assert [len(part) for part in pace.parts(list(range(5)), 32)] == [5]
    assert [len(part) for part in pace.parts(list(range(12)), 32)] == [8, 4]
    assert [len(part) for part in pace.parts(list(range(31)), 32)] == [16, 15]
    pace = Pace((1,), 3, clock, most=32)
    assert pace.parts(list(range(7)), 32) == [[0, 1, 2], [3, 4, 5], [6]]
    assert pace.parts([0], 32) == [[0]]
    assert pace.parts(list(range(32)), 32) == [list(range(32))]


def test_as_long_as_fewer_threads_are_tried_chunks_stay_small():
    clock = Clock()
    pace = Pace((1,), 8, clock, most=32)
    sizes = []
    for _ in range(4000):
        sizes.append(pace.chunk())
        clock.now += 0.001 * sizes[-1]
        pace.parts([0] * sizes[-1], sizes[-1])
        pace.guarded(lambda chunk: chunk, [0] * sizes[-1])
    assert set(sizes[:1000]) == {1}  # for a second all of them work, for another half of them
    assert sizes[-1] > 8


@pytest.mark.parametrize(("faster", "limit"), [(1.0, 8), (1.2, 4)])
def test_fewer_threads_where_they_get_more_done(faster, limit):
    clock = Clock()
    pace = Pace((1,), 8, clock)
    limits = []
    for _ in range(40):
        limits.append(pace._crowd.limit)
        clock.now += 0.1 / (faster if limits[-1] == 4 else 1.0)
        pace.guarded(lambda batch: batch, [0])
    assert limits[0] == 8
    assert 4 in limits
    assert pace._crowd.limit == limit


def test_few_threads_are_all_used():
    clock = Clock()
    pace = Pace((1,), 3, clock)
    for _ in range(40):
        clock.now += 0.1
        pace.guarded(lambda batch: batch, [0])
        assert pace._crowd.limit == 3


def test_no_more_than_the_limit_work_at_once():
    pace, inside, most = Pace((1,), 4), [], []
    pace._crowd.limit = 2

    def work(batch):
        inside.append(1)
        most.append(len(inside))
        inside.pop()
        return batch

    assert list(ordered(iter(range(50)), lambda batch: pace.guarded(work, batch), Pace((1,), 4))) == list(
        range(50)
    )
    assert max(most) <= 2
