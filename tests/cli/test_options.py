from __future__ import annotations

import inspect

import pytest

from sortograph.cli.options import deferred, listed
from sortograph.errors import UsageError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, None),
        ("a,b", ["a", "b"]),
        (" 새 , b c ", ["새", "b c"]),
        ('"a,b",c', ["a,b", "c"]),
        ("a", ["a"]),
    ],
)
def test_lists(text, names):
    assert listed(text) == names


@pytest.mark.parametrize("text", ["", ",", "a,,b", "a,a", "a,b,"])
def test_lists_with_holes_or_doubles_are_refused(text):
    with pytest.raises(UsageError, match="--classes"):
        listed(text)


def test_parsing_runs_nothing():
    done = []

    def verb(a: int, b: int = 2) -> int:
        """Help."""
        done.append((a, b))
        return 7

    command = deferred(verb)
    assert inspect.signature(command) == inspect.signature(verb)
    assert command.__doc__ == "Help."
    call = command(a=1, b=3)
    assert not done
    assert call() == 7
    assert done == [(1, 3)]
