from __future__ import annotations

from itertools import chain

import pytest

from sortograph import records


def test_every_public_name_is_there_and_no_other():
    assert sorted(records.__all__) == sorted(chain.from_iterable(records._NAMES.values()))
    for name in records.__all__:
        assert getattr(records, name) is not None
    with pytest.raises(AttributeError, match="Nothing"):
        records.Nothing  # noqa: B018
