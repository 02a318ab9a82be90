"""A backbone whose embeddings can be worked out by hand, photos on disk, and a cache of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sortograph.images.preprocess import prepare
from sortograph.records import DatasetIndex, PreprocessSpec

SIZE = (6, 5)
SPEC = PreprocessSpec(size=SIZE)


def embedding_graph(scale: float = 1.0, size: tuple[int, int] = SIZE, width: int | str = 6) -> Any:
    """An onnx.ModelProto: the mean colours of the left column and of the rest, times `scale` / 255."""
    from onnx import TensorProto, helper, numpy_helper

    int64 = {"axes": [1, 2], "zero": [0], "one": [1], "end": [size[1]], "side": [2]}
    constants = {name: np.array(value, dtype=np.int64) for name, value in int64.items()}
    constants["scale"] = np.array([scale / 255], dtype=np.float32)
    nodes = [
        helper.make_node("Cast", ["photos"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["real", "zero", "one", "side"], ["left"]),
        helper.make_node("Slice", ["real", "one", "end", "side"], ["right"]),
        helper.make_node("ReduceMean", ["left", "axes"], ["left_mean"], keepdims=0),
        helper.make_node("ReduceMean", ["right", "axes"], ["right_mean"], keepdims=0),
        helper.make_node("Concat", ["left_mean", "right_mean"], ["both"], axis=1),
        helper.make_node("Mul", ["both", "scale"], ["embedding"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "backbone",
        [info("photos", TensorProto.UINT8, ["n", *size, 3])],
        [info("embedding", TensorProto.FLOAT, ["n", width])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def expected(photos: NDArray[np.uint8], scale: float = 1.0) -> NDArray[np.float64]:
    """What that graph makes of photos, in double precision."""
    real = photos.astype(np.float64) * scale / 255
    return np.concatenate([real[:, :, :1].mean(axis=(1, 2)), real[:, :, 1:].mean(axis=(1, 2))], axis=1)


class Counting:
    """An embedder that notes what it is asked for, on which threads; mean colours of the whole photo."""

    def __init__(
        self, key: str = "counting", spec: PreprocessSpec = SPEC, threads: int = 2, batch: int = 4
    ) -> None:
        self.key, self.spec, self.threads, self.batch, self.width = key, spec, threads, batch, 3
        self.calls: list[int] = []
        self.names: set[str] = set()
        self.before: Callable[[NDArray[np.uint8]], None] = lambda photos: None

    @property
    def photos(self) -> int:
        return sum(self.calls)

    def embed(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.before(photos)
        assert photos.dtype == np.uint8
        assert photos.shape[1:] == (*self.spec.size, 3)
        self.calls.append(len(photos))
        self.names.add(threading.current_thread().name)
        return self.of(photos)

    @staticmethod
    def of(photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        return photos.mean(axis=(1, 2)).astype(np.float32)


@pytest.fixture
def counting() -> Callable[..., Counting]:
    return Counting


@pytest.fixture(autouse=True)
def _own_cache(cache: Path) -> None:
    """No test touches the cache of the user."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve photos in two classes, all of other content."""
    for number in range(12):
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (11, 14, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return tmp_path / "photos"


@pytest.fixture
def prepared() -> Callable[..., NDArray[np.uint8]]:
    """(index, spec) → the pixels that the spec makes of all its photos."""

    def make(index: DatasetIndex, spec: PreprocessSpec = SPEC) -> NDArray[np.uint8]:
        return np.stack([prepare((index.root / path).read_bytes(), spec) for path in index.paths])

    return make


@pytest.fixture
def graph() -> Callable[..., bytes]:
    return lambda *options, **named: embedding_graph(*options, **named).SerializeToString()


@pytest.fixture
def means() -> Callable[..., NDArray[np.float64]]:
    return expected
