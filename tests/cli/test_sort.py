from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from sortograph import FakeClassifier, api, sorting
from sortograph.api import sorting as verbs
from sortograph.cli.sort import PARTLY
from sortograph.errors import Interrupted


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _model(monkeypatch):
    monkeypatch.setattr(verbs, "load", lambda *_, **__: FakeClassifier(["cat", "dog"]))
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))


@pytest.fixture
def answer(monkeypatch):
    return lambda text: monkeypatch.setattr(sys, "stdin", Terminal(text))


@pytest.fixture
def fine(photos):
    (photos / "cat" / "broken.jpg").unlink()
    return photos


def journal() -> Path:
    return next(Path("sorted/.sortograph").glob("*.jsonl"))


def test_the_plan_comes_first_and_changes_nothing(call, photos):
    said = call("sort", "model.onnx", "photos", "--into", "sorted", "--move", "--max-error", "2%")
    assert said.code == PARTLY
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["class", "folder", "photos"]
    assert ["total", "16"] in lines
    assert "stay where they are: 1" in said.out
    assert "cat/broken.jpg: not a photo" in said.out
    again = "sortograph sort model.onnx photos --into sorted --move --max-error 2% --apply"
    assert said.out.splitlines()[-1].endswith(again)
    assert not Path("sorted").exists()


def test_apply_undo(call, fine):
    said = call("sort", "m", "photos", "--into", "sorted", "--move", "--apply", "--yes")
    assert said.code == 0
    assert "moved    16 photos" in said.out
    assert said.out.splitlines()[-1].endswith(f"sortograph undo {journal().absolute()}")
    assert not list(Path("photos").rglob("*.png"))
    said = call("undo", journal())
    assert said.code == 0
    assert "undone   16 files" in said.out
    assert "nothing is left to undo" in said.out
    assert len(list(Path("photos").rglob("*.png"))) == 16
    assert not Path("sorted").exists()


@pytest.mark.parametrize(("text", "code"), [("y\n", 0), ("YES\n", 0), ("n\n", 130), ("\n", 130), ("", 130)])
def test_it_asks_once(call, fine, answer, text, code):
    answer(text)
    said = call("sort", "m", "photos", "--into", "sorted", "--apply")
    assert said.code == code
    assert said.err.count("[y/N]") == 1
    assert "Copy 16 photos to " in said.err
    assert Path("sorted").exists() == (code == 0)


def test_nobody_is_there_to_be_asked(call, fine):
    said = call("sort", "m", "photos", "--into", "sorted", "--apply")
    assert said.code == 2
    assert "next: sortograph sort m photos --into sorted --apply --yes" in said.err
    assert not Path("sorted").exists()


def test_json(call, photos):
    said = call("sort", "m", "photos", "--into", "sorted", "--json")
    planned = json.loads(said.out)
    assert said.code == PARTLY
    assert sum(planned["plan"].values()) == 16
    assert (planned["applied"], planned["journal"]) == (0, None)
    assert planned["unreadable"][0]["path"] == "cat/broken.jpg"
    done = json.loads(call("sort", "m", "photos", "--into", "sorted", "--apply", "--yes", "--json").out)
    assert done["applied"] == 16
    assert Path(done["journal"]) == journal().absolute()
    undone = json.loads(call("undo", journal(), "--json").out)
    assert (len(undone["undone"]), undone["left"], undone["journal"]) == (16, [], None)


def test_a_second_sort_says_what_is_there_already(call, fine):
    call("sort", "m", "photos", "--into", "sorted", "--apply", "--yes")
    said = call("sort", "m", "photos", "--into", "sorted", "--apply", "--yes")
    assert said.code == 0
    assert "there already, left where they are: 16" in said.out
    assert "and 6 more (--verbose lists all)" in said.out


def test_resume(call, fine):
    call("sort", "m", "photos", "--into", "sorted", "--move", "--apply", "--yes")
    lines = journal().read_text(encoding="utf-8").splitlines(keepends=True)
    journal().write_text("".join(lines[:-1]), encoding="utf-8")  # the last act was not noted down
    said = call("sort", "--resume", journal())
    assert said.code == 0
    assert "moved    1 photo" in said.out


