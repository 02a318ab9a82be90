"""Worker processes as a user's own programs have them: scripts, programs that are killed, that fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sortograph.images import crew as module

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
SCRIPT = """
import sys
from pathlib import Path
from sortograph.images.crew import shared_crew
root, names = Path(sys.argv[1]), [f"{number}.png" for number in range(40)]
"""


def run(script: str, folder: Path, cwd: Path) -> subprocess.Popen[str]:
    """A user's script, which has no `__main__` guard, as its own process."""
    words = [sys.executable, "-W", "error", "-P", "-c", script, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(Path(module.__file__).parents[2])}
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=cwd, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(
    "last", ["", "next(shared_crew().read(root, names * 9))", "import os; os.chdir(root)"]
)
def test_a_script_ends_in_silence(folder: Path, tmp_path: Path, last: str) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('not the real one')")
    script = "print(len(list(shared_crew().read(root, names))), len(shared_crew().pids()) > 0)\n"
    out, err = run(SCRIPT + script + last, folder, tmp_path).communicate(timeout=30)
    assert (out, err) == ("40 True\n", "")


def test_the_workers_have_ended_when_the_program_does(folder: Path, tmp_path: Path) -> None:
    first = "import atexit; atexit.register(lambda: print(shared_crew().pids()))"  # the last to be called
    script = "list(shared_crew().read(root, names)); print(len(shared_crew().pids()) > 0)"
    out, err = run(first + SCRIPT + script, folder, tmp_path).communicate(timeout=30)
    assert (out, err) == ("True\n[]\n", "")


@linux
def test_workers_do_not_outlive_a_killed_program(folder: Path, tmp_path: Path) -> None:
    script = (
        "readings = shared_crew().read(root, names * 9)\nnext(readings)\n"
        "print(*shared_crew().pids(), flush=True)\nimport time; time.sleep(60)\n"
    )
    with run(SCRIPT + script, folder, tmp_path) as program:
        assert program.stdout is not None
        pids = [int(pid) for pid in program.stdout.readline().split()]
        assert pids
        assert all(alive(pid) for pid in pids)
        program.kill()
    assert all(ends(pid) for pid in pids)


@linux
def test_a_forked_process_does_not_keep_the_workers(folder: Path, tmp_path: Path) -> None:
    script = (
        "import os, time, warnings\nwarnings.simplefilter('ignore', DeprecationWarning)  # that threads run\n"
        "list(shared_crew().read(root, names[:3]))\n"
        "if (child := os.fork()) == 0: time.sleep(60); os._exit(0)\n"
        "print(child, *shared_crew().pids(), flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    with run(SCRIPT + script, folder, tmp_path) as program:
        assert program.stdout is not None
        child, worker = (int(pid) for pid in program.stdout.readline().split())
        try:
            assert ends(worker)
            assert alive(child)
        finally:
            os.kill(child, signal.SIGKILL)


def ends(pid: int) -> bool:
    end = time.monotonic() + 10
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@linux
def test_a_forked_process_has_workers_of_its_own(folder: Path, tmp_path: Path) -> None:
    script = (
        "import os, warnings\nwarnings.simplefilter('ignore', DeprecationWarning)  # that threads run\n"
        "def tell(): print(len(list(shared_crew().read(root, names))), *shared_crew().pids(), flush=True)\n"
        "tell()\nif (child := os.fork()) == 0: tell()\n"
        "else: assert os.waitpid(child, 0)[1] == 0; tell()\n"
    )
    out, err = run(SCRIPT + script, folder, tmp_path).communicate(timeout=30)
    before, forked, after = (line.split() for line in out.splitlines())
    assert err == ""
    assert before[0] == forked[0] == after[0] == "40"
    assert before == after
    assert not set(before[1:]) & set(forked[1:])
