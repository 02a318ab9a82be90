"""Names that are loaded when they are first asked for."""

from __future__ import annotations

import sys

import pytest

from sortograph import lazy


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of one module."""
    folder = tmp_path / "lazily"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from sortograph import lazy\n__getattr__ = lazy.getter(__name__, {'inner': ('one', 'gone')})\n"
    )
    (folder / "inner.py").write_text("one = object()\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "lazily"
    for name in ("lazily", "lazily.inner"):
        sys.modules.pop(name, None)


def test_a_module_is_loaded_when_a_name_of_it_is_asked_for(package):
    import lazily

    assert "lazily.inner" not in sys.modules
    first = lazily.one
    assert lazily.__dict__["one"] is first is sys.modules["lazily.inner"].one


def test_names_that_are_not_there(package):
    import lazily

    for name in ("two", "inner_", "gone"):
        with pytest.raises(AttributeError, match=name):
            getattr(lazily, name)


def test_unknown_names_load_nothing():
    with pytest.raises(AttributeError, match="module 'nowhere' has no attribute 'x'"):
        lazy.getter("nowhere", {"inner": ["y"]})("x")
