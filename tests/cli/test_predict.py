from __future__ import annotations

import csv
import io
import json
import os
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from sortograph.cli import predict_shown, streams
from sortograph.records import Prediction

NAUGHTY = ["a\nb.png", "a\x1b[2Jb.png", "-json.png", "--csv.png", "--csv", "a\u202egnp.png", "새 🐈.png"]


def paint(path: Path, colour: tuple[int, int, int] = (200, 30, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), colour).save(path, "PNG")
    return path


@pytest.fixture
def one(tmp_path) -> Path:
    return paint(tmp_path / "one.png")


@pytest.fixture
def folder(tmp_path) -> Path:
    for number in (1, 2, 10):
        paint(tmp_path / "folder" / f"photo-{number}.png", (200, 20 * number, 0))
    return tmp_path / "folder"


@pytest.fixture
def mixed(folder) -> Path:
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


def test_one_photo(call, model_file, one):
    said = call("predict", model_file, one)
    assert said.code == 0
    assert said.err == ""
    name, label, share, sign = said.out.split()
    assert (name, label, sign) == (str(one), "cat", "%")
    assert 33.4 < float(share) < 100


def test_photos_come_in_natural_order_and_aligned(call, model_file, folder):
    lines = call("predict", model_file, "folder").out.splitlines()
    assert [line.split()[0] for line in lines] == [str(Path(f"folder/photo-{n}.png")) for n in (1, 2, 10)]
    assert {line.index("cat  ") for line in lines} == {len(str(Path("folder/photo-10.png"))) + 2}
    assert len(set(map(len, lines))) == 1


def test_some_unreadable_photos_are_counted(call, model_file, mixed):
    said = call("predict", model_file, "folder")
    assert said.code == 6
    assert said.err == "warning: 1 of 4 photos could not be read\n"
    assert f"{Path('folder/broken.jpg')}  " in said.out
    assert "error: not a photo" in said.out


@pytest.mark.parametrize(
    ("names", "words"), [(["x"], "the photo could not"), (["x", "y"], "none of 2 photos could")]
)
def test_nothing_readable_is_refused(call, model_file, tmp_path, names, words):
    for name in names:
        (tmp_path / name).write_bytes(b"no photo")
    said = call("predict", model_file, *names)
    assert said.code == 3
    assert words in said.err
    assert said.out.count("error:") == len(names)


def test_json_is_a_line_for_each_photo(call, model_file, mixed):
    said = call("predict", model_file, "folder", "--json")
    lines = [json.loads(line) for line in said.out.splitlines()]
    keys = {"path", "label", "probability", "top_k", "unsure", "error"}
    assert len(lines) == 4
    assert all(set(line) >= keys for line in lines)
    broken = next(line for line in lines if line["error"])
    assert broken["label"] is None
    assert broken["probability"] is None
    assert broken["top_k"] == []
    good = lines[-1]
    assert len(good["top_k"]) == 3
    assert good["top_k"][0] == {k: good[k] for k in ("label", "probability")}
    assert sum(each["probability"] for each in good["top_k"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 99])
def test_top_k(call, model_file, one, count):
    out = call("predict", model_file, one, "--top-k", count).out
    assert out.count(" %") == min(count, 3)
    assert len(json.loads(call("predict", model_file, one, "--json", "--top-k", count).out)["top_k"]) == min(
        count, 3
    )


def test_csv_on_stdout(call, model_file, mixed):
    said = call("predict", model_file, "folder", "--csv", "--top-k", 2)
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert list(rows[0]) == ["path", "label", "probability", "unsure", "error", "label_2", "probability_2"]
    assert [row["error"] != "" for row in rows].count(True) == 1
    assert all(float(row["probability"]) > float(row["probability_2"]) for row in rows if not row["error"])
    assert None not in rows[0]
    assert all(len(row) == 7 for row in rows)


def test_csv_file(call, model_file, folder, tmp_path):
    said = call("predict", model_file, "--csv", "new/t.csv", "folder")
    assert said.code == 0
    assert "table: " in said.err
    assert "photo-10.png" in said.out
    first = (tmp_path / "new" / "t.csv").read_bytes()
    assert first.count(b"\n") == 4
    assert call("predict", model_file, "folder", "--csv=new/t.csv", "--quiet").err == ""
    assert (tmp_path / "new" / "t.csv").read_bytes() == first


def test_csv_never_takes_a_photo_for_its_file(call, model_file, one):
    before = one.read_bytes()
    said = call("predict", model_file, "--csv", one)
    assert said.out.startswith("path,label,")
    assert one.read_bytes() == before


