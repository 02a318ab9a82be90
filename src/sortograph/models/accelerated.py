"""Embeddings by torch on a GPU, in mixed precision."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sortograph.records import Backbone, PreprocessSpec

_BATCH = 64
_DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/kfd")


def may_have_gpu() -> bool:
    """Whether it is worth seconds to import torch and ask it: there are signs of a driver."""
    if sys.platform == "darwin" or shutil.which("nvidia-smi"):
        return True
    return any(Path(place).exists() for place in _DRIVERS)


def torch_embedder(backbone: Backbone, *, mirror: bool = False) -> TorchEmbedder | None:
    """The embedder on the GPU of this machine; None where torch finds none.

    Raises WeightsError when the weights are not at hand any more.
    """
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        return None
    return TorchEmbedder(backbone, found.type, mirror=mirror)


class TorchEmbedder:
    """Embeds with the network itself, as `features.Embedder` wants it.

    device: "cuda", "mps", …, or "cpu"
    On "cuda" convolutions and products are computed in bfloat16 where the GPU has units for it, else float16;
    elsewhere in float32. Embeddings differ from those of the finished model by that rounding.
    """

    threads, batch = 1, _BATCH

    def __init__(self, backbone: Backbone, device: str, *, mirror: bool = False) -> None:
        import torch

        from sortograph.models.backbone import build_backbone

        self.spec: PreprocessSpec = backbone.preprocess
        self.width, self.mirror = backbone.features, mirror
        self._device = torch.device(device)
        self._dtype = _precision(device)
        network = build_backbone(backbone).eval().to(self._device)
        self._network = network.to(memory_format=torch.channels_last)
        precision = str(self._dtype).removeprefix("torch.")
        made_by = f"torch{torch.__version__}-{device}-{precision}{'-mirror' if mirror else ''}"
        self.key = f"{_digest(backbone)}-{made_by}"

    def embed(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, H, W, 3) of the spec's size, N ≥ 1 → float32 (N, D)."""
        parts = [photos[start : start + _BATCH] for start in range(0, len(photos), _BATCH)]
        return np.concatenate([self._embed(part) for part in parts])

    def _embed(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        batch = torch.from_numpy(np.ascontiguousarray(photos)).to(self._device).permute(0, 3, 1, 2)
        mixed = self._dtype != torch.float32
        with torch.inference_mode(), torch.autocast(self._device.type, self._dtype, enabled=mixed):
            made = self._network(batch).float()
            if self.mirror:
                made = (made + self._network(batch.flip(3)).float()) / 2
        return np.asarray(made.cpu().numpy(), dtype=np.float32)


def _digest(backbone: Backbone) -> str:
    """Of all that decides what the network computes, but for its name."""
    told = {**backbone.to_json(), "name": "", "licence": "", "origin": ""}
    told["made_with"] = version(backbone.library)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]


def _precision(device: str) -> Any:
    import torch

    if device != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability()[0] >= 8 else torch.float16
