from __future__ import annotations

from dataclasses import replace

import pytest

from sortograph.evaluation import wilson
from sortograph.sweeps.conclusions import CAUTION, claimed, compared, paragraph
from sortograph.sweeps.plan import grid
from sortograph.sweeps.standings import standing

CLAIM = {"text": "b is better", "better": "b", "worse": "a", "argued": "75 % to 96 %"}


def test_verdicts_of_claims(make, answers):
    good, bad, same = answers(0.9), answers(0.6, draw=1), answers(0.61, draw=2)
    for known, verdict in (
        ({"a": bad, "b": good}, "reproduced"),
        ({"a": good, "b": bad}, "contradicted"),
        ({"a": bad, "b": same}, "not shown"),
        ({"a": bad}, "not tried"),
    ):
        space = make(claims=[CLAIM])
        (found,) = claimed(space, grid(space), {name: {"test": one} for name, one in known.items()})
        assert found.verdict == verdict
        assert (found.compared is None) == (verdict == "not tried")


def test_one_seed_shows_nothing(make, answers):
    space = make(claims=[CLAIM])
    known = {"a": {"test": answers(0.4, seeds=1)}, "b": {"test": answers(0.9, seeds=1)}}
    (found,) = claimed(space, grid(space), known)
    assert found.compared.difference.low > 0
    assert found.verdict == "not shown"


def test_many_claims_are_corrected(make, answers):
    """A difference that one question shows is not shown by one of fifty."""
    known = {"a": {"test": answers(0.60, n=400)}, "b": {"test": answers(0.63, n=400, draw=1)}}
    alone = make(claims=[CLAIM])
    (one,) = claimed(alone, grid(alone), known)
    many = make(claims=[CLAIM, *[{**CLAIM, "better": "a"}] * 50])
    first = claimed(many, grid(many), known)[0]
    assert first.compared.p == one.compared.p == one.compared.adjusted
    assert (one.verdict, first.verdict) == ("reproduced", "not shown")


def test_claims_about_the_gap(make, answers):
    space = make(claims=[{**CLAIM, "measure": "gap"}])
    known = {
        "a": {"train": answers(0.99, 300), "test": answers(0.7)},
        "b": {"train": answers(0.85, 300, draw=1), "test": answers(0.75, draw=2)},
    }
    (found,) = claimed(space, grid(space), known)
    assert found.verdict == "reproduced"
    assert found.compared.difference.value > 0.1


def test_settings_compare_each_with_what_differs_in_nothing_else(make, answers):
    space = make(
        variant=None,
        space={"model.dropout": [0.0, 0.5], "train.batch_size": [4, 8]},
        claims=[{"text": "t", "better": {"model.dropout": 0.5}, "worse": {"model.dropout": 0.0}}],
    )
    known = {
        "c1": answers(0.6),
        "c2": answers(0.7, draw=1),
        "c3": answers(0.8, draw=2),
        "c4": answers(0.9, draw=3),
    }
    sides = {name: {"test": one} for name, one in known.items()}
    (found,) = claimed(space, grid(space), sides)
    means = {name: one.right.mean() for name, one in known.items()}
    difference = (means["c3"] + means["c4"] - means["c1"] - means["c2"]) / 2
    assert found.compared.difference.value == pytest.approx(difference)
    assert found.compared.better == "model.dropout 0.5"
    del sides["c1"]  # c3 has lost what it is compared with
    (found,) = claimed(space, grid(space), sides)
    assert found.compared.difference.value == pytest.approx(means["c4"] - means["c2"])


def test_claims_about_the_number_of_photos(make, answers):
    space = make(
        variant=None,
        space={"subset.per_class": [5, 50]},
        claims=[{"text": "t", "better": {"subset.per_class": 50}, "worse": {"subset.per_class": 5}}],
    )
    known = {"c1": {"test": answers(0.6)}, "c2": {"test": answers(0.9, draw=1)}}
    (found,) = claimed(space, grid(space), known)
    assert found.verdict == "reproduced"


def told(make, record, right, **data):
    space = make(seeds=[1, 2], **data)
    ranks = [
        standing(
            space, one, {1: record(right[one.name]), 2: record(right[one.name])}, ("finished", ""), wilson
        )
        for one in grid(space)
    ]
    return space, sorted(ranks, key=lambda one: -one.score)


def test_the_paragraph_says_what_was_chosen_and_how_sure_it_is(make, record, answers):
    space, ranks = told(make, record, {"a": (90, 14, 40), "b": (90, 18, 45)}, reference="a", claims=[CLAIM])
    known = {"a": {"test": answers(0.6)}, "b": {"test": answers(0.9, draw=1)}}
    pairs = compared("a", ["b", "a"], known)
    text = paragraph(space, ranks, pairs, claimed(space, grid(space), known), [])
    assert "validation accuracy over 2 seeds (90.0 % ± 0.0, n = 20), b is chosen" in text
    assert "on the 50 test photos, which had no part in choosing, its mean accuracy is 90.0 %" in text
    assert "95 % interval" in text
    assert "on the same 200 test photos" in text
    assert "shown to be better." in text
    assert text.endswith("What was argued is reproduced.")


def test_the_paragraph_admits_what_is_not_shown(make, record, answers):
    space, ranks = told(make, record, {"a": (90, 14, 40), "b": (90, 18, 45)})
    known = {"a": {"test": answers(0.6)}, "b": {"test": answers(0.61, draw=1)}}
    text = paragraph(space, ranks, compared("b", ["a"], known), [], ["x, seed 1"])
    assert text.startswith("1 run is left to do, so this may still change.")
    assert text.endswith("Not shown to differ from b: a.")


def test_without_a_finished_run_nothing_is_concluded(make):
    assert paragraph(make(), [], [], [], []) == "No run has finished: nothing can be concluded."


@pytest.mark.parametrize(
    ("choosing", "words"),
    [
        (wilson(6, 10), "The 10 of 20 validation photos that choose calibrated no run"),
        (wilson(15, 20), "All 20 validation photos choose and none calibrate, since they cannot be halved."),
        (None, CAUTION),
    ],
)
def test_the_paragraph_says_whether_the_choice_costs_calibration(make, record, choosing, words):
    space, ranks = told(make, record, {"a": (90, 14, 40), "b": (90, 15, 45)})
    text = paragraph(space, [replace(one, choosing=choosing) for one in ranks], [], [], [])
    n = 20 if choosing is None else choosing.n
    assert f", n = {n}), b is chosen; on the 50 test photos" in text
    assert text.endswith(words) if choosing is None else words in text
    assert (CAUTION in text) == (choosing is None)
