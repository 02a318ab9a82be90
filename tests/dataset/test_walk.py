"""What is found in folders with links, and in what order."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sortograph.dataset.layouts import folder_listing
from sortograph.dataset.walk import File, below, look

Make = Callable[..., None]
posix = pytest.mark.skipif(os.name != "posix", reason="needs links")


def paths(files: tuple[File, ...]) -> list[str]:
    return [file.path for file in files]


def link(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target, target_is_directory=target.is_dir())


def test_one_level(tmp_path: Path, photo: Make) -> None:
    for name in ("a/10.png", "a/9.PNG", "a/b/1.png", "a/.hidden.png", "a/c.txt", "a/png", "a/Thumbs.db"):
        photo(name)
    level = look(tmp_path, "a")
    assert paths(level.files) == ["a/9.PNG", "a/10.png"]
    assert (level.folders, level.ignored, level.links) == (("a/b",), 4, ())
    assert look(tmp_path).folders == ("a",)


def test_everything_below(tmp_path: Path, photo: Make) -> None:
    for name in ("a/1.png", "a/b/c/2.png", "a/b/x.txt", "a/.git/3.png", "other/4.png"):
        photo(name)
    level = below(tmp_path, "a")
    assert (paths(level.files), level.folders, level.ignored) == (["a/1.png", "a/b/c/2.png"], (), 2)


def test_a_folder_that_cannot_be_opened_is_a_problem(tmp_path: Path, photo: Make) -> None:
    photo("a/1.png")
    (file,) = look(tmp_path, "gone").files
    assert file.path == "gone"
    assert "cannot be opened" in file.problem


@posix
def test_links_are_followed_only_when_asked_for(tmp_path: Path, photo: Make, photos: Make) -> None:
    photos("data/cats", 1)
    photos("far/more", 2)
    secret = photo("far/secret.png")
    root = tmp_path / "data"
    link(root / "cats/more", tmp_path / "far/more")
    link(root / "cats/out.png", secret)
    link(root / "cats/nothing.png", root / "nowhere.png")
    shy = below(root, "cats")
    assert shy.links == ("cats/more",)
    assert shy.files == (
        File("cats/1.png"),
        File("cats/nothing.png", "a link to nothing"),
        File("cats/out.png", "a link out of the folder"),
    )
    bold = below(root, "cats", follow_links=True)
    assert bold.links == ()
    assert paths(bold.files) == [
        "cats/1.png", "cats/nothing.png", "cats/out.png", "cats/more/1.png", "cats/more/2.png",
    ]  # fmt: skip
    assert [file.problem for file in bold.files if file.problem] == ["a link to nothing"]


@posix
def test_a_loop_of_links_ends(tmp_path: Path, photos: Make) -> None:
    photos("data/cats/old", 1)
    photos("data/dogs", 1)
    root = tmp_path / "data"
    link(root / "cats/old/up", root / "cats")
    link(root / "cats/top", root)
    link(root / "dogs/outside", tmp_path)
    cats = below(root, "cats", follow_links=True)
    assert (paths(cats.files), set(cats.links)) == (["cats/old/1.png"], {"cats/top", "cats/old/up"})
    # Beyond the link lies the root itself, which is no link there.
    dogs = below(root, "dogs", follow_links=True)
    assert (paths(dogs.files), dogs.links) == (["dogs/1.png"], ("dogs/outside/data",))


@posix
def test_a_folder_that_many_links_lead_to_is_entered_once(tmp_path: Path, photos: Make) -> None:
    names = [f"f{k:02d}" for k in range(12)]
    for name in names:
        photos(f"cats/{name}", 1)
        for other in names:
            if other != name:
                link(tmp_path / "cats" / name / other, tmp_path / "cats" / other)
    level = below(tmp_path, "cats", follow_links=True)
    assert len(level.files) == 12
    assert len({(tmp_path / file.path).resolve() for file in level.files}) == 12


@posix
def test_linked_class_folders_are_classes_when_links_are_followed(tmp_path: Path, photos: Make) -> None:
    photos("far/cats", 3)
    photos("far/dogs", 3)
    root = tmp_path / "data"
    link(root / "cats", tmp_path / "far/cats")
    link(root / "dogs", tmp_path / "far/dogs")
    listing = folder_listing(root, follow_links=True)
    assert listing.labels() == {"cats": 3, "dogs": 3}
    assert (listing.links, listing.notes) == (0, ())
