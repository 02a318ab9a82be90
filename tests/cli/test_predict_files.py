"""Tables and pages that `predict` writes: while photos are answered, and gone on with after a stop."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from sortograph.classify import FakeClassifier, journal
from sortograph.cli import meter, predict, predict_options, streams

CLASSES = ("cat", "dog", "새")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Nine photos, of which one cannot be read."""
    (tmp_path / "folder").mkdir()
    for number in range(8):
        Image.new("RGB", (20, 16), (30 * number, 60, 90)).save(tmp_path / "folder" / f"{number}.png")
    (tmp_path / "folder" / "8.jpg").write_bytes(b"no photo")
    return tmp_path / "folder"


@pytest.fixture
def stopped(call, model_file, folder, monkeypatch):
    """A command that was interrupted after five answers, by Ctrl-C while one of them was written."""
    taken = []
    take = journal.Journal.take

    def interrupted(self, answer):
        take(self, answer)
        taken.append(answer)
        if len(taken) == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(journal.Journal, "take", interrupted)
        said = call("predict", model_file, "folder", "--csv", "t.csv", "--top-k", 2)
    assert said.code == 130
    return said


def whole(call, model_file, *options) -> bytes:
    assert call("predict", model_file, "folder", "--csv", "whole.csv", "--top-k", 2, *options).code == 6
    return Path("whole.csv").read_bytes()


def test_a_stop_loses_nothing_and_says_how_to_go_on(call, model_file, stopped):
    assert "5 answers are in t.csv.part" in stopped.err
    assert "--resume" in stopped.err
    assert not Path("t.csv").exists()
    seen = call("predict", model_file, "folder", "--csv", "t.csv", "--top-k", 2, "--resume", "--json")
    assert seen.code == 2  # two forms of output
    again = call("predict", model_file, "folder", "--csv", "t.csv", "--top-k", 2, "--resume")
    assert again.code == 6
    assert again.out.count("\n") == 4
    assert "1 of 9 photos" in again.err
    assert Path("t.csv").read_bytes() == whole(call, model_file)
    assert not list(Path().glob("t.csv.*"))


@pytest.mark.parametrize("cut", range(1, 60, 4))
def test_a_row_that_was_written_in_half_is_made_again(call, model_file, stopped, cut):
    part = Path("t.csv.part")
    part.write_bytes(part.read_bytes()[:-cut])
    assert call("predict", model_file, "folder", "--csv", "t.csv", "--top-k", 2, "--resume").code == 6
    assert Path("t.csv").read_bytes() == whole(call, model_file)


def test_what_is_left_of_a_stop_is_not_written_over(call, model_file, stopped):
    before = Path("t.csv.part").read_bytes()
    said = call("predict", model_file, "folder", "--csv", "t.csv", "--top-k", 2)
    assert said.code == 2
    assert "add --resume" in said.err
    assert Path("t.csv.part").read_bytes() == before


def test_other_options_models_and_photos_are_refused(call, model_file, stopped, make_small, folder):
    other = make_small(temperature=3.0).write(Path("other.onnx"))
    for arguments, words in (
        ([model_file, "folder", "--top-k", 3], "top-k was 2, is 3"),
        ([model_file, "folder", "--top-k", 2, "--max-error", "2%"], "no table of errors"),
        ([other, "folder", "--top-k", 2], "model was"),
        ([model_file, "folder/3.png", "folder", "--top-k", 2], "other photos"),
    ):
        said = call("predict", *arguments, "--csv", "t.csv", "--resume")
        assert said.code == 2
        assert words in said.err
    Path("t.csv.part.json").write_text("[]")
    assert "nothing tells" in call("predict", model_file, "folder", "--csv", "t.csv", "--resume").err
    assert Path("t.csv.part").read_bytes().count(b"\n") == 6


def test_resume_without_a_part_starts(call, model_file, folder):
    assert call("predict", model_file, "folder", "--csv", "t.csv", "--resume").code == 6
    assert Path("t.csv").is_file()


