"""Answers over HTTP are those of the classifier, each for its own request."""

from __future__ import annotations

import base64
import io
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from serve_tools import files, photo
from sortograph.bundle.store import write_bundle
from sortograph.records import BundleManifest
from sortograph.serve.answers import Answer, Detail, Models, Problem
from sortograph.serve.app import make_app
from sortograph.serve.gate import Rules

ADDED = ("unsure_code", "unsure_details", "error_code", "heatmap")  # to what the classifier says
PATHS = [(200, 10, 30), (10, 220, 40), (30, 20, 240)]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_raw_body(live, expected, kind):
    data = photo((90, 160, 20), kind)
    with live.client() as client:
        found = client.post("/v1/predict", content=data, headers={"content-type": f"image/{kind.lower()}"})
    assert found.status_code == 200
    Answer.model_validate(found.json())
    row = found.json()["predictions"][0]
    assert {name: row.pop(name) for name in ADDED} == dict.fromkeys(ADDED)
    assert row == expected(data).to_json()


@pytest.mark.parametrize("data", [photo(PATHS[0]), b"no photo", b""], ids=["photo", "none", "empty"])
def test_parameters_that_ask_for_nothing_special_change_nothing(live, data):
    with live.client() as client:
        plain, asked = (
            client.post(path, content=data, headers={"content-type": "image/png"})
            for path in ("/v1/predict", "/v1/predict?top_k=5")
        )
    assert (plain.status_code, plain.json()) == (asked.status_code, asked.json())
    one, other = (
        {name: value for name, value in found.headers.items() if name not in ("date", "server-timing")}
        for found in (plain, asked)
    )
    assert one == other


def test_a_form_with_several_photos_in_their_order(live, expected):
    photos = [photo(colour) for colour in PATHS]
    with live.client() as client:
        found = client.post("/v1/predict?top_k=2", files=files(*photos))
    rows = found.json()["predictions"]
    assert [row["path"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert [row["label"] for row in rows] == [expected(data).label for data in photos]
    assert [len(row["top_k"]) for row in rows] == [2, 2, 2]
    assert "decode;dur=" in found.headers["server-timing"]


def test_one_of_them_is_no_photo(live):
    with live.client() as client:
        found = client.post("/v1/predict", files=files(photo(PATHS[0]), b"no photo", photo(PATHS[1])))
    errors = [row["error"] for row in found.json()["predictions"]]
    assert found.status_code == 200
    assert (errors[0], errors[2]) == (None, None)
    assert errors[1].startswith("not a photo")
    codes = [row["error_code"] for row in found.json()["predictions"]]
    assert codes == [None, "not-an-image", None]


@pytest.mark.parametrize("count", [1, 3])
def test_none_of_them_is_a_photo(live, count):
    with live.client() as client:
        found = client.post("/v1/predict", files=files(*[b"nothing"] * count))
    said = found.json()
    assert (found.status_code, said["code"]) == (422, "photo")
    assert len(said["predictions"]) == count
    assert said["detail"].startswith("not a photo" if count == 1 else "none of 3")
    assert said["reason"] == "not-an-image"
    Problem.model_validate(said)


def test_photos_that_cannot_be_read_for_several_reasons(live):
    with live.client() as client:
        said = client.post("/v1/predict", files=files(b"nothing", photo()[:60])).json()
    assert said["reason"] is None
    assert [row["error_code"] for row in said["predictions"]] == ["not-an-image", "truncated"]


def test_a_correction_without_a_photo_says_why(live):
    with live.client() as client:
        found = client.post("/v1/corrections", files=files(photo()[:60]), data={"label": "cat"})
    assert (found.status_code, found.json()["reason"]) == (422, "truncated")


DOUBTS = {
    "low-confidence": ({"abstain": [{"error": 0.01, "threshold": None, "reason": "too few"},
                                    {"error": 0.05, "threshold": 0.99}], "calibrated": {"groups": 150}},
                       0.06, {"least": 0.99, "error": 0.05, "photos": 150}),
    "several-classes": ({"conformal": [{"level": 0.95, "threshold": 0.01, "n": 40}]}, None, {"classes": 3}),
    "no-class": ({"conformal": [{"level": 0.95, "threshold": 0.999, "n": 40}]}, None, {}),
}  # fmt: skip


@pytest.mark.parametrize("code", DOUBTS)
def test_why_an_answer_is_unsure_has_a_code_and_its_figures(small, tmp_path, serving, code):
    """However few classes were asked for; the sentence has the same figures."""
    tables, max_error, details = DOUBTS[code]
    manifest = replace(small.manifest, **{name: made(rows) for name, rows in tables.items()})
    write_bundle(tmp_path / "unsure.onnx", small.graph(), manifest, small.golden)
    with serving(tmp_path / "unsure.onnx", max_error=max_error) as live, live.client() as client:
        found = client.post("/v1/predict?top_k=1", files=files(photo(PATHS[0]))).json()
    Answer.model_validate(found)
    (row,) = found["predictions"]
    assert (row["unsure_code"], row["unsure_details"]) == (code, details)
    assert len(row["top_k"]) == 1
    if code == "low-confidence":
        assert row["label"] is None
        assert row["unsure"] == "not above 0.99, for at most 5% wrong (by 150 photos)"


def made(rows):
    return tuple(rows) if isinstance(rows, list) else rows


def test_s05_every_answer_belongs_to_its_request(live, expected):
    """S5: 120 different photos from 12 clients at once, alone and in groups."""
    chance = random.Random(3)
    colours = [tuple(chance.randrange(256) for _ in range(3)) for _ in range(120)]
    photos = {colour: photo(colour) for colour in colours}
    right = {colour: expected(data).to_json()["top_k"] for colour, data in photos.items()}
    assert len({str(rows) for rows in right.values()}) > 100

    def ask(some):
        with live.client() as client:
            found = client.post("/v1/predict", files=files(*(photos[colour] for colour in some)))
        return [row["top_k"] for row in found.json()["predictions"]]

    groups = [colours[k : k + 1 + k % 3] for k in range(0, 118, 3)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, groups))
    for some, rows in zip(groups, answers, strict=True):
        for colour, row in zip(some, rows, strict=True):
            assert [found["label"] for found in row] == [found["label"] for found in right[colour]]
            shares = [[found["probability"] for found in rows_] for rows_ in (row, right[colour])]
            assert np.allclose(*shares, atol=1e-5)


def test_a_heatmap_is_a_small_picture_with_alpha(live):
    with live.client() as client:
        found = client.post("/v1/predict?heatmap=true", files=files(photo(PATHS[0])))
    uri = found.json()["predictions"][0]["heatmap"]
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (5, 6))


