"""Archives as people and attackers make them: every member is read rightly or refused with a reason."""

from __future__ import annotations

import gc
import io
import os
import struct
import tarfile
import threading
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from sortograph.errors import DataError, PhotoError
from sortograph.images import archive as room
from sortograph.images import members as table
from sortograph.images.archive import is_archive, members_of, read_member
from sortograph.images.decode import MAX_BYTES, decode

CENTRAL = b"PK\1\2"
CONTENT = {f"{name}/{number}.jpg": os.urandom(3000) for name in ("cats", "dogs") for number in range(3)}


def zipped(path: Path, content: dict[str, bytes] = CONTENT, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, content: dict[str, bytes] = CONTENT, format: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=format) as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def raw_zip(path: Path, names: list[bytes], flags: int = 0, extra: bytes = b"") -> Path:
    """A zip of stored one-byte members whose names are these bytes."""
    locals_, central = b"", b""
    for name in names:
        fields = struct.pack("<4HL2L2H", flags, 0, 0, 0, zlib.crc32(b"x"), 1, 1, len(name), len(extra))
        offset = len(locals_)
        locals_ += b"PK\3\4" + struct.pack("<H", 20) + fields + name + extra + b"x"
        central += CENTRAL + struct.pack("<2H", 20, 20) + fields
        central += struct.pack("<3H2L", 0, 0, 0, 0, offset) + name + extra
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(names), len(names), len(central), len(locals_), 0)
    path.write_bytes(locals_ + central + end)
    return path


def patched(path: Path, at: int, value: int, width: int = 4, member: int = 0) -> Path:
    """Overwrites a field of one record of the directory."""
    data = bytearray(path.read_bytes())
    place = -1
    for _ in range(member + 1):
        place = data.index(CENTRAL, place + 1)
    data[place + at : place + at + width] = value.to_bytes(width, "little")
    path.write_bytes(data)
    return path


def reason(path: Path, member: str) -> str:
    with pytest.raises(PhotoError) as caught:
        read_member(path, member)
    return caught.value.what


def refusal(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        members_of(path)
    error = caught.value
    assert error.where == str(path)
    assert error.expected
    assert error.fix
    return error


MAKERS: dict[str, Callable[[Path], Path]] = {
    "deflated.zip": zipped,
    "stored.zip": lambda path: zipped(path, method=zipfile.ZIP_STORED),
    "pax.tar": tarred,
    "gnu.TAR": lambda path: tarred(path, format=tarfile.GNU_FORMAT),
    "ustar.tar": lambda path: tarred(path, format=tarfile.USTAR_FORMAT),
}


@pytest.mark.parametrize("name", MAKERS)
def test_all_members_are_read(tmp_path: Path, name: str) -> None:
    path = MAKERS[name](tmp_path / name)
    assert is_archive(path)
    assert set(members_of(path).places) == set(CONTENT)
    assert {member: read_member(path, member) for member in CONTENT} == CONTENT
    assert reason(path, "cats/9.jpg") == "no such member in the archive"


def test_what_is_an_archive(tmp_path: Path) -> None:
    (tmp_path / "folder.zip").mkdir()
    for name in ("a.zip", "a.TAR", "a.tar.gz", "a.7z", "a.jpg", "zip"):
        (tmp_path / name).touch()
    found = {path.name for path in tmp_path.iterdir() if is_archive(path)}
    assert found == {"a.zip", "a.TAR", "a.tar.gz", "a.7z"}
    assert not is_archive(tmp_path / "nowhere.zip")


@pytest.mark.parametrize(
    ("name", "head", "command"),
    [
        ("a.tar.gz", b"", 'tar -xf "'), ("a.tgz", b"", 'tar -xf "'), ("a.tar.bz2", b"", 'tar -xf "'),
        ("a.tar.xz", b"", 'tar -xf "'), ("a.7z", b"", '7z x "'), ("a.rar", b"", '7z x "'),
        ("a.tar", b"\x1f\x8b\x08", 'tar -xf "'), ("a.zip", b"Rar!\x1a\x07", '7z x "'),
    ],
)  # fmt: skip
def test_what_is_compressed_as_a_whole_is_refused_with_the_command(
    tmp_path: Path, name: str, head: bytes, command: str
) -> None:
    path = tmp_path / name
    path.write_bytes(head + bytes(600))
    assert refusal(path).fix.startswith(f'{command}{path}"')


def test_threads_share_an_archive(tmp_path: Path) -> None:
    wrong: list[str] = []
    paths = [zipped(tmp_path / "a.zip"), tarred(tmp_path / "a.tar")]

    def read() -> None:
        for _ in range(5):
            wrong.extend(
                name for path in paths for name in CONTENT if read_member(path, name) != CONTENT[name]
            )

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    gc.collect()


def test_the_directory_is_read_once_until_the_archive_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "a.zip")
    first = members_of(path)
    assert read_member(path, "cats/0.jpg") == CONTENT["cats/0.jpg"]
    assert members_of(path) is first
    zipped(path, {"cats/0.jpg": b"new", "cats/7.jpg": b"more"})
    os.utime(path, ns=(1, 1))
    assert read_member(path, "cats/0.jpg") == b"new"
    assert reason(path, "dogs/0.jpg") == "no such member in the archive"
    for k in range(5):
        members_of(zipped(tmp_path / f"b{k}.zip"))
    assert len(room._opened) == room._KEPT
    path.unlink()
    assert "the archive cannot be read (No such file" in reason(path, "cats/0.jpg")
    path.write_bytes(b"no zip any more")
    assert "the archive cannot be read (not a zip file" in reason(path, "cats/0.jpg")


