from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sortograph.errors import MissingExtra
from sortograph.records import Estimate, Rejected
from sortograph.reporting import ReportView, render, words, write_report
from sortograph.reporting.page import PHOTOS, PICTURES, PLOTS

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egnp.exe\u200f",
    "</style></title></pre>",
    "\udcff\udcfe bytes",
)


def picture(colour: str = "red", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60), colour).save(buffer, kind)
    return buffer.getvalue()


def noise(side: int = 300) -> bytes:
    """A picture whose JPEG is smaller."""
    pixels = np.random.default_rng(1).integers(0, 255, (side // 10, side // 10, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def with_run(world: Any, **changes: Any) -> Any:
    return replace(world, run=replace(world.run, **changes))


def test_the_first_screen_says_the_honest_number(world: Any, parsed: Any) -> None:
    page = parsed(world)
    estimate = world.run.evaluation["test"].metrics["accuracy"]
    first = page.words.split("All figures")[0]
    assert f"{100 * estimate.value:.1f} %" in first
    assert "test accuracy" in first
    assert f"n = {estimate.n} test photos" in first
    assert f"{100 * estimate.low:.1f} – {100 * estimate.high:.1f} %" in first
    assert "seed 42" in first
    assert "Of 100 new photos like these, about 91 would be named right" in first
    assert "2026-11-21 07:15" in first
    assert "cnn on photos" in first


def test_every_part_is_there(world: Any, parsed: Any) -> None:
    text = parsed(world).words
    for part in (
        "train − test: +4.1 points",
        "train − test: −0.110",
        "log loss",
        "음식",
        "no test split was given",
        "음식/broken.jpg",
        "image file is truncated",
        "3 other files",
        'optim.name = "adamw"',
        "sizes = [64, 64]",
        "device.threads",
        "3.12.3",
        "f00d" * 16,
        "sortograph predict cnn-20261121-071558 PHOTOS",
        "Finished after 20 epochs, 2 min 11 s. The weights come from epoch 17.",
    ):
        assert part in text, part


def leaking(world: Any, unseen: Estimate | None, **leaks: int) -> Any:
    """The same, with test photos that lie in other splits, too."""
    test = world.run.evaluation["test"]
    metrics = {**test.metrics, **({} if unseen is None else {"accuracy_unseen": unseen})}
    evaluation = {**world.run.evaluation, "test": replace(test, metrics=metrics, leaks=leaks)}
    return with_run(world, evaluation=evaluation)


def test_photos_that_training_has_seen_are_admitted_first(world: Any, parsed: Any) -> None:
    n, unseen = world.run.evaluation["test"].n, Estimate(0.5, 0.39, 0.604, 0.95, 85, "wilson")
    page = parsed(leaking(world, unseen, train=20), predictions=picture())
    first = page.words.split("All figures")[0]
    assert f"n = {n} test photos, 20 of them also in train" in first
    assert (
        f"Training has seen 20 of these {n} test photos, or nearly the same ones, so this number is too good."
        in first
    )
    assert "Of 100 new photos like the others, about 50 would be named right (39 to 60)." in first
    assert "like these" not in first
    assert "The interval is wide because only 85 photos judged." in first
    assert "accuracy on unseen photos" in page.words
    assert "held out" not in page.words.lower()
    assert "Photos of the test split, drawn at random." in page.words


def test_where_training_has_seen_all_nothing_is_said_of_new_photos(world: Any) -> None:
    said = words.in_words(leaking(world, None, train=5, validation=2).run.evaluation["test"])
    assert [sentence.split(":")[0] for sentence in said[1:]] == [
        "Nothing can be said about new photos",
        f"2 of these {world.run.evaluation['test'].n} photos are validation photos, too.",
    ]


def test_without_leaks_photos_were_held_out(world: Any, parsed: Any) -> None:
    page = parsed(world, predictions=picture())
    assert "Photos held out from training, drawn at random." in page.words
    assert "Training has seen" not in page.words
    train = {"train": world.run.evaluation["train"]}
    page = parsed(with_run(world, evaluation=train), predictions=picture())
    assert "Photos of the train split, drawn at random." in page.words


def test_gaps_have_their_interval(world: Any, parsed: Any) -> None:
    test = world.run.evaluation["test"]
    test = replace(test, gap_intervals={"accuracy: train - test": (-0.0123, 0.0941)})
    page = parsed(with_run(world, evaluation={**world.run.evaluation, "test": test}))
    assert "train − test: +4.1 points −1.2 to +9.4" in page.words


def test_hostile_names_are_text(make: Callable[..., Any], parsed: Any) -> None:
    world = make(classes=HOSTILE, n=120)
    index = replace(world.index, rejected=(Rejected(HOSTILE[0], HOSTILE[1]),), notes=(HOSTILE[4],))
    recipe = {"name": HOSTILE[0], "evil": HOSTILE[4]}
    world = replace(world, index=index, run=replace(world.run, recipe=recipe, environment={HOSTILE[1]: "x"}))
    page = parsed(world, confusion=picture())
    assert not page.all("script")
    assert len(page.all("img")) == 1
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert "{{ 7 * 7 }}" in page.text
    assert page.text.count(HOSTILE[0]) >= 5
    assert len(page.all("style")) == 1


def test_names_that_turn_text_around_are_isolated(make: Callable[..., Any]) -> None:
    page = render_of(make(classes=HOSTILE, n=120))
    assert page.count("<bdi>\u202egnp.exe\u200f</bdi>") == page.count("\u202e") > 0


def render_of(world: Any) -> str:
    return render(ReportView(world.run, world.index, {}))


def test_nothing_runs_and_nothing_is_loaded(world: Any, parsed: Any) -> None:
    page = parsed(world, samples=picture())
    policy = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert {"script", "link", "iframe", "object", "base", "form"}.isdisjoint(tag for tag, _ in page.tags)
    urls = [attrs[key] for _, attrs in page.tags for key in ("src", "href", "srcset") if key in attrs]
    assert len(urls) == 1
    assert urls[0].startswith("data:image/")
    text = render(ReportView(world.run, world.index, {}))
    assert not re.search(r"https?://|url\(|@import", text)


def test_pictures_decode_and_have_words(world: Any, parsed: Any) -> None:
    images = parsed(world, **dict.fromkeys(PICTURES, picture())).all("img")
    assert len(images) == len(PICTURES)
    for image in images:
        assert len(image["alt"]) > 15
        data = base64.b64decode(image["src"].partition(",")[2])
        assert Image.open(io.BytesIO(data)).size == (90, 60)
    sizes = sorted((image["width"], image["height"]) for image in images)
    assert sizes == [("60", "40")] * len(PLOTS) + [("90", "60")] * len(PHOTOS), "plots are drawn larger"


def test_sheets_of_photos_are_packed_and_plots_stay_sharp(world: Any, parsed: Any) -> None:
    sheet = noise()
    photos, plot = parsed(world, mistakes=sheet, confusion=sheet).all("img")[::-1]
    photos, plot = sorted((photos["src"], plot["src"]))
    assert photos.startswith("data:image/jpeg;base64,")
    assert plot == f"data:image/png;base64,{base64.b64encode(sheet).decode()}"
    assert len(photos) < len(plot) / 3
    (kept,) = parsed(world, hits=picture(kind="JPEG")).all("img")
    assert kept["src"].endswith(base64.b64encode(picture(kind="JPEG")).decode()), "a JPEG is not packed again"


@pytest.mark.parametrize(
    ("name", "heading", "caption"),
    [
        ("hits", "Least confident right answers", "Right, but only just"),
        ("confused", "Most confused classes", "mistaken photos first, then sure ones of both classes"),
        (
            "heatmaps",
            "Where the model looks",
            "mistakes first if there are any, then the least sure right answers",
        ),
        (
            "lookalikes",
            "Nearest training photos",
            "first if there are any, then the least sure right answers",
        ),
    ],
)
def test_explaining_pictures_have_sections_of_their_own(
    world: Any, name: str, heading: str, caption: str, parsed: Any
) -> None:
    page = parsed(world, **{name: picture()})
    assert len(page.all("img")) == 1
    assert heading in page.text
    assert caption in page.words
    assert heading not in parsed(world).text


def test_missing_and_empty_pictures_are_left_out(world: Any, parsed: Any) -> None:
    page = parsed(world, mistakes=b"", samples=picture())
    assert len(page.all("img")) == 1
    assert "Most confident mistakes" not in page.text
    assert "Learning curves" not in page.text
    assert "What training sees" not in page.text


def test_unknown_pictures_are_a_mistake_of_ours(world: Any) -> None:
    with pytest.raises(ValueError, match="sample"):
        ReportView(world.run, world.index, {"sample": b""})


def test_headings_go_down_one_step_at_a_time(world: Any, parsed: Any) -> None:
    page = parsed(world, **dict.fromkeys(PICTURES, picture()))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["aria-labelledby"] for attrs in page.all("section")} <= set(ids)
    assert page.all("html")[0]["lang"] == "en"
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "interrupted"}, "Interrupted after epoch 20. It goes on from its last checkpoint with:"),
        (
            {"status": "interrupted", "recipe": {"name": "x", "model": {"kind": "backbone"}}},
            "It begins anew, with what is kept, with: sortograph train PHOTOS --recipe ",
        ),
        ({"status": "interrupted", "history": ()}, "Interrupted before the first epoch was over"),
        ({"status": "failed"}, "Failed after epoch 20: log.txt"),
        ({"status": "running"}, "Still running: 20 epochs"),
        ({"history": (), "best_epoch": None, "seconds": 4.0}, "Finished, 4 s."),
    ],
)
def test_the_status_is_said_in_words(world: Any, changes: dict[str, Any], said: str, parsed: Any) -> None:
    assert said in parsed(with_run(world, **changes)).words


