"""Writes tests/references/keras_weights.npz: what Keras answers, for small networks with known weights.

Run in the Keras environment (see keras_weather.py), from the repository root:
    keras-env/bin/python benchmarks/make_keras_reference.py --out tests/references/keras_weights.npz

Four networks, each fed with four photos as uint8 (4, H, W, 3), scaled by 1/255 inside:
    plain      20×24: conv 4, ReLU, pool, conv 6, ReLU, pool, flatten, dense 8, ReLU, dense 3
    batchnorm  the same with batch normalisation between each convolution and its ReLU
    sigmoid    21×15: conv 4, ReLU, pool (odd sides lose their last row and column), flatten, dense 5, ReLU,
               dense 1, whose logit and sigmoid are both recorded
    dense      12×10: flatten, dense 7, ReLU, dense 3
Convolutions are 3×3 with zero padding that keeps the size; pools take the largest of 2×2.

Keys, arrays float32 in Keras' layouts (convolution H, W, in, out; dense in, out; flatten of H, W, C):
    <network>/photos, <network>/logits, sigmoid/probabilities
    <network>/<layer>/<variable>      the weights: conv0, bn0, conv1, bn1, dense0, dense1
    plain/labels                      int64 (4,)
    plain/sgd1/<layer>/<variable>     after one step of SGD (no momentum)
    plain/adam1|adam2|adam3/…         after one, two, three steps of Adam on the same batch of four
    plain/sgd/losses, plain/adam/losses          mean cross-entropy before each step
    plain/sgd/learning_rate, plain/adam/learning_rate, plain/adam/epsilon
    batchnorm/training_logits         of a call in training mode, which normalises by the batch
    batchnorm/trained/<layer>/moving_mean|moving_variance   after that call, momentum 0.99
    batchnorm/epsilon, batchnorm/momentum, versions

Two things that other libraries do otherwise. Keras' Adam adds epsilon to the root of the second moment before
its bias is corrected, so that at step t it equals an Adam that adds epsilon / sqrt(1 - 0.999^t) afterwards;
the smallest gradients here tell the two apart. Its batch normalisation moves the variance of the batch as it
is (divided by n, not by n - 1) into the moving variance.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # sums in one order on every processor

import keras
import numpy as np
import tensorflow as tf
from keras import layers

SEED = 52  # the answers differ from photo to photo, on both sides of 0.5
LABELS = np.array([0, 1, 2, 1])
Arrays = dict[str, np.ndarray]


def photos(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Four photos with large shapes and fine grain, uint8 (4, height, width, 3)."""
    rows, columns = np.mgrid[0:height, 0:width]
    phase = rng.uniform(0, 6.28, (4, 1, 1, 3))
    waves = rng.uniform(-0.6, 0.6, (2, 4, 1, 1, 3))
    level = rng.uniform(40, 215, (4, 1, 1, 3))
    shapes = level + 70 * np.sin(waves[0] * rows[..., None] + waves[1] * columns[..., None] + phase)
    grain = rng.normal(0, 12, (4, height, width, 3))
    return (shapes + grain).clip(0, 255).round().astype(np.uint8)


def block(number: int, filters: int, normalised: bool) -> list[layers.Layer]:
    return [
        layers.Conv2D(filters, 3, padding="same", name=f"conv{number}"),
        *([layers.BatchNormalization(name=f"bn{number}")] if normalised else []),
        layers.ReLU(),
        layers.MaxPooling2D(2),
    ]


def network(size: tuple[int, int], blocks: list[list[layers.Layer]], dense: tuple[int, int]) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((*size, 3)),
            layers.Rescaling(1 / 255),
            *(layer for layers_of_block in blocks for layer in layers_of_block),
            layers.Flatten(),
            layers.Dense(dense[0], activation="relu", name="dense0"),
            layers.Dense(dense[1], name="dense1"),
        ]
    )


def networks() -> dict[str, keras.Model]:
    return {
        "plain": network((20, 24), [block(0, 4, False), block(1, 6, False)], (8, 3)),
        "batchnorm": network((20, 24), [block(0, 4, True), block(1, 6, True)], (8, 3)),
        "sigmoid": network((21, 15), [block(0, 4, False)], (5, 1)),
        "dense": network((12, 10), [], (7, 3)),
    }


def fill(model: keras.Model, rng: np.random.Generator) -> None:
    """Random values for every variable, biases and moving statistics too."""
    for layer in model.layers:
        for variable in layer.weights:
            shape = tuple(variable.shape)
            if variable.name == "kernel":
                value = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
            elif variable.name in ("gamma", "moving_variance"):
                value = rng.uniform(0.4, 1.6, shape)
            else:
                value = rng.normal(0, 0.2, shape)
            variable.assign(value.astype(np.float32))


def weights(model: keras.Model, prefix: str) -> Arrays:
    return {
        f"{prefix}/{layer.name}/{variable.name}": np.array(
            keras.ops.convert_to_numpy(variable), dtype=np.float32
        )
        for layer in model.layers
        for variable in layer.weights
    }


def train(model: keras.Model, pixels: np.ndarray, name: str, optimizer: Any, steps: int) -> Arrays:
    """Steps on one batch, from the model's weights as they are, which are then put back."""
    before, losses, found = model.get_weights(), [], {}
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for step in range(1, steps + 1):
        with tf.GradientTape() as tape:
            loss = cross_entropy(LABELS, model(pixels, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        losses.append(float(loss))
        found |= weights(model, f"plain/{name}{step}")
    model.set_weights(before)
    rate = np.float32(optimizer.learning_rate)
    return found | {f"plain/{name}/losses": np.float32(losses), f"plain/{name}/learning_rate": rate}


def trained_statistics(model: keras.Model, pixels: np.ndarray) -> Arrays:
    """One call in training mode: its logits, and the moving statistics that it leaves."""
    logits = np.array(model(pixels, training=True))
    moved = {key: value for key, value in weights(model, "batchnorm/trained").items() if "/moving_" in key}
    layer = model.get_layer("bn0")
    return moved | {
        "batchnorm/training_logits": logits,
        "batchnorm/epsilon": np.float32(layer.epsilon),
        "batchnorm/momentum": np.float32(layer.momentum),
    }


def reference() -> Arrays:
    rng = np.random.default_rng(SEED)
    found: Arrays = {"versions": np.array([f"keras {keras.__version__}", f"tensorflow {tf.__version__}"])}
    for name, model in networks().items():
        fill(model, rng)
        pixels = photos(rng, *model.input_shape[1:3])
        batch = pixels.astype(np.float32)
        found[f"{name}/photos"] = pixels
        found[f"{name}/logits"] = logits = np.array(model(batch, training=False))
        found |= weights(model, name)
        if name == "plain":
            adam = keras.optimizers.Adam()
            found |= {"plain/labels": LABELS, "plain/adam/epsilon": np.float32(adam.epsilon)}
            found |= train(model, batch, "sgd", keras.optimizers.SGD(), 1)
            found |= train(model, batch, "adam", adam, 3)
        elif name == "batchnorm":
            found |= trained_statistics(model, batch)
        elif name == "sigmoid":
            found["sigmoid/probabilities"] = np.array(keras.ops.sigmoid(logits))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Record what Keras answers.")
    parser.add_argument("--out", type=Path, required=True, help="the .npz to write")
    options = parser.parse_args()
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    found = reference()
    np.savez_compressed(options.out, **found)
    print(f"{options.out}: {len(found)} arrays, {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
