"""What is kept of corrections, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from serve_tools import files, photo
from sortograph.dataset.corrections import read_corrections
from sortograph.errors import StorageError
from sortograph.files import unguard
from sortograph.serve.answers import Corrected
from sortograph.serve.corrections import COLUMNS, Corrections, suffix


@pytest.fixture(scope="module")
def taking(model, serving, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    with serving(model, corrections=folder) as live, live.client() as client:
        yield folder, client


@pytest.fixture
def kept(taking):
    """A folder without any corrections yet, and who takes them."""
    folder, client = taking
    (folder / "corrections.csv").write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    for path in (folder / "photos").iterdir():
        path.unlink()
    return folder, client


def rows(folder):
    with (folder / "corrections.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def correct(client, data, label):
    return client.post("/v1/corrections", files=files(data), data={"label": label})


def test_a_photo_is_kept_as_it_came_with_a_row(kept):
    folder, client = kept
    data = photo(kind="JPEG")
    sha256 = hashlib.sha256(data).hexdigest()
    model = client.get("/v1/model").json()["sha256"]
    form = {"label": "새", "predicted": "cat", "model": "small"}
    found = client.post("/v1/corrections", files=files(data), data=form)  # which says that it is a PNG
    said = found.json()
    Corrected.model_validate(said)
    assert found.status_code == 201
    assert said["stored"] == f"photos/{sha256}.jpg"
    assert (folder / said["stored"]).read_bytes() == data
    row = rows(folder)[0]
    assert list(row) == list(COLUMNS)
    assert (row["sha256"], row["path"], row["predicted"], row["label"]) == (
        sha256,
        said["stored"],
        "cat",
        "새",
    )
    assert (row["time"], row["model"]) == (said["time"], model)
    assert said["known"] is False
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == [
        "corrections.csv",
        "photos",
    ]


def test_a_second_word_on_a_photo_is_a_second_row(kept):
    folder, client = kept
    for label in ("cat", "dog"):
        said = client.post("/v1/corrections", files=files(photo()), data={"label": label}).json()
    assert said["known"] is True
    assert [row["label"] for row in rows(folder)] == ["cat", "dog"]
    assert len(list((folder / "photos").iterdir())) == 1


def test_the_model_that_answered_may_be_named(kept):
    folder, client = kept
    other = "ab" * 32
    client.post("/v1/corrections", files=files(photo()), data={"label": "cat", "sha256": other})
    assert rows(folder)[0]["model"] == other


@pytest.mark.parametrize(
    ("form", "photos", "code"),
    [
        ({"label": "wolf"}, [photo()], "label"),
        ({"label": "cat", "predicted": "wolf"}, [photo()], "label"),
        ({}, [photo()], "label"),
        ({"label": "cat", "model": "other"}, [photo()], "no-such-model"),
        ({"label": "cat", "sha256": "../../x"}, [photo()], "multipart"),
        ({"label": "cat", "note": "hello"}, [photo()], "multipart"),
        ({"label": "c" * 2000}, [photo()], "multipart"),
        ({"label": "cat"}, [b"no photo"], "photo"),
        ({"label": "cat"}, [b""], "no-photo"),
        ({"label": "cat"}, [photo(), photo()], "no-photo"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(kept, form, photos, code):
    folder, client = kept
    found = client.post("/v1/corrections", files=files(*photos), data=form)
    assert (400 <= found.status_code < 500, found.json()["code"]) == (True, code)
    assert rows(folder) == []
    assert list((folder / "photos").iterdir()) == []


def test_a_near_name_is_told(kept):
    _, client = kept
    assert (
        "did you mean 'dog'?"
        in client.post("/v1/corrections", files=files(photo()), data={"label": "dogg"}).text
    )


def test_without_a_folder_nothing_is_kept(guarded):
    from serve_tools import TOKEN

    with guarded.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        found = client.post("/v1/corrections", files=files(photo()), data={"label": "cat"})
    assert (found.status_code, found.json()["code"]) == (404, "corrections-off")


def test_many_at_once_are_all_kept(kept):
    folder, client = kept
    photos = [photo((k, 7, 9)) for k in range(24)]
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(
                lambda data: client.post("/v1/corrections", files=files(data), data={"label": "cat"}), photos
            )
        )
    assert {answer.status_code for answer in found} == {201}
    assert {row["sha256"] for row in rows(folder)} == {hashlib.sha256(data).hexdigest() for data in photos}


def test_formulas_and_line_ends_in_names_stay_text(tmp_path):
    made = Corrections(tmp_path)
    label = '=1+1,"x"\r\ny'
    made.add(photo(), label, "", "m" * 64)
    assert unguard(rows(tmp_path)[0]["label"]) == label


def add_all(writer, photos):
    for data in photos:
        writer.add(data, "cat", "", "m" * 64)


def test_two_writers_do_not_mix_their_lines(tmp_path):
    photos = [photo((k, 1, 1)) for k in range(15)]
    writers = [Corrections(tmp_path), Corrections(tmp_path)]
    threads = [threading.Thread(target=add_all, args=(writer, photos)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(tmp_path)) == 30
    assert all(row["model"] == "m" * 64 for row in rows(tmp_path))


@pytest.mark.parametrize("text", ["a,b\n", "sha256,path,predicted,label,time,model\nab,photos/x", "", "\xff"])
def test_another_table_is_never_written_to(tmp_path, text):
    (tmp_path / "corrections.csv").write_text(text, encoding="latin-1")
    with pytest.raises(StorageError, match="not one of corrections"):
        Corrections(tmp_path)
    assert (tmp_path / "corrections.csv").read_text(encoding="latin-1") == text


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff{head}\r\n{row}\r\n",
        "{head},note\n{row},seen\n",
        "{head}\n{row}",
        '\ufeff{head},note,by\r\n{row},"two\nlines",me',
        "{head}",
    ],
)
def test_a_table_that_a_spreadsheet_has_saved_goes_on(tmp_path, text):
    row = f"{'a' * 64},photos/a.png,cat,dog,2026-01-01T00:00:00Z,m"
    table = tmp_path / "corrections.csv"
    before = text.format(head=",".join(COLUMNS), row=row)
    table.write_bytes(before.encode())
    Corrections(tmp_path).add(photo(), "cat", "", "m" * 64)
    assert table.read_bytes().startswith(before.encode())
    with table.open(newline="", encoding="utf-8-sig") as file:
        assert [line["label"] for line in csv.DictReader(file)] == ["dog"] * ("{row}" in text) + ["cat"]
    said, left_out = read_corrections(tmp_path, ("cat", "dog"))
    assert [one.label for one in said] == ["dog"] * ("{row}" in text) + ["cat"]
    assert left_out == ()


def test_a_full_disk_is_told_and_leaves_no_half_line(kept, monkeypatch):
    folder, client = kept
    client.post("/v1/corrections", files=files(photo()), data={"label": "cat"})
    before = (folder / "corrections.csv").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sortograph.serve.corrections.os.fsync", full)
    found = client.post("/v1/corrections", files=files(photo()), data={"label": "dog"})
    assert (found.status_code, found.json()["code"]) == (507, "storage")
    assert str(folder) not in found.text
    assert (folder / "corrections.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        ("JPEG", ".jpg"),
        ("PNG", ".png"),
        ("GIF", ".gif"),
        ("BMP", ".bmp"),
        ("TIFF", ".tif"),
        ("WEBP", ".webp"),
    ],
)
def test_the_suffix_is_that_of_the_content(kind, end):
    assert suffix(photo(kind=kind)) == end