def test_an_interrupted_run_says_where_its_weights_come_from(world: Any, parsed: Any) -> None:
    text = parsed(with_run(world, status="interrupted", best_epoch=12)).words
    assert "The weights come from epoch 12." in text


def test_without_test_photos_validation_judges_and_says_so(world: Any, parsed: Any) -> None:
    evaluation = {k: v for k, v in world.run.evaluation.items() if k != "test"}
    text = parsed(with_run(world, evaluation=evaluation)).words
    assert "validation accuracy" in text
    assert "These photos helped to choose the model" in text, "an older run did not count them"
    text = parsed(with_run(world, evaluation={"train": evaluation["train"]})).words
    assert "has learned these very photos" in text


def test_a_run_without_evaluation_claims_nothing(world: Any, parsed: Any) -> None:
    page = parsed(with_run(world, evaluation={}))
    assert "has not been evaluated yet" in page.words
    assert "accuracy" not in page.words.split("Data")[0]


def test_numbers_that_are_none_are_shown_as_such(world: Any, parsed: Any) -> None:
    result = world.run.evaluation["test"]
    nan = replace(result.metrics["accuracy"], value=float("nan"), low=float("nan"), high=float("nan"))
    evaluation = {"test": replace(result, metrics={"accuracy": nan, "log_loss": nan})}
    text = parsed(with_run(world, evaluation=evaluation)).words
    assert "nan" not in text.split("Classes")[0]
    assert "nothing can be said about new photos" in text


