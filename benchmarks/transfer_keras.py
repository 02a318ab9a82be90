"""A frozen MobileNetV2 inside a Keras model, as tutorials teach it: every epoch runs the whole network.

It needs the environment of `keras_weather.py`. Its backbone has random weights, since Keras would have to
fetch its own: the cost of a step is the same, its accuracy says nothing and is not kept.
    keras-env/bin/python benchmarks/transfer_keras.py --index RUN/index.csv --photos PHOTOS --out keras.json
"""

from __future__ import annotations

# isort: off
import peers  # first, since it starts the clock

# isort: on
import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
from keras import layers

from keras_weather import decoded


def main() -> None:
    parser = peers.parser("A frozen backbone inside a Keras model.")
    parser.set_defaults(size=224, epochs=10)
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    keras.utils.set_random_seed(options.seed)
    splits, classes = peers.read_photos(options), len(peers.classes_of(options))
    base = keras.applications.MobileNetV2(
        input_shape=(options.size, options.size, 3), include_top=False, weights=None, pooling="avg"
    )
    base.trainable = False
    inputs = keras.Input((options.size, options.size, 3))
    scaled = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    outputs = layers.Dense(classes)(base(scaled, training=False))
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    batches = {
        name: decoded(photos, options.size).batch(options.batch_size).prefetch(tf.data.AUTOTUNE)
        for name, photos in splits.items()
    }
    shuffled = decoded(splits["train"], options.size).shuffle(len(splits["train"]), seed=options.seed)
    start = time.perf_counter()
    model.fit(
        shuffled.batch(options.batch_size).prefetch(tf.data.AUTOTUNE),
        validation_data=batches["validation"],
        epochs=options.epochs,
        verbose=0,
    )
    seconds = time.perf_counter() - start
    model.evaluate(batches["test"], verbose=0)
    found = {"accuracy_test": None, "seconds_head": seconds, "seconds": peers.elapsed()}
    found["versions"] = peers.versions_of("tensorflow-cpu", "keras")
    options.out.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
