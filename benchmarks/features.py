"""How near feature extraction comes to what the machine can do.

    python benchmarks/features.py --weights mobilenetv2_100.tf_in1k-int8deq.pth --photos WEATHER CATS_DOGS

One photo costs core-seconds to decode and core-seconds to embed, so that `cores` of them can do no more than
cores / (decode + inference) photos a second. Both are measured in the same repeat as what is compared with
them, in processes of their own: decoding all photos in one thread, as a reading worker does it; and embedding
all of them in one thread, batch by batch. What is compared, each in a new process with an empty cache:

    scan   `dataset.scan` with a FeatureKeeper, from the listing of the folder to the last embedding on disk;
           its decoding takes hashes and looks
    table  the features of an index that is known: decoding without looks, and embedding

`share` is photos a second over that bound; reading processes that start, and a session that opens, count.
`core_ms` is what a photo took of all cores, where the system tells: beside a busy neighbour, `share` falls
and `core_ms` stays. The backbone is exported before, into a cache of its own. One CSV row for each set and
repeat; medians are told.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import common

NAME = "mobilenetv2_100.bench"
PACKAGES = ("onnxruntime", "pillow")


def backbone() -> Any:
    """The exported backbone; `bytes` and preprocess."""
    from sortograph.api.opening import open_backbone
    from sortograph.recipe import Recipe
    from sortograph.records import silent

    settings = Recipe()
    return open_backbone(NAME, settings=settings.backbone, pixels=settings.pixels, progress=silent)


def prepare(place: Path, weights: Path) -> None:
    """Adds the weights and exports the backbone; what measuring needs of it goes into two files."""
    import sortograph

    sortograph.add_weights(NAME, weights, mean=0.5, std=0.5, arguments={"pad_type": "same"})
    opened = backbone()
    (place / "graph.onnx").write_bytes(opened.graph)
    (place / "spec.json").write_text(json.dumps(opened.backbone.preprocess.to_json()), encoding="utf-8")


class Bench:
    """One measurement, in a process of its own: photos of a folder, and a backbone."""

    def __init__(self, place: Path, photos: Path) -> None:
        from sortograph.dataset import scan
        from sortograph.features import GraphEmbedder
        from sortograph.records import PreprocessSpec

        self.photos, self.scan = photos, scan
        self.spec = PreprocessSpec.from_json(json.loads((place / "spec.json").read_text(encoding="utf-8")))
        self.embedder = GraphEmbedder((place / "graph.onnx").read_bytes(), self.spec)

    def index(self) -> Any:
        return self.scan(self.photos, for_training=False)

    def decode(self, look: bool) -> dict[str, float]:
        from sortograph.images.worker import Job

        index = self.index()
        job = Job(self.photos.absolute(), ((self.spec, 1.0),), look)
        return self._each(lambda: [job.answer(path) for path in index.paths], len(index))

    def inference(self) -> dict[str, float]:
        """One thread, over as many photos as there are: noise costs what photos cost."""
        count, batch = len(self.index()), self.embedder.batch
        photos = np.random.default_rng(1).integers(0, 256, (batch, *self.spec.size, 3), dtype=np.uint8)
        self.embedder.embed(photos)
        return self._each(
            lambda: [self.embedder.embed(photos) for _ in range(count // batch)], count // batch * batch
        )

    def cold_scan(self) -> dict[str, float]:
        from sortograph.features import FeatureKeeper

        def work() -> None:
            keeper = FeatureKeeper(self.embedder)
            index = self.scan(self.photos, keeper=keeper, for_training=False)
            keeper.flush()
            keeper.table(index, np.arange(len(index)))

        return self._each(work, self._count())

    def cold_table(self) -> dict[str, float]:
        from sortograph.features import FeatureKeeper

        index = self.index()
        return self._each(
            lambda: FeatureKeeper(self.embedder).table(index, np.arange(len(index))), len(index)
        )

    def _count(self) -> int:
        """How many photos there are; the scan that tells leaves nothing behind."""
        with tempfile.TemporaryDirectory() as other:
            mine, os.environ["SORTOGRAPH_CACHE"] = os.environ["SORTOGRAPH_CACHE"], other
            count = len(self.index())
            os.environ["SORTOGRAPH_CACHE"] = mine
        return count

    def _each(self, work: Callable[[], object], count: int) -> dict[str, float]:
        """Seconds and core-seconds of one photo; of the reading processes, too, which are ended at once."""
        close()
        start, core_start = time.perf_counter(), core_seconds()
        work()
        seconds = time.perf_counter() - start
        close()
        return {"core": (core_seconds() - core_start) / count, "seconds": seconds / count, "photos": count}


def close() -> None:
    from sortograph.images.crew import shared_crew

    shared_crew().close()


def core_seconds() -> float:
    """Of this process and of all that it has started and that have ended."""
    return sum(os.times()[:4])


MEASURES: dict[str, Callable[[Bench], dict[str, float]]] = {
    "decode": lambda bench: bench.decode(look=True),
    "decode_plain": lambda bench: bench.decode(look=False),
    "inference": Bench.inference,
    "scan": Bench.cold_scan,
    "table": Bench.cold_table,
}


def measured(place: Path, photos: Path, what: str) -> dict[str, float]:
    """In a new process with an empty cache."""
    with tempfile.TemporaryDirectory(dir=place) as cache:
        words = (sys.executable, __file__, "--measure", what, "--place", str(place), "--photos", str(photos))
        done = common.run(common.Command(words, {"SORTOGRAPH_CACHE": cache}))
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def once(place: Path, photos: Path, repeat: int) -> dict[str, Any]:
    found = {what: measured(place, photos, what) for what in common.rotated(list(MEASURES), repeat)}
    row: dict[str, Any] = {"set": photos.name, "photos": int(found["scan"]["photos"]), "repeat": repeat + 1}
    row |= {f"{what}_core_ms": 1000 * found[what]["core"] for what in ("decode", "decode_plain", "inference")}
    for way, decode in (("scan", "decode"), ("table", "decode_plain")):
        bound = common.cores() / (found[decode]["core"] + found["inference"]["core"])
        rate = 1 / found[way]["seconds"]
        row[f"{way}_core_ms"] = 1000 * found[way]["core"]
        row |= {f"{way}_photos_per_second": rate, f"{way}_bound": bound, f"{way}_share": rate / bound}
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", type=Path, help="weights of timm's mobilenetv2_100")
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", choices=list(MEASURES), help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure](Bench(options.place, options.photos[0]))))
        return
    if options.weights is None:
        parser.error("--weights is needed")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        os.environ |= {"SORTOGRAPH_HOME": str(place / "home"), "SORTOGRAPH_CACHE": str(place / "cache")}
        prepare(place, options.weights)
        rows = [once(place, photos, n) for n in range(options.repeats) for photos in options.photos]
    for photos in options.photos:
        for way in ("scan", "table"):
            shares = common.spread([row[f"{way}_share"] for row in rows if row["set"] == photos.name])
            print(f"{photos.name} {way}: " + ", ".join(f"{key} {value:.3f}" for key, value in shares.items()))
    session = common.session()
    common.append_rows(
        common.results_file("features", PACKAGES), [{"session": session, **row} for row in rows]
    )


if __name__ == "__main__":
    main()
