"""explain: which parts of a photo an answer rests on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sortograph.api.writing import check_place, picture_file
from sortograph.bundle.runtime import Answers, Bundle, open_bundle
from sortograph.classify import find_photos
from sortograph.errors import MissingExtra, PhotoError, RunError, UsageError, listed, nearest
from sortograph.explaining.occlusion import occlusion
from sortograph.files import make_folder, write_atomic
from sortograph.images.sources import Photo, name_of, to_pixels
from sortograph.records import Explanation, Progress, silent

if TYPE_CHECKING:
    from sortograph.explaining.gradcam import MappedNetwork

METHODS = ("auto", "occlusion", "gradcam")
SHEET = "explained.png"
SHEET_PHOTOS = 40
_WEIGHTS = "weights.safetensors"
_OCCLUSION = "--method occlusion, which needs nothing but model.onnx"
_TILE = 224
_AGREE = 0.01  # of a probability, between weights.safetensors and model.onnx
_DEVICE = re.compile(r"con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]", re.IGNORECASE)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Explained:
    """What became of one photo: either `explanation`, and the picture that shows it, or why there is none.

    picture  None for photos beyond those that fit on one sheet
    """

    path: str
    explanation: Explanation | None = None
    picture: Path | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        told = {"path": self.path} if self.explanation is None else self.explanation.to_json()
        picture = None if self.picture is None else self.picture.as_posix()
        return {**told, "picture": picture, "error": self.error}


def explain(
    model: str | os.PathLike[str], photo: Photo, *, class_name: str | None = None, method: str = "auto"
) -> Explanation:
    """Which parts of a photo speak for a class.

    model: a model.onnx or the run folder that holds one
    photo: a path, the bytes of a file, a Pillow image, or RGB as uint8 (H, W, 3)
    class_name: None for the class that the model names
    method: "occlusion" covers parts of the photo and asks the model again, whatever the model is; "gradcam"
        takes the gradients of a network that was trained from scratch, from its run folder, which is faster;
        "auto" is occlusion

    Raises PhotoError when the photo cannot be read, UsageError for an unknown class or method and where there
    are no gradients to take, BundleError, RunError, WeightsError, MissingExtra.
    """
    return Explainer(Path(model), method, class_name).explain(photo)


def explain_photos(
    model: str | os.PathLike[str],
    inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    class_name: str | None = None,
    out: str | os.PathLike[str] = SHEET,
    method: str = "auto",
    progress: Progress = silent,
) -> Iterator[Explained]:
    """`explain` for photos and folders of photos, one after the other, with pictures.

    out: FILE.png for one sheet with the first 40 photos, written at the end; else a folder for a picture of
        each

    Raises as `explain` does, but for photos that cannot be read: their answers have `error`. UsageError also
    where pictures would lie among the photos, StorageError where they would replace what is not ours.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    place = Path(out)
    for one in given:
        check_place(Path(one), place)
    pictures = _Folder(place) if place.is_dir() or not place.suffix else _Sheet(place)
    explainer = Explainer(Path(model), method, class_name)
    return _explained(explainer, find_photos(given, progress=progress), pictures)


class Explainer:
    """A model that is open for explanations of one class, or of whatever it names.

    Raises as `explain` does, but for PhotoError.
    """

    def __init__(self, model: Path, method: str = "auto", class_name: str | None = None) -> None:
        if method not in METHODS:
            raise UsageError(
                f"no method {method!r}{nearest(method, METHODS)}", expected=f"one of {', '.join(METHODS)}"
            )
        self._bundle = open_bundle(model, threads=1)
        self._label = None if class_name is None else _label(self._bundle, class_name)
        self._network = _network(model, self._bundle) if method == "gradcam" else None

    def explain(self, photo: Photo) -> Explanation:
        """Raises PhotoError when the photo cannot be read."""
        pixels = to_pixels(photo, self._bundle.manifest.preprocess)
        answers = self._bundle.run(pixels[None])
        if not np.isfinite(answers.logits).all():
            raise PhotoError("the model has no number for this photo")
        predicted = int(answers.logits[0].argmax())
        label = predicted if self._label is None else self._label
        method, heatmap, covered = self._heat(pixels, answers, label)
        classes = self._bundle.manifest.classes
        return Explanation(
            path=name_of(photo),
            class_name=classes[label],
            probability=float(answers.probabilities[0, label]),
            predicted=classes[predicted],
            method=method,
            heatmap=heatmap,
            pixels=pixels,
            covered=covered,
        )

    def _heat(
        self, pixels: Pixels, answers: Answers, label: int
    ) -> tuple[str, NDArray[np.float32], float | None]:
        if self._network is not None:
            return (*_gradients(self._network, pixels, answers, label), None)
        found = occlusion(pixels, lambda photos: self._bundle.run_many(photos).logits, label)
        covered = _probability(found.covered, label, self._bundle.manifest.temperature)
        return "occlusion", found.heatmap, covered