def test_nothing_is_left_of_a_stop_before_the_first_answer(call, model_file, tmp_path):
    (tmp_path / "empty").mkdir()
    assert call("predict", model_file, "empty", "--csv", "t.csv").code == 3
    assert not list(Path().glob("t.csv*"))


def test_pages_and_grids_show_answers_from_before_a_stop(call, model_file, stopped):
    options = ("--top-k", 2, "--html", "a.html", "--grid", "a.png")
    call("predict", model_file, "folder", "--csv", "t.csv", "--resume", *options)
    whole(call, model_file, "--html", "b.html", "--grid", "b.png")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert Path("a.html").read_bytes() == Path("b.html").read_bytes()


def test_parquet(call, model_file, folder):
    pq = pytest.importorskip("pyarrow.parquet")
    said = call("predict", model_file, "folder", "--parquet", "t.parquet", "--csv", "t.csv", "--top-k", 2)
    assert "table: t.csv, t.parquet\n" in said.err
    rows = pq.read_table("t.parquet").to_pylist()
    with Path("t.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    assert [row["probability"] for row in rows[:8]] == pytest.approx(
        [float(r["probability"]) for r in expected[:8]]
    )
    assert rows[8]["label"] is rows[8]["probability"] is None
    assert rows[8]["error"]
    assert call("predict", model_file, "folder", "--parquet", "t.parquet").code == 6
    assert sorted(path.name for path in Path().glob("t.*")) == ["t.csv", "t.parquet"]


def test_a_parquet_file_of_somebody_else_is_left_alone(call, model_file, folder):
    pq, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    pq.write_table(pa.table({"features": [1.0, 2.0]}), "t.parquet")
    before = Path("t.parquet").read_bytes()
    said = call("predict", model_file, "folder", "--parquet", "t.parquet")
    assert said.code != 0
    assert "no table of predictions" in said.err
    assert Path("t.parquet").read_bytes() == before


