"""The ways in which photos are laid out in folders: class folders, split folders, one flat folder.

Each layout is recognised from names alone, before any photo is opened, and refused with the way to mend it
where it could be read in two ways.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from sortograph.dataset.listing import Entry, Listing, links_note
from sortograph.dataset.names import (
    check_class_names,
    is_text,
    listed,
    shown,
    split_of,
)
from sortograph.dataset.walk import Level, below, look
from sortograph.errors import DataError, counted
from sortograph.images.names import composed, folded

LAYOUTS = (
    "class folders (photos/cats/1.jpg), split folders with class folders inside (photos/train/cats/1.jpg), "
    "one folder with the class at the start of every name (cats_1.jpg), "
    "or a CSV file with the columns path,label"
)
_NUMBERED = re.compile(r"\( *[0-9]+ *\)$")
_TAIL = "0123456789 _-."


def folder_listing(root: Path, *, for_training: bool = True) -> Listing:
    """Recognise the layout of a folder and list its photos.

    Photos in folders inside a class folder belong to that class, provided that the class folder holds
    photos itself; they are told in a note. One folder such as "train" beside others is a class of that
    name when it holds photos and no folders. Not `for_training`, class folders may be empty, and names of
    files in one folder count as classes however few photos or classes there are.

    Raises DataError for a layout that is not known or not clear, with the way to mend it.
    """
    top = look(root)
    if not top.folders:
        return _flat(root, top, for_training)
    splits = tuple(folder for folder in top.folders if split_of(folder))
    if splits and not _is_a_class(root, splits, top):
        listing = _split_folders(root, top, splits)
    else:
        _refuse_unknown_splits(root, top.folders)
        _check_folders(root, [top.folders])
        listing = _gather(root, [top], [(folder, "") for folder in top.folders])
    if listing.empty and for_training:
        raise DataError(
            f"class folders without photos: {listed(map(repr, listing.empty))}",
            where=str(root),
            expected="at least three photos in each class folder",
            fix="add photos to these folders, or move them away",
        )
    return listing


def class_of(name: str) -> str:
    """The class at the start of a file name: the stem without its number.

    >>> [class_of(name) for name in ("cloudy12.jpg", "cloudy (3).jpg", "old_town-1.2.jpg", "7.jpg")]
    ['cloudy', 'cloudy', 'old_town', '']
    """
    stem, before = PurePosixPath(name).stem, ""
    while stem != before:
        before = stem
        stem = _NUMBERED.sub("", stem.rstrip(_TAIL))
    return composed(stem)


def _name(path: str) -> str:
    return PurePosixPath(path).name


def _named(paths: tuple[str, ...] | list[str]) -> str:
    return listed(repr(shown(_name(path))) for path in paths)


def _is_a_class(root: Path, splits: tuple[str, ...], top: Level) -> bool:
    """A single folder such as "train" beside others may be photos of trains: it holds photos, not classes."""
    if len(splits) != 1 or len(top.folders) == 1:
        return False
    level = look(root, splits[0])
    return bool(level.files) and not level.folders


def _split_folders(root: Path, top: Level, splits: tuple[str, ...]) -> Listing:
    others = [folder for folder in top.folders if folder not in splits]
    if others:
        raise DataError(
            f"split folders ({_named(splits)}) beside other folders ({_named(others)})",
            where=str(root),
            expected="only train, validation and test folders, or only class folders",
            fix=f"move {_named(others)} out of {root}",
        )
    _refuse_twin_splits(root, splits)
    levels = {split: look(root, split) for split in splits}
    bare = [split for split, level in levels.items() if not level.folders]
    if bare:
        raise DataError(
            f"split folders without class folders: {_named(bare)}",
            where=str(root),
            expected="class folders inside each split folder, as in train/cats/1.jpg",
            fix="sort the photos into class folders, or list them in a CSV file with path,label,split",
        )
    _check_folders(root, [folders.folders for folders in levels.values()])
    return _gather(
        root, [top, *levels.values()], [(f, split_of(s)) for s in splits for f in levels[s].folders]
    )


def _refuse_twin_splits(root: Path, splits: tuple[str, ...]) -> None:
    meanings = [split_of(split) for split in splits]
    twins = [folder for folder, split in zip(splits, meanings, strict=True) if meanings.count(split) > 1]
    if twins:
        raise DataError(
            f"several folders for one split: {_named(twins)}",
            where=str(root),
            expected="one folder for each of train, validation and test",
            fix="merge them, or move one of them away",
        )


def _refuse_unknown_splits(root: Path, folders: tuple[str, ...]) -> None:
    levels = [look(root, folder) for folder in folders]
    if len(levels) < 2 or any(level.files or not level.folders for level in levels):
        return
    inside = [{folded(_name(path)) for path in level.folders} for level in levels]
    shared = set.intersection(*inside)
    if len(shared) >= 2 or all(names == shared for names in inside):
        raise DataError(
            f"folders that hold the same class folders, but are no known splits: {_named(folders)}",
            where=str(root),
            expected="split folders named train, validation (or val, valid, dev) and test",
            fix="rename them to train, validation and test; "
            "or, if they are the classes, move the photos up into them",
        )


def _check_folders(root: Path, parents: list[tuple[str, ...]]) -> None:
    """Class names must be text, and distinct among neighbours even where a file system merges spellings."""
    for folders in parents:
        spelled: dict[str, list[str]] = {}
        for folder in folders:
            spelled.setdefault(composed(_name(folder)), []).append(folder)
        twins = [
            " and ".join(ascii(_name(path)) for path in twin) for twin in spelled.values() if len(twin) > 1
        ]
        if twins:
            raise DataError(
                f"class folders that differ only in how Unicode spells them (NFC, NFD): {listed(twins)}",
                where=str(root),
                expected="one folder for each class",
                fix="merge these folders",
            )
    check_class_names([_name(folder) for folders in parents for folder in folders], str(root))


def _gather(root: Path, upper: list[Level], folders: list[tuple[str, str]]) -> Listing:
    """List the photos of class folders, given as (folder, split); `upper` are the levels above them."""
    levels = [below(root, folder) for folder, _ in folders]
    loose = sum(len(level.files) for level in upper)
    every = [*upper, *levels]
    links = sum(len(level.links) for level in every)
    if not any(level.files for level in levels):
        raise _no_photos(root, links, [folder for folder, _ in folders] if loose else [])
    _refuse_nested(root, [folder for (folder, _), level in zip(folders, levels, strict=True) if level.files])
    empty = _empty(folders, levels)
    return Listing(
        entries=tuple(
            Entry(path=file.path, label=composed(_name(folder)), split=split, problem=file.problem)
            for (folder, split), level in zip(folders, levels, strict=True)
            for file in level.files
        ),
        ignored=loose + sum(level.ignored for level in every),
        notes=(
            *((f"ignored: {counted(loose, 'loose photo')} outside the class folders",) if loose else ()),
            *((f"no photos of: {listed(map(repr, empty))}",) if empty else ()),
            *_nested_note(folders, levels),
            *links_note(links),
        ),
        empty=empty,
        links=links,
    )


def _nested_note(folders: list[tuple[str, str]], levels: list[Level]) -> tuple[str, ...]:
    """Photos in folders inside a class folder are photos of that class; a person should know."""
    nested = [
        composed(_name(folder))
        for (folder, _), level in zip(folders, levels, strict=True)
        for file in level.files
        if str(PurePosixPath(file.path).parent) != folder
    ]
    if not nested:
        return ()
    names = listed(map(repr, dict.fromkeys(nested)))
    return (
        f"counted for their class: {counted(len(nested), 'photo')} in folders inside class folders: {names}",
    )


def _empty(folders: list[tuple[str, str]], levels: list[Level]) -> tuple[str, ...]:
    """Classes without photos: a class may be absent from one split, not from all."""
    names = [composed(_name(folder)) for folder, _ in folders]
    holding = {name for name, level in zip(names, levels, strict=True) if level.files}
    return tuple(sorted(set(names) - holding))


def _refuse_nested(root: Path, folders: list[str]) -> None:
    nested = [folder for folder in folders if not (level := look(root, folder)).files and level.folders]
    if not nested:
        return
    if len(folders) == 1:
        fix = f"give {root / folders[0]} instead, if its sub-folders are the classes"
    else:
        fix = "move the photos up into their class folder, or make each sub-folder a class folder of its own"
    raise DataError(
        f"class folders that hold only sub-folders: {_named(nested)}",
        where=str(root),
        expected="photos directly in each class folder",
        fix=fix,
    )


def _flat(root: Path, top: Level, for_training: bool) -> Listing:
    if not top.files:
        raise _no_photos(root, len(top.links))
    entries = tuple(
        Entry(path=file.path, label=class_of(file.path), problem=file.problem) for file in top.files
    )
    labels = {entry.label for entry in entries}
    unnamed = [entry.path for entry in entries if not entry.label or not is_text(entry.label)]
    few = len(labels) < 2 or len(entries) < 3 * len(labels)
    if unnamed or (few and for_training):
        raise _unknown_layout(root, len(entries), len(labels), unnamed)
    check_class_names(sorted(labels), str(root))
    note = f"classes taken from the start of the file names: {listed(map(repr, sorted(labels)))}"
    links = len(top.links)
    return Listing(entries, top.ignored, (note, *links_note(links)), links=links)


def _unknown_layout(root: Path, photos: int, classes: int, unnamed: list[str]) -> DataError:
    if unnamed:
        seen = f"{len(unnamed)} of them start with no class: {_named(unnamed)}"
    else:
        seen = f"their names start with {counted(classes, 'different word')}"
    tables = sorted(path.name for path in root.glob("*.csv"))
    return DataError(
        f"{counted(photos, 'photo')} without class folders, and {seen}",
        where=str(root),
        expected=LAYOUTS,
        fix=f"sortograph index {root / tables[0]}" if tables else "make one folder for each class",
    )


def _no_photos(root: Path, links: int, beside: list[str] | None = None) -> DataError:
    if beside:
        return DataError(
            f"photos lie beside the folders {_named(beside)}, and none inside them",
            where=str(root),
            expected=LAYOUTS,
            fix="move the photos into the folder of their class, or these folders away",
        )
    if links:
        return DataError(
            f"no photos but in {counted(links, 'linked folder')}, and links to folders are not followed",
            where=str(root),
            expected="folders that hold photos themselves",
            fix="put the folders themselves in the place of the links",
        )
    return DataError("no photos", where=str(root), expected=LAYOUTS, fix="check the path of the photos")
