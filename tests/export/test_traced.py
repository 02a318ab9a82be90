"""Graphs that are written from what a network does, against the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sortograph.bundle import guard
from sortograph.bundle.engine import open_session
from sortograph.errors import GateError
from sortograph.export import backbone as exporting
from sortograph.export.backbone import backbone_graph
from sortograph.export.traced import traced_graph
from sortograph.models.backbone import build_backbone, resolve
from sortograph.models.embedding import EmbeddingNetwork
from sortograph.records import PreprocessSpec

SIZE = (20, 27)


class Body(nn.Module):
    """A convolution, then whatever `after` does with it and its own input."""

    def __init__(self, after, *parts, width=4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.parts = nn.ModuleList(parts)
        self.after = after

    def forward(self, x):
        return self.after(self, self.conv(x))


def network(body):
    """With weights and statistics that are no special numbers."""
    generator = torch.Generator().manual_seed(3)
    for value in [*body.parameters(), *body.buffers()]:
        if value.dtype == torch.float32:
            value.data = torch.rand(value.shape, generator=generator) * 0.6 + 0.1
    return EmbeddingNetwork(body, PreprocessSpec(SIZE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))).eval()


def same_answers(made):
    graph = traced_graph(made, SIZE)
    assert graph is not None
    guard.check_backbone(graph, "the graph")
    photos = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = made(torch.from_numpy(photos).permute(0, 3, 1, 2)).numpy()
    (found,) = open_session(graph, "the graph").run(None, {"photos": photos})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def plane(x):
    return x.mean((2, 3))


def chain(self, x):
    for part in self.parts:
        x = part(x)
    return x


MODULES = {
    "batch norm": (nn.BatchNorm2d(4), nn.ReLU()),
    "batch norm after an activation": (nn.ReLU(), nn.BatchNorm2d(4)),
    "dropout": (nn.Dropout(0.5), nn.Dropout2d(0.5), nn.Identity()),
    "max pooling": (nn.MaxPool2d(3, 2, padding=1, ceil_mode=True),),
    "mean pooling": (nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),),
    "dilated, in groups": (nn.Conv2d(4, 6, (3, 2), dilation=2, groups=2, bias=False),),
} | {
    type(part).__name__: (part,)
    for part in (
        nn.ReLU6(), nn.SiLU(inplace=True), nn.Hardswish(), nn.Hardsigmoid(), nn.Sigmoid(), nn.Tanh(),
        nn.GELU(), nn.GELU("tanh"), nn.LeakyReLU(0.3), nn.ELU(0.7), nn.Mish(),
    )
}  # fmt: skip


@pytest.mark.parametrize("parts", MODULES.values(), ids=MODULES)
def test_modules(parts):
    same_answers(network(Body(lambda self, x: plane(chain(self, x)), *parts)))


ENDS = {
    "mean": (nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "largest": (nn.AdaptiveMaxPool2d((1, 1)), nn.Flatten(1)),
    "dense": (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3, bias=False)),
    "all of the plane": (nn.Flatten(),),
}


@pytest.mark.parametrize("parts", ENDS.values(), ids=ENDS)
def test_ends(parts):
    same_answers(network(Body(chain, *parts)))


FUNCTIONS = {
    "sums": lambda x: plane(1 + x * 0.5 - x / 3),
    "in place": lambda x: plane((x + 0).add_(1).mul_(2).div_(3)),
    "joined": lambda x: plane(torch.cat([x, x.relu()], dim=1)),
    "joined by rows": lambda x: plane(torch.cat([x, x], 2)),
    "gate": lambda x: plane(x * x.mean((2, 3), keepdim=True).sigmoid()),
    "hard gate": lambda x: plane(x * (F.relu6(x + 3.0) / 6.0)),
    "functions": lambda x: plane(F.silu(F.relu(x)) + F.hardswish(x) + F.gelu(torch.tanh(x))),
    "clamped": lambda x: plane(x.clamp(0.2, 0.6) + x.clamp(min=0.3)),
    "pooled": lambda x: torch.flatten(F.adaptive_avg_pool2d(x, 1), 1),
    "flattened": lambda x: x.flatten(1),
    "dropped": lambda x: plane(F.dropout(x, 0.5, training=False)),
    "checked": lambda x: (torch._assert(x.ndim == 4, "photos"), plane(x))[1],
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions(function):
    same_answers(network(Body(lambda self, x: function(x))))


LEFT = {
    "a decision by values": lambda x: plane(x) if x.sum() > 0 else plane(-x),
    "photos joined": lambda x: plane(torch.cat([x, x])),
    "no vector": lambda x: x,
    "another function": lambda x: plane(torch.fft.fft2(x).real),
    "another mean": lambda x: x.mean(1).flatten(1),
    "a larger pooling": lambda x: F.adaptive_avg_pool2d(x, 2).flatten(1),
    "scaled sums": lambda x: plane(torch.add(x, x, alpha=2)),
}


@pytest.mark.parametrize("function", LEFT.values(), ids=LEFT)
def test_what_is_left_to_torch(function):
    assert traced_graph(network(Body(lambda self, x: function(x))), SIZE) is None


@pytest.mark.parametrize(
    "part",
    [
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.AvgPool2d(2, divisor_override=3),
        nn.Softmax(1),
    ],
    ids=str,
)
def test_layers_that_are_left_to_torch(part):
    assert traced_graph(network(Body(lambda self, x: plane(chain(self, x)), part)), SIZE) is None


def test_a_derived_convolution_is_not_taken_for_a_plain_one():
    class Standardised(nn.Conv2d):
        def forward(self, x):
            return F.conv2d(x, self.weight - self.weight.mean(), self.bias)

    assert (
        traced_graph(network(Body(lambda self, x: plane(chain(self, x)), Standardised(4, 4, 1))), SIZE)
        is None
    )


@pytest.mark.parametrize("name", ["test_efficientnet", "tf_mobilenetv3_small_minimal_100", "resnet10t"])
def test_networks_of_timm(name):
    backbone = resolve(name, size=(64, 64), pretrained=False, offline=True, seed=1)
    made = build_backbone(backbone)
    assert backbone_graph(made, backbone) == traced_graph(made, (64, 64))


def test_a_graph_that_answers_otherwise_is_not_used(monkeypatch):
    backbone = resolve("test_efficientnet", size=(48, 48), pretrained=False, offline=True, seed=1)
    made = build_backbone(backbone)
    other = build_backbone(
        resolve("test_efficientnet", size=(48, 48), pretrained=False, offline=True, seed=2)
    )
    wrong = traced_graph(other, (48, 48))
    monkeypatch.setattr(exporting, "traced_graph", lambda *_: wrong)
    graph = backbone_graph(made, backbone)
    assert graph != wrong
    monkeypatch.setattr(exporting, "_exported", lambda *_: pytest.fail("not left to torch"))
    monkeypatch.setattr(exporting, "traced_graph", lambda *_: graph)
    assert backbone_graph(made, backbone) == graph
    with pytest.raises(GateError):
        exporting._proved(wrong, made, backbone)
