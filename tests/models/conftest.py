"""Small networks of timm, files with their weights, and a machine without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from sortograph.models import weights_file


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from sortograph.models import hub

    monkeypatch.delenv("SORTOGRAPH_OFFLINE", raising=False)
    monkeypatch.setattr(hub, "_answers", lambda address: False)


@pytest.fixture
def weights_of(tmp_path: Path) -> Callable[..., Path]:
    """A .pth with the weights of a network of timm, drawn by a seed."""

    def write(name: str, *, seed: int = 5, classes: int = 1000, file: str = "weights.pth") -> Path:
        import timm
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            state = timm.create_model(name, num_classes=classes).state_dict()
        torch.save(state, tmp_path / file)
        return tmp_path / file

    return write


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """Puts weights where the hub's own cache has them."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(hub_id: str, body: nn.Module) -> Path:
        repo = tmp_path / "hub" / f"models--{hub_id.replace('/', '--')}"
        commit = "0" * 40
        (repo / "refs").mkdir(parents=True, exist_ok=True)
        (repo / "refs" / "main").write_text(commit)
        (repo / "snapshots" / commit).mkdir(parents=True, exist_ok=True)
        file = repo / "snapshots" / commit / "model.safetensors"
        file.write_bytes(weights_file.serialized(body))
        return file

    return put
