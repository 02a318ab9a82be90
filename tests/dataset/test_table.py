from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sortograph.dataset import read_index, scan, write_index
from sortograph.dataset import table as table_module
from sortograph.errors import DataError, RunError, StorageError
from sortograph.records import DatasetIndex

Make = Callable[..., None]


@pytest.fixture
def table(tmp_path: Path, photos: Make) -> Path:
    photos("a", 4)
    photos("b", 4)
    return tmp_path / "labels.csv"


def rows(split: str = "") -> str:
    return "".join(
        f"{f}/{n}.png,{label}{split}\n" for f, label in (("a", "cat"), ("b", "dog")) for n in range(1, 5)
    )


def refusal(table: Path, text: str) -> DataError:
    table.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        scan(table)
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("start", ["path,label", "\ufeffpath,label", " Path , LABEL "])
def test_plain_table(table: Path, start: str) -> None:
    table.write_text(f"{start}\r\n" + rows() + "\n\n", encoding="utf-8")
    index = scan(table)
    assert index.root == table.parent
    assert index.counts() == {"all": {"cat": 4, "dog": 4}}
    assert index.paths[0] == "a/1.png"


def test_splits_and_groups(table: Path) -> None:
    text = rows(",Training,g1").replace("a/4.png,cat,Training,g1", "a/4.png,cat,VAL,g2")
    table.write_text("path,label,split,group\n" + text.replace("b/4.png,dog,Training", "b/4.png,dog,test"))
    index = scan(table)
    assert index.splits == ("train",) * 3 + ("validation",) + ("train",) * 3 + ("test",)
    assert index.groups == ("g1",) * 3 + ("g2",) + ("g1",) * 4


def test_columns_may_come_in_any_order_and_others_are_told(table: Path) -> None:
    lines = [",".join(["x", *reversed(line.split(","))]) for line in rows().splitlines()]
    table.write_text("camera,label,path\n" + "\n".join(lines))
    index = scan(table)
    assert len(index) == 8
    assert any("'camera'" in note for note in index.notes)


def test_missing_columns_with_the_nearest_name(table: Path) -> None:
    error = refusal(table, "paths,lable\n" + rows())
    assert "no column 'path' (did you mean 'paths'?)" in error.what
    assert "no column 'label' (did you mean 'lable'?)" in error.what


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("filename,label", "no column 'path' (rename 'filename' to 'path'?); found"),
        ("file,class", "no column 'path' (rename 'file' to 'path'?); no column 'label' (rename 'class' to"),
        ("image,category", "(rename 'image' to 'path'?); no column 'label' (rename 'category' to 'label'?)"),
        ("name,target", "(rename 'name' to 'path'?); no column 'label' (rename 'target' to 'label'?)"),
    ],
)
def test_columns_under_other_usual_names(table: Path, header: str, hint: str) -> None:
    assert hint in refusal(table, f"{header}\n" + rows()).what


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs(table: Path, photo: Make, separator: str) -> None:
    photo("a/5.png")
    text = ("path,label,split\n" + rows(",train") + 'a/5.png,"cat",test\n').replace(",", separator)
    table.write_text(text, encoding="utf-8")
    assert scan(table).counts() == {"train": {"cat": 4, "dog": 4}, "test": {"cat": 1, "dog": 0}}
    table.write_text(text.replace('"cat"', f'"cat{separator}s"'), encoding="utf-8")
    assert scan(table, for_training=False).classes == ("cat", f"cat{separator}s", "dog")
    wrong = refusal(table, ("paths,lable\n" + rows()).replace(",", separator))
    assert "no column 'path' (did you mean 'paths'?); no column 'label'" in wrong.what


def test_commas_in_labels_do_not_make_a_column_of_semicolons(table: Path) -> None:
    table.write_text("path;label\n" + rows().replace(",cat", ';"cat, striped"').replace(",dog", ";dog"))
    assert scan(table).classes == ("cat, striped", "dog")


@pytest.mark.parametrize(
    "line", ['"a/1.png,cat', 'a/1.png,"cat', '"a/1.png,"cat"', '"a/1.png,cat\n' + "x.png,cat\n" * 20_000]
)
def test_a_quotation_mark_that_is_not_closed(table: Path, line: str) -> None:
    error = refusal(table, f"path,label\n\n{line}\n" + rows())
    assert error.what == "line 3: a quotation mark that is not closed"
    assert error.fix == "correct line 3"


def test_other_faults_of_quotation_are_told_with_their_line(table: Path) -> None:
    assert refusal(table, "path,label\n" + rows() + '"a"x,cat\n').what.startswith("line 10: not a CSV file")


def test_misspelt_and_repeated_columns(table: Path) -> None:
    assert "'splits' (did you mean 'split'?)" in refusal(table, "path,label,splits\n" + rows(",train")).what
    assert "'label' twice" in refusal(table, "path,label,label\n" + rows(",x")).what


def test_all_mistakes_of_a_kind_at_once(table: Path) -> None:
    empty = "".join(f"c/{n}.png,\n" for n in range(15))
    error = refusal(table, "path,label\n" + rows() + empty)
    assert "15 lines without a label: line 10, line 11" in error.what
    assert error.what.endswith("line 19 and 5 more")


