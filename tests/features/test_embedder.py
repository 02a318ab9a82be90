from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sortograph.errors import BundleError, DataError
from sortograph.features import GraphEmbedder
from sortograph.records import PreprocessSpec

SPEC = PreprocessSpec(size=(6, 5))


def noise(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 3, 8, 9, 50])
def test_embeddings_are_those_of_the_graph_whatever_the_number_of_photos(graph, means, count):
    embedder = GraphEmbedder(graph(), SPEC)
    photos = noise(count)
    found = embedder.embed(photos)
    assert found.dtype == np.float32
    assert found.shape == (count, embedder.width) == (count, 6)
    np.testing.assert_allclose(found, means(photos), rtol=1e-5)


def test_mirrored_embeddings_are_the_mean_of_both_sides(graph, means):
    photos = noise(11)
    found = GraphEmbedder(graph(), SPEC, mirror=True).embed(photos)
    both = means(photos), means(photos[:, :, ::-1])
    assert np.abs(both[0] - both[1]).max() > 0.1
    np.testing.assert_allclose(found, (both[0] + both[1]) / 2, rtol=1e-5)
    again = GraphEmbedder(graph(), SPEC, mirror=True).embed(photos[:, :, ::-1])
    np.testing.assert_allclose(found, again, rtol=1e-6)


def test_the_key_tells_apart_what_makes_other_embeddings(graph):
    keys = {
        GraphEmbedder(graph(), SPEC).key,
        GraphEmbedder(graph(), SPEC, threads=1).key,
        GraphEmbedder(graph(2.0), SPEC).key,
        GraphEmbedder(graph(), SPEC, mirror=True).key,
    }
    assert len(keys) == 3
    import onnxruntime

    for key in keys:
        assert f"onnxruntime{onnxruntime.__version__}" in key
        assert "float32" in key
        assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-+_")


def test_it_may_be_called_by_several_threads_at_once(graph, means):
    embedder = GraphEmbedder(graph(), SPEC)
    parts = [noise(5, seed) for seed in range(20)]
    with ThreadPoolExecutor(4) as pool:
        for part, found in zip(parts, pool.map(embedder.embed, parts), strict=True):
            np.testing.assert_allclose(found, means(part), rtol=1e-5)


@pytest.mark.parametrize(
    "photos",
    [noise(0), noise(2).astype(np.float32), noise(2)[:, :5], noise(2)[..., :2], noise(1)[0]],
    ids=["none", "floats", "other size", "two channels", "one photo alone"],
)
def test_arrays_that_are_no_photos_of_its_size_are_refused(graph, photos):
    with pytest.raises(DataError, match="to embed"):
        GraphEmbedder(graph(), SPEC).embed(photos)


@pytest.mark.parametrize("damage", ["cut", "a bundle", "an operator", "its length", "of another size"])
def test_graphs_that_are_no_backbones_are_refused(graph, small, damage):
    from onnx import helper, load_from_string

    model = load_from_string(graph())
    if damage == "an operator":
        model.graph.node.append(helper.make_node("RandomNormal", [], ["more"], shape=[1]))
    data = {
        "cut": graph()[:-20],
        "a bundle": small.graph(),
        "an operator": model.SerializeToString(),
        "its length": graph(width="d"),
        "of another size": graph(width=7),
    }[damage]
    with pytest.raises(BundleError) as caught:
        GraphEmbedder(data, SPEC).embed(noise(2))
    assert caught.value.where


def test_a_graph_of_another_photo_size_fails_with_a_reason(graph):
    embedder = GraphEmbedder(graph(size=(4, 4)), SPEC)
    with pytest.raises(BundleError, match="the backbone failed"):
        embedder.embed(noise(2))


def test_features_come_without_torch():
    script = "import sys, sortograph.features; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "sortograph" in loaded
    assert not loaded & {"torch", "timm", "torchvision", "onnx", "pandas", "sklearn", "typer", "rich"}