def test_a_heatmap_of_several_photos_is_refused(live):
    with live.client() as client:
        found = client.post("/v1/predict?heatmap=true", files=files(photo(PATHS[0]), photo(PATHS[1])))
    assert (found.status_code, found.json()["code"]) == (400, "parameter")


def test_what_the_page_must_know(live, model):
    with live.client() as client:
        said = client.get("/v1/models").json()
        one = client.get("/v1/model?model=small").json()
    Models.model_validate(said)
    Detail.model_validate(one)
    assert said["default"] == "small"
    assert said["models"][0]["classes"] == ["cat", "dog", "새"]
    assert said["models"][0]["photos_size"] == [6, 5]
    assert (said["corrections"], said["token"]) == (True, False)
    assert said["limits"]["photos"] == 32
    assert one["manifest"]["classes"] == ["cat", "dog", "새"]
    assert one["sha256"] == said["models"][0]["sha256"]


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("model=smal", "no-such-model", "did you mean 'small'?"),
        ("top_k=0", "parameter", "parameters"),
        ("top_k=x", "parameter", "parameters"),
        ("topk=2", "parameter", "did you mean 'top_k'?"),
        ("heatmap=perhaps", "parameter", "parameters"),
    ],
)
def test_wrong_parameters(live, query, code, words):
    with live.client() as client:
        said = client.post(f"/v1/predict?{query}", files=files(photo(PATHS[0]))).json()
    assert said["code"] == code
    assert words in said["detail"]


def test_names_that_are_no_text_and_names_that_are_script(small, tmp_path, serving):
    """B8: class names come out as JSON, in ASCII, whatever they hold; the page puts them in as text."""
    names = ("<script>alert(1)</script>", "a\udcff", "새")
    manifest = BundleManifest(classes=names, preprocess=small.manifest.preprocess, temperature=2.0)
    write_bundle(tmp_path / "odd.onnx", small.graph(), manifest, small.golden)
    with serving(tmp_path / "odd.onnx") as live, live.client() as client:
        found = client.get("/v1/models")
        assert found.content.isascii()
        assert found.headers["content-type"] == "application/json"
        assert found.json()["models"][0]["classes"] == list(names)
        rows = client.post("/v1/predict", files=files(photo(PATHS[0]))).json()["predictions"]
        assert {row["label"] for row in rows[0]["top_k"]} == set(names)


def test_several_models_by_name(small, make_small, tmp_path, serving):
    for name, temperature in (("one", 2.0), ("two", 9.0)):
        (tmp_path / name).mkdir()
        make_small(temperature=temperature).write(tmp_path / name / "model.onnx")
    again = tmp_path / "more" / "one.onnx"
    again.parent.mkdir()
    small.write(again)
    with serving(tmp_path / "one", tmp_path / "two" / "model.onnx", again) as live, live.client() as client:
        said = client.get("/v1/models").json()
        assert [one["name"] for one in said["models"]] == ["one", "two", "one-2"]
        assert said["default"] == "one"
        asked = {
            name: client.post(f"/v1/predict?model={name}", files=files(photo(PATHS[0]))).json()
            for name in ("one", "two", "one-2")
        }
    shares = {name: found["predictions"][0]["probability"] for name, found in asked.items()}
    assert asked["two"]["model"] == "two"
    assert shares["one"] == shares["one-2"] != shares["two"]


def test_a_page_and_its_files(live):
    with live.client() as client:
        page, script, docs = (client.get(path) for path in ("/", "/page/page.js", "/docs"))
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert script.headers["content-type"].startswith("text/javascript")
        assert "openapi.json" in docs.text
        again = client.get("/page/page.js", headers={"if-none-match": script.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("docs.js", "docs.css"):
            assert client.get(f"/docs/{name}").status_code == 200


def test_nothing_that_is_shown_comes_from_elsewhere(live):
    """The page and the documentation work offline: no address of another host in any file."""
    from sortograph.serve import assets

    for folder, names in (("page", assets.PAGE), ("docs", assets.DOCS)):
        found = assets.read(folder, names)
        assert "index.html" in found
        for asset in found.values():
            text = asset.data.replace(b"http://www.w3.org/", b"")  # names of SVG's language
            assert b"http://" not in text
            assert b"https://" not in text


def test_requests_are_reported_to_nobody(live, monkeypatch):
    """FastAPI can report them to OpenTelemetry."""
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    made = app_of(make_app(live.service, Rules()))
    native = getattr(made, "_native_telemetry", None)  # older ones have none
    assert native is None or not native.enabled()
    assert getattr(made, "_telemetry", {"auto_configure": False})["auto_configure"] is False


def app_of(gate):
    """The FastAPI application within."""
    while not isinstance(gate, FastAPI):
        gate = gate._app
    return gate
