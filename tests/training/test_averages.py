from __future__ import annotations

import pytest
import torch
from torch import nn

from sortograph.training.averages import WeightMean


def network() -> nn.Module:
    """A layer that is taught, a batch norm, and a layer that is not."""
    made = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    with torch.no_grad():
        for number, weight in enumerate(made.parameters()):
            weight.fill_(number)
    made[2].requires_grad_(False)
    return made


@torch.no_grad()
def set_to(made: nn.Module, value: float) -> None:
    made[0].weight.fill_(value)
    made[1].running_mean.fill_(-value)


def test_it_is_the_weighted_mean_of_all_weights_so_far():
    made = network()
    mean = WeightMean(made, 0.8)
    seen = [3.0, -1.0, 5.0, 0.5]
    for count, value in enumerate(seen, 1):
        set_to(made, value)
        mean.add(count)
    shares = [0.8**age for age in reversed(range(len(seen)))]
    expected = sum(share * value for share, value in zip(shares, seen, strict=True)) / sum(shares)
    assert float(mean.mean["0.weight"][0, 0]) == pytest.approx(expected)
    assert float(mean.mean["1.running_mean"][0]) == pytest.approx(-expected)


def test_what_nothing_changes_is_not_kept_twice():
    assert set(WeightMean(network(), 0.5).mean) == {
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
    }


def test_applied_means_are_taken_back():
    made = network()
    mean = WeightMean(made, 0.5)
    set_to(made, 7.0)

    def fail():
        assert made[0].weight[0, 0].item() == 0
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), mean.applied():
        fail()
    assert made[0].weight[0, 0].item() == 7
    assert float(mean.mean["0.weight"][0, 0]) == 0


def test_it_goes_on_where_another_stood():
    first, second = network(), network()
    one, other = WeightMean(first, 0.9), WeightMean(second, 0.9)
    for made in (first, second):
        set_to(made, 2.0)
    one.add(1)
    other.restore(one.mean)
    for made, mean in ((first, one), (second, other)):
        set_to(made, -3.0)
        mean.add(2)
    assert all(torch.equal(one.mean[name], other.mean[name]) for name in one.mean)
    assert float(other.mean["0.weight"][0, 0]) == pytest.approx((0.9 * 2 - 3) / 1.9)
