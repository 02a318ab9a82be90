from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sortograph.errors import RecipeError
from sortograph.models import head
from sortograph.models.head import HeadPlan, answer, head_plan, linear_plan, neighbours_plan
from sortograph.models.layers import Activation, Dense, GlobalPool
from sortograph.recipe import Head

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 5)).astype(np.float32)


def state_of(plan: HeadPlan) -> dict[str, np.ndarray]:
    """Random arrays; variances above 0."""
    made = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in plan.weights().items()}
    return {name: np.abs(value) + 0.5 if name.endswith("var") else value for name, value in made.items()}


def by_torch(plan: HeadPlan, state: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    out = torch.from_numpy(x).double()
    kinds = {"relu": F.relu, "silu": F.silu, "gelu": F.gelu, "tanh": torch.tanh}
    for layer in plan.layers:
        arrays = [torch.from_numpy(state[name]).double() for name in layer.weights()]
        if isinstance(layer, Dense):
            out = F.linear(out, *arrays)
        elif isinstance(layer, Activation):
            out = kinds[layer.kind](out)
        elif arrays:
            weight, bias, mean, variance = arrays
            out = F.batch_norm(out, mean, variance, weight, bias, eps=1e-3)
    return out.numpy()


@pytest.mark.parametrize("activation", ["relu", "silu", "gelu", "tanh"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_dense_heads_answer_as_torch_does(activation, batch_norm):
    settings = Head(dense=(6, 4), activation=activation, batch_norm=batch_norm, dropout=0.5)
    plan = head_plan(settings, 5, 3)
    state = state_of(plan)
    given = answer(plan, state, 3 * X)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, by_torch(plan, state, 3 * X), atol=1e-5)


def test_the_last_layer_is_the_output_and_widths_follow_each_other():
    plan = head_plan(Head(dense=(6, 4), batch_norm=True), 5, 3)
    shapes = {name: shape for name, shape in plan.weights().items() if name.endswith("weight")}
    assert shapes == {
        "dense1.weight": (6, 5),
        "bn1.weight": (6,),
        "dense2.weight": (4, 6),
        "bn2.weight": (4,),
        "output.weight": (3, 4),
    }
    assert plan.layers[-1] == Dense("output", 4, 3)
    assert head_plan(Head(), 5, 3) == linear_plan(5, 3)


def remembered(count: int = 4) -> dict[str, np.ndarray]:
    features = RNG.normal(size=(count, 5)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    labels = np.eye(3, dtype=np.float32)[np.arange(count) % 3]
    centre = np.full(5, 0.1, dtype=np.float32)
    return {"output.features": features, "output.labels": labels, "output.centre": centre}


def votes_by_hand(state: dict[str, np.ndarray], x: np.ndarray, k: int) -> list[float]:
    moved = x.astype(float) - state["output.centre"]
    likeness = state["output.features"].astype(float) @ moved / np.linalg.norm(moved)
    best = sorted(range(len(likeness)), key=lambda row: -likeness[row])[:k]
    sums = [0.001] * 3
    for row in best:
        weight = math.exp((likeness[row] - likeness[best[0]]) / 0.07)
        sums[int(state["output.labels"][row].argmax())] += weight
    return [math.log(total) for total in sums]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_neighbours_vote_by_likeness(k):
    state, plan = remembered(), neighbours_plan(5, 3, k, 4)
    expected = [votes_by_hand(state, row, k) for row in X]
    np.testing.assert_allclose(answer(plan, state, X), expected, atol=1e-4)


def test_more_neighbours_than_photos_are_all_of_them():
    state = remembered()
    asked = answer(neighbours_plan(5, 3, 50, 4), state, X)
    np.testing.assert_array_equal(asked, answer(neighbours_plan(5, 3, 4, 4), state, X))


def test_a_photo_in_the_very_centre_gets_finite_votes():
    state = remembered()
    assert np.isfinite(answer(neighbours_plan(5, 3, 2, 4), state, state["output.centre"][None])).all()


def test_remembering_too_much_is_refused_with_the_way_forward():
    with pytest.raises(RecipeError) as caught:
        neighbours_plan(2048, 10, 5, 1_000_000)
    assert "at most 48,828 photos" in str(caught.value)
    assert "head.kind=logistic" in str(caught.value)


def test_chunks_of_rows_change_nothing(monkeypatch):
    plan, state = neighbours_plan(5, 3, 2, 4), remembered()
    whole = answer(plan, state, X)
    sizes = []
    step = head._step
    monkeypatch.setattr(head, "_CHUNK", 24)
    monkeypatch.setattr(head, "_step", lambda layer, state, x: sizes.append(len(x)) or step(layer, state, x))
    np.testing.assert_allclose(answer(plan, state, X), whole, atol=1e-6)
    assert sizes == [3, 3, 1]


def test_no_photos_give_no_logits():
    plan = linear_plan(5, 3)
    assert answer(plan, state_of(plan), X[:0]).shape == (0, 3)


def test_layers_of_feature_maps_are_none_of_a_head():
    with pytest.raises(TypeError, match="GlobalPool"):
        answer(HeadPlan(5, 5, (GlobalPool(),)), {}, X)
