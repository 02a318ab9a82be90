"""Everything that a run needs to go on, in one file: tensors as safetensors, the rest as JSON in its header.

Written to a temporary file and renamed, so the newest complete one always survives; the last two are kept.
No pickle: opening a checkpoint runs no code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sortograph.errors import RunError
from sortograph.files import make_folder, write_atomic
from sortograph.records import EpochRow

_FORMAT = 1
_KEPT = 2
_STATE, _DIGEST = "sortograph.state", "sortograph.digest"


@dataclass(frozen=True, slots=True)
class Sums:
    """What an unfinished epoch has added up."""

    loss: float = 0.0
    right: int = 0
    seen: int = 0
    seconds: float = 0.0
    norms: Mapping[str, float] = field(default_factory=dict)
    norm_steps: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a run stands: `step` steps of epoch number `epoch` (from 1) are done.

    fingerprint: of the index; recipe: resolved, as plain data; tensors: "network/…", "best/…", "optimiser/…"
    circumstances: what the bits of the result depend on besides, by name
    passed_over: newer files that are damaged, and how
    """

    fingerprint: str
    recipe: Mapping[str, Any]
    epoch: int
    step: int
    history: tuple[EpochRow, ...]
    sums: Sums
    tensors: Mapping[str, Tensor]
    circumstances: Mapping[str, str] = field(default_factory=dict)
    passed_over: tuple[str, ...] = ()


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write into `folder` and remove all but the last two. Raises StorageError."""
    make_folder(folder)
    state = {
        "format_version": _FORMAT,
        "fingerprint": checkpoint.fingerprint,
        "recipe": checkpoint.recipe,
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "history": [asdict(row) for row in checkpoint.history],
        "sums": asdict(checkpoint.sums),
        "circumstances": dict(checkpoint.circumstances),
    }
    text = json.dumps(state)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    data = save(tensors, {_STATE: text, _DIGEST: _digest(text, tensors)})
    path = folder / f"epoch-{checkpoint.epoch:05d}-step-{checkpoint.step:07d}.safetensors"
    write_atomic(path, data)
    for old in _newest_first(folder)[_KEPT:]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path


def read_checkpoint(folder: Path) -> Checkpoint:
    """The newest checkpoint that is whole. Raises RunError when there is none."""
    reasons: list[str] = []
    for path in _newest_first(folder):
        try:
            return replace(_read(path), passed_over=tuple(reasons))
        except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
            reasons.append(f"{path.name}: {error}")
    raise RunError(
        "no checkpoint to go on from" + "".join(f"\n  {reason}" for reason in reasons),
        where=str(folder),
        expected="the folder of a run that was interrupted",
        fix="sortograph train PHOTOS",
    )


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*.safetensors"), reverse=True)


def _read(path: Path) -> Checkpoint:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping
    text = metadata[_STATE]
    if _digest(text, tensors) != metadata[_DIGEST]:
        raise ValueError("damaged (its digest differs)")
    state = json.loads(text)
    if state["format_version"] != _FORMAT:
        raise ValueError(f"format {state['format_version']}, this version reads {_FORMAT}")
    return Checkpoint(
        fingerprint=state["fingerprint"],
        recipe=state["recipe"],
        epoch=state["epoch"],
        step=state["step"],
        history=tuple(EpochRow(**row) for row in state["history"]),
        sums=Sums(**state["sums"]),
        tensors=tensors,
        circumstances=state["circumstances"],
    )


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=32)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: "<parameter number>/<name>"."""
    state = optimiser.state_dict()["state"]
    return {
        f"{number}/{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split("/")
        weight = weights[int(number)]
        # A fused step walks through a weight and its state in the order of memory, which files do not keep.
        laid_out = torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor
        state.setdefault(int(number), {})[name] = laid_out
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
