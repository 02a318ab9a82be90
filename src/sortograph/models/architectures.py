"""Networks that timm and torchvision make, and what the configuration of their own weights says."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from sortograph.errors import MissingExtra, UsageError, nearest
from sortograph.lazy import importing
from sortograph.models import hub
from sortograph.records import PreprocessSpec
from sortograph.records.backbone import Argument, Library
from sortograph.records.pixels import INTERPOLATIONS, Interpolation, ResizeMode

_MODES: Mapping[str, ResizeMode] = {"squash": "squash", "border": "pad"}
# Classifiers beside the main one, which only training uses.
_AUXILIARY = ("AuxLogits", "aux1", "aux2")
# What torchvision calls the part that tells classes; layers of it that stay are compared all the same.
_LAST = (*_AUXILIARY, "fc", "classifier", "head", "heads")
# What torchvision itself sets where it loads these weights.
_AS_TAUGHT = {
    "googlenet": {"aux_logits": False, "transform_input": True, "init_weights": False},
    "inception_v3": {"aux_logits": False, "transform_input": True, "init_weights": False},
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network of one of the libraries.

    name        there, without a tag; `full` with the tag of its weights: "efficientnet_b0.ra_in1k"
    preprocess  of these weights; licence  "" where none is stated
    hub_id      of the weights on the Hugging Face hub, "" where they are not there
    address     of the file with the weights, where it is not on the hub
    classifier  names of layers that may be left out
    """

    library: Library
    name: str
    full: str
    preprocess: PreprocessSpec
    licence: str = ""
    hub_id: str = ""
    address: str = ""
    classifier: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        return f"https://huggingface.co/{self.hub_id}" if self.hub_id else self.address


def find(name: str) -> Architecture:
    """The network and the weights of that name, timm's before torchvision's.

    Raises UsageError for unknown names, with the nearest; MissingExtra without timm.
    """
    model, _, tag = name.partition(".")
    if is_timm(model) and (not tag or name in _tagged(model)):
        return _of_timm(name)
    if not tag and is_torchvision(model):
        return _of_torchvision(model)
    raise _unknown(name)


def candidates(name: str) -> list[Architecture]:
    """What NAME or NAME.TAG may mean, with any tag: timm's network, torchvision's, or either of both.

    Raises UsageError where neither library has it.
    """
    model = name.partition(".")[0]
    found = []
    if is_timm(model):
        found.append(_of_timm(name if name in _tagged(model) else model))
    if is_torchvision(model):
        found.append(_of_torchvision(model))
    if not found:
        raise _unknown(name)
    return found


def is_timm(model: str) -> bool:
    registry = _timm().models
    return bool(registry.is_model(model)) and model not in registry.get_deprecated_models()


def is_torchvision(model: str) -> bool:
    return model in torchvision_names()


def torchvision_names() -> list[str]:
    models = _torchvision()
    return [name for name in models.list_models(module=models) if not name.startswith("quantized_")]


def timm_names(pattern: str = "") -> list[str]:
    """Names with tags of all networks for which there are weights."""
    names: list[str] = _timm().list_models(pattern, pretrained=True, include_tags=True)
    return names


# What would read other files, or make something else than a network that embeds.
_REFUSED = frozenset(
    [
        "checkpoint_path",
        "pretrained",
        "pretrained_cfg",
        "weights",
        "cache_dir",
        "features_only",
        "out_indices",
        "num_classes",
        "scriptable",
        "exportable",
    ]
)


def make_body(library: Library, name: str, arguments: Mapping[str, Argument], seed: int) -> nn.Module:
    """The network without its classifier, with first weights that depend on the seed alone.

    Takes normalised photos (N, 3, H, W) of the size that it was made for, gives (N, D). torch's global
    generator stays as it is. Raises UsageError for arguments that it does not take.
    """
    if refused := sorted(_REFUSED.intersection(arguments)):
        raise UsageError(
            f"{', '.join(refused)}: not for whoever adds weights to decide",
            expected="arguments that change the network's layers, such as pad_type=same",
        )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            return _made(library, name, arguments)
        except (TypeError, ValueError, AssertionError, KeyError, RuntimeError) as error:
            if not arguments:
                raise
            told = ", ".join(f"{key}={value}" for key, value in arguments.items())
            raise UsageError(
                f"{name} cannot be made with {told} ({error})", expected=f"arguments of {library}'s {name}"
            ) from None


def parameters(networks: Iterable[Architecture]) -> dict[str, int]:
    """How many parameters each has without its classifier; networks that cannot be made without memory are
    left out."""
    counts = {}
    for one in networks:
        with contextlib.suppress(RuntimeError, NotImplementedError, ValueError), torch.device("meta"):
            body = _made(one.library, one.name, {})
            counts[one.full] = sum(parameter.numel() for parameter in body.parameters())
    return counts


def resize(body: nn.Module, size: tuple[int, int]) -> None:
    """Makes networks whose arrays depend on the size of photos, such as ViT, fit (height, width)."""
    if hasattr(body, "set_input_size"):
        try:
            cast(Any, body).set_input_size(img_size=size)
        except (AssertionError, ValueError, TypeError, RuntimeError) as error:
            raise _wrong_size(size, str(error)) from None


