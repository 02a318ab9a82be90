from __future__ import annotations

import contextlib
import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sortograph.errors import BundleError
from sortograph.records import BundleManifest, PreprocessSpec

MANIFEST = BundleManifest(
    classes=("cat", "개"),
    preprocess=PreprocessSpec(size=(24, 32), mode="pad", mean=(0.5, 0.4, 0.3)),
    temperature=1.5,
    abstain=({"error": 0.05, "threshold": 0.8},),
    evaluation={"test": {"n": 3, "metrics": {"accuracy": {"value": 1.0}}}},
    weights_licence="Apache-2.0",
)


def changed(**values: object) -> str:
    return json.dumps({**json.loads(MANIFEST.to_json()), **values})


def without(key: str) -> str:
    return json.dumps({k: v for k, v in json.loads(MANIFEST.to_json()).items() if k != key})


def test_a_manifest_survives_its_text():
    assert BundleManifest.from_json(MANIFEST.to_json(), "m") == MANIFEST


@given(st.lists(st.text(st.characters(), max_size=9), min_size=1, max_size=4, unique=True))
def test_any_class_names_survive_as_valid_utf8(names):
    manifest = dataclasses.replace(MANIFEST, classes=tuple(names))
    assert BundleManifest.from_json(manifest.to_json().encode().decode(), "m").classes == tuple(names)


def test_names_that_are_no_text_survive_too():
    manifest = dataclasses.replace(MANIFEST, classes=("caf\udce9", "b"))
    assert BundleManifest.from_json(manifest.to_json().encode().decode(), "m") == manifest


def test_hangul_stays_readable():
    assert '"개"' in MANIFEST.to_json()


def test_numbers_that_json_does_not_have_are_not_written():
    with pytest.raises(ValueError, match="JSON"):
        dataclasses.replace(MANIFEST, evaluation={"test": {"n": math.inf}}).to_json()


WRONG = {
    "format_version": (0, -1, "1", True, None, 1.0),
    "classes": ("ab", [], ["a", 1], ["a", "a"], None, {"a": 1}),
    "temperature": (0, -1, 1e-9, 1e9, 10**400, "1", None, [1.0], False),
    "abstain": (None, {}, [1], "x"),
    "evaluation": (None, [], "x"),
    "fingerprint": (None, 1, []),
    "weights_licence": (3,),
    "recipe": ({},),
    "made_with": (None,),
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_values_of_the_wrong_kind_are_named(key, value):
    with pytest.raises(BundleError, match=f"{key} is out of range") as caught:
        BundleManifest.from_json(changed(**{key: value}), "folder/model.onnx")
    assert caught.value.where == "folder/model.onnx"


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        {},
        {"size": "ab"},
        {"size": [24]},
        {"size": [24.0, 32.0]},
        {"size": [True, 5]},
        {"size": [0, 5]},
        {"size": [24, 10**30]},
        {"size": [24, 32], "mean": ["a", "b", "c"]},
        {"size": [24, 32], "mean": [0, 0]},
        {"size": [24, 32], "std": [1, 1, 0]},
        {"size": [24, 32], "mode": "stretch"},
        {"size": [24, 32], "interpolation": ["bilinear"]},
        {"size": [24, 32], "module": "os"},
    ],
    ids=json.dumps,
)
def test_a_preprocess_that_cannot_be_used_is_refused(spec):
    with pytest.raises(BundleError, match="preprocess"):
        BundleManifest.from_json(changed(preprocess=spec), "m")


@pytest.mark.parametrize("key", ["format_version", "classes", "preprocess"])
def test_what_is_missing_is_named(key):
    with pytest.raises(BundleError, match=f"{key} is missing"):
        BundleManifest.from_json(without(key), "m")


def test_all_mistakes_are_named_at_once():
    text = changed(temprature=1, _target_="os.system", temperature=-1, classes=[])
    with pytest.raises(BundleError) as caught:
        BundleManifest.from_json(text, "m")
    named = ("'temprature' (did you mean 'temperature'?)", "'_target_'", "temperature is", "classes is")
    assert all(name in caught.value.what for name in named)


def test_a_newer_version_is_told_before_anything_else():
    with pytest.raises(BundleError, match="newer") as caught:
        BundleManifest.from_json('{"format_version": 7, "shapes": []}', "m")
    assert "pip install -U" in caught.value.fix


def test_a_thousand_unknown_keys_make_one_short_message():
    with pytest.raises(BundleError) as caught:
        BundleManifest.from_json(changed(**{"k" * 1000 + str(n): n for n in range(1000)}), "m")
    assert len(caught.value.what) < 500


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
)
def test_any_json_gives_a_manifest_or_a_bundle_error(value):
    for text in (json.dumps(value), *(changed(**{key: value}) for key in json.loads(MANIFEST.to_json()))):
        with contextlib.suppress(BundleError):
            assert isinstance(BundleManifest.from_json(text, "m"), BundleManifest)
