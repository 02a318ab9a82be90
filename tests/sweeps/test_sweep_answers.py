from __future__ import annotations

import pytest

from sortograph.errors import RunError
from sortograph.sweeps.answers import held_out, read_answers

HEADER = "path,split,label,predicted,probability,right\n"


def write(folder, lines):
    folder.mkdir(parents=True)
    (folder / "predictions.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def test_seeds_are_rows_and_photos_are_matched_by_path(tmp_path):
    one = write(tmp_path / "1", ["b,test,x,x,0.9,true", "a,test,x,y,0.6,false", "c,train,x,x,0.9,true"])
    two = write(tmp_path / "2", ["a,test,x,x,0.9,true", "b,test,x,y,0.6,false", "c,train,x,y,0.9,false"])
    found = read_answers([one, two])
    assert found["test"].paths == ("a", "b")
    assert found["test"].right.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert found["train"].right.tolist() == [[1.0], [0.0]]
    assert held_out(found) == "test"
    assert held_out({"validation": found["train"], "train": found["train"]}) == "validation"


def test_guarded_paths_are_what_they_were(tmp_path):
    folder = write(tmp_path / "1", ["'=1.jpg,test,x,x,0.9,true"])
    assert read_answers([folder])["test"].paths == ("=1.jpg",)


def test_other_photos_are_refused(tmp_path):
    one = write(tmp_path / "1", ["a,test,x,x,0.9,true"])
    two = write(tmp_path / "2", ["b,test,x,x,0.9,true"])
    with pytest.raises(RunError, match="other test photos"):
        read_answers([one, two])


@pytest.mark.parametrize("text", ["", "path,split\na,test\n", 'path,split,right\n"a,test,true\n'])
def test_damage_is_told(tmp_path, text):
    (tmp_path / "predictions.csv").write_text(text or HEADER)
    if text:
        with pytest.raises(RunError, match="cannot be read"):
            read_answers([tmp_path])
    else:
        assert read_answers([tmp_path]) == {}
    with pytest.raises(RunError, match="cannot be read"):
        read_answers([tmp_path / "none"])
