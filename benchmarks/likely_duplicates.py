"""Are planted copies found that are too soft for the near duplicates, with and without a backbone?

recall   of 200 photos of each part, versions of one kind at a time are planted in the class of their source:
         saved again, resized, mirrored, cropped, and blurred by a Gaussian of 0.5, 1 and 2 % of the width and
         saved at JPEG quality 60. Found is a version that is tied to its source.
precision  of the photos that are tied to a planted version, those that show its source, as in
         `near_duplicates.py`

Three ways: `twins`, the near duplicates that splits keep together; `likely`, with the likely duplicates that
the audit adds by fingerprints and pixels; `embeddings`, where a backbone helps. What is found among the
photos as they are has no truth to compare with: --montage draws it for whoever looks.

Thresholds were chosen on the part `tuning`, with the handwriting in view, and one of them (how alike photos
must be as a whole) with blurred photos of sports100.
    python benchmarks/likely_duplicates.py --shared DATA --backbone NAME
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import common
import near_duplicates as near
from sortograph.api.opening import open_backbone
from sortograph.auditing import kin
from sortograph.auditing.likely import Likely, find_likely
from sortograph.dataset.twins import find_twins
from sortograph.features import GraphEmbedder
from sortograph.images.decode import decode
from sortograph.images.inspect import read_bytes
from sortograph.images.preprocess import prepare
from sortograph.recipe import BackboneChoice, Pixels
from sortograph.records import DatasetIndex, FeatureTable, silent

PARTS = {
    "tuning": ("weather", "cats-dogs/0"),
    "report": ("food-scenes", "sports100", "cats-dogs/1"),
    "scans": ("digits-photos", "digits"),
}
PACKAGES = ("numpy", "pillow", "onnxruntime")
WAYS = ("twins", "likely", "embeddings")
_BATCH = 64


def _blurred(image: Image.Image, share: float) -> bytes:
    return near._jpeg(image.filter(ImageFilter.GaussianBlur(share * image.width)), 60)


KINDS = {
    **{kind: near.KINDS[kind] for kind in ("quality-60", "half-size", "mirrored", "cropped-5", "cropped-10")},
    "blurred-0.5": lambda image, _: _blurred(image, 0.005),
    "blurred-1": lambda image, _: _blurred(image, 0.01),
    "blurred-2": lambda image, _: _blurred(image, 0.02),
}


@dataclass(frozen=True, slots=True)
class Known:
    """A photo with its embedding, float32 (D,)."""

    photo: near.Photo
    embedding: NDArray[np.float32]


def known(embedder: GraphEmbedder, items: Iterable[tuple[bytes, str, str]]) -> list[Known]:
    """(data, path, source) → photos with embeddings."""
    found: list[Known] = []
    waiting = list(items)
    for start in range(0, len(waiting), _BATCH):
        batch = waiting[start : start + _BATCH]
        photos = near.in_threads(lambda item: near.photo_of(*item), batch)
        pixels = near.in_threads(lambda item: prepare(item[0], embedder.spec), batch)
        embeddings = embedder.embed(np.stack(pixels))
        found += [Known(photo, line) for photo, line in zip(photos, embeddings, strict=True)]
    return found


def tied(photos: list[Known]) -> dict[str, near.Grouped]:
    """The groups that each way finds."""
    bare = [one.photo for one in photos]
    index = near.index_of(bare)

    def read(rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.stack([bare[row].pixels for row in rows])

    start = time.perf_counter()
    index = replace(index, twins=find_twins(index, read).names)
    found = {"twins": _grouped(index, None, time.perf_counter() - start)}
    table = FeatureTable(np.stack([one.embedding for one in photos]), np.arange(len(photos)), "a backbone")
    for way, features in (("likely", None), ("embeddings", table)):
        start = time.perf_counter()
        likely = find_likely(index, features, read)
        found[way] = _grouped(index, likely, time.perf_counter() - start)
    return found


def _grouped(index: DatasetIndex, likely: Likely | None, seconds: float) -> near.Grouped:
    columns = [kin.contents(index), kin.twins(index), *([likely.groups] if likely else [])]
    together = kin.joined(*columns).tolist()
    counts = np.bincount(together)
    names = {path: str(g) if counts[g] > 1 else "" for path, g in zip(index.paths, together, strict=True)}
    return near.Grouped(names, 0, seconds)


def measure(
    part: str, options: argparse.Namespace, embedder: GraphEmbedder, session: str
) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        files = [item for name in PARTS[part] for item in near.files_of(options.shared, Path(folder), name)]
        photos = known(embedder, ((read_bytes(file), path, path) for file, path in files))
    before = tied(photos)
    draw = near.Draw(options.seed)
    # Versions of 8×8 digits would be no photos; these are here to be told apart.
    able = [item for item in files if not item[1].startswith("digits/")]
    chosen = draw.sample(sorted(able, key=lambda item: item[1]), options.count)
    describe(part, photos, before, options.montage)
    about = {"session": session, "part": part, "sets": " ".join(PARTS[part]), "backbone": options.backbone}
    rows = []
    for kind, make in KINDS.items():
        versions = known(embedder, (_version(item, kind, make, options.seed) for item in chosen))
        after = tied(photos + versions)
        for way in WAYS:
            figures = near.judged(before[way], after[way], [one.photo for one in versions])
            rows.append(
                {**about, "seed": options.seed, "photos": len(photos), "way": way, "kind": kind, **figures}
            )
            wrong = figures["pairs"] - figures["right"]
            shares = f"recall {figures['recall']:.3f}, {wrong} of {figures['pairs']} pairs wrong"
            print(f"{kind:12} {way:11} {shares}, {figures['seconds']:.1f} s", flush=True)
    return rows


def _version(item: tuple[Path, str], kind: str, make: Any, seed: int) -> tuple[bytes, str, str]:
    file, path = item
    data = make(Image.fromarray(decode(read_bytes(file))), near.Draw(f"{seed}:{kind}:{path}"))
    return data, f"{path}.{kind}.jpg", path


def describe(part: str, photos: list[Known], before: dict[str, near.Grouped], montage: Path | None) -> None:
    """What is found where nothing is planted, beyond the near duplicates."""
    twins = before["twins"].names
    pictures = {one.photo.path: one.photo.pixels for one in photos}
    for way in WAYS[1:]:
        groups: dict[str, dict[str, str]] = defaultdict(dict)
        for path, name in before[way].names.items():
            groups[name].setdefault(twins[path] or path, path)
        new = [list(group.values()) for name, group in groups.items() if name and len(group) > 1]
        print(f"{part}: {len(photos)} photos, {len(new)} groups of {way} beyond near duplicates")
        if montage is not None and new:
            lines = [np.concatenate([pictures[path] for path in group[:6]], axis=1) for group in new]
            width = max(line.shape[1] for line in lines)
            padded = [np.pad(line, ((0, 4), (0, width - line.shape[1]), (0, 0))) for line in lines]
            montage.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.concatenate(padded)).save(montage / f"{part}-{way}.png")


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Likely duplicates: recall and precision.")
    shared = Path(os.environ.get("SORTOGRAPH_SHARED", near.SHARED))
    parser.add_argument("--shared", type=Path, default=shared, help="the folder with the photo sets")
    parser.add_argument("--backbone", required=True, help="a name that `sortograph weights list` shows")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn (default: 1)")
    parser.add_argument("--count", type=int, default=200, help="versions of each kind (default: 200)")
    parser.add_argument("--parts", default=",".join(PARTS), help="of " + ", ".join(PARTS))
    parser.add_argument("--montage", type=Path, help="a folder for pictures of what is found unplanted")
    return parser.parse_args()


def main() -> None:
    options, session = options_of(), common.session()
    opened = open_backbone(options.backbone, settings=BackboneChoice(), pixels=Pixels(), progress=silent)
    embedder = GraphEmbedder(opened.graph, opened.backbone.preprocess)
    for part in options.parts.split(","):
        rows = measure(part, options, embedder, session)
        common.append_rows(common.results_file("likely-duplicates", PACKAGES), rows)


if __name__ == "__main__":
    main()