def test_nothing_is_written_over_files_of_others(call, model_file, one, tmp_path):
    (tmp_path / "mine.csv").write_text("path,label\n1,2\n")
    mine = b"no picture at all"
    (tmp_path / "mine.png").write_bytes(mine)
    for options in (["--csv", "mine.csv"], ["--grid", "mine.png"]):
        said = call("predict", model_file, one, *options)
        assert said.code == 3
        assert said.out == ""
        assert options[1] in said.err
    assert (tmp_path / "mine.csv").read_text() == "path,label\n1,2\n"
    assert (tmp_path / "mine.png").read_bytes() == mine


@pytest.mark.parametrize("inputs", [["folder"], ["folder/photo-1.png"], ["one.png", "folder/photo-2.png"]])
def test_a_grid_never_takes_the_place_of_a_photo(call, model_file, folder, one, inputs):
    before = (folder / "photo-10.png").read_bytes()
    said = call("predict", model_file, *inputs, "--grid", "folder/photo-10.png")
    assert said.code == 3
    assert said.out == ""
    assert "photo-10.png" in said.err
    assert (folder / "photo-10.png").read_bytes() == before


def test_a_grid_elsewhere_is_drawn_again(call, model_file, folder):
    for _ in range(2):
        assert call("predict", model_file, "folder", "--grid", "grid.png").code == 0


@pytest.mark.parametrize("place", ["new.png", "zero/zz.png"])
def test_nothing_is_written_into_folders_of_photos(call, model_file, folder, one, place):
    before = sorted(folder.rglob("*"))
    for option, name in (("--grid", place), ("--csv", place.replace(".png", ".csv"))):
        said = call("predict", model_file, one, "folder", option, f"folder/{name}")
        assert said.code == 2
        assert said.out == ""
        assert "among the photos" in said.err
        assert option in said.err.splitlines()[-1]
    assert sorted(folder.rglob("*")) == before


def test_no_grid_of_nothing(call, model_file, tmp_path, one):
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    said = call("predict", model_file, "bad.jpg", "--grid", "g.png")
    assert said.code == 3
    assert "no grid is drawn: no photo could be read\n" in said.err
    assert not (tmp_path / "g.png").exists()
    assert call("predict", model_file, one, "--grid", "g.png").code == 0


def test_a_grid_of_many_says_how_many_it_shows(call, model_file, mixed, monkeypatch):
    monkeypatch.setattr("sortograph.api.predicting.GRID_PHOTOS", 2)
    said = call("predict", model_file, "folder", "--grid", "g.png")
    assert "grid: g.png (the first 2 of 3 photos)\n" in said.err


def test_what_is_left_out_of_folders_is_told(call, model_file, folder, one):
    (folder / "notes.txt").write_text("")
    (folder / ".DS_Store").write_text("")
    said = call("predict", model_file, "folder")
    assert said.err == "2 other files were left out: hidden, linked, or not a photo\n"
    assert said.code == 0
    assert call("predict", model_file, "folder", "--quiet").err == ""
    assert call("predict", model_file, one).err == ""


def test_grid(call, model_file, mixed, tmp_path):
    said = call("predict", model_file, "folder", "--grid", "new/g.png")
    assert said.code == 6
    assert f"grid: {Path('new/g.png')}\n" in said.err
    with Image.open(tmp_path / "new" / "g.png") as sheet:
        assert sheet.width > 320


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "MODEL"),
        (["m"], "PHOTOS"),
        (["m", "p", "--top-k", "0"], "--top-k is 0"),
        (["m", "p", "--top-k", "x"], "--top-k"),
        (["m", "p", "--jsn"], "'--json'"),
        (["m", "p", "--top_k=3"], "'--top-k'"),
        (["m", "p", "--json", "--csv"], "not allowed with"),
        (["m", "p", "--grid", "g.jpg"], "FILE.png"),
        (["m", "p", "--csv=g.txt"], "FILE.csv"),
        (["m", "p", "--top", "3"], "--top"),
        (["m", "p", "--threads", "0"], "--threads is 0"),
        (["m", "p", "--parquet", "t.csv"], "FILE.parquet"),
        (["m", "p", "--html", "t.png"], "FILE.html"),
        (["m", "p", "--resume"], "without a table"),
        (["m", "p", "--resume", "--csv"], "without a table"),
    ],
)
def test_wrong_usage(call, arguments, words):
    said = call("predict", *arguments)
    assert said.code == 2
    assert said.out == ""
    assert words in said.err
    assert said.err.startswith("error: ")


def test_names_that_do_not_exist_are_named_all_at_once(call, model_file, one):
    said = call("predict", model_file, "gone-1", one, "gone-2")
    assert said.code == 3
    assert said.out == ""
    assert "gone-1, gone-2" in said.err


@pytest.mark.parametrize("model", ["gone.onnx", "one.png", "."])
def test_what_is_no_model(call, one, model):
    said = call("predict", model, one)
    assert said.code == 3
    assert said.out == ""
    assert said.err.count("\n") <= 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("name", NAUGHTY)