def test_unknown_splits(table: Path) -> None:
    text = "path,label,split\n" + rows(",train").replace("a/2.png,cat,train", "a/2.png,cat,tset")
    error = refusal(table, text)
    assert "1 unknown splits" in error.what
    assert "line 3 ('tset' (did you mean 'test'?))" in error.what


def test_some_lines_without_a_split(table: Path) -> None:
    error = refusal(table, "path,label,split\n" + rows(",train").replace("a/2.png,cat,train", "a/2.png,cat,"))
    assert "line 3" in error.what


@pytest.mark.parametrize(
    "path", ["/etc/a.png", "../a.png", "a/../../b.png", "C:\\a.png", "\\\\host\\a.png", "..\\a.png"]
)
def test_paths_out_of_the_folder(table: Path, path: str) -> None:
    error = refusal(table, "path,label\n" + rows() + f"{path},cat\n")
    assert "1 paths that lead out" in error.what
    assert "line 10" in error.what


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_absolute_paths_below_the_folder_count_as_relative_ones(
    table: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, link = table.parent, tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(folder, target_is_directory=True)
    for given, named in ((folder, folder), (link, folder), (link, link)):
        text = "".join(f"{named}/{line}\n" for line in rows().splitlines())
        table.write_text("path,label\n" + text, encoding="utf-8")
        assert scan(given / "labels.csv").paths[:2] == ("a/1.png", "a/2.png")
    error = refusal(table, f"path,label\n{rows()}{folder}/../a.png,cat\n{folder}.png,cat\n")
    assert "2 paths that lead out" in error.what


def test_one_path_under_two_labels(table: Path) -> None:
    error = refusal(table, "path,label\n" + rows() + "./a/1.png,dog\n")
    assert "'a/1.png' ('cat', 'dog')" in error.what


def test_one_path_in_two_splits(table: Path) -> None:
    error = refusal(table, "path,label,split\n" + rows(",train") + "a/1.png,cat,test\n")
    assert "two splits" in error.what


def test_repeated_lines_are_told(table: Path) -> None:
    table.write_text("path,label\n" + rows() + "a/1.png,cat\n")
    index = scan(table)
    assert len(index) == 8
    assert any("1 repeated" in note for note in index.notes)


def test_lines_with_too_many_cells(table: Path) -> None:
    assert "line 2 (3 cells)" in refusal(table, "path,label\na,b/1.png,cat\n").what


def test_missing_and_unreadable_files_are_rejected(table: Path) -> None:
    (table.parent / "bad.png").write_bytes(b"no photo")
    table.write_text("path,label\n" + rows() + "gone.png,cat\nbad.png,dog\na,dog\n")
    index = scan(table)
    assert {row.path for row in index.rejected} == {"gone.png", "bad.png", "a"}
    assert "no such file" in next(row.reason for row in index.rejected if row.path == "gone.png")


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_links_out_of_the_folder_are_rejected(tmp_path: Path, photo: Make, photos: Make) -> None:
    photos("set/a", 4)
    photos("set/b", 4)
    photo("secret/1.png")
    (tmp_path / "set/out").symlink_to(tmp_path / "secret", target_is_directory=True)
    table = tmp_path / "set/labels.csv"
    table.write_text("path,label\n" + rows() + "out/1.png,cat\n")
    (rejected,) = scan(table).rejected
    assert "out of the folder" in rejected.reason


def test_paths_written_by_other_systems(table: Path, photo: Make) -> None:
    photo("a/" + unicodedata.normalize("NFD", "é") + ".png")
    table.write_text(
        "path,label\n" + rows() + "a\\é.png,cat\n".replace("é", unicodedata.normalize("NFC", "é")), "utf-8"
    )
    assert len(scan(table)) == 9


def test_no_table(table: Path) -> None:
    assert "empty" in refusal(table, "").what
    assert "no photos" in refusal(table, "path,label\n").what
    table.write_bytes("path,label\n고양이.png,고양이\n".encode("cp949"))
    with pytest.raises(DataError, match="not UTF-8"):
        scan(table)
    table.write_bytes(b"path,label\n" + b"x" * 200_000 + b",a\n")
    with pytest.raises(DataError, match="not a CSV"):
        scan(table)


def test_labels_are_composed_and_case_clashes_refused(table: Path) -> None:
    nfd = unicodedata.normalize("NFD", "né")
    nfc = unicodedata.normalize("NFC", "né")
    table.write_text(
        "path,label\n" + rows().replace("1.png,cat", f"1.png,{nfc}").replace("cat", nfd), "utf-8"
    )
    assert scan(table).classes == ("dog", nfc)
    assert "'Dog' and 'dog'" in refusal(table, "path,label\n" + rows() + "a/5.png,Dog\n").what


AWKWARD = ("a/=1.png", "'=x.png", "''.png", "'a.png", "-rf.png", "@x.png", "\tx.png", 'q"uote,d.png',
           "n\nl.png", "caf\udce9.png", "가.png", "+1.png", "a b/c:d.png")  # fmt: skip


def odd_index(root: Path) -> DatasetIndex:
    n = len(AWKWARD)
    classes = ("=SUM(A1)", "'dogs", "<b>")
    return DatasetIndex(
        root=root,
        classes=classes,
        paths=AWKWARD,
        labels=np.array([k % 4 - 1 for k in range(n)], dtype=np.int64),
        groups=tuple(("", "=g", "'g")[k % 3] for k in range(n)),
        splits=tuple(("train", "validation", "test", "")[k % 4] for k in range(n)),
        sha256=tuple(f"{k:064x}" for k in range(n)),
        sizes=np.arange(2 * n, dtype=np.int32).reshape(n, 2),
    )


@pytest.mark.skipif(os.name != "posix", reason="such names exist on POSIX only")
def test_index_comes_back_as_it_was(tmp_path: Path) -> None:
    index = odd_index(tmp_path)
    write_index(index, tmp_path / "index.csv")
    again = read_index(tmp_path / "index.csv", tmp_path, index.classes)
    assert again.fingerprint == index.fingerprint
    assert (again.paths, again.groups, again.splits) == (index.paths, index.groups, index.splits)
    assert (again.sizes == index.sizes).all()
    assert again.sizes.dtype == np.int32
    assert again.labels.tolist() == index.labels.tolist()


def test_index_file_is_harmless_in_spreadsheets_and_names_no_root(tmp_path: Path) -> None:
    write_index(odd_index(tmp_path), tmp_path / "index.csv")
    text = (tmp_path / "index.csv").read_bytes().decode("utf-8", "surrogateescape")
    assert text.splitlines()[0] == "path,class,split,group,sha256,width,height,twins"
    assert ",'=SUM(A1)," in text
    assert ",=SUM" not in text
    assert str(tmp_path) not in text


def test_empty_index(tmp_path: Path) -> None:
    index = odd_index(tmp_path)[np.zeros(len(AWKWARD), bool)]
    write_index(index, tmp_path / "index.csv")
    assert len(read_index(tmp_path / "index.csv", tmp_path, index.classes)) == 0


def test_index_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        write_index(odd_index(tmp_path), tmp_path / "nowhere" / "index.csv")


SOUND = ["a.png", "cat", "train", "", "0" * 64, "4", "6", ""]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (0, "", "path"), (0, "../a.png", "path"), (0, "/a.png", "path"), (1, "cta", "did you mean 'cat'"),
        (2, "trian", "split"), (4, "abc", "sha256"), (5, "4.5", "size"), (6, "-1", "size"),
    ],
)  # fmt: skip
def test_damaged_cells(tmp_path: Path, column: int, value: str, message: str) -> None:
    row = [value if k == column else cell for k, cell in enumerate(SOUND)]
    header = "path,class,split,group,sha256,width,height,twins"
    (tmp_path / "index.csv").write_text(f"{header}\n{','.join(row)}\n")
    with pytest.raises(RunError, match=message):
        read_index(tmp_path / "index.csv", tmp_path, ["cat", "dog"])


