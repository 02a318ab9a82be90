"""The weather seed's network in Keras, as its author would train it, with a pipeline that keeps up.

It needs an environment of its own (sortograph is neither needed nor used):
    python -m venv keras-env && keras-env/bin/pip install tensorflow-cpu keras pillow
    keras-env/bin/python benchmarks/keras_weather.py --index RUN/index.csv --photos PHOTOS --out keras.json

Photos are decoded and squashed to size once, kept in RAM as float32 by tf.data's cache, then shuffled,
batched and prefetched; every epoch ends with a validation pass. `--augment-in` puts the augmentation inside
the model, or into tf.data's parallel map. Tried on two cores without a GPU, four alternated pairs did not
tell the two places apart (each won twice); XLA (`--jit`) was slower by far in each of three single tries;
several steps per call of the graph gained nothing in two. So the default is the seed's own way: inside the
model, without XLA.

TensorFlow ignores EXIF orientation, so photos that a camera stored lying on their side are seen so, in all
splits alike; sortograph turns them.
"""

from __future__ import annotations

# isort: off
import peers  # first, since it starts the clock

# isort: on
import argparse
import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
from keras import layers


def augmentation(seed: int) -> list[layers.Layer]:
    """Flips, turns up to ±72° and zoom ±20 %, borders filled by reflection (Keras' defaults)."""
    return [
        layers.RandomFlip("horizontal_and_vertical", seed=seed),
        layers.RandomRotation(0.2, seed=seed + 1),
        layers.RandomZoom(0.2, seed=seed + 2),
    ]


def network(options: argparse.Namespace, classes: int) -> keras.Model:
    inside = options.augment and options.augment_in == "model"
    stack = [keras.Input((options.size, options.size, 3))]
    stack += augmentation(options.seed) if inside else []
    stack.append(layers.Rescaling(1 / 255))
    for filters in (16, 32, 64):
        stack += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    stack += [layers.Dropout(0.2, seed=options.seed + 3)] if options.augment else []
    stack += [layers.Flatten(), layers.Dense(512, activation="relu")]
    stack.append(layers.Dense(classes, dtype="float32"))
    model = keras.Sequential(stack)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=options.jit,
    )
    return model


def decoded(photos: peers.Photos, size: int) -> tf.data.Dataset:
    """Photos in RAM: float32 (size, size, 3), 0–255, and their labels."""

    def load(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        pixels = tf.image.resize(pixels, (size, size), method="bilinear")
        return tf.ensure_shape(pixels, (size, size, 3)), label

    files = tf.data.Dataset.from_tensor_slices((photos.paths, photos.labels))
    return files.map(load, num_parallel_calls=tf.data.AUTOTUNE).cache()


def training_batches(photos: peers.Photos, options: argparse.Namespace) -> tf.data.Dataset:
    shuffled = decoded(photos, options.size).shuffle(len(photos), seed=options.seed)
    batches = shuffled.batch(options.batch_size)
    if options.augment and options.augment_in == "pipeline":
        views = keras.Sequential(augmentation(options.seed))
        batches = batches.map(
            lambda pixels, labels: (views(pixels, training=True), labels), num_parallel_calls=tf.data.AUTOTUNE
        )
    return batches.prefetch(tf.data.AUTOTUNE)


def clean_batches(photos: peers.Photos, options: argparse.Namespace) -> tf.data.Dataset:
    return decoded(photos, options.size).batch(options.batch_size).prefetch(tf.data.AUTOTUNE)


class Stopwatch(keras.callbacks.Callback):
    """Times each epoch with and without its validation pass, and keeps the best weights in RAM."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[peers.Epoch] = []
        self.best_weights: list[Any] = []
        self._start = self._trained = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self._start = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds, training = time.perf_counter() - self._start, self._trained - self._start
        self.epochs.append(
            peers.Epoch(seconds, training, float(logs["accuracy"]), float(logs["val_accuracy"]))
        )
        if peers.best_epoch(self.epochs) == epoch + 1:
            self.best_weights = self.model.get_weights()


def train(options: argparse.Namespace, photos: dict[str, peers.Photos]) -> peers.Training:
    batches = {split: clean_batches(photos[split], options) for split in ("validation", "test")}
    model, watch = network(options, len(peers.classes_of(options))), Stopwatch()
    model.fit(
        training_batches(photos["train"], options),
        validation_data=batches["validation"],
        epochs=options.epochs,
        callbacks=[watch],
        shuffle=False,  # tf.data has shuffled already
        verbose=2,
    )
    last = model.get_weights()
    model.set_weights(watch.best_weights)
    model.evaluate(batches["test"], verbose=0)
    seconds = peers.elapsed()
    batches["train"] = clean_batches(photos["train"], options)
    accuracy = {}
    for name, weights in (("best", watch.best_weights), ("last", last)):
        model.set_weights(weights)
        accuracy[name] = {split: model.evaluate(batches[split], verbose=0)[1] for split in peers.SPLITS}
    return peers.Training(watch.epochs, seconds, peers.best_epoch(watch.epochs), accuracy)


def main() -> None:
    parser = peers.parser("The weather seed's network in Keras.")
    parser.add_argument("--augment-in", choices=("model", "pipeline"), default="model", help="where")
    parser.add_argument(
        "--bfloat16", action=argparse.BooleanOptionalAction, default=False, help="mixed precision"
    )
    parser.add_argument("--jit", action=argparse.BooleanOptionalAction, default=False, help="XLA")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    keras.utils.set_random_seed(options.seed)
    if options.bfloat16:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    photos = peers.read_photos(options)
    done = train(options, photos)
    peers.write_result("keras", options, photos, done, peers.versions_of("keras", "tensorflow-cpu", "numpy"))


if __name__ == "__main__":
    main()
