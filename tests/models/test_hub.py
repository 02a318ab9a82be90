"""The hub, aliases, and the list of what there is."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sortograph.errors import WeightsError
from sortograph.models import architectures, hub
from sortograph.models.adoption import Claims, adopt
from sortograph.models.aliases import ALIASES, best_of, is_permissive
from sortograph.models.backbone import resolve
from sortograph.models.catalogue import listed
from sortograph.records import Backbone

SMALL = "test_efficientnet"
SHARED = Path(os.environ.get("SORTOGRAPH_SHARED", Path(__file__).parents[3] / "shared" / "data"))


def untaught(name: str, size: int | None = None, seed: int = 1) -> Backbone:
    sides = None if size is None else (size, size)
    return resolve(name, size=sides, pretrained=False, offline=True, seed=seed)


def photos(size: int, count: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).integers(0, 256, (count, 3, size, size), dtype=np.uint8))


class NotFound(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_error(404)

    def log_message(self, *args):
        pass


@pytest.fixture
def asked(monkeypatch):
    """Asks anew each time."""
    monkeypatch.setattr(hub, "_answers", hub._answers.__wrapped__)


@pytest.mark.usefixtures("asked")
def test_a_server_that_answers_anything_is_reachable(monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), NotFound)
    threading.Thread(target=server.handle_request, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "*")
    assert hub.reachable(hub.address("timm/resnet50.a1_in1k"))
    server.server_close()
    assert not hub.reachable(hub.address())
    assert not hub.reachable("no address at all")


@pytest.mark.usefixtures("asked")
def test_a_server_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(hub, "_SECONDS", 0.2)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not hub.reachable(f"http://127.0.0.1:{silent.getsockname()[1]}")
    monkeypatch.setattr(hub, "_responds", lambda address: threading.Event().wait(5))
    assert not hub.reachable("a name whose look-up takes minutes")


@pytest.mark.usefixtures("asked", "home", "hub_cache")
def test_a_hub_that_answers_but_hangs_over_files_is_given_up(monkeypatch):
    monkeypatch.setattr(hub, "_SECONDS", 0.2)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setitem(os.environ, "SORTOGRAPH_OFFLINE", "")
        with pytest.raises(WeightsError, match="the hub is out of reach"):
            resolve("test_resnet", size=None, pretrained=True, offline=False, seed=0)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"SORTOGRAPH_OFFLINE": "1"}, True),
        ({"SORTOGRAPH_OFFLINE": "0"}, False),
        ({"HF_HUB_OFFLINE": "true"}, True),
    ],
)
def test_offline(monkeypatch, variables, expected):
    for name in ("SORTOGRAPH_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hub.offline() is expected


def test_the_hub_is_told_to_be_quiet(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.prepare(offline=True)
    assert constants.HF_HUB_OFFLINE is True
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] == "1"


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_are_backbones_that_anybody_may_use(alias):
    import timm

    cfg = timm.models.get_pretrained_cfg(ALIASES[alias])
    assert is_permissive(cfg.license)
    assert cfg.hf_hub_id == f"timm/{ALIASES[alias]}"
    assert architectures.find(ALIASES[alias]).full == ALIASES[alias]


def test_what_stands_in_for_an_alias():
    first = untaught(SMALL)
    free = [
        replace(first, name=name, licence="MIT", parameters=size)
        for name, size in (("a", 5), ("b", 9), ("c", 9))
    ]
    large = replace(first, name="large", licence="", parameters=99)
    bound = replace(first, name="bound", licence="cc-by-nc-4.0", parameters=999)
    assert best_of([large, *free, bound]) == free[1]
    assert best_of([large, bound]) == bound
    assert best_of([]) is None


@pytest.mark.usefixtures("home")
def test_the_list(weights_of, hub_cache):
    mine = adopt("test_vit.mine", weights_of("test_vit"), Claims(input_size=(96, 96), licence="mit"))
    hub_cache("timm/test_convnext.r160_in1k", nn.Linear(2, 2))
    found = {one.name: one for one in listed("test_*")}
    assert next(iter(found)) == "test_vit.mine"
    assert (found["test_vit.mine"].parameters, found["test_vit.mine"].input_size) == (
        mine.parameters,
        (96, 96),
    )
    assert {name for name, one in found.items() if one.at_hand} == {
        "test_vit.mine",
        "test_convnext.r160_in1k",
    }
    small = found["test_efficientnet.r160_in1k"]
    assert (small.parameters, small.input_size, small.licence) == (
        untaught(SMALL).parameters,
        (160, 160),
        "apache-2.0",
    )
    assert [one.name for one in listed("squeezenet1_?")] == ["squeezenet1_0", "squeezenet1_1"]
    assert listed("no such thing") == []


@pytest.mark.usefixtures("home")
def test_the_whole_list_is_made_without_building_networks(monkeypatch):
    monkeypatch.setattr(architectures, "_made", None)
    monkeypatch.setattr(hub, "cached", lambda hub_id: False)
    found = listed()
    assert len(found) > 1000
    assert len({one.name for one in found}) == len(found)
    assert {one.parameters for one in found} == {None}
