from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sortograph.dataset import neighbours
from sortograph.dataset import twins as module
from sortograph.dataset.neighbours import NEAREST, near_pairs
from sortograph.dataset.twins import LARGE, SIZE, SMALL, Large, Twins, find_twins
from sortograph.images.decode import Opened
from sortograph.images.look import look_of
from sortograph.images.preprocess import resize
from sortograph.records import DatasetIndex, Event, PreprocessSpec, Step
from sortograph.records.looks import FINGERPRINT, UNIT

Mirror = Image.Transpose.FLIP_LEFT_RIGHT


def scene(seed: int, width: int = 200, height: int = 150) -> Image.Image:
    """Coarse and fine patches of colour, other ones for each seed."""
    rng = np.random.default_rng(seed)
    sheets = []
    for cells in (4, 16, 64):
        small = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        sheets.append(np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32))
    return Image.fromarray((0.6 * sheets[0] + 0.25 * sheets[1] + 0.15 * sheets[2]).astype(np.uint8))


def sheet_of_paper(stroke: Sequence[tuple[int, int]]) -> Image.Image:
    """White paper in the light of a window, and one line drawn on it."""
    down, right = np.indices((150, 150)) / 150
    light = 225 - 60 * down - 40 * right * down
    image = Image.fromarray(light.astype(np.uint8)).convert("RGB")
    ImageDraw.Draw(image).line(list(stroke), fill=(40, 40, 90), width=4)
    return image


