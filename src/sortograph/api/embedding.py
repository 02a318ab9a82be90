"""What makes the embeddings for an audit: a run, a model.onnx or a backbone; or why nothing does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sortograph.api.opening import is_exported, open_backbone
from sortograph.bundle.engine import onnxruntime
from sortograph.bundle.reading import bundle_file
from sortograph.bundle.runtime import Bundle, open_bundle
from sortograph.errors import SortographError, UsageError
from sortograph.features import FeatureKeeper, GraphEmbedder
from sortograph.models import registry
from sortograph.models.aliases import ALIASES
from sortograph.recipe import BackboneChoice, Pixels, Recipe
from sortograph.records import PreprocessSpec, Progress, Said

_NOTHING = "no backbone is at hand: sortograph weights add NAME FILE, or --model RUN"


@dataclass(frozen=True, slots=True)
class Source:
    """keeper: of the embeddings; None where there can be none, for the reason `why`."""

    keeper: FeatureKeeper | None
    why: str = ""


def named_source(model: Path, settings: Recipe, progress: Progress) -> Source:
    """What the user asks for: a run folder, a model.onnx, or the name of a backbone.

    Raises BundleError, and where `open_backbone` does.
    """
    if _is_place(model):
        embedder = BundleEmbedder(open_bundle(bundle_file(model), threads=1))
        return Source(FeatureKeeper(embedder, progress=progress))
    try:
        return Source(_keeper(str(model), settings, progress))
    except UsageError as error:
        expected = "a run folder, a model.onnx, or the name of a backbone"
        raise UsageError(error.what, where=error.where, expected=expected, fix=error.fix) from None


def _is_place(model: Path) -> bool:
    return len(model.parts) != 1 or model.suffix.lower() == ".onnx" or model.is_dir()


def source_at_hand(settings: Recipe, progress: Progress) -> Source:
    """The best backbone that lies on this machine; the network is never asked.

    One that the recipe names goes first, then what is exported already, then the larger network. What was
    added and is not exported yet will be, which needs sortograph[train].
    """
    why = ""
    for name in _at_hand(settings):
        try:
            keeper = _keeper(name, settings, progress)
        except SortographError as error:
            why = why or "; ".join(filter(None, (error.what, error.fix)))
            continue
        progress(Said(f"embeddings are made by {name} (--model takes another network, --quick none)"))
        return Source(keeper)
    return Source(None, why or _NOTHING)


def _at_hand(settings: Recipe) -> list[str]:
    choice, pixels = _choices(settings)
    sizes = {one.name: one.parameters for one in registry.added().values()}
    added = sorted(sizes, key=lambda name: (-sizes[name], name))
    wanted = settings.backbone.names if settings.model.kind == "backbone" else settings.auto.backbones
    names = list(dict.fromkeys([*wanted, *added, *reversed(ALIASES)]))
    exported = [name for name in names if is_exported(name, choice, pixels)]
    return [*exported, *(name for name in added if name not in exported)]


def _choices(settings: Recipe) -> tuple[BackboneChoice, Pixels]:
    """Those of the recipe where it has backbones, so that its training finds the embeddings again."""
    if settings.model.kind not in ("backbone", "auto"):
        return BackboneChoice(), Pixels()
    return settings.backbone.model_copy(update={"pretrained": True}), settings.pixels


def _keeper(name: str, settings: Recipe, progress: Progress) -> FeatureKeeper:
    choice, pixels = _choices(settings)
    opened = open_backbone(name, settings=choice, pixels=pixels, progress=progress)
    embedder = GraphEmbedder(opened.graph, opened.backbone.preprocess, mirror=choice.mirror)
    return FeatureKeeper(embedder, precision=choice.precision, progress=progress)


class BundleEmbedder:
    """Embeds with a model.onnx of ours, as `features.Embedder` has it."""

    batch, threads = 32, 1  # `run_many` has threads of its own

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.key = f"{bundle.sha256[:24]}-onnxruntime{onnxruntime().__version__}-model"
        self.spec: PreprocessSpec = bundle.manifest.preprocess
        self.width = self.embed(np.zeros((1, *self.spec.size, 3), dtype=np.uint8)).shape[1]

    def embed(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (N, H, W, 3) of the spec's size, N ≥ 1 → float32 (N, D). Raises DataError, BundleError."""
        return self._bundle.run_many(photos).embedding
