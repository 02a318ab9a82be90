from __future__ import annotations

import errno
import hashlib
import os
import shutil
from itertools import islice
from pathlib import Path

import pytest

from sortograph.errors import PhotoError, StorageError
from sortograph.moving import transfer
from sortograph.moving.transfer import (
    copy_new,
    is_alias,
    is_one,
    is_twice,
    leads_to,
    move_new,
    numbered,
    put_new,
    settle,
    take_away,
)

SHA = hashlib.sha256(b"content").hexdigest()


@pytest.fixture
def ends(tmp_path):
    source, target = tmp_path / "photos" / "a", tmp_path / "quarantine" / "b"
    for place in (source, target):
        place.parent.mkdir()
    source.write_bytes(b"content")
    os.utime(source, ns=(10**18, 10**18 + 123_456_700))
    source.chmod(0o440)
    return source, target


@pytest.fixture(params=["one disk", "two disks", "no links"])
def way(request, monkeypatch):
    if request.param == "two disks":
        request.getfixturevalue("far_away")
    if request.param == "no links":
        monkeypatch.setattr(os, "link", refusing(errno.EPERM))


def refusing(number):
    def act(source, *_more, **_options):
        raise OSError(number, os.strerror(number), str(source))

    return act


def test_content_time_and_permissions_go_along(ends, way):
    source, target = ends
    before = source.stat()
    move_new(source, target, SHA)
    after = target.stat()
    assert target.read_bytes() == b"content"
    assert (after.st_mtime_ns, after.st_mode) == (before.st_mtime_ns, before.st_mode)
    assert [path.name for path in (source.parent.parent).rglob("*") if path.is_file()] == ["b"]


def test_what_is_there_is_never_written_over(ends, way):
    source, target = ends
    target.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        move_new(source, target, SHA)
    assert (source.read_bytes(), target.read_bytes()) == (b"content", b"other")


def test_a_link_in_the_way_is_not_followed(ends, way, tmp_path):
    source, target = ends
    try:
        target.symlink_to(tmp_path / "nowhere")
    except OSError:
        pytest.skip("links need rights here")
    with pytest.raises(FileExistsError):
        move_new(source, target, SHA)
    assert target.is_symlink()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows renames in one step")
@pytest.mark.parametrize("disks", [1, 2])
def test_a_source_that_cannot_be_removed_stays_alone(ends, disks, monkeypatch, request):
    source, target = ends
    if disks == 2:
        request.getfixturevalue("far_away")
    real = os.unlink

    def unlink(path, **options):
        if os.fspath(path) == os.fspath(source):
            raise PermissionError(errno.EACCES, "denied", str(source))
        real(path, **options)

    monkeypatch.setattr(os, "unlink", unlink)
    with pytest.raises(PermissionError):
        move_new(source, target, SHA)
    assert source.read_bytes() == b"content"
    assert not any(target.parent.iterdir())


@pytest.mark.parametrize(("module", "failing"), [(shutil, "copyfileobj"), (os, "utime"), (os, "chmod")])
def test_a_copy_that_fails_leaves_nothing_behind(ends, far_away, monkeypatch, module, failing):
    source, target = ends
    monkeypatch.setattr(module, failing, refusing(errno.ENOSPC))
    with pytest.raises(OSError, match="space"):
        move_new(source, target, SHA)
    assert source.read_bytes() == b"content"
    assert not any(target.parent.iterdir())


def test_a_copy_that_differs_is_not_used(ends, far_away, monkeypatch):
    source, target = ends
    monkeypatch.setattr(shutil, "copyfileobj", lambda old, new, _length: new.write(b"contemt"))
    with pytest.raises(PhotoError, match="while it was copied"):
        move_new(source, target, SHA)
    assert source.read_bytes() == b"content"
    assert not any(target.parent.iterdir())


def test_a_source_that_changes_during_the_copy_is_kept(ends, far_away, monkeypatch):
    source, target = ends
    real = shutil.copyfileobj

    def copy(old, new, length):
        real(old, new, length)
        source.chmod(0o600)
        source.write_bytes(b"edited!")

    monkeypatch.setattr(shutil, "copyfileobj", copy)
    with pytest.raises(PhotoError, match="while it was copied"):
        move_new(source, target, SHA)
    assert source.read_bytes() == b"edited!"
    assert not any(target.parent.iterdir())


def test_a_file_that_appears_during_the_copy_is_kept(ends, far_away, monkeypatch):
    source, target = ends
    real = os.chmod

    def chmod(*arguments, **options):
        real(*arguments, **options)
        monkeypatch.setattr(os, "chmod", real)
        target.write_bytes(b"other")

    monkeypatch.setattr(os, "chmod", chmod)
    with pytest.raises(FileExistsError):
        move_new(source, target, SHA)
    assert (source.read_bytes(), target.read_bytes()) == (b"content", b"other")
    assert [path.name for path in target.parent.iterdir()] == ["b"]


@pytest.mark.skipif(os.name == "nt", reason="Windows renames in one step")
def test_a_file_that_another_program_takes_away_meanwhile_is_not_lost(ends, monkeypatch):
    source, target = ends
    real = os.link

    def link(*arguments, **options):
        real(*arguments, **options)
        source.unlink()

    monkeypatch.setattr(os, "link", link)
    move_new(source, target, SHA)
    assert target.read_bytes() == b"content"


