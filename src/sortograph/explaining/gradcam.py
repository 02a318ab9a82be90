"""Heatmaps from the last feature map of a network from scratch; `maps` tells by which method. Needs torch.

Both papers take the gradient of the class score. Here it is that of the log-odds, as in `occlusion`, since a
network with one sigmoid output has no score for its first class.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sortograph.errors import WeightsError
from sortograph.explaining.maps import GRAD_CAM, gradient_method
from sortograph.explaining.occlusion import Heat, Pixels
from sortograph.models.layers import Flatten, GlobalPool, Layer
from sortograph.models.network import Network
from sortograph.models.plan import Plan
from sortograph.models.weights_file import load, mismatches, read_state
from sortograph.records import PreprocessSpec


class MappedNetwork(Network):
    """A network that keeps the feature map which it flattened, or took the mean of, last."""

    feature_map: Tensor | None = None

    def _step(self, layer: Layer, x: Tensor, inplace: bool) -> Tensor:
        if isinstance(layer, Flatten | GlobalPool) and x.ndim == 4:
            # Gradients are wanted to here and no further back.
            x = self.feature_map = x.detach().requires_grad_()
        return super()._step(layer, x, inplace)


def open_network(plan: Plan, spec: PreprocessSpec, file: Path) -> MappedNetwork:
    """The network of a run, with its weights.safetensors.

    Raises WeightsError when the file is missing, damaged, or of another network.
    """
    network = MappedNetwork(plan, spec)
    state = read_state(file)
    if wrong := mismatches(state, network, ()):
        raise WeightsError(
            f"not the weights of the network that the run's recipe describes ({'; '.join(wrong)})",
            where=str(file),
            fix="--method occlusion, which asks model.onnx alone",
        )
    load(network, state)
    network.requires_grad_(False).eval()
    return network


def gradcam(
    network: MappedNetwork, photos: Pixels, labels: NDArray[np.int64]
) -> tuple[Heat, NDArray[np.float32]]:
    """Where photos speak for a class each: heatmaps float32 (N, H, W), and the logits float32 (N, C).

    photos: uint8 (N, H, W, 3) of the plan's size; labels: int64 (N,), 0 ≤ label < C

    Heat is 0…1; the largest value of each photo is 1, or all is 0 where nothing speaks for the class.
    Raises ValueError for a network without a feature map.
    """
    method = gradient_method(network.plan)
    if method is None:
        raise ValueError("this network has no feature map")
    pixels = torch.from_numpy(photos.astype(np.float32))
    logits = network(pixels.permute(0, 3, 1, 2))
    at = network.feature_map
    assert at is not None
    (slopes,) = torch.autograd.grad(_log_odds(logits, torch.from_numpy(labels)).sum(), at)
    weights = slopes.mean((2, 3), keepdim=True) if method == GRAD_CAM else slopes.relu()
    heat = (weights * at.detach()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, network.plan.size, mode="bilinear", align_corners=False)[:, 0]
    most = heat.amax((1, 2), keepdim=True)
    heat = heat / torch.where(most > 1e-12, most, torch.ones_like(most))
    return np.asarray(heat.numpy()), np.asarray(logits.detach().numpy())


def _log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    mine = labels[:, None]
    others = logits.scatter(1, mine, float("-inf"))
    return logits.gather(1, mine)[:, 0] - others.logsumexp(1)