def _wrong_size(size: tuple[int, int], reason: str) -> UsageError:
    line = (reason.strip().splitlines() or ["it fails"])[0]
    return UsageError(
        f"the backbone does not take photos of {size[0]}×{size[1]} ({line})",
        where="pixels.size",
        expected="a size that it can be made for",
        fix="leave pixels.size out, for the size of the weights",
    )


def _made(library: Library, name: str, arguments: Mapping[str, Argument]) -> nn.Module:
    if library == "timm":
        made: nn.Module = _timm().create_model(name, pretrained=False, num_classes=0, **arguments)
        return made
    body: nn.Module = _torchvision().get_model(
        name, weights=None, **{**_AS_TAUGHT.get(name, {}), **arguments}
    )
    _behead(body)
    return body


def _behead(body: nn.Module) -> None:
    """Takes the last layer of a network of torchvision away."""
    name, last = _last(body)
    parent, _, child = name.rpartition(".")
    # SqueezeNet tells classes by a convolution, and takes the mean over the photo after it.
    if isinstance(last, nn.Conv2d):
        body.set_submodule(parent, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    else:
        setattr(body.get_submodule(parent), child, nn.Identity())


def _last(body: nn.Module) -> tuple[str, nn.Module]:
    layers = [
        (name, module)
        for name, module in body.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and name.partition(".")[0] not in _AUXILIARY
    ]
    return layers[-1]


def _of_timm(name: str) -> Architecture:
    cfg = _timm().models.get_pretrained_cfg(name) or _timm().models.PretrainedCfg()
    model = name.partition(".")[0]
    names = (cfg.classifier,) if isinstance(cfg.classifier, str) else tuple(cfg.classifier or ())
    licence = "" if cfg.license in (None, "unknown") else str(cfg.license)
    return Architecture(
        "timm",
        model,
        f"{model}.{cfg.tag}" if cfg.tag else model,
        preprocess_of_timm(cfg),
        licence=licence,
        hub_id=cfg.hf_hub_id or "",
        address="" if cfg.hf_hub_id else str(cfg.url or ""),
        classifier=names,
    )


def preprocess_of_timm(cfg: Any) -> PreprocessSpec:
    """The evaluation transform of a timm PretrainedCfg."""
    mode = _MODES.get(cfg.crop_mode, "crop")
    wanted = cfg.interpolation if cfg.interpolation in INTERPOLATIONS else "bicubic"
    return PreprocessSpec(
        size=(int(cfg.input_size[1]), int(cfg.input_size[2])),
        mode=mode,
        interpolation=cast(Interpolation, wanted),
        mean=_three(cfg.mean),
        std=_three(cfg.std),
        crop_share=min(1.0, float(cfg.crop_pct or 1.0)) if mode == "crop" else 1.0,
    )


def _of_torchvision(model: str) -> Architecture:
    weights = _torchvision().get_model_weights(model).DEFAULT
    transform = weights.transforms()
    crop, whole = transform.crop_size[0], transform.resize_size[0]
    wanted = transform.interpolation.value
    spec = PreprocessSpec(
        size=(crop, crop),
        mode="crop",
        interpolation=wanted if wanted in INTERPOLATIONS else "bilinear",
        mean=_three(transform.mean),
        std=_three(transform.std),
        crop_share=min(1.0, crop / whole),
    )
    return Architecture("torchvision", model, model, spec, address=weights.url, classifier=_LAST)


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _tagged(model: str) -> list[str]:
    return list(_timm().models.get_arch_pretrained_cfgs(model))


def _unknown(name: str) -> UsageError:
    model = name.partition(".")[0]
    from sortograph.models import registry

    known = [*registry.added(), *_timm().list_models(), *timm_names(), *torchvision_names()]
    close = nearest(name, known) or nearest(model, known)
    return UsageError(
        f"there is no backbone {name!r}{close}",
        expected="a name of timm, of torchvision, or of weights that were added",
        fix=f"sortograph backbones '{model[:6]}*'",
    )


def _timm() -> Any:
    hub.prepare(hub.offline())
    try:
        with importing(early=True):
            import timm
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise MissingExtra.of("train", "timm") from None
    # It tells about every array that it leaves out, on stderr.
    logging.getLogger("timm").setLevel(logging.ERROR)
    return timm


def _torchvision() -> Any:
    try:
        with importing():
            from torchvision import models
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise MissingExtra.of("train", "torchvision") from None
    return models


def width_of(body: nn.Module, size: tuple[int, int]) -> int:
    """D of the embeddings (N, D) of photos of that size. Raises UsageError for sizes that do not pass."""
    was_training = body.training
    body.eval()
    try:
        with torch.inference_mode():
            found: Tensor = body(torch.zeros(1, 3, *size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise _wrong_size(size, str(error)) from None
    finally:
        body.train(was_training)
    if found.ndim != 2:
        raise UsageError(
            f"this network gives no embedding but an array of {found.ndim} dimensions", expected="another one"
        )
    return found.shape[1]