def encoded(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def part(image: Image.Image, kept: float, left: float = 0.5, top: float = 0.5) -> Image.Image:
    """A crop that keeps a part of both sides; what is cut away is shared out between the sides."""
    width, height = round(image.width * kept), round(image.height * kept)
    x, y = round((image.width - width) * left), round((image.height - height) * top)
    return image.crop((x, y, x + width, y + height))


@dataclass
class Album:
    """Photos by path; a class is a folder. Counts what is read of them."""

    photos: dict[str, Image.Image]

    def __post_init__(self) -> None:
        self.asked: list[list[int]] = []
        self.arrays = [np.asarray(image) for image in self.photos.values()]

    @property
    def index(self) -> DatasetIndex:
        classes = sorted({path.split("/")[0] for path in self.photos})
        looks = [look_of(Opened(Image.fromarray(pixels), "PNG", 0), 1000) for pixels in self.arrays]
        n = len(self.photos)
        return DatasetIndex(
            root=Path("photos"),
            classes=tuple(classes),
            paths=tuple(self.photos),
            labels=np.array([classes.index(path.split("/")[0]) for path in self.photos]),
            groups=("",) * n,
            splits=("",) * n,
            sha256=tuple(hashlib.sha256(pixels.tobytes()).hexdigest() for pixels in self.arrays),
            sizes=np.array([image.size for image in self.photos.values()], dtype=np.int32),
            looks=np.stack(looks),
        )

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        self.asked.append(rows.tolist())
        return np.stack([resize(self.arrays[row], PreprocessSpec(size=SIZE)) for row in rows])

    def groups(self) -> dict[str, str]:
        """Path → name of its group, for photos in groups."""
        return named(self.index, find_twins(self.index, self.read))


def named(index: DatasetIndex, twins: Twins) -> dict[str, str]:
    return {path: name for path, name in zip(index.paths, twins.names, strict=True) if name}


def others(count: int, folder: str = "a") -> dict[str, Image.Image]:
    return {f"{folder}/other{k}.png": scene(1000 * ord(folder) + k) for k in range(count)}


VERSIONS = {
    "re-encoded": lambda image: encoded(image, 60),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "mirrored": lambda image: encoded(image.transpose(Mirror), 90),
    "cropped at the left": lambda image: part(image, 0.95, left=1),
    "cropped at the bottom right": lambda image: part(image, 0.95, left=0, top=0),
    "cropped all around": lambda image: part(image, 0.9),
    "mirrored, cropped and resized": lambda image: part(image.transpose(Mirror), 0.95).resize((120, 90)),
    "darker": lambda image: image.point(lambda value: value * 0.8),
}


@pytest.mark.parametrize("version", list(VERSIONS))
def test_versions_of_a_photo_are_its_twins(version: str) -> None:
    # The version is of another shape here: all photos are squashed for the comparison.
    original = scene(3).resize((220, 160))
    album = Album({"a/copy.png": VERSIONS[version](original), "a/original.png": original, **others(4)})
    assert album.groups() == dict.fromkeys(("a/copy.png", "a/original.png"), max_by_area(album))


def max_by_area(album: Album) -> str:
    """The larger of the first two photos; of equals, the first."""
    first, second = list(album.photos)[:2]
    larger = np.prod(album.photos[second].size) > np.prod(album.photos[first].size)
    return second if larger else first


def test_all_versions_have_one_representative() -> None:
    original = scene(5, 400, 300)
    album = Album(
        {
            "a/original.png": original,
            "a/b.png": encoded(original, 60).resize((200, 150)),
            "b/c.png": original.transpose(Mirror).resize((300, 200)),
            "b/d.png": part(original, 0.95, 0, 1).resize((250, 190)),
            **others(3),
        }
    )
    names = ("a/original.png", "a/b.png", "b/c.png", "b/d.png")
    assert album.groups() == dict.fromkeys(names, "a/original.png")


def test_different_photos_are_no_twins() -> None:
    album = Album(others(60))
    assert album.groups() == {}


def test_what_is_written_tells_sheets_of_paper_apart() -> None:
    one = sheet_of_paper([(40, 30), (70, 120)])
    album = Album(
        {
            "1/a.png": one,
            "1/b.png": encoded(one, 60),
            "1/c.png": sheet_of_paper([(42, 36), (60, 118)]),
            "7/d.png": sheet_of_paper([(30, 30), (80, 34), (60, 120)]),
            "7/e.png": sheet_of_paper([(35, 38), (90, 38), (64, 120)]),
        }
    )
    assert album.groups() == dict.fromkeys(("1/a.png", "1/b.png"), "1/a.png")
    # The search alone would not have told them apart: this is what pixels are read for.
    assert len({row for rows in album.asked for row in rows}) > 2


def test_photos_of_one_colour_are_no_twins() -> None:
    shades = {f"a/{k}.png": Image.new("RGB", (30, 30), (k, k, k)) for k in range(0, 250, 2)}
    album = Album(shades)
    assert album.groups() == {}
    assert album.asked == []


def test_the_same_content_is_a_twin_without_being_read() -> None:
    album = Album({"b/2.png": scene(1), "a/1.png": scene(1), "a/3.png": scene(2), "c/1.png": scene(1)})
    assert album.groups() == dict.fromkeys(("a/1.png", "b/2.png", "c/1.png"), "a/1.png")
    assert album.asked == []


def test_without_looks_only_the_same_content_counts() -> None:
    album = Album({"a/1.png": scene(1), "a/2.png": scene(1), "a/3.png": encoded(scene(1), 60)})
    index = replace(album.index, looks=album.index.looks[:0])
    assert find_twins(index, album.read).names == ("a/1.png", "a/1.png", "")
    assert album.asked == []


@pytest.mark.parametrize("count", [0, 1])
def test_few_photos(count: int) -> None:
    album = Album(others(1))
    assert find_twins(album.index[np.arange(count)], album.read) == Twins(("",) * count)


def test_copies_and_versions_make_one_group() -> None:
    small = scene(7).resize((100, 75))
    album = Album({"a/1.png": small, "a/2.png": small, "b/big.png": scene(7), **others(3)})
    assert album.groups() == dict.fromkeys(("a/1.png", "a/2.png", "b/big.png"), "b/big.png")


def test_there_are_no_chains() -> None:
    whole = scene(11, 600, 450)
    inner, innermost = part(whole, 0.88), part(part(whole, 0.88), 0.88)
    album = Album({"a/1.png": whole, "a/2.png": inner, "a/3.png": innermost})
    assert album.groups() == dict.fromkeys(("a/1.png", "a/2.png"), "a/1.png")
    # Without the first, the other two are twins: it is the chain that is refused.
    rest = Album({"a/2.png": inner, "a/3.png": innermost})
    assert rest.groups() == dict.fromkeys(("a/2.png", "a/3.png"), "a/2.png")


def test_more_versions_than_a_photo_has_candidates() -> None:
    original = scene(13)
    count = 2 * NEAREST
    versions = {f"{k % 4}/v{k}.png": encoded(original, 50 + k) for k in range(count)}
    album = Album({**versions, "0/original.png": original.resize((220, 160))})
    assert album.groups() == dict.fromkeys(album.photos, "0/original.png")


def test_the_larger_file_represents_pictures_of_one_size() -> None:
    album = Album({"a/1.png": encoded(scene(1), 60), "a/2.png": scene(1), **others(2)})
    index = album.index
    assert named(index, find_twins(index, album.read))["a/1.png"] == "a/1.png"
    index.looks["bytes"][1] = 2000
    assert named(index, find_twins(index, album.read))["a/1.png"] == "a/2.png"


def test_names_are_composed() -> None:
    album = Album({"a/\u1109\u1162.png": scene(1), "a/힣.png": encoded(scene(1), 60)})
    assert set(album.groups().values()) == {"a/새.png"}


def alike(count: int, folder: str, seed: int) -> dict[str, Image.Image]:
    return {f"{folder}/{seed}-{k:02}.png": encoded(scene(seed), 60 + k) for k in range(count)}


def test_a_group_that_holds_much_of_a_class_is_told_but_not_merged() -> None:
    count = SMALL + 1
    album = Album(
        {**alike(count, "a", 21), **others(20), **others(3, "b"), "b/z.png": encoded(scene(21), 50)}
    )
    album = Album({**album.photos, "b/copy.png": album.photos["b/z.png"]})
    index = album.index
    found = find_twins(index, album.read)
    assert named(index, found) == dict.fromkeys(("b/copy.png", "b/z.png"), "b/copy.png")
    (large,) = found.large
    assert isinstance(large, Large)
    assert sorted(large.paths) == sorted(alike(count, "a", 21))
    assert (large.class_name, large.share) == ("a", count / (count + 20))


def test_small_groups_are_merged_in_tiny_classes() -> None:
    album = Album({**alike(SMALL, "a", 21), **others(2)})
    found = find_twins(album.index, album.read)
    assert len(named(album.index, found)) == SMALL
    assert found.large == ()


def test_large_groups_are_merged_in_huge_classes() -> None:
    count = SMALL + 1
    index = Album({**alike(count, "a", 21), **others(1)}).index
    # The others need no pixels: nothing is like them.
    rows = np.concatenate([np.arange(count), np.full(int(count / LARGE), count)])
    album = Album(alike(count, "a", 21))
    many = replace(
        index[rows],
        paths=tuple(f"a/{k}.png" for k in range(len(rows))),
        sha256=tuple(f"{k:064x}" for k in range(len(rows))),
    )
    many.looks["fingerprint"][count:] = 0
    found = find_twins(many, album.read)
    assert found.large == ()
    assert found.names[:count] == ("a/0.png",) * count


def test_unlabelled_photos_are_a_class_of_their_own() -> None:
    album = Album({**alike(SMALL + 1, "a", 21), **others(3)})
    index = replace(album.index, labels=np.full(len(album.photos), -1), classes=())
    (large,) = find_twins(index, album.read).large
    assert large.class_name == "(unlabelled)"


def test_pixels_are_read_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 16)
    album = Album(others(40))
    index = album.index
    index.looks["fingerprint"] = index.looks["fingerprint"][0]
    events: list[Event] = []
    assert find_twins(index, album.read, events.append).names == ("",) * 40
    assert len(album.asked) > 2
    assert all(len(set(rows)) == len(rows) <= 2 * 16 for rows in album.asked)
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.unit for step in (steps[0], steps[-1])] == ["photos", "pairs"]
    assert all(0 < step.done <= step.total for step in steps)