def test_naughty_names(call, model_file, tmp_path, name):
    paint(tmp_path / name)
    plain = call("predict", model_file, "--", name)
    assert plain.code == 0
    assert plain.out.count("\n") == 1
    assert streams.safe(plain.out, keep="\n") == plain.out
    assert json.loads(call("predict", model_file, "--json", "--", name).out)["path"] == name
    rows = list(csv.reader(io.StringIO(call("predict", model_file, "--csv", "--", name).out)))
    assert rows[1][0].removeprefix("'") == name


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_names_that_are_no_text(call, model_file, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    paint(tmp_path / name)
    assert "caf\\udce9.png" in call("predict", model_file, name).out
    assert json.loads(call("predict", model_file, name, "--json").out)["path"] == name
    call("predict", model_file, name, "--csv", "t.csv")
    assert b"caf\xe9.png" in (tmp_path / "t.csv").read_bytes()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_names_from_stdin(call, model_file, folder, monkeypatch, end):
    names = [str(path) for path in sorted(folder.iterdir())]
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(os.fsencode(n) + end for n in names)))
    )
    lines = call("predict", model_file, "-").out.splitlines()
    assert [line.split("  ")[0].rstrip() for line in lines] == names


@pytest.mark.skipif(sys.platform == "win32", reason="nothing tells there whether a pipe has more")
def test_each_name_from_stdin_is_answered_before_the_next_is_written(call, model_file, folder, monkeypatch):
    reading, writing = os.pipe()
    answered, waits, out = threading.Event(), [], streams.out

    def told(line: str) -> None:
        out(line)
        answered.set()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as names:
            for path in sorted(folder.iterdir()):
                answered.clear()
                names.write(os.fsencode(path) + b"\n")
                waits.append(answered.wait(20))

    monkeypatch.setattr(streams, "out", told)
    writer = threading.Thread(target=write)
    with os.fdopen(reading) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        writer.start()
        said = call("predict", model_file, "-")
        writer.join()
    assert len(said.out.splitlines()) == 3
    assert waits == [True, True, True]


def test_one_name_on_stdin_that_is_gone_costs_one_answer(call, model_file, one, monkeypatch):
    lines = f"gone.jpg\n{one}\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    said = call("predict", model_file, "-", "--json")
    gone, good = map(json.loads, said.out.splitlines())
    assert said.code == 6
    assert (gone["path"], gone["error"]) == ("gone.jpg", "no such file")
    assert good["label"] == "cat"


def test_verbose_says_which_model(call, model_file, one):
    said = call("predict", model_file, one, "--verbose")
    assert str(model_file) in said.err
    assert "3 classes: cat, dog, 새" in said.err
    assert "photos as 5×6" in said.err
    assert said.out == call("predict", model_file, one).out


def test_a_terminal_obeys_no_name_in_a_table(monkeypatch, capsys):
    row = ("a\x1b[2J\nb", "cat")
    predict_shown.out_csv(row)
    assert capsys.readouterr().out == '"a\x1b[2J\nb",cat\n'  # a program gets the name itself
    monkeypatch.setattr(streams, "draws", lambda stream: True)
    predict_shown.out_csv(row)
    assert capsys.readouterr().out == '"a\\x1b[2J\nb",cat\n'


def test_answers_that_are_withheld_or_unsure(capsys):
    columns = predict_shown.Columns(["cat", "강아지"])
    list(columns.widened([Path("a.png"), Path("longer.png")]))
    columns.show(Prediction("a.png", None, 0.4, (("cat", 0.4), ("강아지", 0.35)), "two classes are likely"))
    columns.show(Prediction("longer.png", "cat", 0.99, (("cat", 0.99),), "unlike the photos of training"))
    columns.show(Prediction("a.png", "강아지", 0.9, (("강아지", 0.9),)))
    assert capsys.readouterr().out.splitlines() == [
        "a.png       unsure: two classes are likely  (cat   40.0 %)",
        "longer.png  cat      99.0 %  unsure: unlike the photos of training",
        "a.png       강아지   90.0 %",
    ]


def test_the_first_photos_are_aligned_however_slowly_they_are_answered(capsys):
    columns = predict_shown.Columns(["cat"])
    photos = columns.widened(map(Path, ["a.png", "longer.png", "the-longest.png"]), ahead=2)
    for photo in photos:
        columns.show(Prediction(str(photo), "cat", 0.9, (("cat", 0.9),)))
    assert [line.index("cat") for line in capsys.readouterr().out.splitlines()] == [12, 12, 17]


def test_the_model_is_opened_before_photos_are_looked_for(call):
    assert "no such file or folder: gone.onnx" in call("predict", "gone.onnx", "gone.jpg").err