@pytest.mark.parametrize(
    "more",
    [
        ["m"],
        ["--into", "x"],
        ["--copy"],
        ["--move"],
        ["--hardlink"],
        ["--symlink"],
        ["--watch"],
        ["--max-error", "2%"],
        ["--template", "{name}"],
    ],
)
def test_resume_takes_nothing_else(call, fine, more):
    said = call("sort", *more, "--resume", "journal")
    assert said.code == 2
    assert "takes a journal, and nothing else" in said.err


def test_a_journal_that_a_later_sort_needs_is_said_to_stay(call, fine):
    call("sort", "m", "photos", "--into", "sorted", "--move", "--apply", "--yes")
    first = journal()
    Path("more").mkdir()
    Image.new("RGB", (9, 7)).save("more/another.png")
    assert call("sort", "m", "more", "--into", "sorted", "--apply", "--yes").code == 0
    said = call("undo", first)
    assert said.code == 0
    assert f"{first.name} (stays until later sorts" in said.out
    assert first.exists()


def test_what_was_changed_since_is_named(call, fine):
    call("sort", "m", "photos", "--into", "sorted", "--apply", "--yes")
    next(Path("sorted").rglob("*.png")).write_bytes(b"edited")
    said = call("undo", journal())
    assert said.code == PARTLY
    assert "left alone: 1" in said.out
    assert journal().exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["m", "photos"], "a model, photos and a destination are needed"),
        (["m", "photos", "--into", "photos/sorted"], "lie in each other"),
        (["m", "photos", "--into", "sorted", "--move", "--copy"], "--copy and --move"),
        (["m", "photos", "--into", "sorted", "--template", "{lable}/{name}"], "did you mean 'label'"),
        (["m", "photos", "--into", "sorted", "--max-error", "2"], "--max-error is 2"),
    ],
)
def test_wrong_use(call, photos, arguments, words):
    said = call("sort", *arguments)
    assert said.code == 2
    assert words in said.err
    assert said.out == ""


def test_watching_ends_with_ctrl_c(call, photos, monkeypatch):
    done = api.sort(FakeClassifier(["cat"]), photos, into="sorted", apply=True)

    def watch(*_arguments, **options):
        assert options["way"] == "move"
        yield done
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "watch_sort", watch)
    said = call("sort", "m", "photos", "--into", "sorted", "--move", "--watch", "--yes")
    assert said.code == PARTLY
    assert "watching photos; Ctrl-C ends it" in said.err
    assert "cat/broken.jpg  stays: not a photo" in said.out
    assert "sorted   16 photos" in said.out
    assert call("sort", "m", "photos", "--into", "x", "--watch").code == 2  # nobody says yes


def test_stopped_while_sorting(call, fine, stand_in):
    stand_in("apply_sort", raises=Interrupted("stopped; nothing is lost", fix="sortograph undo J"))
    said = call("sort", "m", "photos", "--into", "sorted", "--apply", "--yes")
    assert said.code == 130
    assert "sortograph undo J" in said.err


def test_review(call, fine):
    call("sort", "m", "photos", "--into", "sorted", "--apply", "--yes")
    said = call("review", "sorted")
    assert (said.code, said.out) == (0, "corrected: 0 of 16 sorted photos\n")
    said = call("review", "sorted", "--csv", "sorted/none.csv")
    assert said.code == 0
    assert "sortograph train" not in said.out
    photo = next(Path("sorted/cat").iterdir())
    Path("sorted/새").mkdir()
    photo.rename(Path("sorted/새") / photo.name)
    said = call("review", "sorted")
    assert [line.split() for line in said.out.splitlines()[:2]] == [
        ["photo", "was", "is"],
        [f"새/{photo.name}", "cat", "새"],
    ]
    assert said.out.splitlines()[-1].endswith("sortograph review sorted --csv sorted/corrections.csv")
    said = call("review", "sorted", "--csv", "sorted/corrections.csv")
    assert said.code == 0
    assert said.out.splitlines()[-1].endswith("sortograph train sorted/corrections.csv")
    assert Path("sorted/corrections.csv").read_text(encoding="utf-8") == f"path,label\n새/{photo.name},새\n"
    assert call("review", "sorted").out.rstrip().endswith("--csv sorted/corrections-2.csv")
    found = json.loads(call("review", "sorted", "--json").out)
    assert found["corrections"] == [{"path": f"새/{photo.name}", "label": "새", "was": "cat"}]
    assert found["sorted"] == 16
    assert call("review", "photos").code == 3


def test_names_of_the_default_agree():
    from sortograph.cli import sort

    assert sort._TEMPLATE == sorting.DEFAULT
