from __future__ import annotations

import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from painted import picture, png
from sortograph.classify import Names, find_photos
from sortograph.errors import DataError
from sortograph.records import Said


def test_find_photos_takes_files_as_given_and_folders_in_order(folder):
    other = folder.parent / "a.dat"
    other.write_bytes(b"")
    (folder / "notes.txt").write_text("")
    names = [path.name for path in find_photos([str(other), folder, folder / "3.png"])]
    assert names == ["a.dat", *(f"{k}.png" for k in range(12)), "3.png"]


def test_find_photos_lists_all_that_is_missing(folder):
    with pytest.raises(DataError) as caught:
        find_photos([folder, "nowhere.jpg", folder / "0.png", "x" * 5000, "nul\0.jpg"])
    assert caught.value.what == "3 names do not exist"
    assert "nowhere.jpg" in caught.value.where


def test_find_photos_says_when_there_are_none(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match="no photos"):
        list(find_photos([tmp_path]))
    assert list(find_photos([])) == []


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_find_photos_reads_names_from_standard_input(folder, monkeypatch, end):
    names = [folder / "2.png", folder / "1.png"]
    data = b"".join(bytes(name) + end for name in names)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert list(find_photos(["-"])) == names


def test_names_on_standard_input_may_be_wrong(classifier, folder, monkeypatch):
    names = [b"nowhere.jpg", bytes(folder / "1.png"), b"x" * 5000, bytes(folder)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(names))))
    gone, good, too_long, *rest = classifier.predict_many(find_photos(["-"]))
    assert (gone.path, gone.label, gone.error) == ("nowhere.jpg", None, "no such file")
    assert good.error is None
    assert "name too long" in too_long.error
    assert len(rest) == 12


def test_names_are_checked_before_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match=r"no such file or folder: nowhere\.jpg"):
        find_photos(["-", "nowhere.jpg"])


def test_long_lists_of_missing_names_are_cut():
    with pytest.raises(DataError) as caught:
        find_photos(f"gone-{k}.jpg" for k in range(20_000))
    assert caught.value.what == "20000 names do not exist"
    assert caught.value.where.endswith("gone-9.jpg and 19990 more")


def test_what_is_left_out_of_folders_is_counted(folder):
    (folder / "notes.txt").write_text("")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "1.png").write_bytes(b"")
    told = []
    assert len(list(find_photos([folder, folder / "notes.txt"], progress=told.append))) == 13
    assert told == [Said("2 other files were left out: hidden, linked, or not a photo")]
    told.clear()
    list(find_photos([folder / "notes.txt"], progress=told.append))
    assert told == []


