"""Backbones as a run meets them: opened once with torch, from the cache from then on."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import sortograph
from sortograph.api import opening
from sortograph.api.opening import at_hand, is_exported, open_backbone
from sortograph.bundle import guard
from sortograph.errors import StorageError, UsageError, WeightsError
from sortograph.models import hub, registry
from sortograph.models.aliases import ALIASES
from sortograph.recipe import BackboneChoice, Pixels
from sortograph.records import Backbone, PreprocessSpec, Said, silent

WEIGHTS = b"weights that nobody looks into"
UNTAUGHT = BackboneChoice(pretrained=False)
SHARED = Path(os.environ.get("SORTOGRAPH_SHARED", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(autouse=True)
def cache(home, tmp_path, monkeypatch):
    """A cache of its own for each test: elsewhere in this folder one is shared."""
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def known(name: str = "resnet18.mine", **changes: object) -> Backbone:
    return replace(
        Backbone(
            name=name,
            library="timm",
            architecture="resnet18",
            preprocess=PreprocessSpec(
                size=(96, 96), mode="crop", crop_share=0.9, mean=(0.5,) * 3, std=(0.5,) * 3
            ),
            weights=hashlib.sha256(WEIGHTS).hexdigest(),
            features=512,
            parameters=11,
        ),
        **changes,
    )


@pytest.fixture
def added(cache):
    registry.add(known(), WEIGHTS)


@pytest.fixture
def exports(cache, monkeypatch):
    """Stands in for the export; the backbones that it was asked for."""
    asked: list[Backbone] = []

    def export(backbone: Backbone) -> bytes:
        asked.append(backbone)
        return f"the graph of {backbone.name} {backbone.preprocess.size}".encode()

    monkeypatch.setattr(opening, "_exported", export)
    return asked


@pytest.fixture
def resolves(cache, monkeypatch):
    """Stands in for timm and the hub; the names that were looked up."""
    asked: list[str] = []

    def resolve(name: str, pretrained: bool, seed: int) -> Backbone:
        asked.append(name)
        backbone = known(f"{name}.tag", weights="a" * 64 if pretrained else f"random-{seed}")
        opening._remember(name, backbone)
        return backbone

    monkeypatch.setattr(opening, "_resolved", resolve)
    return asked


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(hub, "_answers", lambda address: False)
    monkeypatch.setattr(hub, "cached", lambda hub_id: False)


def opened(
    name: str = "resnet18.mine", settings: BackboneChoice | None = None, seed: int = 0, **pixels: object
):
    said: list[Said] = []
    found = open_backbone(
        name, settings=settings or BackboneChoice(), pixels=Pixels(**pixels), progress=said.append, seed=seed
    )
    return found, [event.text for event in said]


@pytest.mark.usefixtures("added")
def test_it_is_exported_once(exports, cache):
    assert not is_exported("resnet18.mine", BackboneChoice(), Pixels())
    first, said = opened()
    assert first.backbone == known()
    assert len(said) == 1
    assert "exporting the backbone resnet18.mine, once" in said[0]
    assert is_exported("resnet18.mine", BackboneChoice(), Pixels())
    again, said = opened()
    assert again == first
    assert said == []
    assert len(exports) == 1
    assert [file.name for file in sorted(cache.glob("backbones/*/*"))] == ["backbone.json", "backbone.onnx"]


@pytest.mark.usefixtures("added")
def test_what_the_recipe_sets_of_pixels_goes_first(exports):
    plain, larger = opened()[0], opened(size=128, resize="squash")[0]
    assert plain.backbone.preprocess == known().preprocess
    spec = larger.backbone.preprocess
    assert (spec.size, spec.mode, spec.crop_share, spec.mean) == ((128, 128), "squash", 1.0, (0.5, 0.5, 0.5))
    assert larger.graph != plain.graph
    assert opened(size=128, resize="squash")[0] == larger
    assert len(exports) == 2


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "backbone.onnx").write_bytes(b"another graph"),
        lambda folder: (folder / "backbone.onnx").unlink(),
        lambda folder: (folder / "backbone.json").write_text("{", "utf-8"),
        lambda folder: (folder / "backbone.json").write_text("[]", "utf-8"),
        lambda folder: (folder / "backbone.json").unlink(),
    ],
)
def test_a_damaged_graph_is_made_again(exports, cache, damage):
    first = opened()[0]
    (folder,) = (file.parent for file in cache.glob("backbones/*/backbone.onnx"))
    damage(folder)
    assert opened()[0] == first
    assert len(exports) == 2
    assert opened()[0] == first
    assert len(exports) == 2


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize(
    "other",
    [
        {"weights": "b" * 64},
        {"arguments": {"pad_type": "same"}},
        {"architecture": "resnet34"},
        {"library": "torchvision"},
        {"preprocess": PreprocessSpec(size=(96, 96))},
    ],
)
def test_graphs_belong_to_all_that_made_them(other):
    assert opening._folder(known()) != opening._folder(known(**other))
    assert opening._folder(known()) == opening._folder(known(name="other.name", licence="mit"))


@pytest.mark.usefixtures("added")
def test_another_version_of_torch_makes_the_graph_again(exports, monkeypatch):
    opened()
    monkeypatch.setattr(opening, "_version", lambda package: "99.0")
    opened()
    assert len(exports) == 2


@pytest.mark.usefixtures("added")
def test_where_the_cache_cannot_be_written_the_run_goes_on(exports, monkeypatch):
    def refuse(path, data):
        raise StorageError("cannot write (the disk is full)", where=str(path))

    monkeypatch.setattr(opening, "write_atomic", refuse)
    found, said = opened()
    assert found.graph == b"the graph of resnet18.mine (96, 96)"
    assert "is not kept" in said[-1]


@pytest.mark.usefixtures("added")
def test_a_full_cache_keeps_nothing(exports, cache, monkeypatch):
    monkeypatch.setattr(opening, "make_room", lambda folder, needed, keep: False)
    found, said = opened()
    assert found.graph == b"the graph of resnet18.mine (96, 96)"
    assert "is not kept: the cache is full" in said[-1]
    assert not list(cache.glob("backbones/*/*"))


# Names


def test_what_a_name_stood_for_is_remembered(exports, resolves):
    first = opened("resnet18")[0]
    assert first.backbone.name == "resnet18.tag"
    assert opened("resnet18")[0] == first
    assert resolves == ["resnet18"]
    assert is_exported("resnet18", BackboneChoice(), Pixels())
    assert not is_exported("resnet18", BackboneChoice(), Pixels(size=64))
    assert not is_exported("resnet34", BackboneChoice(), Pixels())


def test_it_is_forgotten_with_another_timm_or_when_damaged(exports, resolves, cache, monkeypatch):
    opened("resnet18")
    for file in (cache / "backbones" / "names").iterdir():
        file.write_text('{"versions": 3}', "utf-8")
    opened("resnet18")
    monkeypatch.setattr(opening, "_version", lambda package: "99.0")
    opened("resnet18")
    assert resolves == ["resnet18"] * 3


def test_random_weights_are_apart_by_seed(exports, resolves):
    weights = [opened("resnet18", UNTAUGHT, seed)[0].backbone.weights for seed in (1, 2, 1)]
    assert weights == ["random-1", "random-2", "random-1"]
    assert opened("resnet18")[0].backbone.pretrained
    assert resolves == ["resnet18"] * 3
    assert len(exports) == 3


@pytest.mark.usefixtures("offline", "resolves")
def test_an_alias_is_its_backbone_where_that_can_be_had(exports, monkeypatch):
    monkeypatch.setattr(hub, "cached", lambda hub_id: hub_id == f"timm/{ALIASES['fast']}")
    found, said = opened("fast")
    assert found.backbone.name == f"{ALIASES['fast']}.tag"
    assert [line.split(";")[0] for line in said[:1]] == [f"looking up the backbone {ALIASES['fast']}"]
    assert len(said) == 2
    assert opened("best", UNTAUGHT)[0].backbone.name == f"{ALIASES['best']}.tag"


@pytest.mark.usefixtures("offline", "added")
def test_out_of_reach_the_best_that_was_added_stands_in_and_that_is_told(exports):
    registry.add(known("resnet18.free", licence="apache-2.0"), WEIGHTS)
    found, said = opened("balanced")
    assert found.backbone.name == "resnet18.free"
    assert ALIASES["balanced"] in said[0]
    assert "resnet18.free is used in its place" in said[0]


@pytest.mark.usefixtures("offline", "added")
def test_weights_that_were_added_under_the_aliases_name_are_what_it_means(exports):
    registry.add(known(ALIASES["fast"]), WEIGHTS)
    found, said = opened("fast")
    assert found.backbone.name == ALIASES["fast"]
    assert len(said) == 1


def test_damaged_weights_are_told_when_they_are_asked_for(exports, offline):
    registry.add(known(), WEIGHTS)
    (registry.folder() / "resnet18.mine" / "backbone.json").write_text("{", "utf-8")
    with pytest.raises(WeightsError, match=r"'resnet18\.mine' cannot be used"):
        opened()
    assert at_hand() == []


@pytest.mark.usefixtures("added")
def test_what_is_at_hand(monkeypatch, offline):
    registry.add(known("resnet18.small", parameters=3), WEIGHTS)
    assert at_hand() == ["resnet18.small", "resnet18.mine"]
    monkeypatch.setattr(hub, "cached", lambda hub_id: hub_id == f"timm/{ALIASES['best']}")
    assert at_hand() == ["resnet18.small", "resnet18.mine", "best"]
    monkeypatch.setattr(hub, "_answers", lambda address: True)
    monkeypatch.delenv("SORTOGRAPH_OFFLINE", raising=False)
    assert at_hand() == ["resnet18.small", "resnet18.mine", "fast", "balanced", "best"]


# The public verbs


def test_weights_are_listed_with_the_damaged_ones(added):
    registry.add(known("resnet18.bad"), WEIGHTS)
    (registry.folder() / "resnet18.bad" / "backbone.json").write_text("{", "utf-8")
    found = sortograph.weights()
    assert found["resnet18.mine"] == known()
    assert isinstance(found["resnet18.bad"], WeightsError)
    assert [(one["name"], one["damaged"] is None) for one in sortograph.doctor()["weights"]] == [
        ("resnet18.bad", False),
        ("resnet18.mine", True),
    ]


@pytest.mark.parametrize("channels", [(0.5, 0.5), (), (1, 2, 3, 4)])
def test_channels_are_one_or_three(channels, tmp_path):
    with pytest.raises(UsageError, match="values for the mean"):
        sortograph.add_weights("resnet18.mine", tmp_path / "x.pth", mean=channels)


@pytest.mark.usefixtures("added")
def test_others_may_work_meanwhile(monkeypatch):
    """Before the export, and with the pixels that the backbone will see; nothing is gained without one."""
    done: list[object] = []
    monkeypatch.setattr(opening, "_exported", lambda backbone: done.append("exported") or b"a graph")
    for _ in range(2):
        found = open_backbone(
            "resnet18.mine",
            settings=BackboneChoice(),
            pixels=Pixels(size=128),
            progress=silent,
            meanwhile=done.append,
        )
    assert done == [found.backbone.preprocess, "exported"]


# With torch and timm themselves

WARM = """
import json, sys
from sortograph.api.opening import open_backbone
from sortograph.recipe import BackboneChoice, Pixels
opened = open_backbone(sys.argv[1], settings=BackboneChoice(pretrained=sys.argv[2] == "yes"),
                       pixels=Pixels(size=64), progress=lambda event: sys.exit(event.text))