def test_parquet_without_its_extra(call, model_file, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    said = call("predict", model_file, "folder", "--parquet", "t.parquet")
    assert said.code == 5
    assert "sortograph[parquet]" in said.err
    assert said.out == ""
    assert not list(Path().glob("t.*"))


def test_page(call, model_file, folder):
    (folder / "<b>&.png").write_bytes((folder / "1.png").read_bytes())
    said = call("predict", model_file, "folder", "--html", "new/p.html")
    page = Path("new/p.html").read_text("utf-8")
    assert "page: " in said.err
    assert page.count('<li class="photo') == 10
    assert page.count("data:image/jpeg;base64,") == 9
    assert "<b>" not in page
    assert "&lt;b&gt;&amp;.png" in page
    assert "not a photo that can be read" in page
    assert not re.search(r"<script|https?://|src=\"(?!data:)", page)
    names = re.findall(r'id="f-(\w+)"[^>]*> <bdi>([^<]*)</bdi> <small>(\d+)', page)
    answers = [json.loads(line) for line in call("predict", model_file, "folder", "--json").out.splitlines()]
    counts = {name: sum(a["label"] == name for a in answers) for name in CLASSES}
    expected = {"all": 10, **{name: n for name, n in counts.items() if n}, "could not be read": 1}
    assert {name: int(count) for _, name, count in names} == expected
    for key, _, count in names[1:-1]:
        assert len(re.findall(rf'<li class="photo {key}\b', page)) == int(count)
        assert f"body:has(#f-{key}:checked) .photo:not(.{key})" in page
    assert [path.name for path in Path("new").iterdir()] == ["p.html"]
    assert call("predict", model_file, "folder", "--html", "new/p.html", "--quiet").code == 6


def test_a_page_is_written_over_nothing_but_a_page(call, model_file, folder):
    Path("mine.html").write_text("<p>mine</p>")
    said = call("predict", model_file, "folder", "--html", "mine.html")
    assert said.code == 3
    assert said.out == ""
    assert Path("mine.html").read_text() == "<p>mine</p>"
    assert call("predict", model_file, "folder", "--html", "folder/p.html").code == 2
    assert not (folder / "p.html").exists()


def test_a_page_of_many_says_how_many_it_shows(call, model_file, folder, monkeypatch):
    monkeypatch.setattr("sortograph.api.predicting.PAGE_PHOTOS", 3)
    said = call("predict", model_file, "folder", "--html", "p.html")
    assert "page: p.html (the first 3 of 9 photos)\n" in said.err
    page = Path("p.html").read_text("utf-8")
    assert page.count('<li class="photo') == 3
    assert "The first 3 photos are shown, 6 are not." in page


def test_patterns_and_archives(call, model_file, folder):
    with zipfile.ZipFile("a.zip", "w") as file:
        file.write(folder / "2.png", "in/2.png")
    said = call("predict", model_file, "folder/[01].png", "a.zip", "--json", "--threads", 1)
    found = [json.loads(line) for line in said.out.splitlines()]
    assert [Path(each["path"]).as_posix() for each in found] == [
        "folder/0.png",
        "folder/1.png",
        "a.zip/in/2.png",
    ]
    assert found[2]["label"] is not None


def test_isolated_answers_are_the_same(call, model_file, folder):
    apart = call("predict", model_file, "folder", "--json", "--isolate", "--html", "a.html")
    together = call("predict", model_file, "folder", "--json", "--html", "b.html")
    assert apart.code == 6
    assert apart.out == together.out
    assert Path("a.html").read_bytes() == Path("b.html").read_bytes()


def test_a_model_that_fails_keeps_what_was_answered(call, model_file, folder, monkeypatch):
    from sortograph.bundle.runtime import Bundle
    from sortograph.errors import BundleError

    run, calls = Bundle.run, []

    def fail(self, photos):
        calls.append(1)
        if len(calls) > 3:
            raise BundleError("the model failed")
        return run(self, photos)

    monkeypatch.setattr(Bundle, "run", fail)
    said = call("predict", model_file, "folder", "--csv", "t.csv", "--threads", 1)
    assert said.code == 3
    assert re.search(r"\d answers? (is|are) in t\.csv\.part; --resume goes on", said.err)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_who_watches_sees_how_far_it_is(monkeypatch):
    now = [0.0]
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    drawn = meter.Meter(lambda: 40)
    while drawn._total is None:  # counted in a thread of its own
        threading.Event().wait(0.001)
    for _ in range(20):
        now[0] += 0.125
        drawn.step()
    drawn.clear()
    text = err.getvalue()
    assert text.startswith("\r8 of 40 photos, 8.0 a second, 0:04 left\r")
    assert "\r20 of 40 photos, 8.0 a second, 0:02 left\r" in text
    assert text.endswith("\r" + " " * len("20 of 40 photos, 8.0 a second, 0:02 left") + "\r")


def test_the_meter_is_for_a_terminal_whose_answers_go_elsewhere(monkeypatch):
    options = predict_options.parse(["m", "p"])
    assert predict._meter(options, None) is None
    monkeypatch.setattr(streams, "draws", lambda stream: stream is sys.stderr)
    monkeypatch.setattr(predict, "_count", lambda inputs: 7)
    assert isinstance(predict._meter(options, None), meter.Meter)
    assert predict._meter(predict_options.parse(["m", "p", "--quiet"]), None) is None


def test_how_many_there_are(folder, monkeypatch):
    assert predict._count([str(folder)]) == 9
    assert predict._count([str(folder), "-"]) is None
    assert predict._count(["gone"]) is None


def test_rows_go_there_and_back():
    from sortograph.classify import rows

    fake = FakeClassifier(["a", "b", "c"])
    import numpy as np

    answer = fake.predict(np.zeros((4, 4, 3), np.uint8), top_k=3)
    back = rows.answer_of(rows.row(answer, len(rows.header(3))))
    assert back.label == answer.label
    assert [name for name, _ in back.top_k] == [name for name, _ in answer.top_k]
    assert [p for _, p in back.top_k] == pytest.approx([p for _, p in answer.top_k], abs=1e-6)
