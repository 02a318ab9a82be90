"""Photos that are read by processes of their own."""

from __future__ import annotations

import zipfile

import pytest

from painted import picture, png
from sortograph.classify import FakeClassifier, find_photos
from sortograph.errors import UsageError


def test_answers_are_the_same_as_without(classifier, folder, monkeypatch):
    with zipfile.ZipFile(folder.parent / "more.zip", "w") as file:
        for k in range(3):
            file.writestr(f"in/{k}.png", png(picture(k)))
    monkeypatch.chdir(folder.parent)
    photos = [*find_photos(["photos", "more.zip", "photos/3.png"]), "gone.png"]
    apart = list(classifier.predict_many(photos, isolate=True, threads=2, batch_size=3))
    together = list(classifier.predict_many(photos, batch_size=3))
    assert len(apart) == 17
    assert [answer.path for answer in apart] == [str(photo) for photo in photos]
    assert apart == together
    assert apart[-1].error == "no such file"


def test_only_files_can_be_read_apart():
    with pytest.raises(UsageError, match="bytes to be read in another process"):
        list(FakeClassifier(["a"]).predict_many([b"photo"], isolate=True))
