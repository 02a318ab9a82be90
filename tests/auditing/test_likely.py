"""Soft copies and what embeddings propose, found among scenes that differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from sortograph.auditing import AuditView, likely, run_audit
from sortograph.auditing.likely import Likely, find_likely
from sortograph.dataset.neighbours import Pairs
from sortograph.images.decode import Opened
from sortograph.images.look import look_of
from sortograph.records import DatasetIndex, FeatureTable

SIDE = 96
Photo = NDArray[np.uint8]


def scene(seed: int) -> Photo:
    """Shapes of many sizes, as in photos."""
    rng = np.random.default_rng(seed)
    whole = np.zeros((SIDE, SIDE, 3))
    for side, weight in ((3, 60), (6, 40), (12, 30), (24, 25), (48, 20), (96, 8)):
        noise = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        whole += weight * (np.asarray(noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 127.5 - 1)
    return np.clip(128 + whole, 0, 255).astype(np.uint8)


def blurred(photo: Photo, width: float = 1.5) -> Photo:
    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(width)))


@dataclass(frozen=True)
class Album:
    photos: list[Photo]

    @property
    def index(self) -> DatasetIndex:
        n = len(self.photos)
        sizes = np.tile(np.array([[SIDE, SIDE]], dtype=np.int32), (n, 1))
        sizes[0] *= 2  # the first photo is the best
        return DatasetIndex(
            root=Path("photos"),
            classes=("a", "b"),
            paths=tuple(f"a/{row:02}.jpg" for row in range(n)),
            labels=np.zeros(n, dtype=np.int64),
            groups=("",) * n,
            splits=("train",) * n,
            sha256=tuple(f"{row:064x}" for row in range(n)),
            sizes=sizes,
            looks=np.stack(
                [look_of(Opened(Image.fromarray(photo), "PNG", 0), 1000) for photo in self.photos]
            ),
            twins=("",) * n,
        )

    def read(self, rows: NDArray[np.int64]) -> Photo:
        assert len(rows) <= 256
        return np.stack([self.photos[row] for row in rows])

    def found(self, features: FeatureTable | None = None, **columns: object) -> Likely:
        return find_likely(replace(self.index, **columns), features, self.read)


def groups(found: Likely) -> list[set[int]]:
    numbers = [number for number in np.unique(found.groups) if number >= 0]
    return [set(np.flatnonzero(found.groups == number).tolist()) for number in numbers]


@pytest.fixture(scope="module")
def scenes() -> list[Photo]:
    return [scene(seed) for seed in range(12)]


def test_different_scenes_are_not_joined(scenes: list[Photo]) -> None:
    assert groups(Album(scenes).found()) == []


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_blurred_copy_is_likely_and_not_sure(scenes: list[Photo], mirrored: bool) -> None:
    soft = blurred(scenes[0])
    found = Album([*scenes, soft[:, ::-1] if mirrored else soft]).found()
    assert groups(found) == [{0, 12}]
    assert found.sure[[0, 12]].tolist() == [True, False]


def test_what_pixels_are_sure_of_is_sure(scenes: list[Photo]) -> None:
    found = Album([*scenes, np.clip(scenes[0].astype(int) + 3, 0, 255).astype(np.uint8)]).found()
    assert groups(found) == [{0, 12}]
    assert found.sure[[0, 12]].all()


def test_what_twins_tie_already_is_not_told_again(scenes: list[Photo]) -> None:
    album = Album([*scenes, blurred(scenes[0])])
    assert groups(album.found(twins=("t", *[""] * 11, "t"))) == []


def test_copies_of_a_copy_come_along(scenes: list[Photo]) -> None:
    soft = blurred(scenes[0])
    album = Album([*scenes, soft, soft])
    sha256 = (*album.index.sha256[:13], album.index.sha256[12])
    assert groups(album.found(sha256=sha256)) == [{0, 12, 13}]


def test_tiny_pictures_are_left_alone(scenes: list[Photo]) -> None:
    album = Album([*scenes, blurred(scenes[0])])
    sizes = album.index.sizes.copy()
    sizes[12] = (8, 8)
    assert groups(album.found(sizes=sizes)) == []


@pytest.fixture
def no_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with so many photos that fingerprints miss some pairs."""
    nothing = np.zeros(0, dtype=np.int64)
    none = Pairs(nothing, nothing, nothing.astype(np.bool_))
    monkeypatch.setattr(likely, "near_pairs", lambda prints, progress: none)


def table(n: int, like: dict[int, int], noise: float = 0.05) -> FeatureTable:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(n, 64))
    for row, other in like.items():
        features[row] = features[other] + rng.normal(0, noise, 64)
    return FeatureTable(features.astype(np.float32), np.arange(n), "made for a test")


@pytest.mark.usefixtures("no_fingerprints")
@pytest.mark.parametrize("mirrored", [False, True])
def test_embeddings_propose_what_fingerprints_miss(scenes: list[Photo], mirrored: bool) -> None:
    soft = blurred(scenes[0])
    album = Album([*scenes, soft[:, ::-1] if mirrored else soft])
    assert groups(album.found()) == []
    assert groups(album.found(table(13, {12: 0}))) == [{0, 12}]


