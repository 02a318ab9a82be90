"""The OpenAPI document, tried by schemathesis; and every file of the bad-image set as an upload."""

from __future__ import annotations

import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

SHARED = Path(os.environ.get("SORTOGRAPH_SHARED", Path(__file__).parents[3] / "shared/data"))
BAD = SHARED / "bad-images.tar.gz"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 25
ROUTES = {
    "POST /v1/predict",
    "GET /v1/model",
    "GET /v1/models",
    "POST /v1/corrections",
    "POST /v1/reload",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
}
TAKING = {"POST /v1/predict", "GET /v1/model", "POST /v1/corrections"}  # something that can be wrong


@pytest.mark.parametrize(
    ("mode", "routes"),
    [(GenerationMode.POSITIVE, ROUTES), (GenerationMode.NEGATIVE, TAKING)],
    ids=["right", "wrong"],
)
def test_no_request_of_the_document_is_a_server_error(live, mode, routes):
    schema = schemathesis.openapi.from_url(f"{live.address}/openapi.json")
    tried = set()
    with requests.Session() as session:
        session.trust_env = False
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.label in routes:
                fuzz(operation, mode, session)
                tried.add(operation.label)
    assert tried == routes


def fuzz(operation, mode, session):
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case):
        case.validate_response(case.call(session=session), checks=CHECKS)

    check()


@pytest.mark.skipif(not BAD.is_file(), reason="needs bad-images.tar.gz of the shared data")
def test_i01_bad_images_are_answered_or_refused(live, tmp_path):
    """As one raw body each: an answer, or 422 with a reason that shows no path."""
    with tarfile.open(BAD) as archive:
        archive.extractall(tmp_path, filter="data")
    photos = [path for path in sorted(tmp_path.rglob("*")) if path.is_file() and path.name != "manifest.csv"]
    assert len(photos) > 1000
    with ThreadPoolExecutor(8) as pool, live.client(timeout=60) as client:
        found = list(pool.map(lambda path: upload(client, path), photos))
    codes = {status for status, _ in found}
    assert codes == {200, 400, 422}
    assert sum(status == 200 for status, _ in found) > 300
    assert sum(status == 422 for status, _ in found) > 300
    for path, (status, text) in zip(photos, found, strict=True):
        assert status != 400 or not path.stat().st_size  # an empty body is no photo
        assert str(tmp_path) not in text


def upload(client, path):
    kind = {"content-type": "application/octet-stream"}
    found = client.post("/v1/predict", content=path.read_bytes(), headers=kind)
    return found.status_code, found.text