heavy = {"torch", "timm", "torchvision", "onnx", "onnxscript", "safetensors", "huggingface_hub"}
print(json.dumps([len(opened.graph), opened.backbone.to_json(), sorted(heavy & set(sys.modules))]))
"""


def warm(name: str, pretrained: str) -> list:
    done = subprocess.run(
        [sys.executable, "-c", WARM, name, pretrained], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_warm_run_imports_nothing_heavy(tmp_path, monkeypatch):
    import timm
    import torch

    torch.save(timm.create_model("test_efficientnet").state_dict(), tmp_path / "weights.pth")
    added = sortograph.add_weights(
        "test_efficientnet.mine", tmp_path / "weights.pth", mean=0.5, std=(0.5, 0.4, 0.3), input_size=96
    )
    assert added.preprocess.size == (96, 96)
    assert (added.preprocess.mean, added.preprocess.std) == ((0.5, 0.5, 0.5), (0.5, 0.4, 0.3))
    for name, settings in (("test_efficientnet.mine", BackboneChoice()), ("test_efficientnet", UNTAUGHT)):
        cold = open_backbone(name, settings=settings, pixels=Pixels(size=64), progress=silent)
        if settings.pretrained:
            assert guard.check_backbone(cold.graph, name) == cold.backbone.features
            monkeypatch.setattr(opening, "_exported", lambda backbone: b"a graph")  # one export is enough
        size, backbone, heavy = warm(name, "yes" if settings.pretrained else "no")
        assert heavy == []
        assert size == len(cold.graph)
        assert Backbone.from_json(backbone) == cold.backbone


def test_real_weights():
    file = SHARED / "weights" / "squeezenet1_1.tv_in1k-onnxzoo.pth"
    if not file.exists():
        pytest.skip(f"needs {file.name} in the shared data")
    sortograph.add_weights("squeezenet1_1.zoo", file)
    found, _ = opened("squeezenet1_1.zoo")
    assert guard.check_backbone(found.graph, "the graph") == found.backbone.features == 512
    assert found.backbone.preprocess.size == (224, 224)
