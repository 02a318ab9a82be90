from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from sortograph.api.explaining import Explained
from sortograph.records import Explanation


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    return tmp_path / "one.png"


def explained(path="one.png", at=(0, 0), **changes):
    heat = np.zeros((6, 6), dtype=np.float32)
    heat[at] = 1
    values = {"probability": 0.9, "predicted": "cat", "method": "occlusion", "covered": 0.25, **changes}
    found = Explanation(path, "cat", heatmap=heat, pixels=np.zeros((6, 6, 3), np.uint8), **values)
    return Explained(path, found, None)


def test_a_photo_is_explained_and_drawn(call, model_file, photo, tmp_path):
    said = call("explain", model_file, photo)
    assert said.code == 0
    assert said.out.startswith(f"{photo}  ")
    assert said.err == "pictures: explained.png\n"
    assert (tmp_path / "explained.png").is_file()


def test_json_and_a_folder(call, model_file, photo, tmp_path):
    said = call("explain", model_file, photo, "--class", "dog", "--out", "here", "--json", "--quiet")
    told = json.loads(said.out)
    assert set(told) == {
        "path", "class", "probability", "predicted", "method", "covered", "strongest", "picture", "error",
    }  # fmt: skip
    assert (told["class"], told["method"], told["picture"], told["error"]) == (
        "dog",
        "occlusion",
        "here/one.png",
        None,
    )
    assert (said.code, said.err) == (0, "")
    assert (tmp_path / "here" / "one.png").is_file()


@pytest.mark.parametrize(
    ("one", "line"),
    [
        (explained(), "one.png  cat 90.0 %, strongest top left; down to 25.0 % with one part covered"),
        (
            explained(at=(2, 3), covered=0.899),
            "one.png  cat 90.0 %, strongest in the middle; the same with any one part covered",
        ),
        (
            explained(at=(3, 5), method="grad-cam", covered=None, predicted="dog"),
            "one.png  cat 90.0 % (predicted: dog), strongest on the right (grad-cam)",
        ),
        (Explained("one.png", error="torn"), "one.png  error: torn"),
    ],
)
def test_what_a_line_says(call, stand_in, one, line):
    seen = stand_in("explain_photos", iter([one, explained("b.png", (5, 2))]))
    said = call("explain", "m.onnx", "a", "b", "--method", "gradcam")
    assert said.out.splitlines()[0] == line
    assert said.out.splitlines()[1].startswith("b.png  cat 90.0 %, strongest at the bottom")
    assert said.code == (6 if one.error else 0)
    assert (seen["arguments"][1], seen["method"], seen["class_name"]) == (["a", "b"], "gradcam", None)


def test_photos_that_do_not_fit_on_the_sheet_are_counted(call, stand_in):
    stand_in("explain_photos", iter([explained(), explained()]))
    assert call("explain", "m.onnx", "a").err == (
        "pictures: explained.png; 2 more than fit on it (--out DIR draws all)\n"
    )


def test_photos_that_cannot_be_read(call, model_file, photo, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    said = call("explain", model_file, "broken.jpg", photo)
    assert said.code == 6
    assert said.err.endswith("warning: 1 of 2 photos could not be read\n")
    said = call("explain", model_file, "broken.jpg", "--out", "new.png")
    assert (said.code, said.err) == (3, "error: the photo could not be read\n")
    assert not (tmp_path / "new.png").exists()


def test_a_wrong_class_is_a_mistake_of_usage(call, model_file, photo):
    said = call("explain", model_file, photo, "--class", "cta")
    assert said.code == 2
    assert "did you mean 'cat'?" in said.err
