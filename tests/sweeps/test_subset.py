from __future__ import annotations

import csv

import pytest

from sortograph.dataset import scan
from sortograph.errors import DataError
from sortograph.records import silent
from sortograph.sweeps.subset import chosen, write_subset


def test_some_of_train_and_all_of_the_rest(index):
    rows = chosen(index, 2)
    counts = index[rows].counts()
    assert counts == {
        "train": {"cat": 2, "dog": 2}, "validation": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1},
    }  # fmt: skip
    assert rows.tolist() == sorted(rows.tolist())


def test_a_larger_subset_has_all_of_a_smaller_one(index):
    small, large = set(chosen(index, 1).tolist()), set(chosen(index, 3).tolist())
    assert small < large
    assert chosen(index, 99).tolist() == list(range(12))


def test_the_order_of_files_has_no_say(index):
    backwards = index[__import__("numpy").arange(11, -1, -1)]
    of = {index.paths[row] for row in chosen(index, 2)}
    assert {backwards.paths[row] for row in chosen(backwards, 2)} == of


def test_copies_and_their_table(index, tmp_path):
    steps = []
    table = write_subset(index, 2, tmp_path / "sweep", steps.append)
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    assert next(row for row in rows if row["path"] == "dog/5.jpg")["group"] == "w1"
    assert all((table.parent / row["path"]).read_bytes() == row["path"].encode() for row in rows)
    assert (steps[-1].done, steps[-1].total) == (8, 8)
    copied = {path.relative_to(table.parent).as_posix() for path in table.parent.rglob("*.jpg")}
    assert copied == {row["path"] for row in rows}


def test_the_users_photos_stay_as_they_are(index, tmp_path):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in index.root.rglob("*.jpg")}
    write_subset(index, 2, tmp_path / "sweep", silent)
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in index.root.rglob("*.jpg")
    } == before


@pytest.mark.parametrize("content", [b"other", None])
def test_photos_that_changed_or_went(index, tmp_path, content):
    photo = index.root / index.paths[4]
    photo.write_bytes(content) if content else photo.unlink()
    with pytest.raises(DataError, match=r"cat/4\.jpg"):
        write_subset(index, 2, tmp_path / "sweep", silent)


def test_a_scan_finds_the_same_photos_with_their_splits(tmp_path, index):
    """Real photos this time: what `train` will see."""
    import hashlib
    from dataclasses import replace

    import numpy as np
    from PIL import Image

    hashes = []
    for number, path in enumerate(index.paths):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(index.root / path)
        hashes.append(hashlib.sha256((index.root / path).read_bytes()).hexdigest())
    own = replace(index, sha256=tuple(hashes))
    table = write_subset(own, 2, tmp_path / "sweep", silent)
    found = scan(table, for_training=False)
    rows = chosen(own, 2)
    kept = own[rows]
    assert (found.paths, found.splits, found.sha256) == (kept.paths, kept.splits, kept.sha256)
    assert found.groups == kept.groups
