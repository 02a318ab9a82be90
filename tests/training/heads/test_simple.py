"""Nearest class means and nearest neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sortograph.errors import RecipeError
from sortograph.models import head
from sortograph.models.head import answer
from sortograph.recipe import Head
from sortograph.training.heads import means, neighbours
from sortograph.training.heads.scores import log_loss


def own_fold_alone(kind, task):
    """Answers to fold 0 with the labels of its own photos changed."""
    own = task.folds == 0
    other = np.where(own, (task.labels + 1) % task.classes, task.labels)
    return [tried.logits[own] for tried in kind.tries(replace(task, labels=other))]


def test_out_of_fold_means_are_those_of_the_other_folds(make_clouds, make_task):
    x, labels = make_clouds((15, 25, 20))
    task = make_task(x, labels)
    (tried,) = means.tries(task)
    scaled = (x - x.mean(axis=0)) / np.sqrt(x.std(axis=0))
    for fold in range(5):
        own = task.folds == fold
        centres = np.stack([scaled[~own & (labels == k)].mean(axis=0) for k in range(3)])
        far = ((scaled[own][:, None] - centres) ** 2).sum(axis=2)
        shares = np.log(np.bincount(labels[~own]) / (~own).sum())
        rest = tried.logits[own] - shares
        slopes = (rest - rest[:, :1])[:, 1:] / (far[:, :1] - far[:, 1:])
        np.testing.assert_allclose(slopes, slopes[0, 0], rtol=2e-2)
        assert slopes[0, 0] > 0


def test_the_sharpness_of_means_has_the_least_log_loss(make_clouds, make_task):
    x, labels = make_clouds(apart=0.5)
    task = make_task(x, labels)
    (tried,) = means.tries(task)
    shares = np.log(
        [np.bincount(labels[task.folds != fold]) / (task.folds != fold).sum() for fold in task.folds]
    )
    best = log_loss(tried.logits, labels)
    for factor in (0.8, 1.25):
        assert log_loss(((tried.logits - shares) * factor + shares).astype(np.float32), labels) > best


def test_means_of_all_photos_answer_like_those_of_most(make_clouds, make_task):
    x, labels = make_clouds((100, 100, 100))
    (tried,) = means.tries(make_task(x, labels))
    taught = tried.refit()
    given = answer(taught.plan, taught.state, x)
    assert (given.argmax(axis=1) == tried.logits.argmax(axis=1)).mean() > 0.97
    assert np.abs(given - tried.logits - (given - tried.logits).mean(axis=1, keepdims=True)).max() < 2


def test_views_move_the_means(make_clouds, make_task):
    x, labels = make_clouds()
    task = make_task(x, labels)
    (plain,) = means.tries(task)
    (same,) = means.tries(replace(task, features=np.stack([x, x, x])))
    np.testing.assert_allclose(same.logits, plain.logits, atol=1e-2)
    (moved,) = means.tries(replace(task, features=np.stack([x, x[::-1]])))
    assert np.abs(moved.logits - plain.logits).max() > 0.1
    assert moved.logits.shape == plain.logits.shape


def test_a_class_without_photos_is_far(make_clouds, make_task):
    x, labels = make_clouds((20, 20), apart=3)
    (tried,) = means.tries(make_task(x, labels, classes=3))
    assert np.isfinite(tried.logits).all()
    assert (tried.logits.argmax(axis=1) == labels).mean() > 0.9


@pytest.mark.parametrize("kind", [means, neighbours])
def test_no_photo_has_taught_the_head_that_answers_for_it(kind, make_clouds, make_task):
    x, labels = make_clouds((20, 20, 20))
    task = make_task(x, labels)
    before = [tried.logits[task.folds == 0] for tried in kind.tries(task)]
    for first, again in zip(before, own_fold_alone(kind, task), strict=True):
        # Means share one sharpness, which all answers choose: it leaves their order as it is.
        if kind is neighbours:
            np.testing.assert_array_equal(again, first)
        else:
            assert (again.argmax(axis=1) == first.argmax(axis=1)).all()


def test_out_of_fold_neighbours_are_a_head_of_the_other_folds(make_clouds, make_task):
    x, labels = make_clouds()
    task = make_task(x, labels, Head(neighbours=(3, 7)))
    made = {tried.settings["neighbours"]: tried for tried in neighbours.tries(task)}
    assert list(made) == [7, 3]
    for k, tried in made.items():
        for fold in range(5):
            own = task.folds == fold
            others = make_task(x[~own], labels[~own], Head(neighbours=(k,)))
            (single,) = neighbours.tries(others)
            taught = single.refit()
            expected = answer(taught.plan, taught.state, x[own])
            np.testing.assert_allclose(tried.logits[own], expected, atol=1e-4)


def test_more_neighbours_than_other_photos_are_all_of_them(make_clouds, make_task):
    x, labels = make_clouds((4, 4))
    task = make_task(x, labels, Head(neighbours=(7, 50)))
    many, seven = neighbours.tries(task)
    assert np.isfinite(many.logits).all()
    assert many.logits.shape == seven.logits.shape
    assert many.refit().plan.layers[0].neighbours == 8


def test_chunks_change_nothing(make_clouds, make_task, monkeypatch):
    task = make_task(*make_clouds())
    whole = [tried.logits for tried in neighbours.tries(task)]
    monkeypatch.setattr(neighbours, "_CHUNK", 100)
    for first, again in zip(whole, neighbours.tries(task), strict=True):
        np.testing.assert_allclose(again.logits, first, atol=1e-5)


def test_too_many_photos_to_remember_are_refused_before_any_work(make_clouds, make_task, monkeypatch):
    monkeypatch.setattr(head, "_MOST_REMEMBERED", 100)
    with pytest.raises(RecipeError, match="nearest neighbours remember every training photo"):
        next(neighbours.tries(make_task(*make_clouds())))
