"""A small bundle whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sortograph.api.opening import Opened
from sortograph.bundle.golden import golden_photos
from sortograph.bundle.store import seal, write_bundle
from sortograph.records import BundleManifest, PreprocessSpec
from toy_backbones import colours

SIZE = (6, 5)
WEIGHTS = np.array([[4.0, -2.0, 0.5], [-1.0, 3.0, 0.25], [0.5, 0.5, -3.0]], dtype=np.float32)
BIAS = np.array([0.1, -0.2, 0.3], dtype=np.float32)


@dataclass(frozen=True)
class Small:
    """The graph: mean colour → a linear layer → softmax(logits / temperature)."""

    temperature: float = 2.0
    size: tuple[int, int] = SIZE

    @property
    def manifest(self) -> BundleManifest:
        spec = PreprocessSpec(size=self.size)
        return BundleManifest(classes=("cat", "dog", "새"), preprocess=spec, temperature=self.temperature)

    def expected(self, photos: NDArray[np.uint8]) -> tuple[Any, Any, Any]:
        """Probabilities, logits and embedding, by NumPy in double precision."""
        embedding = photos.astype(np.float64).mean(axis=(1, 2)) / 255.0
        logits = embedding @ WEIGHTS.astype(np.float64) + BIAS
        powers = np.exp(logits / self.temperature)
        return powers / powers.sum(axis=1, keepdims=True), logits, embedding

    @property
    def golden(self) -> NDArray[np.float32]:
        return self.expected(golden_photos(self.size))[1].astype(np.float32)

    def model(self) -> Any:
        """An onnx.ModelProto without any metadata of ours."""
        from onnx import TensorProto, helper, numpy_helper

        n, c = "n", len(BIAS)
        constants = {
            "axes": np.array([1, 2], dtype=np.int64),
            "scale": np.array([1 / 255], dtype=np.float32),
            "weights": WEIGHTS,
            "bias": BIAS,
            "temperature": np.array([1.0], dtype=np.float32),
        }
        nodes = [
            helper.make_node("Cast", ["photos"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["real", "axes"], ["colour"], keepdims=0),
            helper.make_node("Mul", ["colour", "scale"], ["embedding"]),
            helper.make_node("Gemm", ["embedding", "weights", "bias"], ["logits"]),
            helper.make_node("Div", ["logits", "temperature"], ["scaled"]),
            helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=1),
        ]
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes,
            "small",
            [info("photos", TensorProto.UINT8, [n, *self.size, 3])],
            [
                info(name, TensorProto.FLOAT, [n, c if name != "embedding" else 3])
                for name in ("probabilities", "logits", "embedding")
            ],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    def graph(self) -> bytes:
        data: bytes = self.model().SerializeToString()
        return data

    def sealed(self) -> bytes:
        return seal(self.graph(), self.manifest, self.golden)

    def write(self, path: Path) -> Path:
        write_bundle(path, self.graph(), self.manifest, self.golden)
        return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the cache of whoever runs it."""
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(tmp_path_factory.getbasetemp() / "shared-cache"))


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor the weights that they have added."""
    monkeypatch.setenv("SORTOGRAPH_HOME", str(tmp_path_factory.getbasetemp() / "shared-home"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, not there yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SORTOGRAPH_CACHE", str(folder))
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _own_home: None) -> Path:
    """Where added weights lie, not there yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv("SORTOGRAPH_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def small() -> Small:
    return Small()


@pytest.fixture(scope="session")
def make_small() -> Callable[..., Small]:
    return Small


@pytest.fixture(scope="session")
def sealed(small: Small) -> bytes:
    return small.sealed()


@pytest.fixture
def model_file(small: Small, tmp_path: Path) -> Path:
    return small.write(tmp_path / "model.onnx")


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> dict[str, Opened]:
    """Toy backbones by name, in the place of those that are added or of the hub; any other name is one."""
    known = {"colours.test": colours(8), "fine.test": colours(4, "fine.test", "cd" * 32)}

    def give(name: str, **_: object) -> Opened:
        return known.get(name) or known["colours.test"]

    monkeypatch.setattr("sortograph.api.transfer.open_backbone", give)
    monkeypatch.setattr("sortograph.api.autopilot.open_backbone", give)
    monkeypatch.setattr("sortograph.api.autopilot.at_hand", lambda: list(known))
    monkeypatch.setattr("sortograph.api.autopilot.is_exported", lambda *_: True)
    return known
