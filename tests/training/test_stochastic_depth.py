from __future__ import annotations

import pytest
import torch
from torch import nn

from sortograph.training.stochastic_depth import StochasticDepth, set_drop_path


class Block(nn.Module):
    """With the places that timm's blocks have: nothing there, or an identity."""

    def __init__(self, **places: nn.Module | None) -> None:
        super().__init__()
        for name, module in places.items():
            setattr(self, name, module)


def test_it_leaves_out_whole_photos_and_keeps_the_mean():
    module = StochasticDepth(0.25)
    x = torch.ones(4000, 2, 3, 3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = module(x)
    values = made[:, 0, 0, 0]
    assert torch.equal(made, values.view(-1, 1, 1, 1).expand_as(made))
    assert values.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert float(values.mean()) == pytest.approx(1, abs=0.05)


def test_it_does_nothing_in_use_nor_at_a_rate_of_0():
    x = torch.ones(50, 3)
    assert torch.equal(StochasticDepth(0.9).eval()(x), x)
    assert torch.equal(StochasticDepth(0.0)(x), x)


def test_the_rate_grows_from_block_to_block_in_every_place():
    body = nn.Sequential(
        Block(drop_path=None),
        nn.Linear(2, 2),
        Block(drop_path1=nn.Identity(), drop_path2=nn.Identity()),
        Block(stochastic_depth=StochasticDepth(0.9)),
    )
    assert set_drop_path(body, 0.4) == 3
    assert body[0].drop_path.rate == 0
    assert body[2].drop_path1.rate == body[2].drop_path2.rate == pytest.approx(0.2)
    assert body[2].drop_path1 is not body[2].drop_path2
    assert body[3].stochastic_depth.rate == pytest.approx(0.4)


def test_networks_without_a_place_for_it_stay_as_they_are():
    body = nn.Sequential(nn.Linear(2, 2))
    assert set_drop_path(body, 0.4) == 0
    assert [type(module) for module in body] == [nn.Linear]