def _explained(
    explainer: Explainer, photos: Iterable[Path], pictures: _Folder | _Sheet
) -> Iterator[Explained]:
    try:
        for photo in photos:
            try:
                found = explainer.explain(photo)
            except PhotoError as error:
                yield Explained(str(photo), error=error.what)
                continue
            yield Explained(str(photo), found, pictures.take(found))
    finally:  # also after Ctrl-C: each photo takes seconds
        pictures.finish()


class _Folder:
    """A picture for each photo, named as the photo is."""

    def __init__(self, place: Path) -> None:
        self._place, self._taken = place, set[str]()

    def take(self, found: Explanation) -> Path:
        stem = _usable(Path(found.path).stem)
        name, number = stem, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.casefold())
        return _write(self._place / f"{name}.png", [found])

    def finish(self) -> None:
        """Every picture is written already."""


def _usable(stem: str) -> str:
    """The stem of a file that Windows can hold, too: there CON.png is a device, as con.a.png is.

    >>> _usable("con"), _usable("Nul.2"), _usable("console")
    ('con_', 'Nul_.2', 'console')
    """
    first, dot, rest = stem.partition(".")
    return f"{first.rstrip()}_{dot}{rest}" if _DEVICE.fullmatch(first.rstrip()) else stem


class _Sheet:
    """One picture for all."""

    def __init__(self, place: Path) -> None:
        self._place, self._found = picture_file(place), list[Explanation]()

    def take(self, found: Explanation) -> Path | None:
        if len(self._found) == SHEET_PHOTOS:
            return None
        self._found.append(found)
        return self._place

    def finish(self) -> None:
        if self._found:
            _write(self._place, self._found)


def _write(place: Path, found: list[Explanation]) -> Path:
    from sortograph.reporting.explained import explanation_tiles
    from sortograph.reporting.sheet import draw_sheet

    tiles = [tile for one in found for tile in explanation_tiles(one)]
    sheet = draw_sheet(tiles, columns=2 if len(found) < 3 else 4, tile=_TILE)
    picture_file(place)
    make_folder(place.parent)
    write_atomic(place, sheet)
    return place


def _label(bundle: Bundle, class_name: str) -> int:
    classes = bundle.manifest.classes
    if class_name in classes:
        return classes.index(class_name)
    raise UsageError(
        f"the model knows no class {class_name!r}{nearest(class_name, classes)}",
        where=str(bundle.path),
        expected=f"one of {listed(classes, 20)}",
    )


def _probability(logits: NDArray[np.floating], label: int, temperature: float) -> float:
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max())
    return float(powers[label] / powers.sum())


def _network(model: Path, bundle: Bundle) -> MappedNetwork:
    """The network of a run from scratch. Raises where it has none, or none with a feature map."""
    from sortograph import runs
    from sortograph.explaining.maps import gradient_method
    from sortograph.models import plan
    from sortograph.recipe import make_recipe

    if not (model / "run.json").is_file():
        raise UsageError(
            "Grad-CAM needs the weights of a run", where=str(model), expected="a run folder", fix=_OCCLUSION
        )
    recipe = make_recipe(runs.read_run(model).recipe, str(model / "run.json"))
    if recipe.model.kind not in ("cnn", "residual", "dense"):
        raise UsageError(
            "Grad-CAM is for networks that were trained from scratch; this model stands on a backbone",
            where=str(model),
            fix=_OCCLUSION,
        )
    spec = bundle.manifest.preprocess
    layers = plan(recipe.model, spec.size, len(bundle.manifest.classes))
    if gradient_method(layers) is None:
        raise UsageError(
            "Grad-CAM needs a feature map, and this network has dense layers alone",
            where=str(model),
            fix=_OCCLUSION,
        )
    if find_spec("torch") is None:
        raise MissingExtra.of("train", "torch")
    from sortograph.explaining.gradcam import open_network

    return open_network(layers, spec, model / _WEIGHTS)


def _gradients(
    network: MappedNetwork, pixels: Pixels, answers: Answers, label: int
) -> tuple[str, NDArray[np.float32]]:
    """Raises RunError when the weights answer otherwise than the model that is explained."""
    from sortograph.explaining.gradcam import gradcam
    from sortograph.explaining.maps import gradient_method

    heat, logits = gradcam(network, pixels[None], np.array([label], dtype=np.int64))
    told, shipped = (_probability(row, label, 1.0) for row in (logits[0], answers.logits[0]))
    if not abs(told - shipped) <= _AGREE:
        raise RunError(
            f"{_WEIGHTS} answers otherwise than model.onnx ({told:.3f} and {shipped:.3f} for one class)",
            expected="the weights that the model was made of",
            fix=_OCCLUSION,
        )
    return str(gradient_method(network.plan)), heat[0]
