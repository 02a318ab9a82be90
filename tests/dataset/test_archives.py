"""Archives of class folders give what the same folders on disk give."""

from __future__ import annotations

import io
import os
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from sortograph.dataset.layouts import folder_listing
from sortograph.dataset.walk import File, below, look
from sortograph.errors import DataError

KINDS = pytest.mark.parametrize("kind", ["zip", "tar"])
PAIR = tuple(f"{name}/{number}.jpg" for name in ("cats", "dogs") for number in (1, 2, 3))


def pack(path: Path, names: Iterable[str], kind: str = "zip") -> Path:
    """An archive whose members hold their own names; names that end with a slash are folders."""
    path = path / f"photos.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "" if name.endswith("/") else name)
        return path
    with tarfile.open(path, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = 0 if member.isdir() else len(name.encode())
            tar.addfile(member, io.BytesIO(name.encode()))
    return path


def refusal(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        folder_listing(root)
    assert caught.value.where == str(root)
    assert caught.value.expected
    assert caught.value.fix
    return caught.value


@KINDS
@pytest.mark.parametrize(
    "names",
    [
        PAIR,
        (*PAIR, "cats/old/4.jpg", "loose.jpg", "readme.txt", "cats/._1.jpg", "__MACOSX/cats/._1.jpg"),
        tuple(f"{split}/{name}" for split in ("train", "val") for name in PAIR),
        tuple(f"rain{k}.jpg" for k in range(3)) + tuple(f"sun{k}.jpg" for k in range(12)),
        (*PAIR, "birds/"),
    ],
)
def test_an_archive_is_listed_like_the_folder(tmp_path: Path, kind: str, names: tuple[str, ...]) -> None:
    folder = tmp_path / "folder"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).mkdir() if name.endswith("/") else (folder / name).write_text(name)
    archive = pack(tmp_path, names, kind)
    assert folder_listing(archive, for_training=False) == folder_listing(folder, for_training=False)
    assert look(archive) == look(folder)
    assert below(archive, "cats" if "cats/1.jpg" in names else "") == below(
        folder, "cats" if "cats/1.jpg" in names else ""
    )


@KINDS
def test_a_folder_around_everything_is_the_root(tmp_path: Path, kind: str) -> None:
    names = [f"photos/{name}" for name in (*PAIR, "notes.txt")]
    listing = folder_listing(pack(tmp_path, [*names, "__MACOSX/photos/._1.jpg"], kind))
    assert listing.labels() == {"cats": 3, "dogs": 3}
    assert [entry.path for entry in listing.entries] == names[:6]
    assert listing.ignored == 2
    assert listing.notes == ("read from the folder 'photos', which holds all that is in the archive",)


def test_a_folder_around_split_folders_or_named_photos_is_the_root(tmp_path: Path) -> None:
    splits = folder_listing(
        pack(tmp_path, [f"set/{split}/{name}" for split in ("train", "test") for name in PAIR])
    )
    assert {entry.split for entry in splits.entries} == {"train", "test"}
    flat = folder_listing(
        pack(tmp_path, [f"set/{name}{k}.jpg" for name in ("rain", "sun") for k in range(3)])
    )
    assert flat.labels() == {"rain": 3, "sun": 3}


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (["cats/IMG_1.jpg", "cats/IMG_2.jpg"], "cats"),
        (["cats/alice.jpg", "cats/bob.jpg"], "cats"),
        (["cats/1.jpg", "cats/old/1.jpg"], "cats"),
    ],
)
def test_a_single_class_folder_is_no_wrapper(tmp_path: Path, names: list[str], label: str) -> None:
    assert set(folder_listing(pack(tmp_path, names), for_training=False).labels()) == {label}


def test_a_single_folder_on_disk_is_refused_as_before(tmp_path: Path) -> None:
    for name in PAIR:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_text(name)
    with pytest.raises(DataError, match="hold only sub-folders"):
        folder_listing(tmp_path)


