"""Running means of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightMean:
    """The exponential running mean of the weights of a network while it is taught.

    As a teacher of itself: Tarvainen & Valpola 2017, arXiv:1703.01780, section 2. It begins with the weights
    after the first step, corrected for the start as Kingma & Ba 2015, arXiv:1412.6980, section 3 do: after n
    steps the last weights count (1 − decay) / (1 − decayⁿ), all of them for n = 1.

    Of statistics, such as those of batch normalisation, the mean is taken too; counters are not averaged.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        state = network.state_dict(keep_vars=True)
        self._live = {name: value for name, value in state.items() if _moves(value)}
        self.mean = {name: value.detach().clone() for name, value in self._live.items()}

    @torch.no_grad()
    def add(self, count: int) -> None:
        """Take in the weights after step number `count`, from 1."""
        share = (1 - self.decay) / (1 - self.decay**count)
        torch._foreach_lerp_(list(self.mean.values()), list(self._live.values()), share)

    @torch.no_grad()
    def restore(self, mean: Mapping[str, Tensor]) -> None:
        for name, value in self.mean.items():
            value.copy_(mean[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it, the network has the mean for its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, live in self._live.items():
            held = live.detach().clone()
            live.copy_(self.mean[name])
            self.mean[name].copy_(held)


def _moves(value: Tensor) -> bool:
    """Whether training may change it, by gradients or by counting."""
    return value.is_floating_point() and (value.requires_grad or not isinstance(value, nn.Parameter))
