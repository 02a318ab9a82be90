"""Names that are loaded when they are first asked for."""

from __future__ import annotations

import gc
import subprocess
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


@pytest.mark.parametrize("was_on", [True, False])
def test_no_garbage_is_collected_while_libraries_are_loaded(was_on):
    before = gc.isenabled()
    (gc.enable if was_on else gc.disable)()
    try:
        with lazy.importing():
            assert not gc.isenabled()
        assert gc.isenabled() == was_on
        with pytest.raises(ImportError), lazy.importing():
            raise ImportError
        assert gc.isenabled() == was_on
    finally:
        (gc.enable if before else gc.disable)()


def test_a_program_that_is_alone_in_its_process_looks_at_libraries_never_again():
    code = (
        "import gc\nfrom sortograph import lazy\n"
        "def load(name):\n"
        "    with lazy.importing(early=True): __import__(name)\n"
        "    return gc.get_freeze_count()\n"
        "shared = load('json')\nlazy.own_process()\nloaded = load('http.client')\nheld = []\n"
        "held.append(held)\nagain = load('http.client')\nprint(shared, loaded > 1000, again - loaded)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 True 0\n"