@KINDS
def test_class_names_that_clash_are_refused_with_both_paths(tmp_path: Path, kind: str) -> None:
    names = [f"{folder}/{k}.jpg" for folder in ("set/Cats", "set/cats") for k in range(3)]
    assert "'set/Cats' and 'set/cats'" in refusal(pack(tmp_path, names, kind)).what
    nfc, nfd = (unicodedata.normalize(form, "고양이") for form in ("NFC", "NFD"))
    names = [f"set/{folder}/{k}.jpg" for folder in (nfc, nfd) for k in range(3)]
    what = refusal(pack(tmp_path, names, kind)).what
    assert ascii(f"set/{nfc}") in what
    assert ascii(f"set/{nfd}") in what


@KINDS
def test_unsafe_names_are_in_no_class_and_told(tmp_path: Path, kind: str) -> None:
    bad = ["../evil.jpg", "cats/../../evil.jpg", "/etc/evil.jpg", "C:/evil.jpg", "a/" * 70 + "evil.jpg"]
    listing = folder_listing(pack(tmp_path, [*PAIR, *bad], kind))
    assert [entry.path for entry in listing.entries] == list(PAIR)
    assert listing.ignored == len(bad)
    (note,) = listing.notes
    assert note.startswith("left out: 5 members with unsafe names: '../evil.jpg' (leads upwards), ")
    for reason in ("an absolute path", "names a drive", "folders deep"):
        assert reason in note


@pytest.mark.filterwarnings("ignore:Duplicate name")
@KINDS
def test_members_of_one_name_are_told(tmp_path: Path, kind: str) -> None:
    listing = folder_listing(pack(tmp_path, [*PAIR, "./cats/1.jpg", "cats/1.jpg"], kind))
    assert [entry.path for entry in listing.entries] == list(PAIR)
    assert listing.notes == ("replaced by later members of the same name: 2 members",)
    assert listing.ignored == 2


@KINDS
def test_members_that_are_left_out_keep_their_place(tmp_path: Path, kind: str) -> None:
    archive = pack(tmp_path, PAIR, kind)
    if kind == "zip":
        with zipfile.ZipFile(archive, "a") as file:
            info = zipfile.ZipInfo("cats/link.jpg")
            info.create_system, info.external_attr = 3, 0o120777 << 16
            file.writestr(info, "1.jpg")
    else:
        with tarfile.open(archive, "a") as tar:
            member = tarfile.TarInfo("cats/link.jpg")
            member.type, member.linkname = tarfile.SYMTYPE, "1.jpg"
            tar.addfile(member)
    assert look(archive, "cats").files[-1] == File(
        "cats/link.jpg", "a symbolic link, which is not followed in archives"
    )
    assert folder_listing(archive).entries[3].problem.startswith("a symbolic link")


@KINDS
def test_archives_without_photos_are_refused(tmp_path: Path, kind: str) -> None:
    for names in ([], ["cats/", "dogs/"], ["a.txt", "cats/b.txt"], ["__MACOSX/a.jpg"]):
        assert refusal(pack(tmp_path, names, kind)).what == "no photos"
    assert "class folders" in refusal(pack(tmp_path, ["IMG_1.jpg", "IMG_2.jpg"], kind)).what


@KINDS
def test_a_class_folder_with_only_sub_folders_names_no_path_inside(tmp_path: Path, kind: str) -> None:
    error = refusal(pack(tmp_path, ["cats/a/1.jpg", "cats/b/1.jpg", "dogs/"], kind))
    assert "'cats'" in error.what
    assert "photos." + kind not in error.fix


def test_a_folder_named_like_an_archive_is_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "photos.zip"
    for name in PAIR:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    assert folder_listing(root).labels() == {"cats": 3, "dogs": 3}
    assert look(pack(tmp_path, PAIR, "tar"), "nowhere").files == (
        File("nowhere", "no such folder in the archive"),
    )


@pytest.mark.skipif(os.name != "posix", reason="needs byte names")
def test_names_in_tar_files_that_are_no_utf8(tmp_path: Path) -> None:
    names = [name.replace("cats", "caf\udce9") for name in PAIR]
    path = tmp_path / "photos.tar"
    with tarfile.open(
        path, "w", encoding="utf-8", errors="surrogateescape", format=tarfile.GNU_FORMAT
    ) as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    assert "not valid UTF-8" in refusal(path).what
