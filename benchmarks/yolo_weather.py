"""Ultralytics' `yolo classify train` from scratch on the same photos, used as a program alone.

It needs an environment of its own (the program is AGPL-3.0; nothing of it is imported or copied here):
    python -m venv yolo-env && yolo-env/bin/pip install torch torchvision opencv-python-headless
    yolo-env/bin/pip install ultralytics
    python benchmarks/yolo_weather.py --yolo yolo-env/bin/yolo --index RUN/index.csv --photos PHOTOS \\
        --out yolo.json

The network is yolo11n-cls with random weights, trained by the program's own recipe (its augmentation, its
optimiser, its schedule), photos cached in RAM. It is told to stay at home: a settings folder of its own
(YOLO_CONFIG_DIR) in which `sync` (analytics and crash reports) and all trackers are off,
YOLO_OFFLINE=true, YOLO_AUTOINSTALL=false, and amp=False, whose check would fetch weights. A run with the
network taken away ends with the same result.

Photos are copied, not linked: the program may rewrite JPEGs that it takes for damaged. Its epochs are timed
by its own results.csv, with their validation pass. It prints accuracies with three digits, which are turned
back into counts of photos.
"""

from __future__ import annotations

# isort: off
import peers  # first, since it starts the clock

# isort: on
import argparse
import csv
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_QUIET = ("sync", "clearml", "comet", "dvc", "mlflow", "neptune", "raytune", "tensorboard", "wandb")
_FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Yolo:
    """The program, its private settings and the folder it works in."""

    def __init__(self, program: Path, folder: Path, threads: int) -> None:
        self.program, self.folder = program, folder
        self.environment = os.environ | {
            "YOLO_CONFIG_DIR": str(folder),
            "YOLO_OFFLINE": "true",
            "YOLO_AUTOINSTALL": "false",
            "OMP_NUM_THREADS": str(threads),
        }

    def __call__(self, *words: str) -> str:
        """What it printed, without colours. Exits with its last lines when it fails."""
        done = subprocess.run(
            [str(self.program), *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"yolo {' '.join(words)} failed:\n{done.stdout[-2000:]}")
        return _ANSI.sub("", done.stdout)


def be_quiet(yolo: Yolo) -> None:
    known = yolo("settings")
    yolo("settings", *(f"{name}=False" for name in _QUIET if f'"{name}"' in known))


def copy_photos(photos: dict[str, peers.Photos], classes: list[str], folder: Path) -> None:
    """Class folders as the program wants them: folder/train|val|test/class/photo."""
    for split, part in photos.items():
        for number, (path, label) in enumerate(zip(part.paths, part.labels, strict=True)):
            place = folder / _FOLDERS[split] / classes[label]
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place / f"{number:06d}-{Path(path).name}")


def training_words(options: argparse.Namespace, data: Path) -> list[str]:
    settings = {
        "model": "yolo11n-cls.yaml",
        "data": data,
        "epochs": options.epochs,
        "imgsz": options.size,
        "batch": options.batch_size,
        "seed": options.seed,
        "workers": options.workers,
        "cache": "ram",
        "pretrained": False,
        "device": "cpu",
        "amp": False,
        "plots": False,
        "project": data.parent / "runs",
        "name": "train",
    }
    return ["classify", "train", *(f"{name}={value}" for name, value in settings.items())]


def read_epochs(results: Path) -> list[peers.Epoch]:
    with results.open(newline="", encoding="utf-8") as file:
        rows = [{name.strip(): value for name, value in row.items()} for row in csv.DictReader(file)]
    clock = [0.0, *(float(row["time"]) for row in rows)]
    scores = [float(row["metrics/accuracy_top1"]) for row in rows]
    return [
        peers.Epoch(after - before, None, None, score)
        for before, after, score in zip(clock[:-1], clock[1:], scores, strict=True)
    ]


def accuracy_of(text: str, photos: int) -> float:
    """
    >>> accuracy_of("classes top1_acc top5_acc\\n    all   0.667   1\\nSpeed: 1 ms", 3) == 2 / 3
    True
    """
    found = re.findall(r"^\s*all\s+([\d.]+)\s+[\d.]+\s*$", text, flags=re.MULTILINE)
    if not found:
        raise SystemExit(f"yolo classify val printed no accuracy:\n{text[-2000:]}")
    return round(float(found[-1]) * photos) / photos


def judge(yolo: Yolo, weights: Path, split: str, options: argparse.Namespace, photos: int) -> float:
    data = yolo.folder / "photos"
    text = yolo(
        *("classify", "val", f"model={weights}", f"data={data}", f"split={_FOLDERS[split]}"),
        *(f"imgsz={options.size}", f"batch={options.batch_size}", f"workers={options.workers}"),
        *("device=cpu", "plots=False", f"project={yolo.folder / 'runs'}", "name=val", "exist_ok=True"),
    )
    return accuracy_of(text, photos)


def train(
    yolo: Yolo, options: argparse.Namespace, photos: dict[str, peers.Photos]
) -> tuple[peers.Training, str]:
    """What was measured, and what the training printed."""
    be_quiet(yolo)
    copy_photos(photos, peers.classes_of(options), yolo.folder / "photos")
    text = yolo(*training_words(options, yolo.folder / "photos"))
    made = yolo.folder / "runs" / "train"
    judge(yolo, made / "weights" / "best.pt", "test", options, len(photos["test"]))
    seconds = peers.elapsed()
    epochs = read_epochs(made / "results.csv")
    accuracy = {
        name: {
            split: judge(yolo, made / "weights" / f"{name}.pt", split, options, len(part))
            for split, part in photos.items()
        }
        for name in ("best", "last")
    }
    return peers.Training(epochs, seconds, peers.best_epoch(epochs), accuracy), text


def versions_in(text: str) -> dict[str, str]:
    """
    >>> versions_in("Ultralytics 8.4.190 Python-3.11.7 torch-2.15.0+cpu CPU")
    {'ultralytics': '8.4.190', 'python': '3.11.7', 'torch': '2.15.0'}
    """
    found = {
        "ultralytics": re.search(r"Ultralytics (?:YOLOv)?(\d[\w.]*)", text),
        "python": re.search(r"Python-([\d.]+)", text),
        "torch": re.search(r"torch-([\d.]+)", text),
    }
    return {name: match.group(1) for name, match in found.items() if match}


def main() -> None:
    parser = peers.parser("yolo classify train, from scratch, on the same photos.")
    parser.set_defaults(size=192)
    parser.add_argument("--yolo", type=Path, required=True, help="the program yolo of its own environment")
    parser.add_argument("--workers", type=int, default=2, help="processes that load photos")
    options = parser.parse_args()
    if not options.augment:
        raise SystemExit("--no-augment: yolo is measured with its own recipe alone")
    photos = peers.read_photos(options)
    with tempfile.TemporaryDirectory() as folder:
        yolo = Yolo(options.yolo.absolute(), Path(folder).resolve(), options.threads)
        done, text = train(yolo, options, photos)
    peers.write_result("yolo", options, photos, done, versions_in(text))


if __name__ == "__main__":
    main()
