"""A backbone as a torch module: from photos to embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from sortograph.records import PreprocessSpec

_FEW_STAGES = 4


class EmbeddingNetwork(nn.Module):
    """A network of timm or torchvision without its classifier (`body`), with normalisation in front."""

    scale: Tensor
    offset: Tensor

    def __init__(self, body: nn.Module, preprocess: PreprocessSpec) -> None:
        super().__init__()
        self.body = body
        for name, values in zip(("scale", "offset"), preprocess.affine(), strict=True):
            self.register_buffer(name, torch.tensor(values).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, photos: Tensor) -> Tensor:
        """Embeddings (N, D), float32 or the type of an autocast around it.

        photos: (N, 3, H, W) RGB of the backbone's size, uint8 or float32 in 0–255
        """
        pixels = torch.addcmul(self.offset, photos.to(self.scale.dtype), self.scale)
        embedding: Tensor = self.body(pixels)
        return embedding

    def stages(self) -> list[list[nn.Module]]:
        """All modules of the body that hold parameters of their own, from the input to the output.

        A module counts with `parameters(recurse=False)` alone: each parameter is in exactly one stage. The
        stages are those that timm names for layer-wise rates; of other networks, their parts in order.
        """
        names = _by_matcher(self.body) or _by_parts(self.body)
        order = {name: number for number, stage in enumerate(names) for name in stage}
        found: list[list[nn.Module]] = [[] for _ in names]
        for prefix, module in self.body.named_modules():
            own = [f"{prefix}.{name}".lstrip(".") for name, _ in module.named_parameters(recurse=False)]
            if own:
                found[min(order[name] for name in own)].append(module)
        return [stage for stage in found if stage]


def _by_matcher(body: nn.Module) -> list[list[str]]:
    """Names of parameters by timm's own groups; nothing for networks that have none."""
    matcher = getattr(body, "group_matcher", None)
    if matcher is None:
        return []
    from timm.models import group_parameters

    groups = group_parameters(body, matcher(coarse=True))
    return [groups[number] for number in sorted(groups)]


def _by_parts(body: nn.Module) -> list[list[str]]:
    """Names of parameters by the parts of the network: the largest is divided until there are a few."""
    parts: list[tuple[str, nn.Module]] = _inside("", body)
    while len(parts) < _FEW_STAGES:
        place = max(range(len(parts)), key=lambda number: _size(parts[number][1].parameters()))
        inner = _inside(*parts[place])
        if not inner:
            break
        parts[place : place + 1] = inner
    first = [(name, module) for name, module in parts]
    return _grouped([name for name, _ in body.named_parameters()], [name for name, _ in first])


def _inside(prefix: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    children = ((f"{prefix}.{name}".lstrip("."), child) for name, child in module.named_children())
    return [(name, child) for name, child in children if _size(child.parameters())]


def _grouped(names: Sequence[str], parts: Sequence[str]) -> list[list[str]]:
    """Parameters by the part that they are in; those in none, such as a class token, are with the first."""
    stages: list[list[str]] = [[] for _ in parts]
    for name in names:
        inside = [number for number, part in enumerate(parts) if name.startswith(f"{part}.")]
        stages[inside[0] if inside else 0].append(name)
    return stages


def _size(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)
