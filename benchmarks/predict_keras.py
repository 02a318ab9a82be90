"""Predicting as a plain Keras script does it: load_img, img_to_array, predict_on_batch.

    keras-env/bin/python benchmarks/predict_keras.py --list PHOTOS.txt --network mobilenetv2 --size 224

Weights are random: the cost is the same. Prints seconds of the loop alone, without imports, as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
from keras import layers

BATCH = 32


def network(name: str, size: int) -> keras.Model:
    if name == "mobilenetv2":
        return keras.applications.MobileNetV2(input_shape=(size, size, 3), weights=None, classes=4)
    stack = [keras.Input((size, size, 3)), layers.Rescaling(1 / 255)]
    for filters in (16, 32, 64):
        stack += [layers.Conv2D(filters, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    stack += [layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dense(4, activation="softmax")]
    return keras.Sequential(stack)


def main() -> None:
    parser = argparse.ArgumentParser(description="A plain Keras loop.")
    parser.add_argument("--list", type=Path, required=True)
    parser.add_argument("--network", choices=("mobilenetv2", "cnn"), required=True)
    parser.add_argument("--size", type=int, required=True)
    options = parser.parse_args()
    paths = options.list.read_text(encoding="utf-8").split("\n")
    model = network(options.network, options.size)
    side = (options.size, options.size)
    model.predict_on_batch(np.zeros((BATCH, *side, 3), np.float32))
    answers: list[int] = []
    start, core = time.perf_counter(), time.process_time()
    for first in range(0, len(paths), BATCH):
        photos = [
            keras.utils.img_to_array(keras.utils.load_img(path, target_size=side))
            for path in paths[first : first + BATCH]
        ]
        answers += model.predict_on_batch(np.stack(photos)).argmax(axis=1).tolist()
    seconds, core = time.perf_counter() - start, time.process_time() - core
    print(json.dumps({"photos": len(answers), "seconds": seconds, "core_seconds": core}))


if __name__ == "__main__":
    main()
