"""Peer of serve.py: the script that FastAPI's and ONNX Runtime's own pages lead to. Knows no sortograph.

python serve_plain.py MODEL PORT SIZE CROP
"""

from __future__ import annotations

import io
import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image, ImageOps

MODEL, PORT, SIZE, CROP = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
app = FastAPI()


def pixels(data: bytes) -> np.ndarray:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    side = min(image.size) * CROP
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box))


@app.post("/predict")
def predict(photo: UploadFile) -> dict:
    (probabilities,) = session.run(["probabilities"], {"photos": pixels(photo.file.read())[None]})
    return {"probabilities": probabilities[0].tolist()}


uvicorn.run(app, port=PORT, log_level="warning")
