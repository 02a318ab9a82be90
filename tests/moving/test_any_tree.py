"""Whatever a folder holds: after apply and undo it is as it was."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sortograph import moving

_NAMED = ("새.jpg", "-rf", "a b", "=1+1", "😀.png", "가" * 83 + ".jpg", "n" * 255, "{}", '"', "...")
_PLAIN = st.sampled_from([*_NAMED, *(unicodedata.normalize("NFD", name) for name in _NAMED[:1])])
_BYTES = st.sampled_from([b"\xff.jpg", b"\xec\x83.png", b"\x80\x81"]).map(os.fsdecode)
_ANY = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=12)
_NAME = st.one_of(_PLAIN, _BYTES, _ANY).filter(lambda name: name not in (".", "..") and name[1:2] != ":")
_PATH = st.lists(_NAME, min_size=1, max_size=3).map("/".join)
_FILE = st.tuples(st.binary(max_size=20), st.integers(0, 2**40), st.sampled_from([0o600, 0o644, 0o444]))


@settings(max_examples=60, deadline=None)
@given(files=st.dictionaries(_PATH, _FILE, max_size=6), data=st.data())
def test_undo_is_the_inverse_of_apply(files, data, tree, planned):
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)  # which is slow
        root = Path(place, "photos")
        root.mkdir()
        made = [path for path, file in files.items() if _made(root / path, *file)]
        wanted = data.draw(st.lists(st.sampled_from(made), unique=True)) if made else []
        before = tree(root)
        plan = planned(Path(place, "plan.json"), root, wanted)
        moved = moving.apply(plan)
        assert moved.moved == tuple(wanted)
        assert moved.skipped == ()
        assert not any(os.path.lexists(root / path) for path in wanted)
        assert set(moving.undo(plan).moved) == set(wanted)
        assert tree(root) == before
        assert not root.with_name("photos-quarantine").exists()
        assert moving.undo(plan).moved == ()


def _made(file: Path, content: bytes, microseconds: int, mode: int) -> bool:
    """False where the file system has no such name, or has it already."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as opened:
            opened.write(content)
    except OSError:
        return False
    assume(len(os.fsencode(file)) < 3000)
    os.utime(file, ns=(0, microseconds * 1000))
    file.chmod(mode)
    return True
