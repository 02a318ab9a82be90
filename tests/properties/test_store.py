"""What holds for stores of pixels, in whatever order several runs write, read, crash and open them."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sortograph.loading.store import Store, Stored
from sortograph.records import PhotoFacts

# Time limits per example would fail on a busy disk, not on a wrong store.
untimed = settings(deadline=None, max_examples=60)

SHAPE = (2, 1, 3)
runs = st.integers(0, 2)
batches = st.lists(st.integers(0, 15), max_size=4)
events = st.lists(
    st.one_of(
        st.tuples(st.just("append"), runs, batches),
        st.tuples(st.just("open"), runs, st.just([])),
        st.tuples(st.just("litter"), runs, st.lists(st.integers(0, 255), min_size=1, max_size=9)),
    ),
    max_size=14,
)


def sha256(number: int) -> str:
    return hashlib.sha256(bytes([number])).hexdigest()


def photo(number: int) -> Stored:
    pixels = np.arange(6, dtype=np.uint8).reshape(SHAPE) + np.uint8(number * 6)
    return Stored(PhotoFacts(sha256(number), number + 1, 99), pixels)


def happen(event: tuple[str, int, list[int]], stores: list[Store], folder: Path) -> set[int]:
    """Lets it happen; the photos that were appended."""
    kind, run, numbers = event
    if kind == "append":
        stores[run].append([photo(number) for number in numbers])
        return set(numbers)
    if kind == "open":
        stores[run] = Store(folder, SHAPE)
    elif (folder / "values.bin").exists():  # a crash after some of the pixels, before their keys
        with (folder / "values.bin").open("ab") as file:
            file.write(bytes(numbers))
    return set()


@untimed
@given(events=events)
def test_what_was_appended_is_read_in_any_interleaving(events: list[tuple[str, int, list[int]]]) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        stores = [Store(Path(name), SHAPE) for _ in range(3)]
        kept: set[int] = set()
        for event in events:
            kept |= happen(event, stores, Path(name))
            for store in stores:
                check(store, kept)
        newest = Store(Path(name), SHAPE)
        assert check(newest, kept) == sorted(kept)


def check(store: Store, kept: set[int]) -> list[int]:
    """The photos that a store knows; all it tells of them is right."""
    known = [number for number in range(16) if sha256(number) in store]
    assert set(known) <= kept
    assert [store.facts(sha256(number)) for number in known] == [photo(number).facts for number in known]
    if known:
        expected = [photo(number).values for number in known]
        np.testing.assert_array_equal(store.read([sha256(number) for number in known]), expected)
    return known
