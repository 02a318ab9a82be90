"""From the name of a backbone to its graph: exported once, read from the cache from then on.

A warm run imports neither torch nor timm nor torchvision: what a name stood for is kept beside the graphs.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sortograph.caches import cache_folder, make_room, touch
from sortograph.errors import StorageError
from sortograph.files import make_folder, write_atomic, write_json
from sortograph.lazy import importing
from sortograph.models import hub, registry
from sortograph.models.aliases import ALIASES, best_of
from sortograph.recipe import BackboneChoice, Pixels
from sortograph.records import Backbone, PreprocessSpec, Progress, Said

FORMAT_VERSION = 1  # of what is kept; another one, and everything is made again
_GRAPH, _ABOUT, _NAMES = "backbone.onnx", "backbone.json", "names"
_LIBRARIES = ("torch", "timm", "torchvision", "onnxscript")


@dataclass(frozen=True, slots=True)
class Opened:
    """backbone: with the preprocess that the recipe asks for; graph: in the backbone graph format."""

    backbone: Backbone
    graph: bytes


Meanwhile = Callable[[PreprocessSpec], None]


def open_backbone(
    name: str,
    *,
    settings: BackboneChoice,
    pixels: Pixels,
    progress: Progress,
    seed: int = 0,
    meanwhile: Meanwhile | None = None,
) -> Opened:
    """The backbone of that name, or alias.

    pixels: what it sets of size, resize, interpolation and crop_share goes before what the weights say
    seed: of random weights, where `settings.pretrained` is false
    meanwhile: is called before an export, which keeps one core busy, with what the backbone will see

    Tells through `progress` when it stands in another one for an alias, and when it exports.
    Raises UsageError for unknown names, WeightsError for weights that are not at hand, GateError when the
    exported graph answers otherwise than the network, MissingExtra.
    """
    chosen = _chosen(name, settings.pretrained, progress)
    backbone = _known(chosen, settings.pretrained, seed)
    if backbone is None:
        if not hub.offline():
            progress(Said(f"looking up the backbone {chosen}; weights that are not here yet are fetched"))
        backbone = _resolved(chosen, settings.pretrained, seed)
    backbone = replace(backbone, preprocess=pixels.over(backbone.preprocess))
    folder = _folder(backbone)
    graph = _kept(folder)
    if graph is None:
        progress(Said(f"exporting the backbone {backbone.name}, once; later runs find it in the cache"))
        if meanwhile is not None:
            meanwhile(backbone.preprocess)
        graph = _exported(backbone)
        _keep(folder, backbone, graph, progress)
    touch(folder)
    return Opened(backbone, graph)


def at_hand() -> list[str]:
    """Names of backbones that need no explanation: weights that were added, the smallest network first, then
    the aliases whose weights are in the hub's cache, or all of them where the hub answers."""
    mine = sorted(registry.added().values(), key=lambda one: (one.parameters, one.name))
    online = not hub.offline() and hub.reachable(hub.address())
    aliases = [
        alias for alias, meant in ALIASES.items() if online or _known(meant, True, 0) or _cached(meant)
    ]
    return [one.name for one in mine] + aliases


def is_exported(name: str, settings: BackboneChoice, pixels: Pixels, seed: int = 0) -> bool:
    """Whether `open_backbone` would find the graph in the cache."""
    backbone = _known(ALIASES.get(name, name), settings.pretrained, seed)
    if backbone is None:
        return False
    folder = _folder(replace(backbone, preprocess=pixels.over(backbone.preprocess)))
    return (folder / _ABOUT).exists() and (folder / _GRAPH).exists()


def _chosen(name: str, pretrained: bool, progress: Progress) -> str:
    """The name that an alias stands for; where its weights are out of reach, the best that was added."""
    meant = ALIASES.get(name)
    if meant is None:
        return name
    if not pretrained or registry.is_added(meant) or _known(meant, True, 0) or _cached(meant):
        return meant
    if not hub.offline() and hub.reachable(hub.address()):
        return meant
    found = best_of(registry.added().values())
    if found is None:
        return meant  # its weights are then told to be missing
    progress(
        Said(
            f'"{name}" is {meant}, whose weights are out of reach: {found.name} is used in its place, the '
            "best of the weights that were added",
            warning=True,
        )
    )
    return found.name


def _cached(meant: str) -> bool:
    return hub.cached(f"timm/{meant}")


def _resolved(name: str, pretrained: bool, seed: int) -> Backbone:
    with importing(early=True):
        from sortograph.models.backbone import resolve
    backbone = resolve(name, size=None, pretrained=pretrained, offline=hub.offline(), seed=seed)
    if not (pretrained and registry.is_added(backbone.name)):
        _remember(name, backbone)
    return backbone


def _known(name: str, pretrained: bool, seed: int) -> Backbone | None:
    """What a name stood for when it was last resolved, without asking timm; None where that is not known."""
    if pretrained and registry.is_added(name):
        return registry.read(name)
    try:
        found = json.loads(_name_file(name, pretrained, seed).read_text("utf-8"))
        if found["versions"] != _versions() or found["format_version"] != FORMAT_VERSION:
            return None
        backbone = Backbone.from_json(found["backbone"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    # Weights that were added since under the name go first.
    return registry.read(backbone.name) if pretrained and registry.is_added(backbone.name) else backbone


def _remember(name: str, backbone: Backbone) -> None:
    seed = 0 if backbone.pretrained else int(backbone.weights.rpartition("-")[2])
    file = _name_file(name, backbone.pretrained, seed)
    known = {"format_version": FORMAT_VERSION, "versions": _versions(), "backbone": backbone.to_json()}
    try:
        make_folder(file.parent)
        write_json(file, known)
    except StorageError:
        pass  # the graph will not be kept either, which is told then


def _name_file(name: str, pretrained: bool, seed: int) -> Path:
    # Hashed, because anything may be typed as a name.
    weights = "" if pretrained else f" with random weights {seed}"
    key = hashlib.sha256(f"{name}{weights}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return cache_folder() / "backbones" / _NAMES / f"{key}.json"


def _folder(backbone: Backbone) -> Path:
    made_of: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "versions": _versions(),
        "library": backbone.library,
        "architecture": backbone.architecture,
        "arguments": dict(backbone.arguments),
        "weights": backbone.weights,
        "preprocess": backbone.preprocess.to_json(),
    }
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder() / "backbones" / key


def _versions() -> dict[str, str]:
    return {name: _version(name) for name in _LIBRARIES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _kept(folder: Path) -> bytes | None:
    """The graph, where it is what was written."""
    try:
        about = json.loads((folder / _ABOUT).read_text("utf-8"))
        graph = (folder / _GRAPH).read_bytes()
        return graph if hashlib.sha256(graph).hexdigest() == about["sha256"] else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _keep(folder: Path, backbone: Backbone, graph: bytes, progress: Progress) -> None:
    about = {"format_version": FORMAT_VERSION, "sha256": hashlib.sha256(graph).hexdigest()}
    try:
        if not make_room(cache_folder(), len(graph), (folder,)):
            raise StorageError("the cache is full", where=str(cache_folder()))
        make_folder(folder)
        write_atomic(folder / _GRAPH, graph)
        write_json(folder / _ABOUT, {**about, "backbone": backbone.to_json()})
    except StorageError as error:
        progress(Said(f"the exported backbone is not kept: {error.what}: {error.where}", warning=True))


def _exported(backbone: Backbone) -> bytes:
    with importing(early=True):
        from sortograph.export.backbone import backbone_graph
        from sortograph.models.backbone import build_backbone
    return backbone_graph(build_backbone(backbone), backbone)
