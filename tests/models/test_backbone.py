"""Backbones of timm and torchvision. Everything that has to import them is tested here."""

from __future__ import annotations

import functools
import os
import socket
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sortograph.errors import UsageError, WeightsError
from sortograph.models import architectures, registry, weights_file
from sortograph.models.adoption import Claims, adopt
from sortograph.models.backbone import build_backbone, resolve
from sortograph.models.embedding import EmbeddingNetwork
from sortograph.records import Backbone, PreprocessSpec

SMALL = "test_efficientnet"
SHARED = Path(os.environ.get("SORTOGRAPH_SHARED", Path(__file__).parents[3] / "shared" / "data"))


def untaught(name: str, size: int | None = None, seed: int = 1) -> Backbone:
    sides = None if size is None else (size, size)
    return resolve(name, size=sides, pretrained=False, offline=True, seed=seed)


def photos(size: int, count: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).integers(0, 256, (count, 3, size, size), dtype=np.uint8))


# What is known of a backbone


def test_preprocessing_is_that_of_the_weights():
    lite = untaught("tf_efficientnet_lite0").preprocess
    assert (lite.size, lite.mode, lite.crop_share) == ((224, 224), "crop", 0.875)
    assert lite.interpolation == "bicubic"
    assert lite.mean == lite.std == (0.5, 0.5, 0.5)
    zoo = untaught("squeezenet1_1").preprocess
    assert (zoo.size, zoo.mode, zoo.crop_share, zoo.interpolation) == ((224, 224), "crop", 0.875, "bilinear")
    assert zoo.mean == (0.485, 0.456, 0.406)
    squash = architectures.find("convnext_base.fb_in22k_ft_in1k_384").preprocess
    assert (squash.size, squash.mode, squash.crop_share) == ((384, 384), "squash", 1.0)


def test_a_border_is_padding():
    import timm

    cfg = replace(timm.models.get_pretrained_cfg(SMALL), crop_mode="border")
    assert architectures.preprocess_of_timm(cfg).mode == "pad"


def test_the_default_tag_is_found_and_kept_in_the_name():
    assert untaught(SMALL).name == "test_efficientnet.r160_in1k"
    assert untaught("test_efficientnet.r160_in1k") == untaught(SMALL)
    assert untaught("squeezenet1_1").library == "torchvision"
    assert untaught("resnet18").library == "timm"


def test_random_weights_depend_on_the_seed_alone():
    before = torch.random.get_rng_state()
    first, again, other = (build_backbone(untaught(SMALL, seed=seed)).body for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    prints = [weights_file.fingerprint(body) for body in (first, again, other)]
    assert prints[0] == prints[1] != prints[2]
    assert untaught(SMALL, seed=7).weights == "random-7"
    assert not untaught(SMALL).pretrained
    assert untaught(SMALL).licence == ""


def test_unknown_names_are_told_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'mobilenetv3_large_100'") as raised:
        untaught("mobilenetv3_larg_100")
    assert "sortograph backbones" in raised.value.fix
    with pytest.raises(UsageError, match=r"did you mean 'resnet50\.a1_in1k'"):
        untaught("resnet50.a1_in1")
    with pytest.raises(UsageError, match="no backbone"):
        untaught("../../etc/passwd")


# The network


@pytest.mark.parametrize(
    ("name", "size", "features"),
    [(SMALL, 64, 256), ("test_vit", 160, 64), ("squeezenet1_1", 64, 512), ("mobilenet_v3_small", 64, 1024)],
)
def test_pixels_are_normalised_inside_and_embeddings_have_the_length_told(name, size, features):
    backbone = untaught(name, size)
    network = build_backbone(backbone)
    assert not network.training
    spec = backbone.preprocess
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (spec.mean, spec.std))
    with torch.inference_mode():
        whole = network(photos(size))
        expected = network.body((photos(size) / 255 - mean) / std)
        assert torch.equal(network(photos(size).float()), whole)
    assert whole.shape == (2, features)
    assert backbone.features == features
    torch.testing.assert_close(whole, expected, rtol=1e-4, atol=1e-5)
    assert backbone.parameters == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", [SMALL, "test_vit", "test_convnext"])
def test_embeddings_are_what_timm_gives_its_classifier(name):
    network = build_backbone(untaught(name))
    pixels = torch.randn(2, 3, 160, 160)
    with torch.inference_mode():
        body = network.body
        expected = body.forward_head(body.forward_features(pixels), pre_logits=True)
        assert torch.equal(body(pixels), expected)


