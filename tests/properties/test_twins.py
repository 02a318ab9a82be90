"""What holds for near duplicates, whatever the photos are and however their rows are ordered."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sortograph.dataset import neighbours
from sortograph.dataset.neighbours import Pairs, near_pairs
from sortograph.dataset.twins import SIZE, SMALL, find_twins
from sortograph.images.decode import Opened
from sortograph.images.look import look_of
from sortograph.images.names import composed, decomposed
from sortograph.records import DatasetIndex
from sortograph.records.looks import UNIT, WAVES

untimed = settings(deadline=None, max_examples=30)
SIGNS = np.tile(np.where(np.arange(WAVES) % 2, -1, 1), WAVES)

# (picture, version, label): of seven pictures, in eight versions.
photos = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 7), st.integers(-1, 2)), min_size=1, max_size=25
)


def picture(seed: int) -> Image.Image:
    """Coarse and fine patches of colour."""
    rng = np.random.default_rng(seed)
    sheets = [Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)) for cells in (4, 24)]
    coarse, fine = (sheet.resize((112, 112), Image.Resampling.BICUBIC) for sheet in sheets)
    return Image.blend(coarse, fine, 0.4)


def version(image: Image.Image, number: int) -> NDArray[np.uint8]:
    """Mirrored or not, cropped or not, with noise or not."""
    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if number & 1 else image
    image = image.crop((3, 0, 109, 106)) if number & 2 else image
    noise = np.random.default_rng(number).integers(-2, 3, (image.height, image.width, 1))
    pixels = np.asarray(image, dtype=np.int16) + (noise if number & 4 else 0)
    return pixels.clip(0, 255).astype(np.uint8)


VERSIONS = {(p, v): version(picture(p), v) for p in range(7) for v in range(8)}
LOOKS = {key: look_of(Opened(Image.fromarray(pixels), "PNG", 0), 9) for key, pixels in VERSIONS.items()}
PIXELS = {key: np.asarray(Image.fromarray(pixels).resize(SIZE)) for key, pixels in VERSIONS.items()}


class Shelf:
    """Photos as hypothesis draws them; reading them gives pixels by content, whatever their row."""

    def __init__(self, rows: list[tuple[int, int, int]]) -> None:
        keys = [(p, v) for p, v, _ in rows]
        contents = [hashlib.sha256(VERSIONS[key].tobytes()).hexdigest() for key in keys]
        self.pixels = dict(zip(contents, (PIXELS[key] for key in keys), strict=True))
        self.picture = dict(zip(contents, (p for p, _ in keys), strict=True))
        self.index = DatasetIndex(
            root=Path("photos"),
            classes=("a", "b", "c"),
            paths=tuple(f"갈/é{k}.png" for k in range(len(rows))),
            labels=np.array([label for _, _, label in rows], dtype=np.int64),
            groups=("",) * len(rows),
            splits=("",) * len(rows),
            sha256=tuple(contents),
            sizes=np.array([VERSIONS[key].shape[1::-1] for key in keys], dtype=np.int32),
            looks=np.stack([LOOKS[key] for key in keys]),
        )

    def twins(self, index: DatasetIndex) -> tuple[dict[str, str], set[tuple[str, ...]]]:
        """Group of each path; and the groups that are too large."""

        def read(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
            return np.stack([self.pixels[index.sha256[row]] for row in rows])

        found = find_twins(index, read)
        names = (composed(path) for path in index.paths)
        large = {tuple(composed(path) for path in group.paths) for group in found.large}
        return dict(zip(names, found.names, strict=True)), large


@untimed
@given(rows=photos, data=st.data())
def test_neither_the_order_of_rows_nor_the_spelling_of_names_matters(
    rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    shelf = Shelf(rows)
    order = np.array(data.draw(st.permutations(range(len(rows)))), dtype=np.int64)
    shuffled = shelf.index[order]
    respelt = replace(shuffled, paths=tuple(decomposed(path) for path in shuffled.paths))
    straight = shelf.twins(shelf.index)
    assert shelf.twins(shuffled) == straight
    assert shelf.twins(respelt) == straight


@untimed
@given(rows=photos)
def test_groups_are_the_versions_of_a_picture(rows: list[tuple[int, int, int]]) -> None:
    shelf = Shelf(rows)
    index = shelf.index
    names, large = shelf.twins(index)
    too_large = {path for group in large for path in group}
    for row, path in enumerate(map(composed, index.paths)):
        same = [k for k, content in enumerate(index.sha256) if content == index.sha256[row]]
        kin = [k for k, c in enumerate(index.sha256) if shelf.picture[c] == shelf.picture[index.sha256[row]]]
        hidden = any(composed(index.paths[k]) in too_large for k in kin)
        expected = same if hidden else kin
        inside = [k for k, other in enumerate(index.paths) if names[composed(other)] == names[path] != ""]
        assert inside == (expected if len(expected) > 1 else [])


@untimed
@given(rows=photos)
def test_a_group_is_named_by_its_largest_member(rows: list[tuple[int, int, int]]) -> None:
    shelf = Shelf(rows)
    names, _ = shelf.twins(shelf.index)
    areas = dict(zip(map(composed, shelf.index.paths), np.prod(shelf.index.sizes, axis=1), strict=True))
    for name in set(names.values()) - {""}:
        members = [path for path, group in names.items() if group == name]
        assert len(members) > 1
        assert name in members
        assert areas[name] == max(areas[path] for path in members)


@untimed
@given(rows=photos)
def test_no_group_in_the_index_is_too_large(rows: list[tuple[int, int, int]]) -> None:
    shelf = Shelf(rows)
    index = shelf.index
    names, _ = shelf.twins(index)
    for name in set(names.values()) - {""}:
        members = [row for row, path in enumerate(index.paths) if names[composed(path)] == name]
        for label in (-1, 0, 1, 2):
            held = {index.sha256[row] for row in members if index.labels[row] == label}
            others = {index.sha256[row] for row in np.flatnonzero(index.labels == label)}
            one = len({index.sha256[row] for row in members}) == 1
            assert one or len(held) <= max(SMALL, 0.05 * len(others))


def by_brute_force(fingerprints: NDArray[np.int16], mesh: neighbours._Mesh) -> set[tuple[int, int]]:
    """All pairs that `near_pairs` promises, each view of each photo compared with each photo."""
    whole = neighbours._vectors(fingerprints, neighbours._WHOLE)
    waves = [6 * row + column - 1 for (row, column), _ in neighbours._AXES]
    odd = np.arange(1, 36) % 6 % 2 == 1
    near = np.zeros((len(whole), len(whole)), dtype=np.bool_)
    for view in mesh.views:
        seen = neighbours._vectors(fingerprints, view)
        close = (np.abs(seen[:, None, waves] - whole[None, :, waves]) <= mesh.tolerances).all(axis=2)
        # The wave that orders the photos of a square is compared in steps.
        level = [np.floor(np.abs(vectors[:, 0]) * 4096).astype(int) for vectors in (seen, whole)]
        close &= np.abs(level[0][:, None] - level[1][None]) <= mesh.reach
        mirrored = np.where(odd, -seen, seen)
        gaps = [np.linalg.norm(one[:, None] - whole[None], axis=2) for one in (seen, mirrored)]
        near |= close & (np.minimum(*gaps) <= mesh.radius)
    near |= near.T
    return {(i, j) for i, j in np.argwhere(near).tolist() if i < j}


@pytest.mark.parametrize("few", [0, neighbours.FEW])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_search_finds_what_comparing_all_with_all_finds(
    few: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "FEW", few)
    monkeypatch.setattr(neighbours, "NEAREST", 1000)
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(25, WAVES * WAVES)) / np.maximum(1, np.hypot(*np.indices((8, 8)))).ravel()
    waves = np.repeat(centres, 8, axis=0) + rng.normal(scale=0.02, size=(200, WAVES * WAVES))
    waves[::3] *= SIGNS
    waves[:, 0] = 0
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    fingerprints = np.rint(waves * UNIT).astype(np.int16)
    found = near_pairs(fingerprints)
    expected = by_brute_force(fingerprints, neighbours._WIDE if few else neighbours._NARROW)
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == expected
    assert len(expected) > 100


@untimed
@given(seed=st.integers(0, 2**31), count=st.integers(1, 40))
def test_mirrored_pairs_are_told(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(count, WAVES * WAVES))
    waves[:, 0] = 0
    waves = np.rint(waves / np.linalg.norm(waves, axis=1, keepdims=True) * UNIT)
    flips = np.arange(count) % 2 == 0
    copies = waves * np.where(flips[:, None], SIGNS, 1)
    found: Pairs = near_pairs(np.concatenate([waves, copies]).astype(np.int16))
    told = dict(
        zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.mirrored, strict=True)
    )
    assert all(told[k, count + k] == flips[k] for k in range(count))
