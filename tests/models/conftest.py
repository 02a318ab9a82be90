"""Small networks of timm, files with their weights, and a machine without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


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