def test_a_zip_that_unpacks_itself_and_has_a_comment(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"holidays " * 100
    path.write_bytes(b"MZ" + os.urandom(5000) + path.read_bytes())
    assert {member: read_member(path, member) for member in CONTENT} == CONTENT


def test_streamed_and_zip64_zips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in CONTENT.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    (tmp_path / "streamed.zip").write_bytes(pipe.data)
    assert {name: read_member(tmp_path / "streamed.zip", name) for name in CONTENT} == CONTENT
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 2000)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    path = zipped(tmp_path / "wide.zip")
    assert b"PK\6\6" in path.read_bytes()
    assert {name: read_member(path, name) for name in CONTENT} == CONTENT
    path.write_bytes(b"MZ" * 50 + path.read_bytes())
    assert {name: read_member(path, name) for name in CONTENT} == CONTENT


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("사진/고양이.jpg".encode("cp949"), "사진/고양이.jpg"),
        ("사진/고양이.jpg".encode(), "사진/고양이.jpg"),
        ("사진/".encode("cp949") + "고양이.jpg".encode(), "사진/고양이.jpg"),
        (b"caf\x82/1.jpg", "café/1.jpg"),
        (b"cats\\old\\1.jpg", "cats/old/1.jpg"),
        (b"./cats//1.jpg", "cats/1.jpg"),
    ],
)
def test_names_of_zips_that_do_not_say_their_encoding(tmp_path: Path, raw: bytes, name: str) -> None:
    path = raw_zip(tmp_path / "a.zip", [raw])
    assert list(members_of(path).places) == [name]
    assert read_member(path, name) == b"x"


