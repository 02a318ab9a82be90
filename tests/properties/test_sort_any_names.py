"""Whatever files are called: sorted names suit every system, and an undo gives the old ones back."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sorted_photos import CLASSES, plan, tree
from sortograph import sorting
from sortograph.images.names import folded
from sortograph.sorting.names import portable, units

_NAMED = (
    "새",
    "-rf",
    "a b",
    "=1+1",
    "😀",
    "가" * 83,
    "n" * 250,
    "{}",
    '"',
    "...",
    "nul",
    "CON",
    "a. ",
    "A",
    "a",
    "C:",
)
_PLAIN = st.sampled_from(
    [*_NAMED, unicodedata.normalize("NFD", "새"), unicodedata.normalize("NFD", "é"), "é"]
)
_BYTES = st.sampled_from([b"\xff", b"\xec\x83", b"\x80\x81"]).map(os.fsdecode)
_ANY = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=12)
_STEM = st.one_of(_PLAIN, _BYTES, _ANY)
_NAME = st.tuples(_STEM, st.sampled_from([".jpg", ".JPG", ".png", ".CR2", ".jpg.xmp"])).map("".join)
_FOLDER = _STEM.filter(lambda name: name not in (".", ".."))
_PATH = st.one_of(_NAME, st.tuples(_FOLDER, _NAME).map("/".join))
_FILE = st.tuples(st.integers(0, 3).map(lambda n: b"%d" % n), st.integers(0, 2**40), st.sampled_from(CLASSES))


@settings(max_examples=60, deadline=None)
@given(
    files=st.dictionaries(_PATH, _FILE, min_size=1, max_size=8),
    way=st.sampled_from(["move", "copy"]),
    template=st.sampled_from(["{label}/{name}", "{folder}/{label}/{date:%Y}/{stem} x{suffix}", "{name}"]),
)
def test_undo_is_the_inverse_of_sort(files, way, template):
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _handle: None)  # which is slow
        root, into = Path(place, "photos"), Path(place, "sorted")
        root.mkdir()
        made = {path: label for path, (*facts, label) in files.items() if _made(root / path, *facts)}
        answers = {path: label for path, label in made.items() if path.lower().endswith((".jpg", ".png"))}
        before = tree(root)
        wanted = plan(root, into, answers, way, template)
        targets = [file.target for file in wanted.files]
        assert len({folded(target) for target in targets}) == len(targets)
        assert all(part == portable(part, 255) for target in targets for part in target.split("/"))
        assert all(units(target) <= 200 for target in targets)
        photos = {file.path for file in (*wanted.photos, *wanted.identical)}
        assert photos >= set(answers) - {row.path for row in wanted.unreadable}
        done = sorting.apply(wanted)
        assert (done.applied, done.left) == (len(wanted.photos), ())
        if done.journal is not None:
            assert {path for path, facts in tree(into, hidden=False).items() if facts[2]} == set(targets)
            assert sorting.undo(done.journal).left == ()
        assert tree(root) == before
        assert not into.exists()


def _made(file: Path, content: bytes, microseconds: int) -> bool:
    """False where the file system has no such name, or has it already."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as opened:
            opened.write(content)
    except OSError:
        return False
    assume(len(os.fsencode(file)) < 3000)
    os.utime(file, ns=(0, microseconds * 1000))
    return True
