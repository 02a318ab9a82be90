"""Peer of serve.py: the same model behind LitServe, a worker for each core with one thread each.

python serve_litserve.py MODEL PORT SIZE CROP
"""

import io
import os
import sys

import litserve
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MODEL, PORT, SIZE, CROP = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])


class Photos(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002, its name is part of the interface
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])

    def decode_request(self, request):  # LitServe reads the annotation, and wants none
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(request["photo"].file.read()))).convert("RGB")
        side = min(image.size) * CROP
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box))

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"photos": x[None]})[0][0]

    def encode_response(self, output: np.ndarray) -> dict:
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Photos(), accelerator="cpu", workers_per_device=os.cpu_count() or 1)
    server.run(port=PORT, log_level="warning", generate_client_file=False)
