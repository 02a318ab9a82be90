"""Transfer learning as scripts do it, in PyTorch with timm: a frozen backbone in the loop, or features kept.

    python benchmarks/transfer_torch.py --mode frozen-loop --index RUN/index.csv --photos PHOTOS
        --weights mobilenetv2.pth --out result.json

frozen-loop   every epoch sends every photo through the whole network; only the last layer learns (Adam)
features      one pass under inference mode, then scikit-learn's logistic regression on the features: what a
              competent script does

Two worker processes decode with Pillow and resize photos so that they cover 224 × 224; the middle is cut out.
`--bfloat16` runs the backbone under autocast, which is several times as fast where the processor has AMX.
"""

from __future__ import annotations

# isort: off
import peers  # first, since it starts the clock

# isort: on
import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Dataset


class Decoded(Dataset[tuple[torch.Tensor, int]]):
    """Photos of one split as float32 (3, 224, 224), −1…1."""

    def __init__(self, photos: peers.Photos, size: int) -> None:
        self.photos, self.size = photos, size

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.photos.paths[row]) as image:
            image.draft("RGB", (self.size, self.size))
            picture = ImageOps.fit(
                ImageOps.exif_transpose(image).convert("RGB"),
                (self.size, self.size),
                Image.Resampling.BICUBIC,
            )
        pixels = torch.from_numpy(np.asarray(picture)).permute(2, 0, 1)
        return pixels.float().div(127.5).sub(1), self.photos.labels[row]


def network(options: argparse.Namespace, classes: int) -> torch.nn.Module:
    model = timm.create_model("mobilenetv2_100", pad_type="same")
    model.load_state_dict(torch.load(options.weights, weights_only=True))
    for weight in model.parameters():
        weight.requires_grad_(False)
    model.reset_classifier(classes)
    return model.to(memory_format=torch.channels_last).eval()


def loader(photos: peers.Photos, options: argparse.Namespace, *, shuffle: bool) -> DataLoader[Any]:
    return DataLoader(
        Decoded(photos, options.size),
        options.batch_size,
        shuffle=shuffle,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
    )


def features_of(model: Any, photos: torch.Tensor, options: argparse.Namespace) -> torch.Tensor:
    photos = photos.contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=options.bfloat16):
        return model.forward_head(model.forward_features(photos), pre_logits=True).float()


def frozen_loop(splits: dict[str, peers.Photos], options: argparse.Namespace, classes: int) -> dict[str, Any]:
    torch.manual_seed(options.seed)
    model = network(options, classes)
    head = model.get_classifier()
    optimiser = torch.optim.Adam(head.parameters(), 1e-3)
    batches = {name: loader(photos, options, shuffle=name == "train") for name, photos in splits.items()}
    seconds, best = [], (-1.0, {})
    for _ in range(options.epochs):
        start = time.perf_counter()
        for photos, labels in batches["train"]:
            loss = torch.nn.functional.cross_entropy(head(features_of(model, photos, options)), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        accuracy = judged(model, batches["validation"], options)
        seconds.append(time.perf_counter() - start)
        if accuracy > best[0]:
            best = (accuracy, {name: value.clone() for name, value in head.state_dict().items()})
    head.load_state_dict(best[1])
    return {"accuracy_test": judged(model, batches["test"], options), "seconds_head": sum(seconds)}


def judged(model: Any, batches: DataLoader[Any], options: argparse.Namespace) -> float:
    right = [
        (model.get_classifier()(features_of(model, photos, options)).argmax(1) == labels).float()
        for photos, labels in batches
    ]
    return float(torch.cat(right).mean())


def kept_features(
    splits: dict[str, peers.Photos], options: argparse.Namespace, classes: int
) -> dict[str, Any]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = network(options, classes)
    tables = {
        name: torch.cat(
            [features_of(model, batch, options) for batch, _ in loader(photos, options, shuffle=False)]
        ).numpy()
        for name, photos in splits.items()
    }
    start = time.perf_counter()
    strengths = {}
    for strength in (0.01, 0.1, 1.0):
        head = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        head.fit(tables["train"], splits["train"].labels)
        strengths[strength] = (head.score(tables["validation"], splits["validation"].labels), head)
    head = max(strengths.values(), key=lambda pair: pair[0])[1]
    accuracy = head.score(tables["test"], splits["test"].labels)
    return {"accuracy_test": accuracy, "seconds_head": time.perf_counter() - start}


def main() -> None:
    parser = peers.parser("Transfer learning by scripts in PyTorch.")
    parser.set_defaults(size=224, epochs=10)
    parser.add_argument("--mode", choices=("frozen-loop", "features"), required=True)
    parser.add_argument("--weights", type=Path, required=True, help="of timm's mobilenetv2_100")
    parser.add_argument("--workers", type=int, default=2, help="that decode")
    parser.add_argument("--bfloat16", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    splits, classes = peers.read_photos(options), len(peers.classes_of(options))
    way = frozen_loop if options.mode == "frozen-loop" else kept_features
    found = way(splits, options, classes)
    found |= {"seconds": peers.elapsed(), "versions": peers.versions_of("torch", "timm", "scikit-learn")}
    options.out.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