def test_names_of_zips_that_say_their_encoding(tmp_path: Path) -> None:
    raw, name = "写真.jpg".encode("cp932"), "写真.jpg"
    said = raw_zip(tmp_path / "flag.zip", [name.encode()], flags=0x800)
    assert read_member(said, name) == b"x"
    field = b"\1" + zlib.crc32(raw).to_bytes(4, "little") + name.encode()
    extra = struct.pack("<2H2s2H", 9, 2, b"ab", 0x7075, len(field)) + field
    assert read_member(raw_zip(tmp_path / "field.zip", [raw], extra=extra), name) == b"x"
    broken = raw_zip(tmp_path / "broken.zip", [b"\xff.jpg"], flags=0x800)
    assert read_member(broken, "\udcff.jpg") == b"x"


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_korean_names_in_tars(tmp_path: Path, format: int) -> None:
    content = {"사진/" + "고양이" * 60 + ".jpg": b"1", "x" * 150 + "/" + "y" * 150 + ".jpg": b"2"}
    path = tarred(tmp_path / "a.tar", content, format)
    assert {name: read_member(path, name) for name in content} == content


@pytest.mark.parametrize(
    "name", [b"../x.jpg", b"a/../../x.jpg", b"/x.jpg", b"C:\\x.jpg", b"c:x.jpg", b"\\\\host\\x.jpg",
             b"a\0.jpg", b"a/" * 65 + b"x.jpg", b"x" * 5000 + b".jpg"],
)  # fmt: skip
def test_unsafe_names_are_not_members(tmp_path: Path, name: bytes) -> None:
    members = members_of(raw_zip(tmp_path / "a.zip", [name, b"cats/1.jpg"]))
    assert list(members.places) == ["cats/1.jpg"]
    assert (members.unsafe, len(members.examples), members.problems) == (1, 1, {})
    assert "/etc/passwd" not in members.places
    assert reason(tmp_path / "a.zip", name.decode()) == "no such member in the archive"


def test_only_the_first_unsafe_names_are_kept(tmp_path: Path) -> None:
    members = members_of(raw_zip(tmp_path / "a.zip", [b"../%d.jpg" % k for k in range(50)]))
    assert (members.unsafe, len(members.examples)) == (50, 10)


