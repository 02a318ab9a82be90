"""S6 to S10 and S13 to S15: who may ask, what is never shown, and what every answer carries."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys

import pytest

from serve_tools import TOKEN, files, parsed, photo
from sortograph.api.serving import Serving, make_server, read_token
from sortograph.errors import StorageError, UsageError
from sortograph.serve import gate
from sortograph.serve.gate import Rules
from sortograph.serve.problems import Refusal

ROUTES = [
    "/",
    "/page/page.js",
    "/docs",
    "/docs/docs.js",
    "/openapi.json",
    "/v1/predict",
    "/v1/model",
    "/v1/models",
    "/v1/corrections",
    "/v1/reload",
    "/healthz",
    "/readyz",
    "/metrics",
    "/nowhere",
]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
BAD_HOSTS = [
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil.example:8000",
    "localhost@evil.example",
    "127.0.0.1/evil.example",
    "[::1",
    "192.168.0.7",
    "2130706433",
    "",
    "localhost:port",
]
BAD_ORIGINS = [
    "null",
    "https://evil.example",
    "http://localhost.evil.example",
    "http://localhost:1",
    "file://",
    "http://localhost@evil.example",
    "",
]


def get(path, lines):
    return f"GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode()


def test_s06_every_route_and_method_with_another_host(live):
    with live.client() as client:
        for route in ROUTES:
            for method in METHODS:
                found = client.request(method, route, headers={"host": "evil.example"})
                assert found.status_code == 403, (route, method)
                assert method == "HEAD" or found.json()["code"] == "host"


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_s06_hosts_that_are_others(live, host):
    status, _, said = parsed(
        live.raw(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    )
    assert (status, said["code"]) == (403, "host")


@pytest.mark.parametrize(
    "lines", ["", "Host: localhost\r\nHost: evil.example\r\n", "Host: evil.example\r\nHost: localhost\r\n"]
)
def test_s06_no_host_or_two(live, lines):
    status, _, _ = parsed(live.raw(get("/healthz", lines)))
    assert status in (400, 403)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:99", "127.0.0.1", "127.0.0.1:8000", "[::1]:80", "localhost."]
)
def test_s06_hosts_that_are_ours(live, host):
    status, _, _ = parsed(
        live.raw(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    )
    assert status == 200


def test_s06_every_route_and_method_with_another_origin(live):
    with live.client() as client:
        for route in ROUTES:
            for method in METHODS:
                for origin in BAD_ORIGINS:
                    found = client.request(method, route, headers={"origin": origin})
                    assert found.status_code == 403, (route, method, origin)


def test_s06_pages_of_other_sites_without_an_origin(live):
    """A browser leaves Origin out of some requests, but tells what kind of site asks."""
    with live.client() as client:
        for site in ("cross-site", "same-site"):
            image = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}
            link = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
            assert client.get("/v1/models", headers=image).status_code == 403
            assert client.get("/", headers=link).status_code == 200
        assert client.get("/v1/models", headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_s06_the_page_itself_may_ask(live):
    with live.client() as client:
        for origin in (live.address, live.address.upper()):
            assert (
                client.post("/v1/predict", files=files(photo()), headers={"origin": origin}).status_code
                == 200
            )


def test_s06_names_that_were_allowed(model, serving):
    named = {"host": "photos.example.org", "origin": "https://photos.example.org"}
    with serving(model, hosts=("photos.example.org",)) as live, live.client() as client:
        assert client.get("/v1/models", headers=named).status_code == 200
        assert client.get("/v1/models", headers={"origin": "https://third.example"}).status_code == 403


@pytest.mark.skipif(sys.platform != "linux", reason="needs an address of this machine besides 127.0.0.1")
def test_s06_the_address_that_it_was_started_for(model, serving):
    with serving(model, host="127.0.0.2") as live, live.client() as client:
        assert client.get(f"http://127.0.0.2:{live.port}/healthz").status_code == 200
        assert (
            client.get(f"http://127.0.0.2:{live.port}/healthz", headers={"host": "127.0.0.3"}).status_code
            == 403
        )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "photos.example.org"])
def test_s06_beyond_this_machine_a_token_is_needed(model, host):
    with pytest.raises(UsageError, match="token") as raised:
        make_server([model], options=Serving(host=host, port=0))
    assert "--token-file" in raised.value.fix


def test_s06_any_address_is_a_host_when_others_may_reach_it():
    rules = Rules(any_address=True)
    rules.check("/", [(b"host", b"192.168.0.7:8000")])
    with pytest.raises(Refusal):
        rules.check("/", [(b"host", b"evil.example")])


def guarded_routes():
    return [route for route in ROUTES if route.startswith(("/v1/", "/metrics"))]


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"],
)
def test_s07_without_the_token_nothing_is_told(guarded, given):
    headers = {} if given is None else {"authorization": given}
    with guarded.client() as client:
        for route in guarded_routes():
            for method in ("GET", "POST"):
                found = client.request(method, route, headers=headers)
                assert (found.status_code, found.json()["code"]) == (401, "token"), route
                assert found.headers["www-authenticate"] == "Bearer"


def test_s07_with_it_all_is_well(guarded):
    with guarded.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        assert client.get("/v1/models").json()["token"] is True
        assert client.post("/v1/predict", files=files(photo())).status_code == 200
        assert client.get("/metrics").status_code == 200


def test_s07_the_page_and_health_need_none(guarded):
    with guarded.client() as client:
        for route in ("/", "/page/page.js", "/docs", "/openapi.json", "/healthz", "/readyz"):
            assert client.get(route).status_code == 200, route


def test_s07_a_token_in_the_address_is_no_token(guarded):
    with guarded.client() as client:
        assert client.get(f"/v1/models?token={TOKEN}").status_code == 401


def test_s07_it_is_compared_in_constant_time(monkeypatch):
    seen = []

    def compare(one, other):
        seen.append((one, other))
        return one == other

    monkeypatch.setattr(gate.hmac, "compare_digest", compare)
    rules = Rules(token=TOKEN)
    for given in (b"", b"Bearer x", f"Bearer {TOKEN}".encode()):
        try:
            rules.check("/v1/models", [(b"host", b"localhost"), (b"authorization", given)])
        except Refusal:
            continue
    assert [one for one, _ in seen] == [b"", b"x", TOKEN.encode()]


def test_s07_it_is_in_no_log_and_no_record(guarded, caplog, capfd, monkeypatch):
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "sortograph"):
        # Other libraries configure logging for themselves, and turn off what others have.
        for key, value in {"disabled": False, "propagate": True, "level": logging.NOTSET}.items():
            monkeypatch.setattr(logging.getLogger(name), key, value)
    caplog.set_level(logging.DEBUG)
    with guarded.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        client.get("/v1/models")
        client.get(f"/v1/models?token={TOKEN}")
        metrics = client.get("/metrics").text
        document = client.get("/openapi.json").text
    ours = [
        record.getMessage() for record in caplog.records if record.name.startswith(("sortograph", "uvicorn"))
    ]
    assert ours
    for text in (*ours, metrics, document, *capfd.readouterr(), repr(Serving(token=TOKEN))):
        assert TOKEN not in text


def test_s07_a_token_is_made_once_and_kept_for_its_owner(tmp_path):
    file = tmp_path / "keys" / "token"
    token = read_token(file)
    assert len(token) > 30
    assert read_token(file) == token
    assert sys.platform == "win32" or file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "short", "with a space in the middle", "ünicode-is-not-sent-well"])
def test_s07_a_token_that_is_easy_to_guess(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="token") as raised:
        read_token(file)
    assert raised.value.fix == f"remove {file}, then type the command again"
    file.unlink()
    assert len(read_token(file)) > 30


def test_s07_half_a_token_is_not_left_behind(tmp_path, monkeypatch):
    def full(handle, *_, **__):
        os.close(handle)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("sortograph.api.serving.os.fdopen", full)
        with pytest.raises(StorageError):
            read_token(tmp_path / "token")
    assert len(read_token(tmp_path / "token")) > 30


def test_s07_a_token_that_cannot_be_kept(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((StorageError, UsageError)):
        read_token(tmp_path / "file" / "token")


TRAVERSALS = [
    "/page/../app.py",
    "/page/..%2fapp.py",
    "/page/%2e%2e/app.py",
    "/page/%2e%2e%2fapp.py",
    "/page/..%5capp.py",
    "/page/..\\app.py",
    "/page/%252e%252e%252fapp.py",
    "/page/..%c0%afapp.py",
    "/page//etc/passwd",
    "/page/%2fetc%2fpasswd",
    "/page/....//app.py",
    "/page/page.js/",
    "/page/page.js%00.css",
    "/page/./page.js",
    "/page/PAGE.JS",
    "/page/index.html/../../app.py",
    "/page/",
    "/page",
    "/docs/../app.py",
    "/docs/..%2fapp.py",
    "/docs/page.js",
    "/../../../etc/passwd",
    "//etc/passwd",
    "/static/app.py",
    "/page/C:%5cWindows%5cwin.ini",
    "/page/page.js::$DATA",
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_s08_no_way_leads_out_of_the_list_of_files(live, path):
    status, _, said = parsed(live.raw(get(path, "Host: localhost\r\n")))
    assert status in (400, 404)
    assert said["status"] == status


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "a\0b.png", "x" * 5000, "<b>.png"]
)
def test_s08_names_of_uploads_lead_nowhere(live, name):
    body = (
        f'--b0\r\nContent-Disposition: form-data; name="photo"; filename="{name}"\r\n\r\n'.encode()
        + photo()
        + b"\r\n--b0--\r\n"
    )
    with live.client() as client:
        found = client.post(
            "/v1/predict", content=body, headers={"content-type": "multipart/form-data; boundary=b0"}
        )
    assert found.status_code in (200, 400)
    if found.status_code == 200:
        path = found.json()["predictions"][0]["path"]
        assert "/" not in path
        assert "\\" not in path
        assert len(path) <= 255


@pytest.mark.parametrize(
    "span",
    [
        "bytes=0-0",
        "bytes=0-",
        "bytes=-1",
        "bytes=9-1",
        "bytes=" + "0-0," * 1000 + "0-0",
        "lines=1-2",
        "bytes=a-b",
        "bytes=0-99999999999999999999",
    ],
)
def test_s09_parts_of_a_file_are_not_given(live, span):
    with live.client() as client:
        found = client.get("/page/page.js", headers={"range": span})
        whole = client.get("/page/page.js")
    assert (found.status_code, found.content) == (200, whole.content)
    assert "accept-ranges" not in found.headers


def test_s10_an_error_shows_no_path_address_or_trace(live, model):
    """Of every kind of error that a client can cause."""
    with live.client() as client:
        found = [
            client.get("/nowhere"),
            client.put("/v1/predict"),
            client.post("/v1/predict?model=../../etc/passwd", files=files(photo())),
            client.post("/v1/predict?top_k=x", files=files(photo())),
            client.post("/v1/predict", files=files(b"no photo")),
            client.post("/v1/predict", content=b"x", headers={"content-type": "text/plain"}),
            client.post("/v1/predict", content=b"x", headers={"content-type": "multipart/form-data"}),
            client.post("/v1/corrections", files=files(photo())),
            client.post("/v1/reload"),
            client.get("/", headers={"host": "evil.example"}),
        ]
    for answer in found:
        assert answer.status_code >= 400
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert {"type", "title", "status", "code", "detail", "expected", "fix"} <= set(said)
        assert said["status"] == answer.status_code
        check_quiet(answer.text, live, model)


@pytest.mark.parametrize("query", ["", "?top_k=5"])
def test_s10_a_bug_shows_nothing_either(live, model, monkeypatch, caplog, query):
    def fails(self, *_):
        raise ValueError(f"at 0x7f00deadbeef in {model}")

    monkeypatch.setattr(type(live.service), "predict", fails)
    with live.client() as client:
        answer = client.post(f"/v1/predict{query}", files=files(photo()))
    assert (answer.status_code, answer.json()["code"]) == (500, "bug")
    check_quiet(answer.text, live, model)
    assert "deadbeef" in caplog.text  # whoever runs the server learns it


def check_quiet(text, live, model):
    assert str(model.parent) not in text
    assert str(live.port) not in text
    for trace in ("Traceback", 'File "', ".py", "0x", "127.0.0.1", "/home", "/tmp", "/usr"):
        assert trace not in text, trace


def test_s13_labels_of_metrics_are_ours_alone(live):
    with live.client() as client:
        before = series(client.get("/metrics").text)
        for number in range(30):
            client.get(f"/secret-{number}.jpg")
            client.request(f"ODD{number}", "/healthz")
            client.post(f"/v1/predict?model=secret-{number}", files=files(photo()))
            client.post(
                "/v1/predict", files=[("photo", (f"secret-{number}.png", photo((number, 2, 3)), "image/png"))]
            )
        text = client.get("/metrics").text
    assert "secret" not in text
    assert "ODD" not in text
    assert "cat" not in re.sub("# .*", "", text)
    assert len(series(text) - before) < 40


def series(text):
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def test_s13_what_is_counted(live):
    with live.client() as client:
        client.post("/v1/predict", files=files(photo(), b"none"))
        text = client.get("/metrics").text
    for line in (
        'sortograph_http_requests_total{method="POST",route="/v1/predict",status="200"}',
        'sortograph_photos_total{model="small",outcome="answered"}',
        'sortograph_photos_total{model="small",outcome="unreadable"}',
        'sortograph_batch_photos_count{model="small"}',
        "sortograph_waiting_photos 0.0",
        "sortograph_held_bytes 0.0",
    ):
        assert line in text


def test_s14_every_answer_keeps_a_browser_safe(live):
    with live.client() as client:
        found = [client.get(route) for route in ROUTES]
        found.append(client.post("/v1/predict", files=files(photo())))
        found.append(client.get("/", headers={"host": "evil.example"}))
    for answer in found:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] in ("no-store", "no-cache")
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


def test_s14_an_upload_is_never_served_back(live):
    """A page that pretends to be a photo, and a photo that is stored as a correction: none can be fetched."""
    page = b"<html><script>alert(1)</script></html>"
    with live.client() as client:
        refused = client.post("/v1/predict", content=page, headers={"content-type": "image/png"})
        kept = client.post("/v1/corrections", files=files(photo()), data={"label": "dog"})
        assert (refused.status_code, kept.status_code) == (422, 201)
        assert "<script>" not in refused.text
        for path in (kept.json()["stored"], "corrections.csv", kept.json()["sha256"]):
            for folder in ("/", "/page/", "/v1/", "/v1/corrections/"):
                assert client.get(folder + path).status_code == 404


@pytest.mark.parametrize("field", ["url", "photo_url", "src", "href"])
def test_s15_no_photo_is_fetched_for_a_client(live, monkeypatch, field):
    import socket

    asked = []
    real = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, to: (asked.append(to), real(self, to))[1])
    address = "http://203.0.113.7/a.png"
    with live.client() as client:
        one = client.post(f"/v1/predict?{field}={address}", files=files(photo()))
        two = client.post("/v1/predict", files=[(field, (None, address.encode(), None))])
        three = client.post("/v1/predict", content=address.encode(), headers={"content-type": "image/png"})
    assert [one.status_code, two.status_code, three.status_code] == [400, 400, 422]
    assert all("203.0.113.7" not in str(to) for to in asked)


def test_unknown_methods_are_told_what_is_known(live):
    with live.client() as client:
        found = client.put("/v1/predict")
    assert (found.status_code, found.json()["code"], found.headers["allow"]) == (405, "method", "POST")