def test_settling(ends):
    source, target = ends
    assert not settle(source, target, SHA)  # not begun
    assert settle(target, source, SHA)
    target.write_bytes(b"content")  # copied, and not yet removed
    assert settle(source, target, SHA)
    assert not source.exists()
    assert settle(source, target, SHA)
    source.write_bytes(b"another")
    assert not settle(source, target, SHA)
    assert (source.read_bytes(), target.read_bytes()) == (b"another", b"content")


def test_settling_one_file_with_two_names(ends):
    source, target = ends
    target.hardlink_to(source)
    assert settle(target, source, "0" * 64)  # whatever was written into it meanwhile
    assert not target.exists()
    assert source.read_bytes() == b"content"


def test_settling_removes_half_a_copy(ends):
    source, target = ends
    transfer.half_of(target).write_bytes(b"con")
    assert not settle(source, target, SHA)
    assert not any(target.parent.iterdir())


@pytest.mark.parametrize(
    "name", ["가" * 83 + ".png", "a" * 255, "a" * 251 + ".png", "a." + "b" * 250, ".png"]
)
def test_numbered_names_fit_and_differ(name):
    names = list(islice(numbered(f"cat/{name}"), 12))
    assert len(set(names)) == 12
    assert names[0] == f"cat/{name}"
    assert all(len(os.fsencode(each.removeprefix("cat/"))) <= 255 for each in names)
    assert next(islice(numbered("1.png"), 1, None)) == "1-2.png"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no call for it")
@pytest.mark.parametrize("disks", [1, 2])
def test_the_new_name_is_on_the_disk_before_the_old_one_goes(ends, disks, monkeypatch, request):
    source, target = ends
    if disks == 2:
        request.getfixturevalue("far_away")
    seen = []
    monkeypatch.setattr(
        transfer, "sync_folder", lambda folder: seen.append((folder, target.exists(), source.exists()))
    )
    move_new(source, target, SHA)
    assert (target.parent, True, True) in seen
    assert seen[-1] == (source.parent, True, False)


def test_a_copy_leaves_the_source(ends):
    source, target = ends
    before = source.stat()
    copy_new(source, target, SHA)
    assert (source.read_bytes(), target.read_bytes()) == (b"content", b"content")
    assert (target.stat().st_mtime_ns, target.stat().st_mode) == (before.st_mtime_ns, before.st_mode)
    assert [path.name for path in target.parent.iterdir()] == ["b"]
    with pytest.raises(FileExistsError):
        copy_new(source, target, SHA)
    assert [path.name for path in target.parent.iterdir()] == ["b"]


@pytest.mark.skipif(os.name == "nt", reason="Windows renames in one step")
@pytest.mark.parametrize("disks", [1, 2])
@pytest.mark.parametrize("how", ["written to", "replaced"])
def test_between_its_halves_a_move_can_still_be_given_up(ends, disks, how, tmp_path, request):
    """A source that someone changes after it was put in place stays, and stays alone."""
    source, target = ends
    if disks == 2:
        request.getfixturevalue("far_away")
    facts = put_new(source, target, SHA)
    assert (source.read_bytes(), target.read_bytes()) == (b"content", b"content")
    if how == "replaced":
        (tmp_path / "new").write_bytes(b"changed")
        (tmp_path / "new").replace(source)
    else:
        source.chmod(0o600)
        source.write_bytes(b"changed")
    with pytest.raises(PhotoError, match="while it was moved"):
        take_away(source, target, facts)
    assert source.read_bytes() == b"changed"
    assert not target.exists()


def test_a_copy_takes_nothing_along_that_may_forbid_to_rename_it(ends, monkeypatch):
    """Flags of macOS and labels of SELinux, which copystat copies."""
    source, target = ends
    monkeypatch.setattr(shutil, "copystat", refusing(errno.EPERM))
    copy_new(source, target, SHA)
    assert target.read_bytes() == b"content"


@pytest.mark.parametrize("names", [1, 2])
def test_one_name_that_is_reached_by_two_ways_is_never_removed(ends, tmp_path, names):
    source, _ = ends
    if names == 2:
        (tmp_path / "third").hardlink_to(source)
    try:
        (tmp_path / "link").symlink_to(source.parent)
    except OSError:
        pytest.skip("links need rights here")
    again = tmp_path / "link" / source.name
    assert (is_one(source, again), is_alias(source, again)) == (False, True)
    assert not is_twice(source, again, SHA)
    for one, other in [(source, again), (again, source)]:
        assert not settle(one, other, SHA)
    assert source.read_bytes() == b"content"


def test_half_a_copy_that_cannot_be_removed_is_told(ends, monkeypatch):
    source, target = ends
    transfer.half_of(target).write_bytes(b"con")
    monkeypatch.setattr(os, "unlink", refusing(errno.EPERM))
    for work in (copy_new, settle):
        with pytest.raises(StorageError, match="half a copy") as caught:
            work(source, target, SHA)
        assert caught.value.where == str(transfer.half_of(target))
        assert "by hand" in caught.value.fix


def test_a_link_is_compared_without_the_mark_of_windows(ends, monkeypatch):
    source, target = ends
    monkeypatch.setattr(Path, "is_symlink", lambda _path: True)
    monkeypatch.setattr(Path, "readlink", lambda _path: Path("\\\\?\\" + str(source)))
    assert leads_to(target, source)
    assert not leads_to(target, target)
