from __future__ import annotations

import json

import pytest
from PIL import Image

from sortograph.cli import data
from sortograph.errors import UsageError
from sortograph.records import Rejected


def test_counts_of_classes_and_splits_with_totals(call, photos):
    said = call("index", photos, "--no-grid")
    assert said.code == 0
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[0] == ["class", "train", "validation", "test", "total"]
    table = {row[0]: list(map(int, row[1:])) for row in rows[1:4]}
    assert table["total"] == [a + b for a, b in zip(table["cat"], table["개"], strict=True)]
    assert table["cat"][-1] == sum(table["cat"][:-1]) == 8


def test_what_cannot_be_used_is_named_with_its_reason(call, photos):
    said = call("index", photos, "--no-grid")
    assert "cannot be used: 1\n  cat/broken.jpg: " in said.out
    assert said.out.splitlines()[-1] == f"next  sortograph train {photos}"
    assert "reading photos" in said.err


def test_json(call, photos):
    said = call(
        "index",
        photos,
        "--json",
        "--no-grid",
        "--quiet",
        "--classes",
        "개,cat",
        "--test",
        "0.25",
        "--split-seed",
        "3",
    )
    assert said.err == ""
    assert said.out.count("\n") == 1
    found = json.loads(said.out)
    assert found["photos"] == 16
    assert found["classes"] == ["개", "cat"]
    assert found["ignored"] == 0
    assert sum(found["splits"]["test"].values()) == 4
    assert [bad["path"] for bad in found["rejected"]] == ["cat/broken.jpg"]
    assert found["grid"] is None


def test_sample_photos_lie_beside_where_one_works(call, photos, tmp_path):
    said = call("index", photos)
    assert "sample photos: photos-samples.png" in said.out
    with Image.open(tmp_path / "photos-samples.png") as sheet:
        assert sheet.format == "PNG"
        assert min(sheet.size) > 100
    assert call("index", photos).code == 0  # its own picture it may draw again


@pytest.mark.parametrize(("where", "given"), [("photos", "."), ("photos/cat", ".."), ("photos", "../photos")])
def test_nothing_is_drawn_among_the_photos(call, photos, tmp_path, monkeypatch, where, given):
    before = sorted(photos.rglob("*"))
    monkeypatch.chdir(tmp_path / where)
    said = call("index", given)
    assert said.code == 0
    assert said.err.count("no sample photos are drawn") == 1
    assert "sample photos:" not in said.out
    assert json.loads(call("index", given, "--json").out)["grid"] is None
    assert "drawn" not in call("index", given, "--no-grid").err
    assert call("index", given, "--quiet").err == ""
    assert sorted(photos.rglob("*")) == before


def test_a_grid_among_the_photos_is_refused(call, photos):
    said = call("index", photos, "--grid", photos / "cat" / "g.png")
    assert said.code == 2
    assert said.out == ""
    assert "among the photos" in said.err
    assert "--grid" in said.err.splitlines()[-1]
    assert not (photos / "cat" / "g.png").exists()


def test_a_name_that_is_too_long(call):
    said = call("index", "x" * 5000)
    assert said.code == 3
    assert "bug" not in said.err


def test_the_split_is_that_of_the_recipe(call, photos, stand_in):
    from sortograph import api

    found = api.index(photos)
    seen = stand_in("index", found)
    options = ["--recipe", "weather", "--set", "split.test=0.3", "--split-seed", 5, "--validation", 0.2]
    said = call("index", photos, *options, "--classes", "개,cat", "--no-grid")
    assert said.code == 0
    assert seen["recipe"] == "weather"
    assert seen["overrides"] == ["split.test=0.3", "split.seed=5", "split.validation=0.2"]
    assert said.out.splitlines()[-1] == (
        f"next  sortograph train {photos} --recipe weather --set split.test=0.3 --set split.seed=5 "
        "--set split.validation=0.2 --classes '개,cat'"
    )
    call("index", photos, "--no-grid")
    assert seen["overrides"] == []


def test_recipes_that_do_not_exist_are_refused(call, photos):
    said = call("index", photos, "--recipe", "wether")
    assert said.code == 2
    assert "'weather'" in said.err
    assert call("index", photos, "--set", "split.tset=0.1").code == 2


def test_grid_where_one_wants_it(call, photos, tmp_path):
    assert json.loads(call("index", photos, "--grid", "new/here.png", "--json").out)["grid"] == "new/here.png"
    assert (tmp_path / "new" / "here.png").is_file()


@pytest.mark.parametrize(
    "options", [["--grid", "a.png", "--no-grid"], ["--grid", "a.jpg"], ["--classes", "a,,b"]]
)
def test_options_that_do_not_fit(call, photos, options, tmp_path):
    said = call("index", photos, *options)
    assert said.code == 2
    assert said.out == ""
    assert not (tmp_path / "a.png").exists()
    assert not (tmp_path / "a.jpg").exists()


def test_nothing_is_drawn_over_what_is_no_picture(call, photos, tmp_path):
    (tmp_path / "photos-samples.png").write_text("mine")
    assert call("index", photos).code == 3
    assert (tmp_path / "photos-samples.png").read_text() == "mine"


def test_folders_that_lie_are_told_in_four_parts(call, tmp_path):
    (tmp_path / "empty").mkdir()
    said = call("index", "empty")
    assert said.code == 3
    assert said.out == ""
    what, expected, fix = said.err.splitlines()
    assert what == "error: no photos: empty"
    assert expected.startswith("  expected: class folders")
    assert fix.startswith("  next: ")


@pytest.mark.parametrize(("photos", "name"), [("a/b.c", "b.c"), ("a/table.csv", "table"), ("a/../a", "a")])
def test_names_of_sheets(tmp_path, monkeypatch, photos, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b.c").mkdir(parents=True)
    (tmp_path / "a" / "table.csv").touch()
    assert data._grid(data.Path(photos), None, False) == data.Path(f"{name}-samples.png")
    with pytest.raises(UsageError):
        data._grid(data.Path(photos), data.Path("x.png"), True)


def test_long_lists_are_shortened_unless_asked_for(call, photos, capsys):
    for number in range(14):
        (photos / "cat" / f"bad{number}.jpg").write_bytes(b"x")
    short = call("index", photos, "--no-grid").out
    assert "cannot be used: 15" in short
    assert short.count("/bad") == 10
    assert "and 5 more (--verbose lists all)" in short
    assert call("index", photos, "--no-grid", "--verbose").out.count("/bad") == 14


def test_names_cannot_draw(call, photos, capsys):
    from sortograph import api

    found = api.index(photos)
    object.__setattr__(found, "rejected", (Rejected("a\x1b[2J\n\udcff.jpg", "bad"),))
    data._show(found, None, False)
    out = capsys.readouterr().out
    assert "  a\\x1b[2J\\n\\udcff.jpg: bad\n" in out


def test_the_next_command_keeps_what_makes_groups(call, photos):
    said = call("index", photos, "--no-grid", "--group-from", "(house[0-9]+)", "--follow-links")
    assert said.out.splitlines()[-1].endswith("--group-from '(house[0-9]+)' --follow-links")