def test_an_index_from_before_near_duplicates_were_looked_for(tmp_path: Path) -> None:
    header, row = "path,class,split,group,sha256,width,height", ",".join(SOUND[:-1])
    (tmp_path / "index.csv").write_text(f"{header}\n{row}\n")
    index = read_index(tmp_path / "index.csv", tmp_path, ["cat", "dog"])
    assert (index.paths, index.sizes.tolist(), index.twins) == (("a.png",), [[4, 6]], ("",))


def test_names_are_compared_for_damaged_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for the nearest of 1,000 classes takes milliseconds: minutes for 100,000 sound rows."""
    index = odd_index(tmp_path)
    write_index(index, tmp_path / "index.csv")
    monkeypatch.setattr(table_module, "nearest", None)
    assert len(read_index(tmp_path / "index.csv", tmp_path, index.classes)) == len(index)


@pytest.mark.parametrize("keep", [0, 20, 60, 100])
def test_cut_or_missing_index(tmp_path: Path, keep: int) -> None:
    header = "path,class,split,group,sha256,width,height,twins"
    text = f"{header}\n{','.join(SOUND)}\n{','.join(SOUND)}\n"
    (tmp_path / "index.csv").write_text(text)
    with pytest.raises(RunError, match="twice"):
        read_index(tmp_path / "index.csv", tmp_path, ["cat"])
    (tmp_path / "index.csv").write_text(text[:keep])
    with pytest.raises(RunError):
        read_index(tmp_path / "index.csv", tmp_path, ["cat"])
    with pytest.raises(RunError, match="cannot be read"):
        read_index(tmp_path / "none.csv", tmp_path, ["cat"])


def test_index_of_a_scan(table: Path, tmp_path: Path) -> None:
    table.write_text("path,label,split,group\n" + rows(",train,g"))
    index = scan(table)
    write_index(index, tmp_path / "index.csv")
    again = read_index(tmp_path / "index.csv", tmp_path, index.classes)
    assert replace(again, notes=index.notes).fingerprint == index.fingerprint
