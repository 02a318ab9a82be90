"""Weights of the user's own: checked against the network that they are said to be of."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from sortograph.errors import UsageError, WeightsError
from sortograph.models import registry, weights_file
from sortograph.models.architectures import Architecture, candidates, make_body, resize
from sortograph.models.backbone import describe
from sortograph.records import Backbone, PreprocessSpec
from sortograph.records.backbone import Argument

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Claims:
    """What the user says about weights; None for what the network's own configuration says.

    mean, std   of pixels in 0–1, for R, G, B
    input_size  (height, width)
    arguments   of the library's maker
    """

    mean: Triple | None = None
    std: Triple | None = None
    input_size: tuple[int, int] | None = None
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    licence: str = ""
    origin: str = ""


def adopt(name: str, file: Path, claims: Claims) -> Backbone:
    """Keep the weights in `file` as the backbone `name`, in float32 and without their classifier.

    name: a model of timm or torchvision, with a tag of the user's after a dot or without one

    Raises UsageError for names that are taken or unknown and for claims out of range; WeightsError for files
    that hold no weights, or those of another network; StorageError.
    """
    registry.check_new(name)
    networks = candidates(name)
    state = weights_file.read_state(file)
    weights_file.check_finite(state, file)
    architecture, body = _fitting(networks, claims, state, file)
    weights = weights_file.serialized(body)
    known = describe(architecture, body, hashlib.sha256(weights).hexdigest(), dict(claims.arguments))
    # What a file is called proves neither where it came from nor on which terms.
    origin = claims.origin or f"the file {file.name}"
    backbone = replace(known, name=name, licence=claims.licence, origin=origin)
    registry.add(backbone, weights)
    return backbone


def _fitting(
    networks: list[Architecture], claims: Claims, state: weights_file.State, file: Path
) -> tuple[Architecture, nn.Module]:
    """The first network that the arrays fit, with them in it. Raises WeightsError that says why none does."""
    reasons: dict[str, str] = {}
    for network in networks:
        claimed = replace(network, preprocess=_preprocess(network.preprocess, claims))
        try:
            body, wrong = _compared(claimed, claims, state)
        except UsageError as error:
            if len(networks) == 1:
                raise
            reasons[network.library] = error.what
            continue
        if not wrong:
            weights_file.load(body, state)
            resize(body, claimed.preprocess.size)
            return claimed, body
        reasons[network.library] = "; ".join(wrong)
    raise WeightsError(
        f"these are not the weights of {networks[0].name} ({_joined(reasons)})",
        where=str(file),
        expected="arrays of its names and shapes, with or without its classifier",
        fix="sortograph backbones PATTERN, for the name of the network that they belong to",
    )


def _compared(
    network: Architecture, claims: Claims, state: weights_file.State
) -> tuple[nn.Module, list[str]]:
    """The network, and what keeps the arrays from being its weights, whether they are for its own size of
    photos or for that which is claimed."""
    body = make_body(network.library, network.name, claims.arguments, 0)
    wrong = weights_file.mismatches(state, body, network.classifier)
    if wrong and claims.input_size:
        resize(body, claims.input_size)
        wrong = weights_file.mismatches(state, body, network.classifier)
    return body, wrong


def _joined(reasons: Mapping[Any, str]) -> str:
    """What is wrong, by library where they differ.

    >>> _joined({"timm": "1 missing: a", "torchvision": "1 missing: b"})
    'as timm has it: 1 missing: a; as torchvision has it: 1 missing: b'
    """
    if len(set(reasons.values())) == 1:
        return next(iter(reasons.values()))
    return "; ".join(f"as {library} has it: {reason}" for library, reason in reasons.items())


def _preprocess(spec: PreprocessSpec, claims: Claims) -> PreprocessSpec:
    mean, std = claims.mean or spec.mean, claims.std or spec.std
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in (*mean, *std)):
        raise UsageError(
            f"a mean of {_told(mean)} and a std of {_told(std)}",
            expected="those of pixels in 0–1, such as 0.5",
        )
    try:
        return replace(spec, mean=mean, std=std, size=claims.input_size or spec.size)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _told(values: Triple) -> str:
    return ", ".join(f"{value:g}" for value in values)
