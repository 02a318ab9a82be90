"""Residual blocks that are left out at random while a network is taught."""

from __future__ import annotations

from torch import Tensor, nn

# Where timm's and torchvision's blocks call it; timm leaves None or an identity there for a rate of 0.
_PLACES = ("drop_path", "drop_path1", "drop_path2", "stochastic_depth")


class StochasticDepth(nn.Module):
    """Leaves out what a block adds, for each photo with probability `rate`; the mean stays.

    Huang et al. 2016, arXiv:1603.09382, equation 5 with the scaling at training time.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return x
        kept = x.new_empty((len(x), *(1,) * (x.ndim - 1))).bernoulli_(1 - self.rate)
        return x * (kept / (1 - self.rate))


def set_drop_path(body: nn.Module, rate: float) -> int:
    """Put stochastic depth into every block that has a place for it, and count them.

    The rate grows with depth in a straight line, 0 at the first block, `rate` at the last (equation 4).
    """
    blocks = [
        (module, [place for place in _PLACES if hasattr(module, place)]) for module in list(body.modules())
    ]
    blocks = [(module, places) for module, places in blocks if places]
    for number, (module, places) in enumerate(blocks):
        for place in places:
            setattr(module, place, StochasticDepth(rate * number / max(1, len(blocks) - 1)))
    return len(blocks)