def test_embeddings_of_squeezenet_are_the_mean_of_its_last_map():
    body = build_backbone(untaught("squeezenet1_1", 64)).body
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(body(pixels), body.features(pixels).mean((2, 3)))


@pytest.mark.parametrize("size", [96, 208])
def test_a_vision_transformer_fits_another_size(size):
    backbone = untaught("test_vit", size)
    network = build_backbone(backbone)
    with torch.inference_mode():
        assert network(photos(size)).shape == (2, backbone.features)


@pytest.mark.parametrize(("name", "size"), [("test_vit", 161), ("squeezenet1_1", 8)])
def test_sizes_that_do_not_fit_are_refused(name, size):
    with pytest.raises(UsageError, match=f"does not take photos of {size}×{size}") as raised:
        build_backbone(untaught(name, size))
    assert raised.value.where == "pixels.size"


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        (SMALL, "conv_stem.weight", "conv_head.weight"),
        ("test_vit", "cls_token", "norm.weight"),
        ("squeezenet1_1", "features.0.weight", "features.12.squeeze.weight"),
        ("mobilenet_v3_small", "features.0.0.weight", "classifier.0.weight"),
    ],
)
def test_stages_divide_all_parameters_from_input_to_output(name, first, last):
    body = architectures.make_body(architectures.find(name).library, name, {}, 0)
    stages = EmbeddingNetwork(body, architectures.find(name).preprocess).stages()
    held = [[id(p) for module in stage for p in module.parameters(recurse=False)] for stage in stages]
    names = {id(parameter): name for name, parameter in body.named_parameters()}
    assert len(stages) >= 4
    assert sorted(key for stage in held for key in stage) == sorted(names)
    assert first in [names[key] for key in held[0]]
    assert last in [names[key] for key in held[-1]]