@pytest.mark.usefixtures("no_fingerprints")
def test_near_embeddings_alone_join_nothing(scenes: list[Photo]) -> None:
    assert groups(Album(scenes).found(table(12, dict.fromkeys(range(1, 12), 0)))) == []


def test_where_embeddings_agree_pixels_may_differ_more(
    scenes: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    album = Album([*scenes, blurred(scenes[0])])
    monkeypatch.setattr(likely, "soft_likeness", lambda a, b: np.full(len(a), 0.88, dtype=np.float32))
    assert groups(album.found(table(13, {12: 0}))) == [{0, 12}]
    assert groups(album.found(table(13, {12: 0}, noise=0.7))) == []
    assert groups(album.found()) == []


def test_rows_without_embeddings_are_compared_by_fingerprints(scenes: list[Photo]) -> None:
    album, some = Album([*scenes, blurred(scenes[0])]), table(12, {})
    assert groups(album.found(some)) == [{0, 12}]


def test_no_chains_a_group_is_a_photo_and_what_is_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 is like 0, 2 is like 1 alone: 2 stays outside, though 3 is like it."""
    album = Album([scene(seed) for seed in range(5)])
    tied = np.arange(5)
    pairs = Pairs(np.array([0, 1, 2]), np.array([1, 2, 3]), np.zeros(3, dtype=np.bool_))
    found = likely._grouped(album.index, tied, likely._Found(pairs, np.array([True, False, False])))
    assert groups(found) == [{0, 1}, {2, 3}]
    assert found.sure.tolist() == [True, True, True, False, False]


Group = Callable[..., AuditView]
Change = Callable[..., AuditView]


@pytest.mark.parametrize(
    ("sure", "aside"), [((0, 1, 2), ("cats/02.jpg",)), ((0,), ()), ((1, 2), ("cats/02.jpg",))]
)
def test_only_what_is_sure_may_be_set_aside(
    clean: AuditView, change: Change, likely: Group, sure: tuple[int, ...], aside: tuple[str, ...]
) -> None:
    view = change(clean, sizes={0: (10, 10), 1: (900, 900), 2: (300, 300)}, labels={0: 1})
    (finding,) = run_audit(likely(view, {0: 1, 1: 1, 2: 1}, sure), only=["likely-duplicates"]).findings
    assert finding.photos == ("cats/01.jpg", "cats/02.jpg")
    assert finding.set_aside == aside


def test_nothing_goes_where_what_stands_for_it_is_elsewhere(
    clean: AuditView, change: Change, likely: Group
) -> None:
    view = change(clean, splits={0: "test"})
    (finding,) = run_audit(likely(view, {0: 0, 1: 0, 2: 0}, (0, 1, 2)), only=["likely-duplicates"]).findings
    assert set(finding.photos) == {"cats/01.jpg", "cats/02.jpg"}
    assert finding.set_aside == ()


def test_near_duplicates_in_a_group_count_once(clean: AuditView, change: Change, likely: Group) -> None:
    view = change(clean, twins={1: "t", 2: "t"}, sizes=dict.fromkeys((0, 1, 2), (300, 300)))
    assert not run_audit(likely(view, {1: 1, 2: 1}), only=["likely-duplicates"]).findings
    (finding,) = run_audit(likely(view, {0: 0, 1: 0, 2: 0}), only=["likely-duplicates"]).findings
    assert len(finding.photos) == 2


def test_a_likely_leak_says_what_to_do(clean: AuditView, likely: Group) -> None:
    (finding,) = run_audit(likely(clean, {0: 0, 4: 0}), only=["leakage"]).findings
    assert "1 of 36 test photos (2.8 %) is probably the same as photos in train" in finding.message
    assert "--group-from" in finding.remedy
    assert finding.severity < 0.7
    assert finding.set_aside == ()


def test_a_photo_with_two_labels_is_told_once_at_its_surest(
    clean: AuditView, change: Change, likely: Group
) -> None:
    (finding,) = run_audit(likely(clean, {0: 0, 60: 0}), only=["conflicting-labels"]).findings
    assert finding.message.startswith("probably one photo has 2 labels")
    assert finding.severity == 0.5
    view = likely(change(clean, sha256={0: "a", 60: "a"}), {0: 0, 60: 0, 120: 0})
    (finding,) = run_audit(view, only=["conflicting-labels"]).findings
    assert finding.message.startswith("the same photo has 2 labels")


def test_a_wrong_label_that_a_likely_duplicate_shares_is_found(
    clean: AuditView, change: Change, likely: Group
) -> None:
    assert clean.features is not None
    features = clean.features.features.copy()
    features[61] = features[20] = features[0]
    view = replace(change(clean, labels={20: 1}), features=replace(clean.features, features=features))
    found = run_audit(likely(view, {20: 20, 61: 20}), only=["label-errors"]).findings
    assert {"cats/20.jpg", "dogs/01.jpg"} <= {finding.photos[0] for finding in found}
