"""Backbones: from a name to what is known of it, and from there to a network with its weights.

Weights come from where the user added them, else from the hub's own cache on this machine, else from the hub.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sortograph.errors import MissingExtra, WeightsError
from sortograph.models import hub, registry, weights_file
from sortograph.models.architectures import Architecture, find, make_body, resize, width_of
from sortograph.models.embedding import EmbeddingNetwork
from sortograph.records import Backbone
from sortograph.records.backbone import Argument

__all__ = ["EmbeddingNetwork", "build_backbone", "resolve"]

_RANDOM = "random-"
_SECONDS = 20


def resolve(
    name: str, *, size: tuple[int, int] | None, pretrained: bool, offline: bool, seed: int
) -> Backbone:
    """What is known of the backbone of that name; its weights are loaded, and downloaded where they must be.

    size: (height, width) of photos, None for that of the weights; seed: of random weights

    Raises UsageError for unknown names, WeightsError for weights that are not at hand or damaged.
    """
    if registry.is_added(name):
        found = registry.read(name)
    else:
        architecture = find(name)
        if registry.is_added(architecture.full):
            found = registry.read(architecture.full)
        else:
            found = _taught(architecture, offline) if pretrained else _untaught(architecture, seed)
    if not pretrained:
        found = replace(found, weights=f"{_RANDOM}{seed}", licence="", origin="random weights")
    return found if size is None else replace(found, preprocess=replace(found.preprocess, size=size))


def build_backbone(backbone: Backbone) -> EmbeddingNetwork:
    """The network with its weights, in evaluation mode, on the CPU.

    Raises WeightsError where the weights are not at hand any more or have changed, UsageError for a size of
    photos that it does not take.
    """
    size = backbone.preprocess.size
    if not backbone.pretrained:
        seed = int(backbone.weights.removeprefix(_RANDOM))
        body = make_body(backbone.library, backbone.architecture, backbone.arguments, seed)
    elif registry.is_added(backbone.name) and registry.read(backbone.name).weights == backbone.weights:
        body = _added_body(backbone)
    else:
        body = _fetched(find(backbone.name), hub.offline(), dict(backbone.arguments))
        _check_same(body, backbone)
    resize(body, size)
    width = width_of(body, size)
    assert width == backbone.features
    return EmbeddingNetwork(body, backbone.preprocess).eval()


def describe(
    architecture: Architecture, body: nn.Module, weights: str, arguments: dict[str, Argument]
) -> Backbone:
    """The record of a network whose weights have that SHA-256."""
    return Backbone(
        name=architecture.full,
        library=architecture.library,
        architecture=architecture.name,
        preprocess=architecture.preprocess,
        weights=weights,
        features=width_of(body, architecture.preprocess.size),
        parameters=sum(parameter.numel() for parameter in body.parameters()),
        arguments=arguments,
        licence=architecture.licence,
        origin=architecture.origin,
    )


def at_hand(architecture: Architecture) -> bool:
    """Whether the weights lie on this machine, added or in the cache of the hub or of torch."""
    if registry.is_added(architecture.full):
        return True
    if architecture.hub_id:
        return hub.cached(architecture.hub_id)
    return bool(architecture.address) and _torch_file(architecture.address).is_file()


def _taught(architecture: Architecture, offline: bool) -> Backbone:
    body = _fetched(architecture, offline, {})
    return describe(architecture, body, weights_file.fingerprint(body), {})


def _untaught(architecture: Architecture, seed: int) -> Backbone:
    body = make_body(architecture.library, architecture.name, {}, seed)
    return describe(architecture, body, f"{_RANDOM}{seed}", {})


def _added_body(backbone: Backbone) -> nn.Module:
    file = registry.added_file(backbone.name)
    body = make_body(backbone.library, backbone.architecture, backbone.arguments, 0)
    resize(body, registry.read(backbone.name).preprocess.size)
    state = weights_file.read_state(file)
    wrong = weights_file.mismatches(state, body, ())
    if wrong:
        raise WeightsError(
            f"the added weights {backbone.name!r} do not fit the network of this {backbone.library} "
            f"({'; '.join(wrong)})",
            where=str(file),
            fix="sortograph weights add NAME FILE, under another tag",
        )
    weights_file.load(body, state)
    return body


def _fetched(architecture: Architecture, offline: bool, arguments: dict[str, Argument]) -> nn.Module:
    """The network with the weights of its own configuration. Raises WeightsError where they cannot be had."""
    cached = at_hand(architecture)
    if not cached:
        _check_reachable(architecture, offline)
    hub.prepare(offline=offline or cached)
    try:
        with torch.random.fork_rng(devices=[]), _patience():
            return _loaded(architecture, arguments)
    except (MissingExtra, KeyboardInterrupt):
        raise
    except Exception as error:  # libraries, network and disk: what they raise is nowhere listed
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _not_at_hand(architecture, f"the download failed: {line[:200]}") from None


def _loaded(architecture: Architecture, arguments: dict[str, Argument]) -> nn.Module:
    if architecture.library == "timm":
        import timm

        settings: dict[str, Any] = {**arguments, "num_classes": 0}
        made: nn.Module = timm.create_model(architecture.full, pretrained=True, **settings)
        return made
    body = make_body(architecture.library, architecture.name, arguments, 0)
    state = torch.hub.load_state_dict_from_url(
        architecture.address, map_location="cpu", progress=False, check_hash=True, weights_only=True
    )
    wrong = weights_file.mismatches(state, body, architecture.classifier)
    if wrong:
        raise WeightsError("; ".join(wrong))
    weights_file.load(body, state)
    return body


def _check_reachable(architecture: Architecture, offline: bool) -> None:
    if not (architecture.hub_id or architecture.address):
        raise _not_at_hand(architecture, "nobody offers them")
    if offline:
        raise _not_at_hand(architecture, f"{hub.OFFLINE} keeps this machine off the network")
    address = hub.address(architecture.hub_id) if architecture.hub_id else architecture.address
    if not hub.reachable(address):
        place = "the hub" if architecture.hub_id else address
        raise _not_at_hand(architecture, f"{place} is out of reach")


def _not_at_hand(architecture: Architecture, reason: str) -> WeightsError:
    return WeightsError(
        f"the weights of {architecture.full} are not at hand, and {reason}",
        fix=f"sortograph weights add {architecture.full} FILE, or --no-pretrained for a network from "
        "scratch; sortograph weights list tells what is at hand",
    )


def _check_same(body: nn.Module, backbone: Backbone) -> None:
    found = weights_file.fingerprint(body)
    if found != backbone.weights:
        raise WeightsError(
            f"the weights of {backbone.name} are others than before",
            where=backbone.origin,
            expected=f"SHA-256 {backbone.weights[:12]}…, not {found[:12]}…",
            fix=f"sortograph weights add {backbone.architecture}.TAG FILE, with the weights of that time",
        )


def _torch_file(address: str) -> Path:
    return Path(torch.hub.get_dir(), "checkpoints", address.rpartition("/")[2])


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """A server that hangs is given up: torch.hub itself would wait for ever."""
    before: Any = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
