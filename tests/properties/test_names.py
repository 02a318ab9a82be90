"""The order of names against an order that is written as it is told, without regard to speed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sortograph.images.names import folded, natural_key

untimed = settings(deadline=None)
names = st.text("aAbßé\u0301가ﬁ019/ .-_\x01\x03²\udcff", max_size=10)
DIGITS = "0123456789"


def reference(name: str) -> tuple[object, ...]:
    """Folders from the top; in each, numbers by value before other characters, which go by code point."""
    return tuple(tuple(tokens(part)) for part in folded(name).split("/")), name


def tokens(text: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        end = at
        while end < len(text) and text[end] in DIGITS:
            end += 1
        if end > at:
            found.append((0, int(text[at:end])))
            at = end
        else:
            found.append((1, max(3, ord(text[at]))))
            at += 1
    return found


@untimed
@given(names, names)
def test_keys_order_names_as_the_reference_does(one: str, two: str) -> None:
    assert (natural_key(one) < natural_key(two)) == (reference(one) < reference(two))


@untimed
@given(st.lists(names, max_size=8))
def test_lists_are_ordered_as_by_the_reference(every: list[str]) -> None:
    assert sorted(every, key=natural_key) == sorted(every, key=reference)


@untimed
@given(names, st.integers(0, 10**300), st.integers(0, 10**300), names)
def test_numbers_of_any_length_go_by_value(before: str, one: int, two: int, after: str) -> None:
    start = f"{before}x"
    assert (natural_key(f"{start}{one}x{after}") < natural_key(f"{start}{two}x{after}")) == (one < two)


@untimed
@given(names, names)
def test_different_names_have_different_keys(one: str, two: str) -> None:
    assert (natural_key(one) == natural_key(two)) == (one == two)
