"""A stop at any moment: what was begun can be gone on with, and undone exactly."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from itertools import count

import pytest

from sortograph import moving
from sortograph.errors import StorageError
from sortograph.moving import transfer
from sortograph.moving.journal import read_journal

NAMES = ("cat/1.png", "개/2.png")
THEN = ("undo", "apply undo", "undo apply undo")


@pytest.fixture(autouse=True)
def _without_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


@pytest.fixture(params=[1, 2])
def disks(request):
    if request.param == 2:
        request.getfixturevalue("far_away")


@pytest.fixture
def homes(tmp_path, fill, planned):
    """Endless fresh folders with photos and a plan for all of them."""

    def make():
        for number in count():
            home = tmp_path / str(number)
            fill(home / "photos", {name: name.encode() for name in NAMES})
            yield home, planned(home / "plan.json", home / "photos", NAMES)

    return make()


def nothing_is_lost(home):
    contents = {path.read_bytes() for path in home.rglob("*") if path.is_file()}
    return {name.encode() for name in NAMES} <= contents


def all_back(home, plan, then, before, tree):
    for verb in then.split():
        result = getattr(moving, verb)(plan)
        assert result.skipped == ()
        if verb == "apply":
            assert not set(NAMES) & set(tree(home / "photos"))
            assert set(NAMES) <= set(tree(home / "photos-quarantine"))
    assert tree(home / "photos") == before
    assert not (home / "photos-quarantine").exists()


@pytest.mark.parametrize("then", THEN)
def test_stopped_at_every_step_of_applying(homes, disks, stopped_at, killed, tree, then):
    for step, (home, plan) in enumerate(homes, 1):
        before = tree(home / "photos")
        try:
            with stopped_at(step):
                moving.apply(plan)
            break
        except killed:
            assert nothing_is_lost(home)
            all_back(home, plan, then, before, tree)
    assert step > 6


@pytest.mark.parametrize("then", THEN)
def test_stopped_at_every_step_of_undoing(homes, disks, stopped_at, killed, tree, then):
    for step, (home, plan) in enumerate(homes, 1):
        before = tree(home / "photos")
        moving.apply(plan)
        try:
            with stopped_at(step):
                moving.undo(plan)
            break
        except killed:
            assert nothing_is_lost(home)
            all_back(home, plan, then, before, tree)
    assert step > 6


def test_a_dry_run_tells_how_what_was_interrupted_would_go_on(homes, disks, stopped_at, killed):
    for step, (home, plan) in enumerate(homes, 1):
        try:
            with stopped_at(step):
                moving.apply(plan)
            break
        except killed:
            names = sorted(str(path) for path in home.rglob("*"))
            there, back = moving.apply(plan, dry_run=True), moving.undo(plan, dry_run=True)
            assert there.skipped == back.skipped == ()
            assert sorted(str(path) for path in home.rglob("*")) == names
            assert there.moved == moving.apply(plan).moved
    assert step > 6


@pytest.mark.skipif(os.name == "nt", reason="Windows renames in one step")
def test_a_photo_that_was_edited_between_its_two_names_stays(homes, killed, tree):
    home, plan = next(homes)
    real = os.unlink

    def stop(path, **options):
        if str(path).endswith("1.png"):
            raise killed
        real(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", stop)
        with pytest.raises(killed):
            moving.apply(plan)
    (home / "photos" / "cat" / "1.png").write_bytes(b"edited")
    moved = moving.apply(plan)
    assert [photo.path for photo in moved.skipped] == ["cat/1.png"]
    assert (home / "photos" / "cat" / "1.png").read_bytes() == b"edited"
    assert not (home / "photos-quarantine" / "cat" / "1.png").exists()


@pytest.mark.parametrize("failing", [1, 2, 3, 4, 5, 6])
def test_a_full_disk(homes, disks, tree, monkeypatch, failing):
    """Whichever write to the disk fails: told in words, nothing lost, all can be gone on with."""
    home, plan = next(homes)
    before, calls = tree(home / "photos"), 0

    def full(real):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls >= failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full(os.fsync))
        patch.setattr(os, "mkdir", full(os.mkdir))
        patch.setattr(shutil, "copyfileobj", full(shutil.copyfileobj))
        with pytest.raises(StorageError) as caught:
            moving.apply(plan)
    assert "the disk is full" in str(caught.value)
    assert "sortograph quarantine apply" in caught.value.fix
    assert nothing_is_lost(home)
    all_back(home, plan, "apply undo", before, tree)


def test_read_only_folders(homes, tree):
    home, plan = next(homes)
    before, folder = tree(home / "photos"), home / "photos" / "개"
    folder.chmod(0o500)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(StorageError, match="no permission"):
            moving.apply(plan)
    finally:
        folder.chmod(0o700)
    assert nothing_is_lost(home)
    assert (folder / "2.png").read_bytes() == "개/2.png".encode()
    all_back(home, plan, "undo", before, tree)


@pytest.mark.skipif(os.name == "nt", reason="Windows renames in one step")
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_photo_that_may_not_be_taken_away(homes, tree, number):
    home, plan = next(homes)
    before, real = tree(home / "photos"), os.unlink

    def unlink(path, **options):
        if "photos-quarantine" not in str(path) and str(path).endswith(".png"):
            raise OSError(number, os.strerror(number), str(path))
        real(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        with pytest.raises(StorageError) as caught:
            moving.apply(plan)
    assert caught.value.where.endswith("1.png")
    assert tree(home / "photos") == before
    all_back(home, plan, "undo", before, tree)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal of POSIX")
@pytest.mark.parametrize("acts", [3, 4])
def test_a_process_that_is_really_killed(homes, tree, acts):
    """The child stops before its `acts`-th link or removal, and waits there to be killed."""
    home, plan = next(homes)
    before = tree(home / "photos")
    code = f"""
import os, sys, time
from pathlib import Path
from sortograph import moving
acts = 0
def slow(real):
    def act(*arguments, **options):
        global acts
        acts += 1
        if acts == {acts}:
            print("now", flush=True)
            time.sleep(60)
        return real(*arguments, **options)
    return act
os.link, os.unlink = slow(os.link), slow(os.unlink)
moving.apply(Path(sys.argv[1]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(plan)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "now\n"
        child.kill()
    assert child.returncode == -signal.SIGKILL
    acts_written = [line["act"] for line in read_journal(plan.with_name("plan.json.journal.jsonl"))]
    assert acts_written.count("moving") == 2
    assert acts_written.count("moved") == 1
    assert nothing_is_lost(home)
    all_back(home, plan, "undo", before, tree)


def test_half_a_copy_that_was_left_behind_is_replaced(homes, far_away, tree):
    home, plan = next(homes)
    before = tree(home / "photos")
    target = home / "photos-quarantine" / "cat" / "1.png"
    target.parent.mkdir(parents=True)
    transfer.half_of(target).write_bytes(b"half")
    assert moving.apply(plan).moved == NAMES
    assert [path.name for path in target.parent.iterdir()] == ["1.png"]
    moving.undo(plan)
    assert tree(home / "photos") == before