def test_crowds_have_few_candidates() -> None:
    rng = np.random.default_rng(2)
    one = rng.normal(size=FINGERPRINT)
    crowd = one / np.linalg.norm(one) + rng.normal(scale=0.001, size=(600, FINGERPRINT))
    pairs = near_pairs(np.rint(crowd * UNIT * 0.9).astype(np.int16))
    assert 600 / 2 <= len(pairs) <= 600 * NEAREST
    assert (pairs.first < pairs.second).all()


def many(photos: int) -> NDArray[np.int16]:
    """Fingerprints of photos that have nothing to do with each other."""
    made = np.random.default_rng(4).normal(size=(photos, FINGERPRINT)) * UNIT / 4
    return np.rint(np.clip(made, -UNIT, UNIT)).astype(np.int16)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_same_pairs_are_found_on_any_number_of_cores(monkeypatch, count):
    prints = np.concatenate([many(1500), many(1500)[::3]])
    monkeypatch.setattr(neighbours, "cores", lambda: count)
    pairs = near_pairs(prints)
    known = set(zip(range(0, 1500, 3), range(1500, 2000), strict=True))
    assert known <= set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    monkeypatch.undo()
    again = near_pairs(prints)
    assert [a.tolist() for a in (pairs.first, pairs.second)] == [
        b.tolist() for b in (again.first, again.second)
    ]


def test_a_search_that_is_interrupted_begins_nothing_more(monkeypatch):
    begun, nearest = [], neighbours._nearest

    def noted(asked, *more):
        begun.append(len(asked))
        return nearest(asked, *more)

    def interrupt(_event: Event) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(neighbours, "_nearest", noted)
    monkeypatch.setattr(neighbours, "cores", lambda: 2)
    with pytest.raises(KeyboardInterrupt):
        near_pairs(many(8000), interrupt)
    assert 0 < len(begun) < 8