def test_few_photos_are_admitted(world: Any) -> None:
    accuracy = world.run.evaluation["test"].metrics["accuracy"]
    wide = replace(accuracy, value=0.8, low=0.4, high=0.97, n=5)
    result = replace(world.run.evaluation["test"], metrics={"accuracy": wide})
    assert words.in_words(result)[-1] == "The interval is wide because only 5 photos judged."


def test_many_rejected_files_are_counted(world: Any, parsed: Any) -> None:
    files = tuple(Rejected(f"a/{i}.jpg", "damaged") for i in range(73))
    text = parsed(replace(world, index=replace(world.index, rejected=files))).words
    assert "a/49.jpg" in text
    assert "a/50.jpg" not in text
    assert "and 23 more" in text


def test_of_a_hundred_classes_the_page_is_small(make: Callable[..., Any]) -> None:
    world = make(classes=tuple(f"class-{k:03}" for k in range(100)), n=1200)
    sheet = noise(700)
    assert len(render(ReportView(world.run, world.index, dict.fromkeys(PHOTOS, sheet)))) < len(sheet) * 8 / 2
    assert len(render(ReportView(world.run, world.index, {}))) < 2e5


def test_the_folder_above_the_photos_is_not_named(world: Any, tmp_path: Any) -> None:
    assert str(tmp_path) not in render_of(world)
    assert tmp_path.name not in render_of(world)


def test_the_report_is_written_with_its_pictures(world: Any) -> None:
    view = ReportView(world.run, world.index, {"samples": picture(), "mistakes": b""})
    path = write_report(view)
    assert path == world.run.report
    assert path.read_text(encoding="utf-8") == render(view)
    assert [file.name for file in (world.run.folder / "plots").iterdir()] == ["samples.png"]
    assert write_report(view) == path


def test_without_jinja2_the_extra_is_named(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"sortograph\[train\]"):
        render_of(world)


def test_importing_the_room_loads_nothing_heavy() -> None:
    code = (
        "import sys, sortograph.reporting, sortograph.reporting.page, sortograph.reporting.galleries,"
        " sortograph.reporting.plots\n"
        "heavy = {'matplotlib', 'jinja2', 'torch', 'pandas', 'sklearn', 'onnx'} & set(sys.modules)\n"
        "raise SystemExit(repr(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