def test_what_is_left_out_is_told_before_there_is_nothing(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    told = []
    with pytest.raises(DataError, match="no photos"):
        list(find_photos([tmp_path], progress=told.append))
    assert told == [Said("1 other file was left out: hidden, linked, or not a photo")]


def test_an_empty_list_on_standard_input_is_no_mistake(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert list(find_photos(["-"])) == []


class Trickle(io.BytesIO):
    """Gives a few bytes at a time, and remembers how many were taken."""

    def read1(self, size=-1):
        return self.read(min(size, 7))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_names_are_taken_from_standard_input_as_they_are_needed(monkeypatch, end):
    stream = Trickle(b"".join(b"photo-%d.png" % k + end for k in range(1000)))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
    names = find_photos(["-"])
    first = [str(next(names)) for _ in range(10)]
    assert first == [f"photo-{k}.png" for k in range(10)]
    assert stream.tell() < 300
    assert [str(name) for name in names] == [f"photo-{k}.png" for k in range(10, 1000)]


@pytest.mark.skipif(sys.platform == "win32", reason="nothing tells there whether a pipe has more")
def test_names_pause_while_nothing_is_there_to_be_read():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as other:
        names = Names(stream)
        assert not names.idle()  # nobody reads them yet
        found = iter(names)
        other.write(b"a.png\nb.png\nc.p")
        assert [str(next(found)), names.idle()] == ["a.png", False]
        assert [str(next(found)), names.idle()] == ["b.png", True]
        other.write(b"ng\n")
        assert not names.idle()
        assert [str(next(found)), names.idle()] == ["c.png", True]
        other.close()
        assert not names.idle()
        assert list(found) == []
        assert not names.idle()


@pytest.mark.skipif(sys.platform == "win32", reason="nothing tells there whether a pipe has more")
def test_within_a_folder_that_was_named_nothing_pauses(folder):
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as other:
        names = Names(stream)
        other.write(f"{folder / '3.png'}\n{folder}\n{folder / '1.png'}\n".encode())
        photos = find_photos(["-"], names=names)
        count = len(list(find_photos([folder])))
        seen = [(next(photos).name, names.idle()) for _ in range(count + 2)]
        assert count > 2
        assert [pauses for _, pauses in seen] == [False] * (count + 1) + [True]
        other.write(f"{folder}\n".encode())
        assert [(next(photos), names.idle())[1] for _ in range(count)] == [False] * (count - 1) + [True]


def test_nobody_asks_for_a_standard_input_that_is_not_named(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("no bytes"))
    names = Names()
    assert len(list(find_photos([folder], names=names))) > 2
    assert not names.idle()


def test_names_in_memory_never_pause():
    names = Names(io.BytesIO(b"a.png\nb.png"))
    assert [(str(name), names.idle()) for name in names] == [("a.png", False), ("b.png", False)]


def test_names_between_zero_bytes_may_hold_line_ends(monkeypatch):
    data = b"a\nb.png\0c\r\0d.png"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert [str(path) for path in find_photos(["-"])] == ["a\nb.png", "c\r", "d.png"]


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "p/1.png",
        "p/2.jpg",
        "p/10.jpg",
        "p/q/3.jpg",
        "p/q/.hidden.jpg",
        "p/.dark/4.jpg",
        "p/notes.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("p/*.jpg", ["p/2.jpg", "p/10.jpg"]),
        ("p/?.*", ["p/1.png", "p/2.jpg"]),
        ("p/[12].*", ["p/1.png", "p/2.jpg"]),
        ("**/*.jpg", ["p/2.jpg", "p/10.jpg", "p/q/3.jpg"]),
        ("**/**/*.jpg", ["p/2.jpg", "p/10.jpg", "p/q/3.jpg"]),
        ("p/**/3.jpg", ["p/q/3.jpg"]),
        ("**/*", ["p/1.png", "p/2.jpg", "p/10.jpg", "p/notes.txt", "p/q/3.jpg"]),
        ("p/**", ["p/1.png", "p/2.jpg", "p/10.jpg", "p/q/3.jpg"]),
        ("p/q*", ["p/q/3.jpg"]),
        ("*/q/*", ["p/q/3.jpg"]),
        ("p/.d*/*", ["p/.dark/4.jpg"]),
        ("p/*.txt", ["p/notes.txt"]),
    ],
)
def test_patterns_that_no_shell_has_filled_in(tree, pattern, found):
    assert [path.as_posix() for path in find_photos([pattern])] == found
    absolute = [path.as_posix() for path in find_photos([str(tree / pattern)])]
    assert absolute == [(tree / name).as_posix() for name in found]


def test_a_pattern_that_fits_nothing_does_not_exist(tree):
    with pytest.raises(DataError, match=r"no such file or folder: p/\*\.gif"):
        find_photos(["p/*.gif", "p"])


def test_a_file_may_be_named_like_a_pattern(tree):
    (tree / "p" / "[1].png").write_bytes(b"")
    assert [path.name for path in find_photos(["p/[1].png"])] == ["[1].png"]


def test_no_link_is_followed_round_in_circles(tree):
    (tree / "p" / "q" / "again").symlink_to(tree / "p", target_is_directory=True)
    assert [path.as_posix() for path in find_photos(["p/**/3.jpg"])] == ["p/q/3.jpg"]


MEMBERS = {"b/2.png": 2, "a/10.png": 10, "a/9.png": 9, "1.png": 1, "__MACOSX/x.png": 3, "notes.txt": 4}


@pytest.fixture(params=["zip", "tar"])
def archive(request, tmp_path) -> Path:
    path = tmp_path / f"photos.{request.param}"
    contents = {name: png(picture(seed)) for name, seed in MEMBERS.items()}
    if request.param == "zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, data in contents.items():
                file.writestr(name, data)
    else:
        with tarfile.open(path, "w") as file:
            for name, data in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                file.addfile(member, io.BytesIO(data))
    return path


