"""How photos are laid out: class folders, split folders, one flat folder, or an archive of any of these.

Each layout is recognised from names alone, before any photo is opened, and refused with the way to mend it
where it could be read in two ways.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from sortograph.dataset.clashes import check_folders, check_names
from sortograph.dataset.listing import Entry, Listing, links_note
from sortograph.dataset.names import is_text, shown, split_of
from sortograph.dataset.walk import File, Level, Tree
from sortograph.errors import DataError, counted, listed
from sortograph.images.archive import is_archive, members_of
from sortograph.images.names import composed, folded

LAYOUTS = (
    "class folders (photos/cats/1.jpg), split folders with class folders inside (photos/train/cats/1.jpg), "
    "one folder with the class at the start of every name (cats_1.jpg), "
    "a .zip or .tar of any of these, or a CSV file with the columns path,label"
)
_NUMBERED = re.compile(r"\( *[0-9]+ *\)$")
_TAIL = "0123456789 _-."


def folder_listing(root: Path, *, for_training: bool = True, follow_links: bool = False) -> Listing:
    """Recognise the layout of a folder or an archive and list its photos.

    Photos in folders inside a class folder belong to that class, provided that the class folder holds
    photos itself; they are told in a note. One folder such as "train" beside others is a class of that
    name when it holds photos and no folders. Not `for_training`, class folders may be empty, and names of
    files in one folder count as classes however few photos or classes there are. Links are followed only
    with `follow_links`; those of archives never are.

    Raises DataError for a layout that is not known or not clear, with the way to mend it.
    """
    tree = Tree(root, follow_links)
    listing = (
        _in_archive(tree, for_training) if is_archive(root) else _listing(tree, tree.look(), for_training)
    )
    if listing.empty and for_training:
        raise DataError(
            f"class folders without photos: {listed(map(repr, listing.empty))}",
            where=str(root),
            expected="at least three photos in each class folder",
            fix="add photos to these folders, or move them away",
        )
    return listing


def _listing(tree: Tree, top: Level, for_training: bool) -> Listing:
    if not top.folders:
        return _flat(tree, top, for_training)
    splits = tuple(folder for folder in top.folders if split_of(_name(folder)))
    if splits and not _is_a_class(tree, splits, top):
        return _split_folders(tree, top, splits)
    _refuse_unknown_splits(tree, top.folders)
    check_folders(tree.root, [top.folders])
    return _gather(tree, [top], [(folder, "") for folder in top.folders])


def _in_archive(tree: Tree, for_training: bool) -> Listing:
    """The listing, and in its notes what only archives have: a folder around everything, unsafe names."""
    members = members_of(tree.root)
    top = tree.look()
    notes: list[str] = []
    if _is_wrapped(tree, top):
        notes.append(
            f"read from the folder {shown(top.folders[0])!r}, which holds all that is in the archive"
        )
        inner = tree.look(top.folders[0])
        top = replace(inner, ignored=inner.ignored + top.ignored)
    listing = _listing(tree, top, for_training)
    if members.unsafe:
        told = listed([*members.examples, *[""] * (members.unsafe - len(members.examples))])
        notes.append(f"left out: {counted(members.unsafe, 'member')} with unsafe names: {told}")
    if members.replaced:
        notes.append(f"replaced by later members of the same name: {counted(members.replaced, 'member')}")
    ignored = listing.ignored + members.unsafe + members.replaced
    return replace(listing, ignored=ignored, notes=(*listing.notes, *notes))


def _is_wrapped(tree: Tree, top: Level) -> bool:
    """Whether a single folder is no class but what zip tools put around everything: it holds folders, and
    more than one where photos lie beside them, or photos whose names clearly begin with classes."""
    if top.files or len(top.folders) != 1 or split_of(_name(top.folders[0])):
        return False
    inner = tree.look(top.folders[0])
    if inner.folders:
        return len(inner.folders) > 1 or not inner.files
    labels = {class_of(file.path) for file in inner.files}
    return "" not in labels and len(labels) > 1 and len(inner.files) >= 3 * len(labels)


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


def _is_a_class(tree: Tree, splits: tuple[str, ...], top: Level) -> bool:
    """A single folder such as "train" beside others may be photos of trains: it holds photos, not classes."""
    if len(splits) != 1 or len(top.folders) == 1:
        return False
    level = tree.look(splits[0])
    return bool(level.files) and not level.folders


def _split_folders(tree: Tree, top: Level, splits: tuple[str, ...]) -> Listing:
    others = [folder for folder in top.folders if folder not in splits]
    if others:
        raise DataError(
            f"split folders ({_named(splits)}) beside other folders ({_named(others)})",
            where=str(tree.root),
            expected="only train, validation and test folders, or only class folders",
            fix=f"move {_named(others)} out of {tree.root}",
        )
    _refuse_twin_splits(tree.root, splits)
    levels = {split: tree.look(split) for split in splits}
    bare = [split for split, level in levels.items() if not level.folders]
    if bare:
        raise DataError(
            f"split folders without class folders: {_named(bare)}",
            where=str(tree.root),
            expected="class folders inside each split folder, as in train/cats/1.jpg",
            fix="sort the photos into class folders, or list them in a CSV file with path,label,split",
        )
    check_folders(tree.root, [level.folders for level in levels.values()])
    folders = [(folder, split_of(_name(split))) for split in splits for folder in levels[split].folders]
    return _gather(tree, [top, *levels.values()], folders)


def _refuse_twin_splits(root: Path, splits: tuple[str, ...]) -> None:
    meanings = [split_of(_name(split)) for split in splits]
    twins = [folder for folder, split in zip(splits, meanings, strict=True) if meanings.count(split) > 1]
    if twins:
        raise DataError(
            f"several folders for one split: {_named(twins)}",
            where=str(root),
            expected="one folder for each of train, validation and test",
            fix="merge them, or move one of them away",
        )


def _refuse_unknown_splits(tree: Tree, folders: tuple[str, ...]) -> None:
    inside: list[set[str]] = []
    for folder in folders:
        level = tree.look(folder)
        if len(folders) < 2 or level.files or not level.folders:
            return
        inside.append({folded(_name(path)) for path in level.folders})
    shared = set.intersection(*inside)
    if len(shared) >= 2 or all(names == shared for names in inside):
        raise DataError(
            f"folders that hold the same class folders, but are no known splits: {_named(folders)}",
            where=str(tree.root),
            expected="split folders named train, validation (or val, valid, dev) and test",
            fix="rename them to train, validation and test; "
            "or, if they are the classes, move the photos up into them",
        )


def _gather(tree: Tree, upper: list[Level], folders: list[tuple[str, str]]) -> Listing:
    """List the photos of class folders, given as (folder, split); `upper` are the levels above them."""
    levels = [tree.below(folder) for folder, _ in folders]
    loose = sum(len(level.files) for level in upper)
    every = [*upper, *levels]
    links = sum(len(level.links) for level in every)
    if not any(level.files for level in levels):
        raise _no_photos(tree, links, [folder for folder, _ in folders] if loose else [])
    _refuse_nested(tree, [folder for folder, _ in folders], levels)
    empty = _empty(folders, levels)
    return Listing(
        entries=tuple(
            Entry(file.path, label, split, problem=file.problem)
            for (folder, split), level in zip(folders, levels, strict=True)
            for label in (composed(_name(folder)),)
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
        (composed(_name(folder)), sum(not _is_direct(file, folder) for file in level.files))
        for (folder, _), level in zip(folders, levels, strict=True)
    ]
    total = sum(count for _, count in nested)
    if not total:
        return ()
    names = listed(map(repr, dict.fromkeys(name for name, count in nested if count)))
    return (f"counted for their class: {counted(total, 'photo')} in folders inside class folders: {names}",)


def _is_direct(file: File, folder: str) -> bool:
    """Whether a file below a folder lies in it without a folder between."""
    return file.path.rfind("/") <= len(folder)


def _empty(folders: list[tuple[str, str]], levels: list[Level]) -> tuple[str, ...]:
    """Classes without photos: a class may be absent from one split, not from all."""
    names = [composed(_name(folder)) for folder, _ in folders]
    holding = {name for name, level in zip(names, levels, strict=True) if level.files}
    return tuple(sorted(set(names) - holding))


def _refuse_nested(tree: Tree, folders: list[str], levels: list[Level]) -> None:
    holding = [(folder, level) for folder, level in zip(folders, levels, strict=True) if level.files]
    nested = [
        folder for folder, level in holding if not any(_is_direct(file, folder) for file in level.files)
    ]
    if not nested:
        return
    if len(holding) == 1 and not is_archive(tree.root):
        fix = f"give {tree.root / nested[0]} instead, if its sub-folders are the classes"
    else:
        fix = "move the photos up into their class folder, or make each sub-folder a class folder of its own"
    raise DataError(
        f"class folders that hold only sub-folders: {_named(nested)}",
        where=str(tree.root),
        expected="photos directly in each class folder",
        fix=fix,
    )


def _flat(tree: Tree, top: Level, for_training: bool) -> Listing:
    if not top.files:
        raise _no_photos(tree, len(top.links))
    entries = tuple(
        Entry(path=file.path, label=class_of(file.path), problem=file.problem) for file in top.files
    )
    labels = {entry.label for entry in entries}
    unnamed = [entry.path for entry in entries if not entry.label or not is_text(entry.label)]
    few = len(labels) < 2 or len(entries) < 3 * len(labels)
    if unnamed or (few and for_training):
        raise _unknown_layout(tree.root, len(entries), len(labels), unnamed)
    check_names([(entry.label, entry.path) for entry in entries], tree.root)
    note = f"classes taken from the start of the file names: {listed(map(repr, sorted(labels)))}"
    links = len(top.links)
    return Listing(entries, top.ignored, (note, *links_note(links)), links=links)


def _unknown_layout(root: Path, photos: int, classes: int, unnamed: list[str]) -> DataError:
    if unnamed:
        seen = f"{len(unnamed)} of them start with no class: {_named(unnamed)}"
    else:
        seen = f"their names start with {counted(classes, 'different word')}"
    tables = [] if is_archive(root) else sorted(path.name for path in root.glob("*.csv"))
    return DataError(
        f"{counted(photos, 'photo')} without class folders, and {seen}",
        where=str(root),
        expected=LAYOUTS,
        fix=f"sortograph index {root / tables[0]}" if tables else "make one folder for each class",
    )


def _no_photos(tree: Tree, links: int, beside: list[str] | None = None) -> DataError:
    if beside:
        return DataError(
            f"photos lie beside the folders {_named(beside)}, and none inside them",
            where=str(tree.root),
            expected=LAYOUTS,
            fix="move the photos into the folder of their class, or these folders away",
        )
    if links and not tree.follow_links:
        return DataError(
            f"no photos but in {counted(links, 'linked folder')}, and links to folders are not followed",
            where=str(tree.root),
            expected="folders that hold photos themselves",
            fix="add --follow-links, or put the folders themselves in the place of the links",
        )
    return DataError("no photos", where=str(tree.root), expected=LAYOUTS, fix="check the path of the photos")
