"""doctor: is everything here that is needed, and does a model answer as it did where it was made?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sortograph import environment
from sortograph.api.caching import cache_info
from sortograph.errors import WeightsError


def doctor(model: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """What is installed, the device, the caches; with a model, whether it is intact and answers as it should.

    Raises BundleError for a model that cannot be used, GateError for one that answers otherwise than
    where it was made.
    """
    import sortograph

    found: dict[str, Any] = {
        "version": sortograph.__version__,
        "extras": environment.extras(),
        "device": _device(),
        "weights": _weights(),
        "caches": cache_info()["kinds"],
        "environment": environment.describe(),
    }
    if model is not None:
        found["model"] = _examined(Path(model))
    return found


def _weights() -> list[dict[str, Any]]:
    """What was added; `damaged` is the reason why it cannot be used, None where it can."""
    from sortograph.models import registry

    return [
        {"name": name, "licence": "", "damaged": found.what}
        if isinstance(found, WeightsError)
        else {"name": name, "licence": found.licence, "damaged": None}
        for name, found in registry.entries().items()
    ]


def _device() -> str:
    """Where training would run."""
    try:
        import torch
    except ImportError:
        return "cpu"
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        return "cpu"
    return torch.cuda.get_device_name() if found.type == "cuda" else found.type


def _examined(path: Path) -> dict[str, Any]:
    from sortograph.bundle.runtime import open_bundle

    bundle = open_bundle(path)
    manifest = bundle.manifest
    return {
        "sha256": bundle.sha256,
        "classes": list(manifest.classes),
        "size": list(manifest.preprocess.size),
        "made_with": manifest.made_with,
        "largest_difference_of_a_logit": bundle.replay(),
    }
