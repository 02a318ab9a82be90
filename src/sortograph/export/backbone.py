"""The graph of a backbone: from photos to embeddings, written once, and proved against the network."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sortograph.bundle import guard, schema
from sortograph.bundle.engine import open_session
from sortograph.bundle.golden import golden_photos
from sortograph.errors import GateError, MissingExtra, SortographError
from sortograph.export.graph import OPSET
from sortograph.export.traced import OUTPUT, traced_graph
from sortograph.models.backbone import EmbeddingNetwork
from sortograph.records import Backbone

TOLERANCE = 1e-3
_IR_VERSION = 9  # that of the ONNX release that brought the opset; torch writes a later one than it needs
_BATCHES = (1, 3)
_SEED = 4


class _Photos(nn.Module):
    """uint8 (N, H, W, 3), as the graph takes them."""

    def __init__(self, network: EmbeddingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, photos: Tensor) -> Tensor:
        embedding: Tensor = self.network(photos.permute(0, 3, 1, 2)).float()
        return embedding


def backbone_graph(network: EmbeddingNetwork, backbone: Backbone) -> bytes:
    """A serialized ModelProto from `photos` uint8 (n, H, W, 3) RGB to `embedding` float32 (n, D).

    network: in evaluation mode, on the CPU, in float32

    Standard operators of opset 20 alone, without functions, subgraphs or external data; normalisation is in
    front as nodes of its own. Written here where the network consists of what `traced_graph` knows, which is
    some eighty times faster than torch's exporter; else by that.

    Raises GateError where the graph answers otherwise than the network, or has operators that a bundle may
    not have; MissingExtra without onnx or onnxscript.
    """
    graph = traced_graph(network, backbone.preprocess.size)
    if graph is not None:
        with contextlib.suppress(GateError):  # what was written here is only a quicker way
            return _proved(graph, network, backbone)
    return _proved(_cleaned(_exported(network, backbone.preprocess.size)), network, backbone)


def _proved(graph: bytes, network: EmbeddingNetwork, backbone: Backbone) -> bytes:
    width = _checked(graph, backbone.name)
    if width != backbone.features:
        raise GateError(f"embeddings of length {width}, not {backbone.features}", where=backbone.name)
    check_backbone_graph(graph, network, backbone)
    return graph


def check_backbone_graph(graph: bytes, network: EmbeddingNetwork, backbone: Backbone) -> float:
    """The largest difference of an embedding, in parts of the largest value; for synthetic photos in batches
    of 1 and 3.

    Raises GateError when it is above 0.001, or no number, or when the graph cannot be run.
    """
    photos = _photos(backbone.preprocess.size)
    expected = _answers(network, photos)
    scale = float(np.abs(expected).max())
    worst = 0.0
    for given in _embeddings(graph, photos, backbone.name):
        worst = max(worst, _difference(given, expected))
    if not worst <= TOLERANCE * scale:
        raise GateError(
            f"the exported backbone answers otherwise than the network: {worst:.3g} where values reach "
            f"{scale:.3g}",
            where=backbone.name,
            expected=f"embeddings within {TOLERANCE:g} of their largest value",
            fix="choose another backbone: sortograph backbones",
        )
    return worst / scale if scale else 0.0


def _embeddings(graph: bytes, photos: NDArray[np.uint8], name: str) -> list[NDArray[np.float32]]:
    """Of the photos, in batches of each size."""
    try:
        session = open_session(graph, name)
        return [
            np.concatenate(
                [
                    session.run([OUTPUT], {guard.INPUT: photos[first : first + batch]})[0]
                    for first in range(0, len(photos), batch)
                ]
            )
            for batch in _BATCHES
        ]
    except SortographError as error:
        raise GateError(f"the exported backbone cannot be opened ({error.what})", where=name) from None
    except Exception as error:  # whatever ONNX Runtime raises
        raise GateError(f"the exported backbone cannot be run ({error})", where=name) from None


def _exported(network: EmbeddingNetwork, size: tuple[int, int]) -> Any:
    example = torch.zeros(2, *size, 3, dtype=torch.uint8)  # a batch of 1 would be taken for a constant
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                _Photos(network).eval(),
                (example,),
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=[guard.INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={"photos": {0: torch.export.Dim("n", min=1, max=1 << 20)}},
                verbose=False,
            )
        except ModuleNotFoundError as error:
            raise MissingExtra.of("train", error.name or "onnxscript") from None
    assert program is not None
    return program.model_proto


def _cleaned(model: Any) -> bytes:
    """Without what torch notes about its own source files, which names places of this machine."""
    graph = model.graph
    for thing in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph, model):
        del thing.metadata_props[:]
        thing.doc_string = ""
    del graph.value_info[:]
    standard = [entry for entry in model.opset_import if entry.domain in schema.DOMAINS]
    version = standard[0].version
    del model.opset_import[:]
    model.opset_import.add(domain="", version=version)
    model.ir_version = _IR_VERSION
    model.producer_name, model.producer_version = "sortograph", ""
    graph.name = "sortograph"
    _name_batch(graph)
    data: bytes = model.SerializeToString()
    return data


def _name_batch(graph: Any) -> None:
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"


def _checked(graph: bytes, name: str) -> int:
    from sortograph.errors import BundleError

    try:
        return guard.check_backbone(graph, name)
    except BundleError as error:
        raise GateError(
            f"the exported backbone is not what a bundle may hold ({error.what})",
            where=name,
            expected="operators of the standard domain that classifiers are made of",
            fix="choose another backbone: sortograph backbones",
        ) from None


def _photos(size: tuple[int, int]) -> NDArray[np.uint8]:
    noise = np.random.default_rng(_SEED).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    return np.concatenate([golden_photos(size), noise])


def _answers(network: EmbeddingNetwork, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.inference_mode():
        answers = [network(torch.from_numpy(photo).permute(2, 0, 1)[None]) for photo in photos]
    return np.asarray(torch.cat(answers).float().numpy())


def _difference(given: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(np.nan_to_num(given, nan=np.inf) - expected).max())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's own progress: it prints, warns and logs."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
