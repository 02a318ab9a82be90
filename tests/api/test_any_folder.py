"""Folders as users have them: over a thousand broken photos, hostile names, archives; through every verb."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tarfile
import unicodedata
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

import sortograph
from sortograph.api.auditing import Audited

SHARED = Path(os.environ.get("SORTOGRAPH_SHARED", Path(__file__).parents[3] / "shared/data"))
BAD = SHARED / "bad-images.tar.gz"
needs_bad = pytest.mark.skipif(not BAD.is_file(), reason="the shared photo sets are not here")


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Path:
    """Every file of the bad set, named .jpg whatever it is, half of them in each of two classes."""
    place = tmp_path_factory.mktemp("bad")
    with tarfile.open(BAD) as archive:
        files = [m for m in archive if m.isfile() and not m.name.endswith(("manifest.csv", ".json"))]
        for number, member in enumerate(files):
            folder = place / "photos" / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            source = archive.extractfile(member)
            assert source is not None
            (folder / f"{number}.jpg").write_bytes(source.read())
    return place / "photos"


@needs_bad
def test_every_broken_photo_is_used_or_refused_by_every_verb(broken, train, bare, tmp_path, watch):
    watch(broken)
    count = len(list(broken.rglob("*.jpg")))
    index = sortograph.index(broken)
    used, refused = set(index.paths), {bad.path for bad in index.rejected}
    assert count > 1100
    assert len(used) > 540
    assert len(used) + len(refused) == count
    found = sortograph.audit(broken, page=tmp_path / "page.html")
    assert {path for f in found.result.of("unreadable") for path in f.photos} == refused
    run = train(broken, tmp_path / "run")
    assert sum(result.n for result in run.evaluation.values()) == len(used)
    answers = list(sortograph.predict(run.bundle, broken))
    assert len(answers) == count
    assert sum(answer.error is None for answer in answers) == len(used)


def names() -> list[str]:
    """Naughty strings that a file system takes for a name, no two of them alike to a person."""
    with tarfile.open(BAD) as archive:
        (member,) = [m for m in archive if m.isfile() and "/blns/" in m.name]
        source = archive.extractfile(member)
        assert source is not None
        strings = json.load(io.TextIOWrapper(source, encoding="utf-8"))
    kept: dict[str, str] = {}
    for text in strings:
        usable = text.strip() and not {"/", "\0"} & set(text) and len(text.encode()) <= 255
        if usable and not text.startswith(".") and text == text.strip():
            kept.setdefault(unicodedata.normalize("NFC", text).casefold(), unicodedata.normalize("NFC", text))
    return [text for text in kept.values() if _is_text(text)]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class Tags(HTMLParser):
    """All tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


@needs_bad
@pytest.mark.skipif(os.name == "nt", reason="Windows forbids most of these names")
def test_naughty_strings_are_class_names_like_any_other(photos, tmp_path):
    """D1, D9: they are told as they are, and run nowhere: not in a spreadsheet, not in a page."""
    samples = sorted((photos / "red").iterdir())[:3]
    naughty = names()
    assert len(naughty) > 250
    for name in naughty:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for sample in samples:
            shutil.copy(sample, tmp_path / "photos" / name)
    index = sortograph.index(tmp_path / "photos")
    assert set(index.classes) == set(naughty)
    found = sortograph.audit(tmp_path / "photos", page=tmp_path / "page.html")
    page = Tags()
    page.feed((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "img" in page.names
    assert not {"script", "iframe", "svg", "object", "embed"} & page.names
    assert not {name for name, _ in page.attributes if name.startswith("on")}
    assert all(value.startswith(("data:", "#")) for name, value in page.attributes if name in ("src", "href"))
    json.dumps(found.to_json()).encode()
    frame = index.to_pandas()
    assert set(frame["class_name"]) == set(naughty)


@pytest.fixture(params=["zip", "tar", "wrapped.zip"])
def archive(request, photos, tmp_path) -> Path:
    """The same photos as a .zip, a .tar, and a .zip with one folder around everything."""
    place = tmp_path / f"colours.{request.param}"
    base = "colours/" if request.param.startswith("wrapped") else ""
    files = sorted(path for path in photos.rglob("*") if path.is_file())
    if place.suffix == ".tar":
        with tarfile.open(place, "w") as made:
            for path in files:
                made.add(path, base + path.relative_to(photos).as_posix())
    else:
        with zipfile.ZipFile(place, "w") as made:
            for path in files:
                made.write(path, base + path.relative_to(photos).as_posix())
    return place


def test_an_archive_is_as_good_as_its_folder(archive, photos, train, bare, tmp_path):
    before = archive.read_bytes()
    there, here = sortograph.index(photos), sortograph.index(archive)
    assert [path.removeprefix("colours/") for path in here.paths] == list(there.paths)
    assert (here.sha256, here.classes) == (there.sha256, there.classes)
    run = train(archive, tmp_path / "run")
    assert sum(result.n for result in run.evaluation.values()) == 30
    told = sortograph.evaluate(run.folder, archive)
    assert told.evaluation["test"].n == run.evaluation["test"].n
    assert sortograph.report(run.folder, photos=archive).is_file()
    assert isinstance(sortograph.audit(archive, page=tmp_path / "page.html"), Audited)
    assert archive.read_bytes() == before
    assert set(tmp_path.iterdir()) == {archive, run.folder, tmp_path / "page.html"}


def test_the_run_of_an_archive_names_its_members(archive, train, bare, tmp_path):
    run = train(archive, tmp_path / "run")
    with (run.folder / "index.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert all(row["path"].count("/") in (1, 2) for row in rows)
