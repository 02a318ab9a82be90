"""What `import sortograph` offers."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import chain

import pytest

import sortograph

NAMES = [name for name in sortograph.__all__ if name != "__version__"]
VERBS = {name for name in NAMES if name.islower()}


def test_every_name_has_a_home_and_no_other():
    assert sorted(NAMES) == sorted(chain.from_iterable(sortograph._NAMES.values()))
    assert set(sortograph.__all__) <= set(dir(sortograph))


@pytest.mark.parametrize("name", NAMES)
def test_names_are_what_they_are_called(name):
    found = getattr(sortograph, name)
    assert found.__name__ == name
    assert isinstance(found, type) != (name in VERBS)
    assert getattr(sortograph, name) is found


def test_verbs():
    assert sorted(VERBS) == [
        "add_weights", "apply_sort", "audit", "backbones", "cache_info", "clear_cache", "compare",
        "demo", "diagnose", "doctor", "evaluate", "explain", "index", "load", "predict", "quarantine",
        "recipes", "report", "resume_sort", "review", "sort", "sweep", "train", "undo", "watch_sort",
        "weights",
    ]  # fmt: skip


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="'predikt'"):
        sortograph.predikt  # noqa: B018
    with pytest.raises(ImportError):
        from sortograph import Nothing  # noqa: F401


@pytest.mark.parametrize("name", NAMES)
def test_no_module_takes_the_place_of_a_name(name):
    """Python binds a module in its package when it is first imported: a verb of that name would be gone."""
    spec = find_spec(f"sortograph.{name}")
    assert spec is None or spec.origin is None, spec.origin  # folders of data are never imported


def test_everything_can_be_imported_at_once():
    names: dict[str, object] = {}
    exec("from sortograph import *", names)
    assert set(sortograph.__all__) <= set(names)
