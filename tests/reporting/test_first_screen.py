"""What the page answers first, and the tables that its answers come from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sortograph.evaluation import share
from sortograph.records import Estimate, Slice
from sortograph.reporting import ReportView, plots, render, words


def with_run(world: Any, **changes: Any) -> Any:
    return replace(world, run=replace(world.run, **changes))


def test_validation_photos_that_chose_are_counted(sure: Any, parsed: Any) -> None:
    page = parsed(sure)
    assert "validation n = 105 12 of them are for choosing" in page.words
    validation = sure.run.evaluation["validation"]
    assert words.in_words(validation)[-1] == (
        "12 of these 105 photos are for choosing the model, so new ones may do a little worse."
    )
    assert not any("choose" in said for said in words.in_words(replace(validation, chose=0)))


def test_it_says_how_far_it_can_be_trusted(sure: Any, parsed: Any) -> None:
    first = parsed(sure).words.split("All figures")[0]
    metrics = sure.run.evaluation["test"].metrics
    before, after = (metrics[name] for name in ("ece_uncalibrated", "ece"))
    assert f"{100 * before.value:.1f} % → {100 * after.value:.1f} % calibration error" in first
    assert (
        f"(test, n = 105): {100 * before.low:.1f} – {100 * before.high:.1f} % before, "
        f"{100 * after.low:.1f} – {100 * after.high:.1f} % after temperature 0.74, fitted to 300 validation "
        "photos." in first
    )
    row = next(row for row in sure.run.trust.abstain if row.error == 0.05)
    answered = share(round(row.coverage * 300), 300)
    assert (
        f"Withhold answers up to {row.threshold:.3g}, and of those given at most 5 % are wrong: "
        f"{100 * row.coverage:.3g} % of photos are answered "
        f"({100 * answered.low:.1f} – {100 * answered.high:.1f} %, n = 300)." in first
    )
    laxest = sure.run.trust.abstain[-1]
    assert (laxest.error, laxest.threshold) == (0.1, 0.0)
    assert laxest.coverage < 1, "photos unlike training are withheld"
    assert (
        "Withhold answers to photos unlike training alone, and of those given at most 10 % are wrong" in first
    )
    (reason,) = {row.reason for row in sure.run.trust.abstain if row.threshold is None}
    assert reason.startswith("unattainable: 300 photos promise at best ")
    assert f"At most 2 % wrong is {reason}." in first
    assert "Photos less than 0.50 like training are flagged: 1 in 100 like the held-out ones" in first


def test_the_whole_table_of_promises_is_there(sure: Any, parsed: Any) -> None:
    text = parsed(sure).words
    table = text.split("Withholding unsure answers")[1].split("Kinds of photos")[0]
    (reason,) = {row.reason for row in sure.run.trust.abstain if row.threshold is None}
    assert table.count(reason) == 3
    row = next(row for row in sure.run.trust.abstain if row.error == 0.05)
    assert f" 5 % {row.threshold:.3g} {100 * row.coverage:.1f} %" in table
    laxest = sure.run.trust.abstain[-1]
    assert f" % {row.wrong} 10 % none {100 * laxest.coverage:.1f} %" in table
    sets = [f"{100 * one.level:.0f} % {one.threshold:.3g} 300" for one in sure.run.trust.conformal]
    assert " ".join(sets) in table
    assert "unlike anything in training" in table


def test_without_likeness_nothing_is_said_of_strange_photos(sure: Any, parsed: Any) -> None:
    trust = replace(sure.run.trust, likeness=None)
    text = parsed(with_run(sure, trust=trust)).words
    assert "Sets of classes" in text
    assert "flagged" not in text


def test_a_run_without_calibration_says_so(world: Any, parsed: Any) -> None:
    text = parsed(world).words
    assert "Can I trust it? Nothing is promised: no photos were left to calibrate by" in text
    assert "Withholding" not in text
    assert "calibration error" not in text


def test_a_run_without_validation_photos_still_has_its_calibration_error(sure: Any, parsed: Any) -> None:
    test = sure.run.evaluation["test"]
    metrics = {name: one for name, one in test.metrics.items() if not name.endswith("uncalibrated")}
    page = parsed(with_run(sure, trust=None, evaluation={"test": replace(test, metrics=metrics)}))
    error = metrics["ece"]
    said = f"{100 * error.value:.1f} % calibration error How far its probabilities lie from the share that is"
    assert said in page.words
    assert "before," not in page.words.split("All figures")[0]


def test_the_diagnosis_and_what_helps_are_on_the_first_screen(world: Any, parsed: Any, advise: Any) -> None:
    lines = (("overfitting", "it names <all> of 9 right"), ("leak", "photos lie in two splits."))
    advice = advise(lines, "dropout", "sortograph train PHOTOS --set 'a.b=<1>'")
    first = parsed(world, advice).words.split("All figures")[0]
    assert "overfitting it names <all> of 9 right. leak photos lie in two splits." in first
    assert "What helps first: dropout. sortograph train PHOTOS --set 'a.b=<1>'" in first
    page = render(ReportView(world.run, world.index, {}, advice))
    assert page.count('<span class="mark warn">') == 2
    healthy = render(ReportView(world.run, world.index, {}, advise((("healthy", "nothing is wrong"),))))
    assert '<span class="mark good">healthy</span> nothing is wrong.' in healthy
    assert "What helps first" not in healthy
    assert "Nothing can be said of this run." in parsed(world, advise()).words
    assert "Is anything wrong" not in parsed(world).words, "nothing was diagnosed"


def test_what_to_type_next(sure: Any, world: Any, parsed: Any) -> None:
    place = "cnn-20261121-071558"
    first = parsed(sure).words.split("All figures")[0]
    for command in (
        f"sortograph predict {place} PHOTOS",
        f"sortograph predict {place} PHOTOS --max-error 5%",
        f"sortograph evaluate {place} MORE-PHOTOS",
        f"sortograph diagnose {place} --photos PHOTOS",
    ):
        assert command in first
    assert "--max-error" not in parsed(world).words.split("All figures")[0]
    spaced = with_run(world, folder=world.run.folder.with_name("my run"))
    assert 'sortograph predict "my run" PHOTOS' in parsed(spaced).words


def weak(name: str, low: float, high: float) -> Slice:
    accuracy, gap = (Estimate(v, low, high, 0.95, 40, "") for v in (0.7, (low + high) / 2))
    return Slice("folder", name, accuracy, gap)


def test_kinds_of_photos_that_are_weaker_are_marked_in_words(sure: Any, parsed: Any) -> None:
    slices = (weak("<night>", -0.3, -0.02), weak("rain", -0.1, 0.04), weak("noon", 0.01, 0.2))
    test = replace(sure.run.evaluation["test"], slices=slices)
    page = render(ReportView(sure.run, sure.index, {}))
    assert "No kind is shown to be weaker" in page
    world = with_run(sure, evaluation={**sure.run.evaluation, "test": test})
    text = parsed(world).words.split("Kinds of photos")[1]
    assert "<night> folder 70.0 %" in text
    assert "40 −16.0 points −30.0 to −2.0 weaker than the others" in text
    assert "−10.0 to +4.0 within chance" in text
    assert "+1.0 to +20.0 better than the others" in text
    assert "No kind is shown" not in text
    many = replace(test, slices=tuple(weak(f"folder-{k:02}", -0.1, 0.04) for k in range(30)))
    page = parsed(with_run(sure, evaluation={"test": many}))
    assert "18 more kinds" in page.words
    assert all(f"folder-{k:02}" in page.text for k in range(30))


def test_of_a_hundred_classes_the_worst_are_seen_first(make: Callable[..., Any]) -> None:
    names = tuple(f"class-{k:03}" for k in range(100))
    world = make(classes=names, n=1200)
    test = world.run.evaluation["test"]
    matrix = plots.confusion(test, names)
    page = render(ReportView(world.run, world.index, {"confusion": matrix}))
    shown, _, hidden = page.split('<h2 id="classes">')[1].split("</section>")[0].partition("<details>")
    assert (shown.count('<th scope="row">'), hidden.count('<th scope="row">')) == (20, 80)
    values = {score.name: score.f1.value for score in test.per_class}
    order = [values[name] for name in re.findall(r"<bdi>(class-\d+)</bdi>", shown + hidden)]
    assert order == sorted(values.values())
    assert "The 80 better classes" in hidden
    (truth, said), *_ = re.findall(r"<bdi>(class-\d+)</bdi></th><td><bdi>(class-\d+)</bdi>", page)
    pairs = test.confusion - np.diag(test.confusion.diagonal())
    assert pairs[names.index(truth), names.index(said)] == pairs.max()


def test_scores_by_rank_are_there_where_they_were_measured(sure: Any, world: Any, parsed: Any) -> None:
    classes = parsed(sure).words.split("Scores on the test photos")[1].split("Data")[0]
    score = min(sure.run.evaluation["test"].per_class, key=lambda one: one.f1.value)
    assert "AUROC AP photos" in classes
    assert score.auroc is not None
    assert f"{score.auroc.value:.3f} {score.auroc.low:.3f} – {score.auroc.high:.3f}" in classes
    assert "AUROC" not in parsed(world).words
