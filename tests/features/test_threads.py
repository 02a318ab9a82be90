from __future__ import annotations

import threading
import time

import pytest

from sortograph.features.threads import Threads


def nothing() -> None: ...


def endless(threads: Threads) -> None:
    while True:
        threads.submit(nothing)


def test_all_work_is_done_on_no_more_threads_than_allowed():
    threads, done, seen, most = Threads(3, 2), [], set(), []

    def work(number: int) -> None:
        seen.add(threading.current_thread())
        most.append(sum(thread.name == "sortograph-embed" for thread in threading.enumerate()))
        time.sleep(0.002)
        done.append(number)

    for number in range(30):
        threads.submit(lambda number=number: work(number))
    threads.wait(nothing)
    assert sorted(done) == list(range(30))
    assert threading.current_thread() not in seen
    assert 2 <= max(most) <= 3


def test_handing_over_waits_while_enough_wait():
    threads, gate, begun = Threads(1, 2), threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        gate.wait()

    threads.submit(first)
    begun.wait()
    threads.submit(nothing)
    threads.submit(nothing)
    late = threading.Thread(target=threads.submit, args=(nothing,))
    late.start()
    late.join(0.3)
    assert late.is_alive()
    gate.set()
    late.join(5)
    assert not late.is_alive()
    threads.wait(nothing)


def test_waiting_tells_now_and_then():
    threads, told = Threads(1, 1), []
    threads.submit(lambda: time.sleep(0.35))
    threads.wait(lambda: told.append(1))
    assert len(told) >= 3


def test_threads_end_when_there_is_no_work():
    threads = Threads(2, 2)
    for _ in range(4):
        threads.submit(nothing)
    threads.wait(nothing)
    deadline = time.monotonic() + 5
    while any(thread.name == "sortograph-embed" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("end", ["submit", "wait"])
def test_a_failure_is_raised_once_and_drops_what_waits(end):
    threads, gate, done = Threads(1, 5), threading.Event(), []

    def fail() -> None:
        gate.wait()
        raise ValueError("broken")

    threads.submit(fail)
    for number in range(4):
        threads.submit(lambda number=number: done.append(number))
    gate.set()
    with pytest.raises(ValueError, match="broken"):
        endless(threads) if end == "submit" else threads.wait(nothing)
    threads.wait(nothing)
    threads.submit(lambda: done.append("after"))
    threads.wait(nothing)
    assert done == ["after"]


def test_work_that_is_dropped_is_not_done():
    threads, gate, done = Threads(1, 5), threading.Event(), []
    threads.submit(gate.wait)
    threads.submit(lambda: done.append(1))
    threads.drop()
    gate.set()
    threads.wait(nothing)
    assert done == []
