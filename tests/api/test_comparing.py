"""compare: runs on the same photos, matched by content, tested in pairs, chosen by validation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sortograph
from sortograph import runs
from sortograph.errors import DataError, RunError, StorageError, UsageError
from sortograph.evaluation import mcnemar_exact, paired_difference
from sortograph.records import SPLITS, DatasetIndex
from written_runs import CLASSES, N, index_of, write_run


@pytest.fixture
def made(tmp_path) -> Callable[..., Path]:
    def make(name: str, test: Sequence[int] = (), index: DatasetIndex | None = None, **options: Any) -> Path:
        wrong = {"test": test, **options.pop("wrong", {})}
        return write_run(tmp_path / name, index_of() if index is None else index, wrong, **options)

    return make


def right(*wrong: Sequence[int], n: int = 60) -> np.ndarray:
    found = np.ones((len(wrong), n), dtype=np.bool_)
    for row, photos in zip(found, wrong, strict=True):
        row[list(photos)] = False
    return found


def test_two_runs_on_their_test_photos(made, tmp_path, watch):
    a, b = made("a", [0, 1]), made("b", range(1, 14), size=5000)
    watch(tmp_path)
    found = sortograph.compare([a, b])
    first, second = right([0, 1], range(1, 14))
    (pair,) = found.pairs
    assert (pair.a, pair.b) == (a.as_posix(), b.as_posix())
    assert pair.difference == paired_difference(second, first)
    assert pair.p == pair.p_corrected == mcnemar_exact(first, second)
    assert (pair.only_a, pair.only_b) == (12, 1)
    assert found.in_words(pair).startswith(
        "a named 18.3 points more of the same 60 photos right than b (95 %"
    )
    assert (found.split, found.chosen, found.tied, found.reason) == ("test", None, (), "")
    one = found.runs[1]
    assert (one.name, one.recipe, one.seed, one.size, one.seconds, one.best_epoch) == (
        "b", "tiny", 7, 5000, 3.0, 2,
    )  # fmt: skip
    record = runs.read_run(b)
    assert one.accuracy == {s: record.evaluation[s].metrics["accuracy"] for s in SPLITS}
    low, high = record.evaluation["train"].gap_intervals["accuracy: train - validation"]
    assert (one.gap.value, one.gap.low, one.gap.high) == (0, low, high)
    assert [(row.name, row.n) for row in found.classes] == [("cat", 20), ("dog", 20), ("새", 20)]
    assert [sum(row.right[k] for row in found.classes) for k in range(2)] == [58, 47]
    assert found.settings == {}
    assert found.notes == ()


def test_photos_are_known_by_content_whatever_their_names_and_order(made):
    index = index_of()
    order = np.random.default_rng(1).permutation(N)
    other = replace(index, paths=tuple(f"moved/{k}.png" for k in range(N)))[order]
    contents = [index.sha256[row] for row in index.rows("test")]
    moved = [contents.index(other.sha256[row]) for row in other.rows("test")]
    wrong = [k for k, photo in enumerate(moved) if photo in (3, 4, 5)]
    found = sortograph.compare([made("a", [0, 3]), made("b", wrong, other)])
    (pair,) = found.pairs
    assert (pair.only_a, pair.only_b) == (2, 1)


def test_a_content_that_stands_twice_is_matched_by_label_and_path(made):
    """Row 9 and 12 are test photos of one content under two labels; either run has one of them right."""
    index = index_of()
    test = index.rows("test").tolist()
    contents = list(index.sha256)
    contents[test[4]] = contents[test[0]]
    twice = replace(index, sha256=tuple(contents))
    names = list(twice.paths)
    names[test[0]], names[test[4]] = "z.jpg", "a.jpg"  # which turns their order round
    found = sortograph.compare([made("a", [0], twice), made("b", [0], replace(twice, paths=tuple(names)))])
    assert (found.pairs[0].only_a, found.pairs[0].only_b) == (0, 0)


def test_three_runs_are_corrected_and_settings_set_side_by_side(made):
    places = [made("a"), made("b", range(6), recipe={"train": {"epochs": 9}}), made("c", range(30))]
    found = sortograph.compare(places)
    assert {pair.comparisons for pair in found.pairs} == {3}
    assert found.pairs[0].p_corrected == max(found.pairs[0].p, 2 * found.pairs[2].p, 3 * found.pairs[1].p)
    assert found.settings == {"train.epochs": ("2", "9", "2")}


def test_runs_of_one_name_are_told_apart(made):
    found = sortograph.compare([made("x/run"), made("y/run"), made("other")])
    assert [run.name for run in found.runs] == [found.runs[0].run, found.runs[1].run, "other"]
    assert len(set(found.names.values())) == 3


def test_groups_are_tested_whole(made):
    index = index_of(groups=tuple(f"w{row // 24}" for row in range(N)))
    test = index.rows("test")
    found = sortograph.compare([made("a", [0], index), made("b", range(12), index)])
    (pair,) = found.pairs
    count = len({index.groups[row] for row in test})
    assert pair.test == "exact swaps of groups"
    assert found.notes == (
        f"tested by whole groups, since photos of one group are alike: 60 photos in {count} groups; "
        "so few make intervals and p rough",
    )


def test_near_duplicates_are_tested_whole_in_every_run_that_knows_them(made):
    """Each run knows one pair of twins, and one photo is in both pairs."""
    index = index_of()
    a, b, c = index.rows("test")[:3].tolist()
    first, second = (
        replace(index, twins=tuple("t" if k in pair else "" for k in range(N))) for pair in ((a, b), (b, c))
    )
    places = [made("a", [0], first), made("b", range(12), second)]
    found = sortograph.compare(places)
    assert found.pairs[0].test == "exact swaps of groups"
    assert found.notes == (
        "tested by whole groups, since photos of one group are alike: 60 photos in 58 groups",
    )
    for place in places:
        assert runs.read_run(place).evaluation["test"].metrics["accuracy"].method == "wilson, 59 groups"


def test_what_training_saw_is_told(made):
    index = index_of()
    test, train = index.rows("test")[0], index.rows("train")[0]
    contents = list(index.sha256)
    contents[test] = contents[train]
    leaking = replace(index, sha256=tuple(contents))
    found = sortograph.compare([made("a", index=leaking), made("b", index=leaking)])
    assert "test photos that are also in train, or nearly, which makes figures too good: 1 of a, 1 of b" in (
        found.notes
    )


def test_other_training_photos_are_told(made):
    index = index_of()
    fewer = index[np.flatnonzero([not (s == "train" and k % 2) for k, s in enumerate(index.splits)])]
    found = sortograph.compare([made("a", index=index), made("b", index=fewer), made("c", index=index)])
    assert found.notes == ("trained on other photos, or other labels, than a: b",)


def test_splits_that_differ_are_refused_with_what_they_share(made):
    index = index_of()
    other = replace(index, splits=tuple(reversed(index.splits)))
    shared = len(set(index.rows("test").tolist()) & set(other.rows("test").tolist()))
    labels = index.labels.copy()
    labels[index.rows("test")[:2]] = 2
    relabelled = replace(index, labels=labels)
    with pytest.raises(DataError, match="runs whose splits differ") as refused:
        sortograph.compare([made("a"), made("b", index=other), made("c", index=relabelled), made("d")])
    assert f"test of a and b: 60 and 60 photos, {shared} of them the same" in refused.value.what
    assert "; test of a and c: 2 shared photos with other labels, such as" in refused.value.what
    assert "'새')" in refused.value.what
    assert " d:" not in refused.value.what
    assert refused.value.fix == "sortograph compare RUNS --photos PHOTOS"


def test_other_classes_are_refused_with_the_nearest_name(made):
    other = index_of(classes=("cat", "dogs", "새"))
    with pytest.raises(DataError, match="runs whose classes differ") as refused:
        sortograph.compare([made("a"), made("b", index=other)])
    assert "classes of b, compared with a: without 'dog' and with 'dogs' (did you mean 'dog'?)" in (
        refused.value.what
    )
    assert "leave out" in refused.value.fix


def test_classes_in_another_order_are_the_same_classes(made):
    index = index_of()
    turned = replace(index, classes=CLASSES[::-1], labels=2 - index.labels)
    found = sortograph.compare([made("a", [5]), made("b", [5], turned)])
    assert (found.pairs[0].only_a, found.pairs[0].only_b) == (0, 0)
    assert found.runs[0].accuracy["test"] == found.runs[1].accuracy["test"]


def test_all_that_is_wrong_with_runs_is_told_at_once(made, tmp_path):
    broken = made("broken")
    lines = (broken / "predictions.csv").read_text("utf-8").splitlines()
    (broken / "predictions.csv").write_text("\n".join(lines[:-3]) + "\n", "utf-8")
    bare = made("bare")
    (bare / "model.onnx").unlink()
    places = [
        made("good"), made("half", status="interrupted"), made("blind", leave_out=["test"]), broken, bare,
        tmp_path / "goood",
    ]  # fmt: skip
    with pytest.raises(RunError, match="5 of 6 runs cannot be compared") as refused:
        sortograph.compare(places)
    for words in (
        "half: not finished (interrupted)",
        "blind: has no answers to test photos",
        "predictions.csv: the answers of the run cannot be used: without a line for each photo of test",
        "bare: has no model.onnx",
        "goood: no such run folder (did you mean 'good'?)",
    ):
        assert words in refused.value.what


@pytest.mark.parametrize(
    ("recipe", "how"),
    [
        ({}, "--resume {}"),
        ({"model": {"kind": "backbone"}}, "--recipe {}/recipe.toml"),
        ({"model": {"kind": "backbone"}, "finetune": {"epochs": 3}}, "--resume {}"),
    ],
)
def test_an_unfinished_run_is_finished_by_the_command_that_is_told(made, recipe, how):
    half = made("half", status="interrupted", recipe=recipe)
    with pytest.raises(RunError, match="not finished") as refused:
        sortograph.compare([made("good"), half])
    told = refused.value.fix.replace("\\", "/")
    assert told == f"sortograph train PHOTOS {how.format(half.as_posix())}, or leave this run out"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("path,split", "paths,split", "first line"),
        (",test,cat,cat,", ",test,dog,cat,", "another label"),
        (",test,cat,cat,", ",test,cat,dog,", "not what evaluation.json measured on test"),
        (",test,cat,cat,", '",test', "cannot be used"),
    ],
)
def test_answers_that_were_altered_are_refused(made, old, new, words):
    a, b = made("a"), made("b")
    text = (b / "predictions.csv").read_text("utf-8")
    assert old in text
    (b / "predictions.csv").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(RunError, match=words) as refused:
        sortograph.compare([a, b])
    assert refused.value.where == str(b / "predictions.csv")
    assert "--photos" in refused.value.fix


def test_answers_that_are_gone_are_refused(made):
    a, b = made("a"), made("b")
    (b / "predictions.csv").unlink()
    with pytest.raises(RunError, match="cannot be read"):
        sortograph.compare([a, b])


def test_one_run_and_one_run_twice(made, monkeypatch, tmp_path):
    a, b = made("a"), made("b")
    for few in ([], [a], a):
        with pytest.raises(UsageError, match="to compare"):
            sortograph.compare(few)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="given twice: a"):
        sortograph.compare([a, b, "a"])


def test_names_that_a_spreadsheet_would_run(made):
    index = index_of(classes=("=1+1", "-dog", "@새"))
    found = sortograph.compare([made("a", [1], index), made("b", [2], index)])
    assert (found.pairs[0].only_a, found.pairs[0].only_b) == (1, 1)
    assert [row.name for row in found.classes] == ["=1+1", "-dog", "@새"]


def validated(*photos: int, train: Sequence[int] = ()) -> dict[str, Any]:
    return {"wrong": {"validation": photos, "train": train}}


def test_the_choice_of_those_that_are_tied(made):
    places = [
        made("best", range(50), **validated(0)),
        made("close", range(40), **validated(0, 1), size=900),
        made("bad", **validated(*range(30)), size=10),
    ]
    found = sortograph.compare(places, choose=True)
    assert [Path(run).name for run in found.tied] == ["best", "close"]
    assert Path(found.chosen).name == "best"  # the smaller gap
    assert found.reason == (
        "Tied on 60 validation photos: best, close (0 lies within the paired interval of the difference to "
        "best, which none surpasses). best is chosen: it has the smallest gap between train and validation "
        "accuracy, +1.7 points. Test photos had no part in it."
    )
    found = sortograph.compare(places[1:], choose=True)
    assert found.reason.startswith("close is chosen: it named the most of the 60 validation photos right")
    assert found.tied == (found.chosen,)


def test_the_smaller_of_two_alike(made):
    places = [made("large", **validated(0), size=1001), made("small", **validated(1), size=1000)]
    found = sortograph.compare(places, choose=True)
    assert Path(found.chosen).name == "small"
    assert "it is the smallest model, 1,000 bytes" in found.reason
    again = [made("one", **validated(0)), made("two", **validated(1))]
    assert sortograph.compare(again, choose=True).reason.count("it was given first") == 1
    uneven = [made("low", **validated(0, 1, train=range(4))), made("high", **validated(0, train=range(2)))]
    assert "it named the most validation photos right" in sortograph.compare(uneven, choose=True).reason


def test_test_photos_have_no_part_in_the_choice(made):
    def chosen(test: Mapping[str, Sequence[int]], under: str) -> str:
        places = [
            made(f"{under}/{name}", test[name], **validated(*wrong))
            for name, wrong in (("a", range(3)), ("b", range(2)), ("c", range(25)))
        ]
        found = sortograph.compare(places, choose=True)
        return Path(found.chosen).name + "".join(Path(run).name for run in found.tied)

    first = chosen({"a": (), "b": range(55), "c": ()}, "first")
    assert first == chosen({"a": range(55), "b": (), "c": range(9)}, "second") == "bab"


def test_nothing_is_chosen_where_validation_photos_differ(made):
    index = index_of()
    test = [split == "test" for split in index.splits]
    swap = {"train": "validation", "validation": "train"}
    other = replace(index, splits=tuple(s if t else swap[s] for s, t in zip(index.splits, test, strict=True)))
    places = [made("a"), made("b", index=other)]
    with pytest.raises(DataError, match="nothing can be chosen where validation photos differ") as refused:
        sortograph.compare(places, choose=True)
    assert "validation of a and b: 60 and 120 photos, 0 of them the same" in refused.value.what
    assert refused.value.fix == "sortograph compare RUNS"
    assert sortograph.compare(places).pairs[0].difference.value == 0
    with pytest.raises(RunError, match="has no answers to validation photos"):
        sortograph.compare([places[0], made("c", leave_out=["validation"])], choose=True)


def test_the_json_names_runs_as_they_were_given(made):
    a, b = made("a", **validated(0)), made("b", **validated(0, 1))
    told = json.loads(json.dumps(sortograph.compare([a, b], choose=True).to_json()))
    assert [run["run"] for run in told["runs"]] == [a.as_posix(), b.as_posix()]
    assert told["chosen"] == a.as_posix()
    assert told["tied"] == [a.as_posix(), b.as_posix()]


def test_a_page_is_written_where_it_was_asked_for_alone(made, tmp_path, watch):
    a, b = made("a", [0, 1]), made("b", range(1, 14))
    watch(a)
    watch(b)
    before = sorted(tmp_path.iterdir())
    assert sortograph.compare([a, b]).page is None
    assert sorted(tmp_path.iterdir()) == before
    place = tmp_path / "pages" / "compare.html"
    found = sortograph.compare([a, b], out=place)
    assert found.page == place
    page = place.read_text("utf-8")
    assert "a named 18.3 points more of the same 60 photos right than b" in page
    assert "data:image/png;base64," in page
    sortograph.compare([a, b], out=place)  # over a page of ours


def test_a_page_takes_the_place_of_nothing_else(made, tmp_path):
    a, b = made("one"), made("two")
    (tmp_path / "thesis.html").write_text("years of work")
    with pytest.raises(StorageError, match="not a page of ours"):
        sortograph.compare([a, b], out=tmp_path / "thesis.html")
    with pytest.raises(UsageError, match="a page named"):
        sortograph.compare([a, b], out=tmp_path / "compare.png")


def test_real_runs_can_be_compared(run, tmp_path):
    """With the files as training writes them: a run and its copy, which is the same in all."""
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    found = sortograph.compare([run.folder, copy], choose=True)
    assert found.runs[0].accuracy == {s: r.metrics["accuracy"] for s, r in run.evaluation.items()}
    assert found.pairs[0].p == 1
    assert found.chosen == run.folder.as_posix()