@pytest.mark.parametrize(
    ("at", "value", "width", "expected"),
    [
        (8, 1, 2, "encrypted"),
        (10, 14, 2, "compressed by method 14 (only stored and deflated members are read)"),
        (16, 1, 4, "damaged in the archive (its checksum differs)"),
        (24, 2999, 4, "damaged in the archive (unpacks to more than the 2999 bytes it says)"),
        (24, 3001, 4, "damaged in the archive (cut off)"),
        (24, MAX_BYTES, 4, "bytes unpack to 268435456"),
        (24, MAX_BYTES + 1, 4, "268 MB, above the limit of 268 MB"),
        (20, 1, 4, "says that 1 byte unpacks to 3000"),
        (42, 2**31, 4, "lies outside of the archive"),
        (46, ord("b"), 1, "damaged in the archive (its header is not that of the directory)"),
        (38, 0o120777 << 16, 4, "a symbolic link, which is not followed in archives"),
        (38, 0o010666 << 16, 4, "not a regular file (a pipe, socket or device)"),
    ],
)
def test_members_with_one_wrong_field(tmp_path: Path, at: int, value: int, width: int, expected: str) -> None:
    data = b"".join(bytes([k % 256, k // 7 % 256, k * k % 251]) for k in range(1000))
    path = patched(zipped(tmp_path / "a.zip", {"a.jpg": data, "z.jpg": data}), at, value, width)
    name = "b.jpg" if at == 46 else "a.jpg"
    assert expected in reason(path, name)
    if at != 42:
        assert read_member(path, "z.jpg") == data


def test_members_that_share_bytes_are_not_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip")
    patched(path, 42, 0, member=1)
    shared = {"cats/0.jpg", "cats/1.jpg"}
    assert {name for name in CONTENT if name in members_of(path).problems} == shared
    assert reason(path, "cats/0.jpg") == "shares bytes with another member"
    assert read_member(path, "cats/2.jpg") == CONTENT["cats/2.jpg"]


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    path = zipped(tmp_path / "a.zip", {"bomb.jpg": packed}, zipfile.ZIP_STORED)
    patched(patched(path, 10, zlib.DEFLATED, 2), 24, 5000)
    members_of(path)
    tracemalloc.start()
    try:
        assert "unpacks to more than the 5000 bytes" in reason(path, "bomb.jpg")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_members_of_tars_above_the_limit_are_left_out(tmp_path: Path) -> None:
    tar = tmp_path / "a.tar"
    with tar.open("wb") as file:
        member = tarfile.TarInfo("a.jpg")
        member.size = MAX_BYTES + 1
        file.write(member.tobuf())
        file.seek(512 + MAX_BYTES + 512 + 1023)
        file.write(b"\0")
    assert "above the limit" in reason(tar, "a.jpg")


@pytest.mark.parametrize("keep", [0, 1, 21, 100, 0.3, 0.9])
def test_a_zip_that_is_cut_off_is_refused(tmp_path: Path, keep: float) -> None:
    path = zipped(tmp_path / "a.zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    assert "cut off" in refusal(path).what


def test_a_zip_whose_middle_is_missing_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip")
    data = path.read_bytes()
    path.write_bytes(data[2000:])
    assert "its middle is missing" in refusal(path).what
    path.write_bytes(data.replace(CENTRAL, b"PK\1\3"))
    assert "directory of the zip file is damaged" in refusal(path).what
    end = data.rindex(b"PK\5\6")
    path.write_bytes(data[: end + 10] + b"\7" + data[end + 11 :])
    assert "names 7 members, has 6" in refusal(path).what
    path.write_bytes(data[: end + 4] + b"\1" + data[end + 5 :])
    assert "one part of a zip file in several" in refusal(path).what


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_give_the_photos_or_a_refusal(tmp_path: Path, seed: int) -> None:
    for path in (zipped(tmp_path / "a.zip"), tarred(tmp_path / "a.tar")):
        data = bytearray(path.read_bytes())
        for k in range(8):
            place = zlib.crc32(bytes([seed, k])) % len(data)
            # Half of the places in the directory, which is the smaller part.
            place = len(data) - 1 - place % 500 if k % 2 and path.suffix == ".zip" else place
            data[place] ^= 1 << (seed + k) % 8
        path.write_bytes(data)
        for name in CONTENT:
            read = None
            with suppress(PhotoError):
                read = read_member(path, name)
            # A zip has checksums, a tar only for its headers.
            assert read in (None, CONTENT[name]) or path.suffix == ".tar"


def test_tars_with_devices_pipes_and_links(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar", {"cats/0.jpg": b"photo", "orig.dat": b"other"})
    kinds = {
        "link.jpg": (tarfile.SYMTYPE, "/etc/passwd"), "pipe.jpg": (tarfile.FIFOTYPE, ""),
        "device.jpg": (tarfile.CHRTYPE, ""), "disk.jpg": (tarfile.BLKTYPE, ""),
        "again.jpg": (tarfile.LNKTYPE, "./cats/0.jpg"), "other.jpg": (tarfile.LNKTYPE, "orig.dat"),
        "lost.jpg": (tarfile.LNKTYPE, "../../etc/passwd"), "tolink.jpg": (tarfile.LNKTYPE, "link.jpg"),
    }  # fmt: skip
    with tarfile.open(path, "a") as archive:
        for name, (kind, target) in kinds.items():
            member = tarfile.TarInfo(f"cats/{name}")
            member.type, member.linkname = kind, target
            archive.addfile(member)
    problems = {name.removeprefix("cats/"): what for name, what in members_of(path).problems.items()}
    special, lost = (
        "not a regular file (a pipe, socket or device)",
        "a hard link to a member that is not read",
    )
    assert problems == {
        "link.jpg": "a symbolic link, which is not followed in archives",
        "pipe.jpg": special, "device.jpg": special, "disk.jpg": special,
        "lost.jpg": lost, "tolink.jpg": lost,
    }  # fmt: skip
    assert read_member(path, "cats/again.jpg") == b"photo"
    assert read_member(path, "cats/other.jpg") == b"other"


def test_sparse_members_are_refused(tmp_path: Path) -> None:
    header = {"GNU.sparse.map": "0,5", "GNU.sparse.size": "100", "GNU.sparse.numblocks": "1"}
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.jpg")
        member.size, member.pax_headers = 5, header
        archive.addfile(member, io.BytesIO(b"12345"))
    assert "sparse" in reason(path, "a.jpg")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_last_member_of_a_name_counts_as_when_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"cats/1.jpg": b"old", "./cats/1.jpg": b"new"})
    assert (read_member(path, "cats/1.jpg"), members_of(path).replaced) == (b"new", 1)
    tar = tarred(tmp_path / "a.tar", {"./cats/1.jpg": b"old", "cats/1.jpg": b"new"})
    assert (read_member(tar, "cats/1.jpg"), members_of(tar).replaced) == (b"new", 1)
    folder = members_of(tar).folders["cats"]
    assert folder is not None
    assert folder.files == ["cats/1.jpg"]


@pytest.mark.parametrize("keep", [0, 100, 700, 5000, 9000, 2 * (512 + 4096)])
def test_a_tar_that_is_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    path = tarred(tmp_path / "a.tar", {"a.jpg": bytes(4000), "b.jpg": bytes(4000)}, tarfile.USTAR_FORMAT)
    path.write_bytes(path.read_bytes()[:keep])
    assert refusal(path).what


def test_damaged_headers_of_tars_are_never_the_silent_end(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar", {"a.jpg": b"1", "b.jpg": b"2", "c.jpg": b"3"}, tarfile.USTAR_FORMAT)
    data = bytearray(path.read_bytes())
    data[1024 + 3] ^= 1
    path.write_bytes(data)
    assert refusal(path).what == "the tar file has a damaged header at byte 1024"
    path.write_bytes(b"no tar file at all" * 100)
    assert "not a tar file" in refusal(path).what


def test_headers_of_tars_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        member = tarfile.TarInfo("././@LongLink")
        member.type, member.size = kind, 2**31
        path.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(20_000))
        assert "a header of 2147483648 bytes" in refusal(path).what
    chain = tarfile.TarInfo("x")
    chain.type, chain.size = tarfile.XHDTYPE, 0
    path.write_bytes(chain.tobuf() * 5000 + bytes(1024))
    assert "not a tar file, or a damaged one" in refusal(path).what


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MOST_MEMBERS", 5)
    for path in (zipped(tmp_path / "a.zip"), tarred(tmp_path / "a.tar")):
        assert refusal(path).what == "more than 5 members"
    content = dict(list(CONTENT.items())[:5])
    assert len(members_of(zipped(tmp_path / "b.zip", content)).places) == 5


def test_a_zip_inside_that_is_called_a_photo_is_no_photo(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip").read_bytes()
    path = zipped(tmp_path / "a.zip", {"cats/1.jpg": inner})
    with pytest.raises(PhotoError, match="not a photo"):
        decode(read_member(path, "cats/1.jpg"))


def test_photos_are_decoded_from_archives(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), (250, 5, 5)).save(buffer, "PNG")
    for path in (
        zipped(tmp_path / "a.zip", {"a/1.png": buffer.getvalue()}),
        tarred(tmp_path / "a.tar", {"a/1.png": buffer.getvalue()}),
    ):
        assert decode(read_member(path, "a/1.png")).tolist() == [[[250, 5, 5]] * 4] * 3


def test_the_table_of_many_members_is_small(tmp_path: Path) -> None:
    names = [b"photos/class_%02d/img_%07d.jpg" % (k % 10, k) for k in range(5000)]
    path = raw_zip(tmp_path / "a.zip", names)
    tracemalloc.start()
    try:
        members_of(path)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 250 * len(names)
    assert peak < 300 * len(names)
