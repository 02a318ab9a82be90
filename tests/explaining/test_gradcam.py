from __future__ import annotations

import numpy as np
import pytest

from sortograph.errors import WeightsError
from sortograph.explaining.maps import gradient_method
from sortograph.models import build, plan
from sortograph.recipe import Model
from sortograph.records import PreprocessSpec

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402

from sortograph.explaining.gradcam import MappedNetwork, gradcam, open_network  # noqa: E402

SIZE = (32, 40)
SPEC = PreprocessSpec(size=SIZE)
SQUARES = {"top left": (2, 2), "bottom right": (20, 28)}
SIDE = 10
POOLED = Model(filters=(2,), dense=(), kernel=1, global_pool="average")
FLAT = Model(filters=(2,), dense=(), kernel=1)


def photos() -> np.ndarray:
    """Grey, each with a red square in another corner."""
    pixels = np.full((len(SQUARES), *SIZE, 3), 120, dtype=np.uint8)
    for k, (top, left) in enumerate(SQUARES.values()):
        pixels[k, top : top + SIDE, left : left + SIDE] = (230, 20, 20)
    return pixels


def network(model: Model, classes: int = 2) -> MappedNetwork:
    """Its first channel is red less green, its second green; the first class is red anywhere."""
    layers = plan(model, SIZE, classes)
    made = MappedNetwork(layers, SPEC)
    with torch.no_grad():
        for name, value in made.named_parameters():
            value.zero_()
            if name == "block1_conv1.weight":
                value[0, :, 0, 0] = torch.tensor([1.0, -1.0, 0.0])
                value[1, 1] = 1.0
            elif name == "output.weight":
                red = value.view(value.shape[0], -1, 2)[..., 0]  # height, width, channel
                red[-1 if layers.sigmoid else 0] = -1.0 if layers.sigmoid else 1.0
    return made.requires_grad_(False).eval()


def test_the_method_is_told_by_the_layers():
    assert gradient_method(plan(POOLED, SIZE, 2)) == "grad-cam"
    assert gradient_method(plan(FLAT, SIZE, 2)) == "layer-cam"
    assert gradient_method(plan(Model(kind="residual", filters=(4, 8)), SIZE, 3)) == "layer-cam"
    assert gradient_method(plan(Model(kind="dense", dense=(4,)), SIZE, 2)) is None


@pytest.mark.parametrize("model", [POOLED, FLAT, FLAT.model_copy(update={"output": "sigmoid"})])
def test_the_heat_is_where_the_class_is_decided(model):
    heat, logits = gradcam(network(model), photos(), np.array([0, 0]))
    assert logits.shape == (2, 2)
    for one, (top, left) in zip(heat, SQUARES.values(), strict=True):
        row, column = divmod(int(one.argmax()), SIZE[1])
        assert top <= row < top + SIDE
        assert left <= column < left + SIDE
        assert one[0, SIZE[1] - 1] < 0.05  # the corner that no square is in


def test_nothing_speaks_for_the_other_class():
    heat, _ = gradcam(network(POOLED), photos(), np.array([1, 1]))
    assert not heat.any()


@pytest.mark.parametrize(
    "model",
    [
        Model(filters=(4, 8), dense=(16,), dropout=0.5),
        Model(kind="residual", filters=(4, 8), global_pool="average", dense=(), batch_norm=True),
        Model(filters=(4,), dense=(), activation="silu", batch_norm=True),
    ],
)
def test_shape_range_determinism_and_batches(model, tmp_path):
    layers = plan(model, SIZE, 3)
    weights = build(layers, SPEC, "he", 7)
    save_file(
        {name: value.contiguous() for name, value in weights.state_dict().items()}, tmp_path / "w.safetensors"
    )
    opened = open_network(layers, SPEC, tmp_path / "w.safetensors")
    pixels = np.random.default_rng(1).integers(0, 256, (3, *SIZE, 3)).astype(np.uint8)
    pixels.flags.writeable = False  # as decoded photos are
    labels = np.array([2, 0, 1])
    heat, logits = gradcam(opened, pixels, labels)
    assert heat.shape == (3, *SIZE)
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert heat.max() == 1
    assert (gradcam(opened, pixels, labels)[0] == heat).all()
    for k in range(3):
        alone, row = gradcam(opened, pixels[k : k + 1], labels[k : k + 1])
        assert np.allclose(alone[0], heat[k], atol=1e-4)
        assert np.allclose(row[0], logits[k], atol=1e-4)
    weights.eval()
    expected = weights(torch.tensor(pixels.transpose(0, 3, 1, 2).astype(np.float32)))
    assert np.allclose(logits, expected.detach().numpy(), atol=1e-4)


def test_a_network_without_a_map_is_refused():
    layers = plan(Model(kind="dense", dense=(4,)), SIZE, 2)
    with pytest.raises(ValueError, match="no feature map"):
        gradcam(MappedNetwork(layers, SPEC), photos(), np.array([0, 0]))


def test_weights_of_another_network_are_refused(tmp_path):
    save_file({"block1_conv1.weight": torch.zeros(2, 3, 3, 3)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="not the weights of the network") as told:
        open_network(plan(POOLED, SIZE, 2), SPEC, tmp_path / "w.safetensors")
    assert "of another shape" in str(told.value)
    with pytest.raises(WeightsError, match="no such file"):
        open_network(plan(POOLED, SIZE, 2), SPEC, tmp_path / "gone.safetensors")
