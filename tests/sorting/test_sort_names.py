from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortograph.images.names import folded
from sortograph.sorting.names import class_folders, portable, units
from sortograph.sorting.template import fit_path

WEIRD = st.one_of(
    st.text(st.characters(), max_size=300),
    st.text(st.sampled_from('nulcom1. <>:"/\\|?*\x00\x1f새é\udcff😀-_'), max_size=20),
)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("CON", "_CON"), ("nul.jpg", "_nul.jpg"), ("com1.tar.gz", "_com1.tar.gz"), ("LPT¹", "_LPT¹"),
        ("con ", "_con"), ("con .txt", "_con .txt"), ("console", "console"), ("com10", "com10"),
        ("a<b>c:d\"e|f?g*h", "a_b_c_d_e_f_g_h"), ("dots...", "dots"), ("blank ", "blank"), ("", "_"),
        (".", "_"), ("..", "_"), (".hidden", "_.hidden"), ("Thumbs.db", "_Thumbs.db"),
        ("__MACOSX", "___MACOSX"), ("새", "새"), ("caf\udce9", "caf_"), ("a\tb\x7f", "a_b_"), ("-rf", "-rf"),
    ],
)  # fmt: skip
def test_names_that_some_system_does_not_take(name, wanted):
    assert portable(name) == wanted


@given(WEIRD)
def test_a_portable_name_is_one_for_every_system(name):
    made = portable(name)
    assert made
    assert portable(made) == made
    assert units(made) <= 80
    assert len(made.encode()) <= 255
    assert not set(made) & set('<>:"/\\|?*')
    assert not any(ord(sign) < 32 for sign in made)
    assert made.rstrip(". ") == made
    assert not made.startswith(".")


@given(st.lists(WEIRD, unique=True, max_size=8))
def test_class_folders_never_meet(classes):
    folders = class_folders(label for label in classes if label)
    assert len({folded(folder) for folder in folders.values()}) == len(folders)
    assert folders[""] == "_unsure"


@given(st.lists(WEIRD, min_size=1, max_size=5).map("/".join).filter(lambda path: path.strip("/")))
def test_a_path_leads_downwards(path):
    folder, name = fit_path(path)
    parts = [*folder.split("/"), name] if folder else [name]
    assert not {"", ".", ".."} & set(parts)
    assert not any(part.startswith(".") for part in parts)


def test_long_names_are_cut():
    assert units(portable("가" * 200)) == 80
    assert portable("n" * 79 + ". n") == "n" * 79