def test_photos_in_archives(archive, classifier):
    told = []
    found = list(find_photos([archive], progress=told.append))
    assert [path.relative_to(archive).as_posix() for path in found] == [
        "1.png",
        "a/9.png",
        "a/10.png",
        "b/2.png",
    ]
    assert told == [Said("2 other files were left out: hidden, linked, or not a photo")]
    answers = list(classifier.predict_many(found))
    assert [answer.path for answer in answers] == [str(path) for path in found]
    for answer, seed in zip(answers, (1, 9, 10, 2), strict=True):
        assert answer.probability == pytest.approx(classifier.predict(picture(seed)).probability, abs=1e-6)


def test_one_photo_of_an_archive(archive, classifier):
    (path,) = find_photos([archive / "a" / "9.png"])
    assert classifier.predict(path).top_k == classifier.predict(picture(9)).top_k
    gone = classifier.predict(archive / "a" / "7.png")
    assert gone.error == "no such member in the archive"


def test_an_archive_that_cannot_be_opened_is_told_at_once(tmp_path, folder):
    (tmp_path / "bad.zip").write_bytes(b"no archive")
    (tmp_path / "packed.tar.gz").write_bytes(b"\x1f\x8b")
    for name in ("bad.zip", "packed.tar.gz"):
        with pytest.raises(DataError, match=name):
            find_photos([folder, tmp_path / name])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has none of these")
def test_links_pipes_and_sockets_cost_an_answer_each(classifier, folder, tmp_path):
    os.mkfifo(folder / "a.jpg")
    (folder / "b.jpg").symlink_to(tmp_path / "nowhere")
    (folder / "c.jpg").symlink_to(folder / "c.jpg")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    answers = {Path(each.path).name: each for each in classifier.predict_many(find_photos([folder]))}
    assert len(answers) == 15
    assert "not a regular file" in answers["a.jpg"].error
    assert answers["b.jpg"].error == "a link to nothing"
    assert "cannot be opened" in answers["c.jpg"].error


def test_photos_that_vanish_or_change_meanwhile_cost_an_answer_each(classifier, folder):
    answers = []
    for answer in classifier.predict_many(find_photos([folder]), threads=1, batch_size=1):
        if not answers:
            (folder / "10.png").unlink()
            (folder / "11.png").write_bytes(b"no photo any more")
        answers.append(answer)
    assert [Path(each.path).name for each in answers if each.error] == ["5.png", "10.png", "11.png"]


def test_spellings_of_names_are_kept(classifier, tmp_path):
    names = ["강.png", "\u1100\u1161\u11bc.png", "-x.png", "🐈.png", "a" * 251 + ".png"]
    for seed, name in enumerate(names):
        (tmp_path / name).write_bytes(png(picture(seed)))
    found = list(classifier.predict_many(find_photos([tmp_path])))
    assert sorted(Path(each.path).name for each in found) == sorted(
        path.name for path in tmp_path.glob("*.png")
    )
    assert all(each.error is None for each in found)


@pytest.mark.parametrize("isolate", [False, True])
def test_what_cannot_be_opened_among_many_costs_its_own_answer(classifier, folder, monkeypatch, isolate):
    """A packed backup, a damaged archive, a photo named in one, names that no system takes."""
    photo = str(next(path for path in find_photos([folder]) if path.suffix == ".png"))
    broken, backup = folder / "broken.zip", folder / "backup.tar.gz"
    broken.write_bytes(b"PK no archive")
    backup.write_bytes(b"\x1f\x8b")
    names = [str(backup), str(broken), f"{broken}/cat/1.jpg", f"{'x' * 5000}.zip", photo]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(names).encode())))
    answers = list(classifier.predict_many(find_photos(["-"]), isolate=isolate))
    assert [answer.path for answer in answers] == names
    assert [answer.error is None for answer in answers] == [False, False, False, False, True]


def test_one_archive_alone_that_cannot_be_opened_is_told(tmp_path):
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK no archive")
    with pytest.raises(DataError):
        list(find_photos([broken]))