class Parted(nn.Module):
    """Like a ViT of torchvision: an array of its own, and nearly everything in one part."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(3))
        self.stem = nn.Conv2d(3, 4, 1)
        blocks = [nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.LayerNorm(4)) for _ in range(5)]
        self.encoder = nn.Sequential(OrderedDict(drop=nn.Dropout(), layers=nn.Sequential(*blocks)))


def test_stages_of_a_network_without_a_plan_of_its_own():
    body = Parted()
    stages = EmbeddingNetwork(body, PreprocessSpec(size=(4, 4))).stages()
    assert stages[0] == [body, body.stem]
    assert stages[1:] == [[block[0], block[2]] for block in body.encoder.layers]


# Where weights come from


@pytest.mark.usefixtures("no_network", "home", "hub_cache")
@pytest.mark.parametrize(
    ("name", "offline", "reason"),
    [
        ("test_vit", True, "SORTOGRAPH_OFFLINE"),
        ("test_vit", False, "the hub is out of reach"),
        ("alexnet", True, "SORTOGRAPH_OFFLINE"),
        ("alexnet", False, "download.pytorch.org"),
    ],
)
def test_weights_that_are_not_at_hand_are_one_line_with_the_way_forward(
    name, offline, reason, monkeypatch, tmp_path
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch-hub"))
    monkeypatch.setattr(socket, "getaddrinfo", None)  # whoever asks for a name fails
    with pytest.raises(WeightsError) as raised:
        resolve(name, size=None, pretrained=True, offline=offline, seed=0)
    error = raised.value
    assert error.exit_code == 3
    assert reason in error.what
    assert "\n" not in error.what
    assert "--no-pretrained" in error.fix
    assert f"sortograph weights add {name}" in error.fix


@pytest.mark.usefixtures("no_network", "home")
def test_weights_in_the_hubs_cache_need_no_network(hub_cache):
    taught = build_backbone(untaught(SMALL, seed=9))
    hub_cache("timm/test_efficientnet.r160_in1k", taught.body)
    backbone = resolve(SMALL, size=(64, 64), pretrained=True, offline=True, seed=0)
    assert backbone.weights == weights_file.fingerprint(taught.body)
    assert backbone.pretrained
    assert backbone.licence == "apache-2.0"
    assert backbone.origin == "https://huggingface.co/timm/test_efficientnet.r160_in1k"
    assert backbone.preprocess.size == (64, 64)
    network = build_backbone(backbone)
    with torch.inference_mode():
        assert torch.equal(network(photos(64)), taught(photos(64)))
    hub_cache("timm/test_efficientnet.r160_in1k", build_backbone(untaught(SMALL, seed=10)).body)
    with pytest.raises(WeightsError, match="others than before"):
        build_backbone(backbone)


@pytest.mark.usefixtures("no_network", "home")
def test_damaged_weights_in_the_hubs_cache_are_told(hub_cache):
    hub_cache("timm/test_vit.r160_in1k", nn.Linear(2, 2)).write_bytes(b"\xff" * 100)
    with pytest.raises(WeightsError, match=r"test_vit\.r160_in1k are not at hand"):
        resolve("test_vit", size=None, pretrained=True, offline=True, seed=0)


@pytest.mark.usefixtures("no_network", "home", "hub_cache")
def test_weights_that_were_added_come_first(weights_of):
    file = weights_of("test_vit")
    mine = adopt("test_vit.mine", file, Claims(mean=(0.5, 0.5, 0.5), input_size=(96, 96), licence="mit"))
    assert build_backbone(mine).body.pos_embed.shape == (1, 37, 64)
    assert resolve("test_vit.mine", size=None, pretrained=True, offline=True, seed=0) == mine
    own = adopt("test_vit.r160_in1k", file, Claims())
    assert resolve("test_vit", size=None, pretrained=True, offline=True, seed=0) == own
    assert own.licence == ""  # a name proves nothing
    assert mine.preprocess.mean == (0.5, 0.5, 0.5)
    assert mine.preprocess.size == (96, 96)
    random = resolve("test_vit.mine", size=None, pretrained=False, offline=True, seed=4)
    assert (random.weights, random.licence, random.preprocess) == ("random-4", "", mine.preprocess)


@pytest.mark.usefixtures("home")
def test_added_weights_that_were_damaged_since_are_not_used(weights_of):
    backbone = adopt("test_vit.mine", weights_of("test_vit"), Claims())
    file = registry.added_file("test_vit.mine")
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsError, match="not what it was"):
        build_backbone(backbone)


# Weights of the user's own


def change(file: Path, alter) -> Path:
    state = torch.load(file, weights_only=True)
    torch.save(alter(state), file)
    return file


def prefixed(state):
    return {f"module.{name}": value for name, value in state.items()}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "alter",
    [
        dict,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": prefixed(state)},
        lambda state: {"state_dict": {"model": state}},
        lambda state: {f"_orig_mod.{name}": value for name, value in prefixed(state).items()},
        lambda state: {name: value for name, value in state.items() if not name.startswith("classifier.")},
        lambda state: {name: value for name, value in state.items() if "num_batches" not in name},
        lambda state: {
            name: value.double() if value.is_floating_point() else value for name, value in state.items()
        },
    ],
    ids=["plain", "nested", "parallel", "twice", "compiled", "headless", "uncounted", "double"],
)
def test_files_of_all_habits_give_the_same_backbone(weights_of, alter):
    plain = adopt(f"{SMALL}.plain", weights_of(SMALL), Claims())
    file = change(weights_of(SMALL), alter)
    before = file.read_bytes()
    other = adopt(f"{SMALL}.other", file, Claims())
    assert file.read_bytes() == before
    assert other.weights == plain.weights
    assert other == replace(plain, name=other.name)
    assert plain.origin == "the file weights.pth"
    stored = weights_file.read_state(registry.added_file(other.name))
    assert not any(name.startswith("classifier") for name in stored)
    assert {value.dtype for value in stored.values()} == {torch.float32}


@pytest.mark.usefixtures("home")
def test_safetensors_and_half_precision(weights_of, tmp_path):
    from safetensors.torch import save_file

    state = torch.load(weights_of(SMALL, classes=37), weights_only=True)
    halves = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file(halves, tmp_path / "half.safetensors")
    adopt(f"{SMALL}.half", tmp_path / "half.safetensors", Claims())
    network = build_backbone(registry.read(f"{SMALL}.half"))
    torch.testing.assert_close(network.body.conv_stem.weight.data, halves["conv_stem.weight"].float())


@pytest.mark.usefixtures("home")
def test_torchvisions_names_of_a_network_that_timm_has_too(tmp_path):
    from torchvision import models

    made = models.get_model("efficientnet_b0").eval()
    torch.save(made.state_dict(), tmp_path / "tv.pth")
    backbone = adopt("efficientnet_b0.tv", tmp_path / "tv.pth", Claims())
    assert (backbone.library, backbone.features) == ("torchvision", 1280)
    spec = replace(backbone.preprocess, size=(64, 64))
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (spec.mean, spec.std))
    with torch.inference_mode():
        embedding = build_backbone(replace(backbone, preprocess=spec))(photos(64))
        logits = made((photos(64) / 255 - mean) / std)
        torch.testing.assert_close(made.classifier[1](embedding), logits, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("home")
def test_arguments_of_the_maker_are_kept(weights_of):
    file = weights_of("mobilenetv2_035")
    same = adopt("mobilenetv2_035.same", file, Claims(arguments={"pad_type": "same"}))
    plain = adopt("mobilenetv2_035.plain", file, Claims())
    assert same.arguments == {"pad_type": "same"}
    assert same.weights == plain.weights
    embeddings = []
    for backbone in (same, plain):
        spec = replace(backbone.preprocess, size=(64, 64))
        with torch.inference_mode():
            embeddings.append(build_backbone(replace(backbone, preprocess=spec))(photos(64)))
    assert not torch.allclose(*embeddings)
    with pytest.raises(UsageError, match="cannot be made with pad_typ=same"):
        adopt("mobilenetv2_035.typo", file, Claims(arguments={"pad_typ": "same"}))


def poisoned(state):
    state["conv_stem.weight"][0, 0, 0, 0] = float("nan")
    return state


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (poisoned, "no numbers"),
        (
            lambda state: {**state, "conv_stem.weight": state["conv_stem.weight"][:4]},
            "of another shape: conv_stem",
        ),
        (lambda state: {**state, "extra.weight": torch.ones(2)}, "1 unexpected: extra.weight"),
        (lambda state: OrderedDict(list(state.items())[4:]), "missing: conv_stem.weight"),
        (lambda state: {**state, "conv_stem.weight": state["conv_stem.weight"].to(torch.int8)}, "of int8"),
        (lambda state: {"epoch": 3}, "1 entries that are no plain arrays: epoch"),
        (lambda state: {}, "it is empty"),
        (lambda state: [1, 2], "one list"),
        (lambda state: {**state, "x": Evil()}, "would run code"),
        (lambda state: nn.Linear(2, 2), "would run code"),
    ],
)
def test_what_is_refused(weights_of, alter, words):
    file = change(weights_of(SMALL), alter)
    with pytest.raises(WeightsError) as raised:
        adopt(f"{SMALL}.mine", file, Claims())
    assert words in raised.value.what
    assert raised.value.where == str(file)
    assert registry.entries() == {}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pth", b"no weights"),
        ("b.pth", b""),
        ("c.pth", b"PK\x03\x04" + b"\0" * 200),
        ("d.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
        ("e.safetensors", b"\x02\0\0\0\0\0\0\0{}"),
        ("f.safetensors", b"{}"),
        (
            "g.safetensors",
            (80).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'.ljust(80),
        ),
    ],
)
def test_files_that_are_no_weights(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match="no file of weights"):
        adopt(f"{SMALL}.mine", tmp_path / name, Claims())
    with pytest.raises(WeightsError, match="no such file"):
        adopt(f"{SMALL}.mine", tmp_path / "missing.pth", Claims())


@pytest.mark.usefixtures("home")
def test_claims_out_of_range_and_names_that_are_taken(weights_of):
    file = weights_of(SMALL)
    for claims in (
        Claims(mean=(127.5, 127.5, 127.5)),
        Claims(std=(0.0, 0.5, 0.5)),
        Claims(mean=(float("nan"), 0, 0)),
        Claims(input_size=(0, 5)),
    ):
        with pytest.raises(UsageError):
            adopt(f"{SMALL}.mine", file, claims)
    adopt(f"{SMALL}.mine", file, Claims())
    with pytest.raises(UsageError, match="already"):
        adopt(f"{SMALL}.mine", file, Claims())
    with pytest.raises(UsageError, match="no backbone"):
        adopt("nonsense.mine", file, Claims())


# Real weights

REAL = {
    "mobilenetv2_100.mine": (
        "mobilenetv2_100.tf_in1k-int8deq.pth",
        Claims(mean=(0.5,) * 3, std=(0.5,) * 3, arguments={"pad_type": "same"}),
        1280,
    ),
    "squeezenet1_1.zoo": ("squeezenet1_1.tv_in1k-onnxzoo.pth", Claims(), 512),
    "tf_efficientnet_lite0.mine": ("tf_efficientnet_lite0.in1k-int8deq-nohead.pth", Claims(), 1280),
}


@functools.cache
def noise() -> torch.Tensor:
    return photos(224, 1)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", REAL)
def test_real_weights(name):
    file, claims, features = REAL[name]
    if not (SHARED / "weights" / file).exists():
        pytest.skip(f"needs {file} in the shared data")
    backbone = adopt(name, SHARED / "weights" / file, claims)
    assert backbone.features == features
    again = resolve(name, size=None, pretrained=True, offline=True, seed=0)
    with torch.inference_mode():
        embedding = build_backbone(again)(noise())
    assert embedding.shape == (1, features)
    assert bool(torch.isfinite(embedding).all())
    assert float(embedding.std()) > 0.01
