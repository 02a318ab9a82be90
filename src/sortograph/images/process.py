"""A worker process as the program that started it sees it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from sortograph.images.worker import READY, Job, receive, request

_PIPE = 1 << 18  # bytes; all pipes of a user together have 64 MB
_PATIENCE = 5.0  # seconds that a worker may take to end
_BOOT = "import sys; sys.path[:] = sys.argv[2:]; from {module} import main; main(int(sys.argv[1]))"
# One thread each: the maths libraries take a stack and a start for every thread that they might use.
_SINGLE = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
# glibc would give the pixels of every photo back to the system, which then has to provide them anew for the
# next one: a twentieth of the time of reading. 32 MB are the most that it can be told.
_KEPT = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 25)}


class Process:
    """One worker process.

    owing: photos that it was asked for and has not answered; beat: changes with every sign of life
    """

    def __init__(self, command: Sequence[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONINSPECT"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=_KEPT | environment | _SINGLE,
            **_apart(),
        )
        self._requests, self._raw = _piped(self._process.stdin), _piped(self._process.stdout)
        _widen(self._raw)
        self._replies = io.BufferedReader(self._raw, 1 << 16)
        self.pid = self._process.pid
        self.ready, self.owing, self.beat, self._condemned = False, 0, 0, -1

    @property
    def late(self) -> bool:
        """Whether it was ended for the photo that it has in hand."""
        return self._condemned == self.beat

    def send(self, job: Job, paths: Sequence[str]) -> None:
        self.beat += not self.owing  # the clock of an idle worker starts now
        self.owing += len(paths)
        with contextlib.suppress(OSError):  # it has ended: `receive` will tell
            for body in self.bodies(job, paths):
                unsent = memoryview(body)
                while unsent:
                    unsent = unsent[self._requests.write(unsent) :]

    def bodies(self, job: Job, paths: Sequence[str]) -> Iterator[bytes]:
        """What a worker is sent for these photos, frames and all."""
        yield request(job, paths)

    def receive(self) -> bytes | None:
        """The next reply; None when the process has ended."""
        if not self.ready:
            if receive(self._replies) != READY:
                return None
            self.ready = True
            self.beat += 1
        reply = receive(self._replies)
        if reply is not None:
            self.beat += 1
            self.owing -= 1
        return reply

    def condemn(self, beat: int) -> None:
        """End it for the photo that it had in hand at this beat."""
        self._condemned = beat
        self.kill()

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()

    def end(self) -> None:
        self._requests.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._replies.close()

    def forget(self) -> None:
        """Let go of the pipes, in a forked process: the worker waits for all who hold them."""
        self._requests.close()
        self._raw.close()
        self._process.returncode = 0


class Alone:
    """Stands in for a worker process where none can be started: the thread that asks reads by itself."""

    ready, late, owing, beat = True, False, 0, 0

    def __init__(self) -> None:
        self._photos: deque[tuple[Job, str]] = deque()

    def send(self, job: Job, paths: Sequence[str]) -> None:
        self._photos.extend((job, path) for path in paths)

    def receive(self) -> bytes | None:
        job, path = self._photos.popleft()
        with contextlib.suppress(Exception):  # a process would have ended
            return job.answer(path)
        return None

    def condemn(self, beat: int) -> None: ...

    def kill(self) -> None: ...

    def end(self) -> None: ...

    def forget(self) -> None: ...


def _widen(pipe: io.FileIO) -> None:
    """Room for a photo as models take it: the worker goes on while the thread at this end has to wait.

    Linux alone lets that be chosen, and not for any number of pipes.
    """
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)


def _piped(pipe: IO[bytes] | None) -> io.FileIO:
    assert isinstance(pipe, io.FileIO)
    return pipe


def command(memory: int, module: str = "sortograph.images.worker") -> list[str]:
    """Runs `main` of the module. A worker imports from where this process does, but never from the current
    folder."""
    here = Path.cwd()
    places = [str(Path(place).absolute()) for place in sys.path if place and Path(place).absolute() != here]
    ours = str(Path(__file__).parents[2])
    places += [] if ours in places else [ours]
    # File names are bytes: both ends must read them alike.
    names = f"utf8={sys.flags.utf8_mode}"
    return [sys.executable, "-P", "-X", names, "-c", _BOOT.format(module=module), str(memory), *places]


def _apart() -> dict[str, Any]:
    """Away from this process' console or terminal, whose Ctrl-C is for this process."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"process_group": 0}
