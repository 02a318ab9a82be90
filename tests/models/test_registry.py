"""Weights that were added: what is kept, and what is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from sortograph.caches import home_folder
from sortograph.errors import UsageError, WeightsError
from sortograph.models import registry
from sortograph.records import Backbone, PreprocessSpec

WEIGHTS = b"any bytes will do here"


pytestmark = pytest.mark.usefixtures("home")


def backbone(name: str = "resnet18.mine", **changes: object) -> Backbone:
    known = {
        "name": name,
        "library": "timm",
        "architecture": "resnet18",
        "preprocess": PreprocessSpec(size=(96, 80), mode="crop", crop_share=0.875, mean=(0.5, 0.4, 0.3)),
        "weights": hashlib.sha256(WEIGHTS).hexdigest(),
        "features": 512,
        "parameters": 11_000_000,
        "arguments": {"pad_type": "same", "scale": 0.5, "depth": 2, "bias": True},
        "licence": "apache-2.0",
        "origin": "새 파일.pth",
    }
    return Backbone(**{**known, **changes})


def test_what_was_added_comes_back(tmp_path):
    registry.add(backbone(), WEIGHTS)
    assert registry.added() == {"resnet18.mine": backbone()}
    assert registry.read("resnet18.mine") == backbone()
    assert registry.added_file("resnet18.mine").read_bytes() == WEIGHTS
    assert registry.added_file("resnet18.mine").is_relative_to(tmp_path / "home" / "weights")
    assert registry.is_added("resnet18.mine")


def test_an_empty_home_holds_nothing_and_is_not_created(tmp_path):
    assert registry.entries() == {}
    assert not registry.is_added("resnet18.mine")
    assert not (tmp_path / "home").exists()
    with pytest.raises(WeightsError, match=r"no weights were added as 'resnet18\.mine'"):
        registry.read("resnet18.mine")


def test_without_the_variable_home_is_the_users_own(monkeypatch):
    monkeypatch.delenv("SORTOGRAPH_HOME")
    assert home_folder().name == "sortograph"
    assert home_folder().is_absolute()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "a\\b", "-x", "x.", "x" * 90, "새", "a b", "x\n"]
)
def test_names_that_cannot_be_folders_everywhere(name):
    with pytest.raises(UsageError, match="cannot be called"):
        registry.check_new(name)
    assert not registry.is_added(name)


@pytest.mark.parametrize("name", ["resnet18.mine", "ResNet18.Mine"])
def test_names_are_given_once(name):
    registry.add(backbone(), WEIGHTS)
    with pytest.raises(UsageError, match="already") as raised:
        registry.add(backbone(name), WEIGHTS)
    assert "another tag" in raised.value.expected
    assert ".TAG FILE" in raised.value.fix
    registry.add(backbone("resnet18.other"), WEIGHTS)
    assert list(registry.added()) == ["resnet18.mine", "resnet18.other"]


def test_a_crash_before_the_description_leaves_nothing_that_counts():
    place = registry.folder() / "resnet18.mine"
    place.mkdir(parents=True)
    (place / "weights.safetensors").write_bytes(b"half of")
    assert registry.entries() == {}
    registry.add(backbone(), WEIGHTS)
    assert registry.added_file("resnet18.mine").read_bytes() == WEIGHTS


def altered(change):
    def alter(about):
        change(about)
        return json.dumps(about)

    return alter


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda about: "{", "JSONDecodeError"),
        (lambda about: "[]", "TypeError"),
        (altered(lambda about: about.update(format_version=2)), "a later version"),
        (altered(lambda about: about.pop("format_version")), "format_version"),
        (altered(lambda about: about.pop("preprocess")), "preprocess"),
        (altered(lambda about: about["preprocess"].update(size=[0, 4])), "1–4096"),
        (altered(lambda about: about.update(surprise=1)), "surprise"),
        (altered(lambda about: about.update(name="resnet18.other")), "does not fit"),
        (altered(lambda about: about.update(library="keras")), "does not fit"),
        (altered(lambda about: about.update(weights="random-1")), "wrong kind"),
        (altered(lambda about: about.update(architecture=3)), "wrong kind"),
        (altered(lambda about: about.update(features=0)), "out of range"),
    ],
)
def test_damaged_ones_are_told_when_asked_for_and_spoil_nothing(alter, reason):
    registry.add(backbone(), WEIGHTS)
    registry.add(backbone("resnet18.good"), WEIGHTS)
    file = registry.folder() / "resnet18.mine" / "backbone.json"
    file.write_text(alter(json.loads(file.read_text("utf-8"))), "utf-8")
    assert list(registry.added()) == ["resnet18.good"]
    found = registry.entries()
    assert list(found) == ["resnet18.good", "resnet18.mine"]
    assert isinstance(found["resnet18.mine"], WeightsError)
    with pytest.raises(WeightsError, match=r"'resnet18\.mine' cannot be used") as raised:
        registry.read("resnet18.mine")
    assert reason in raised.value.what
    assert raised.value.where == str(file.parent)
    with pytest.raises(UsageError, match="already"):
        registry.check_new("resnet18.mine")


def test_weights_that_have_changed_are_not_used():
    registry.add(backbone(), WEIGHTS)
    file = registry.added_file("resnet18.mine")
    file.write_bytes(WEIGHTS + b".")
    with pytest.raises(WeightsError, match="not what it was"):
        registry.added_file("resnet18.mine")
    file.unlink()
    with pytest.raises(WeightsError, match="cannot be used"):
        registry.added_file("resnet18.mine")


def test_nothing_heavy_is_imported_to_read_them():
    registry.add(backbone(), WEIGHTS)
    code = (
        "import sys\n"
        "from sortograph.models import registry\n"
        "assert registry.added_file('resnet18.mine').exists()\n"
        "print(sorted({'torch', 'timm', 'torchvision', 'safetensors', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
