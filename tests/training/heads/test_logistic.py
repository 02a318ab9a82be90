from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sortograph.models.head import answer
from sortograph.recipe import Head, Train
from sortograph.training.heads import logistic as module
from sortograph.training.heads.descent import Problem, descend
from sortograph.training.heads.logistic import logistic, tries
from sortograph.training.heads.scores import log_loss


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def slope(x: np.ndarray, labels: np.ndarray, weight: np.ndarray, bias: np.ndarray, penalty: float) -> float:
    """The largest derivative of the loss, worked out anew: 0 at its only minimum."""
    mean, deviation = x.mean(axis=0, dtype=float), x.std(axis=0, dtype=float)
    scale = np.sqrt(deviation * deviation.mean())
    rest = softmax(x.astype(float) @ weight.T + bias) - np.eye(len(bias))[labels]
    by_weight = rest.T @ ((x - mean) / scale) / len(x) + penalty * weight * scale
    return max(np.abs(by_weight).max(), np.abs(rest.mean(axis=0)).max())


@pytest.mark.parametrize("penalty", [1e-3, 0.1])
@pytest.mark.parametrize("counts", [(5, 4, 6), (40, 60, 50)])
def test_the_derivative_vanishes(make_clouds, counts, penalty):
    x, labels = make_clouds(counts)
    weight, bias = logistic(x, labels, 3, penalty)
    assert weight.dtype == bias.dtype == np.float32
    assert slope(x, labels, weight, bias, penalty) < 2e-4
    assert abs(bias.sum() + (x.mean(axis=0) @ weight.T).sum()) < 1e-2  # the same for all classes is nothing


def test_the_order_of_the_photos_has_no_say_but_for_rounding(make_clouds):
    x, labels = make_clouds((30, 20, 10))
    turned = np.random.default_rng(1).permutation(len(x))
    first, again = logistic(x, labels, 3, 0.01), logistic(x[turned], labels[turned], 3, 0.01)
    np.testing.assert_allclose(x @ again[0].T + again[1], x @ first[0].T + first[1], atol=5e-3)


def test_the_same_photos_give_the_same_bits(make_clouds, make_task):
    x, labels = make_clouds()
    pairs = zip(*(tries(make_task(x, labels), ("none",)) for _ in range(2)), strict=True)
    for first, again in pairs:
        np.testing.assert_array_equal(first.logits, again.logits)
        one, other = first.refit().state, again.refit().state
        np.testing.assert_array_equal(one["output.weight"], other["output.weight"])


def test_no_photo_has_taught_the_head_that_answers_for_it(make_clouds, make_task):
    """Another label for a photo of fold 0 changes the answers of all other folds, and not its own."""
    x, labels = make_clouds()
    task = make_task(x, labels, Head(penalties=(0.01,)))
    row = int(np.flatnonzero(task.folds == 0)[0])
    other = labels.copy()
    other[row] = (other[row] + 1) % 3
    (before,), (after,) = (tries(one, ("none",)) for one in (task, replace(task, labels=other)))
    own = task.folds == 0
    np.testing.assert_array_equal(after.logits[own], before.logits[own])
    assert (np.abs(after.logits[~own] - before.logits[~own]).max(axis=1) > 0).all()


def test_the_path_is_that_of_single_regressions(make_clouds, make_task):
    x, labels = make_clouds((25, 25, 25))
    task = make_task(x, labels, Head(penalties=(1e-3, 1e-2, 0.1)))
    made = list(tries(task, ("none",)))
    assert [tried.settings["penalty"] for tried in made] == [0.1, 1e-2, 1e-3]
    for tried in made:
        taught = tried.refit()
        weight, bias = logistic(x, labels, 3, tried.settings["penalty"])
        ours = softmax(answer(taught.plan, taught.state, x))
        np.testing.assert_allclose(ours, softmax(x @ weight.T + bias), atol=2e-3)


def test_folds_apart_answer_as_all_at_once_however_many_threads(make_clouds, make_task, monkeypatch):
    x, labels = make_clouds()
    task = make_task(x, labels, Head(penalties=(0.01, 0.1)))
    monkeypatch.setattr(module, "_LOOSE", 1e-8)
    together = [softmax(tried.logits) for tried in tries(task, ("none",))]
    monkeypatch.setattr(module, "_SMALL", 0)
    apart = [softmax(tried.logits) for tried in tries(task, ("none",))]
    one_after_the_other = replace(task, train=Train(threads=1))
    for first, again in zip(apart, tries(one_after_the_other, ("none",)), strict=True):
        np.testing.assert_array_equal(softmax(again.logits), first)
    np.testing.assert_allclose(apart, together, atol=1e-3)


