"""A model.onnx on its way into memory, while the caller imports what will open it.

Nothing here imports NumPy or ONNX Runtime: reading and hashing leave the interpreter to others.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from sortograph.bundle import guard
from sortograph.bundle.sealing import verify
from sortograph.errors import BundleError

FILE_NAME = "model.onnx"


class Reading:
    """A thread that reads a model.onnx, or the one in a run folder, once, and then checks its seal.

    What goes wrong there is raised where the result is asked for. It holds the bytes as long as it lives.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._data, self._sha256 = b"", ""
        self._failure: BaseException | None = None
        self._read = threading.Event()
        # A daemon: whoever stops the program does not wait for a file on a disk that hangs.
        self._thread = threading.Thread(target=self._run, name="sortograph-reading", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._path = bundle_file(self._path)
            self._data = _content(self._path)
            self._read.set()
            self._sha256 = verify(self._data, str(self._path))
        except BaseException as error:  # told where it is asked for
            self._failure = error
        finally:
            self._read.set()

    def file(self) -> tuple[Path, bytes]:
        """Waits until it is read: where it lies, and all of it. Raises BundleError where it cannot be."""
        self._read.wait()
        if not self._data:  # nothing was read, or nothing is in the file: no seal fits that
            self.sha256()
        return self._path, self._data

    def sha256(self) -> str:
        """Waits until it is checked. Raises BundleError where the seal is broken, or nothing was read."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure from None
        return self._sha256


def bundle_file(path: Path) -> Path:
    """`path` itself, or the model.onnx in the run folder that it is. Raises BundleError."""
    if not os.path.exists(path):  # noqa: PTH110, Path.exists raises for names that are too long
        raise BundleError(
            "no such file or folder",
            where=str(path),
            expected="a model.onnx or a run folder",
            fix="sortograph train PHOTOS",
        )
    if not path.is_dir():
        return path
    if not (path / FILE_NAME).is_file():
        raise BundleError(
            f"a folder without {FILE_NAME}",
            where=str(path),
            expected="a model.onnx or the folder of a finished run",
            fix="sortograph train PHOTOS",
        )
    return path / FILE_NAME


def _content(file: Path) -> bytes:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BundleError("not a regular file (a pipe, socket or device)", where=str(file))
        if status.st_size > guard.MAX_BYTES:
            raise BundleError(
                f"{status.st_size / 1e9:.1f} GB, more than an ONNX model can have", where=str(file)
            )
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as stream:
            return stream.read(status.st_size + 1)
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror or error})", where=str(file)) from None