def test_weighted_photos_are_as_good_as_repeated_ones(make_clouds):
    x, labels = make_clouds((12, 8, 10))
    times = np.random.default_rng(3).integers(1, 4, len(x))
    design = np.c_[x - x.mean(axis=0), np.ones(len(x))].astype(np.float32)
    spread = (design**2).mean(axis=0)

    def found(design: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
        share = (weights / weights.sum()).astype(np.float32)[:, None]
        start = np.zeros((1, design.shape[1], 3), dtype=np.float32)
        problem = Problem(design, spread, labels, share, 0.01)
        return descend(problem, start, 1e-9, lambda steps: steps > 300).theta[0]

    weighted = found(design, labels, times)
    repeated = found(np.repeat(design, times, axis=0), np.repeat(labels, times), np.ones(times.sum()))
    np.testing.assert_allclose(softmax(design @ weighted), softmax(design @ repeated), atol=1e-3)


def test_several_problems_are_each_solved_as_if_alone(make_clouds):
    x, labels = make_clouds()
    design = np.c_[x - x.mean(axis=0), np.ones(len(x))].astype(np.float32)
    weights = np.zeros((len(x), 2), dtype=np.float32)
    weights[:40, 0], weights[20:, 1] = 1 / 40, 1 / 40
    problem = Problem(design, (design**2).mean(axis=0), labels, weights, 0.03)
    start = np.zeros((2, design.shape[1], 3), dtype=np.float32)
    both = descend(problem, start, 1e-9, lambda steps: steps > 300)
    for k in range(2):
        alone = replace(problem, weights=weights[:, k : k + 1])
        single = descend(alone, start[:1], 1e-9, lambda steps: steps > 300)
        np.testing.assert_allclose(softmax(both.logits[:, k]), softmax(single.logits[:, 0]), atol=1e-3)
        np.testing.assert_allclose(both.logits[:, k], design @ both.theta[k], atol=1e-3)


def test_a_class_without_photos_is_all_but_ruled_out(make_clouds, make_task):
    x, labels = make_clouds((20, 20))
    task = make_task(x, labels * 2, Head(penalties=(0.01,)), classes=4)
    (tried,) = tries(task, ("none",))
    for logits in (tried.logits, answer(*_parts(tried.refit()), x)):
        assert np.isfinite(logits).all()
        assert softmax(logits)[:, [1, 3]].max() < 0.01


def _parts(taught):
    return taught.plan, taught.state


def test_a_class_that_one_fold_holds_alone_breaks_nothing(make_clouds, make_task):
    x, labels = make_clouds((20, 20, 4))
    task = make_task(x, labels, folds=np.where(labels == 2, 0, np.arange(len(labels)) % 5))
    for tried in tries(task, ("none", "class-weights")):
        assert np.isfinite(tried.logits).all()


def test_views_teach_and_only_the_photos_themselves_judge(make_clouds, make_task):
    x, labels = make_clouds(apart=0.6)
    views = np.stack([x, x + np.random.default_rng(5).normal(size=x.shape).astype(np.float32)])
    task = make_task(x, labels, Head(penalties=(0.01,)))
    (plain,), (viewed,) = (tries(one, ("none",)) for one in (task, replace(task, features=views)))
    assert viewed.logits.shape == plain.logits.shape
    assert np.abs(viewed.logits - plain.logits).max() > 0.05
    taught = viewed.refit()
    weight, bias = logistic(views.reshape(-1, x.shape[1]), np.tile(labels, 2), 3, 0.01)
    np.testing.assert_allclose(
        softmax(answer(taught.plan, taught.state, x)), softmax(x @ weight.T + bias), atol=2e-3
    )
    (same,) = tries(replace(task, features=np.stack([x, x])), ("none",))
    np.testing.assert_allclose(softmax(same.logits), softmax(plain.logits), atol=0.01)


def test_balanced_teaching_finds_rare_classes_and_tells_natural_shares(make_clouds, make_task):
    """The corrected probabilities have the mean of the natural shares, as unbalanced ones do."""
    x, labels = make_clouds((300, 30), inputs=4, apart=0.4)
    task = make_task(x, labels, Head(penalties=(1e-3,)))
    plain, weighed = list(tries(task, ("none", "class-weights", "sampling")))
    assert weighed.settings == {"penalty": 1e-3, "balance": "class-weights"}
    assert plain.settings == {"penalty": 1e-3}
    for tried in (plain, weighed):
        assert softmax(tried.logits)[:, 1].mean() == pytest.approx(1 / 11, rel=0.15)
    assert log_loss(weighed.logits, labels) == pytest.approx(log_loss(plain.logits, labels), rel=0.1)
    assert np.abs(softmax(weighed.logits) - softmax(plain.logits)).max() > 1e-3
    state = weighed.refit().state
    assert softmax(x @ state["output.weight"].T + state["output.bias"])[:, 1].mean() == pytest.approx(
        1 / 11, rel=0.15
    )


def test_sampling_alone_is_told_as_sampling(make_clouds, make_task):
    x, labels = make_clouds((30, 6))
    made = list(tries(make_task(x, labels, Head(penalties=(0.01,))), ("sampling",)))
    assert [tried.settings["balance"] for tried in made] == ["sampling"]


def test_a_late_task_still_gets_one_usable_head(make_clouds, make_task):
    x, labels = make_clouds((200, 200, 200), apart=2)
    made = list(tries(make_task(x, labels, deadline=0.0), ("none", "class-weights")))
    assert [tried.settings["penalty"] for tried in made] == [0.1]
    taught = made[0].refit()
    assert (answer(taught.plan, taught.state, x).argmax(axis=1) == labels).mean() > 0.9


def test_folds_side_by_side_are_as_many_as_memory_allows(make_clouds, make_task, monkeypatch):
    path = module._Path(
        make_task(*make_clouds(), train=Train(threads=4)), module.basis(np.eye(2)), "none", "none"
    )
    assert path._workers(60) == 4
    monkeypatch.setattr(module, "_TOGETHER", 360)
    assert path._workers(60) == 2
    assert path._workers(10**6) == 1
