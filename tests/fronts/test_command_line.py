"""The program as a user meets it: exit codes, streams, signals."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

import sortograph

POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has no such thing")
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")


def text(data: bytes) -> str:
    return data.decode("utf-8")


@pytest.fixture
def model(shell, model_file) -> Path:
    """model.onnx and one.png in the folder of the shell."""
    Image.new("RGB", (20, 16), (200, 30, 30)).save(shell.folder / "one.png")
    return model_file


def test_the_program_is_installed():
    name = shutil.which("sortograph", path=str(Path(sys.executable).parent))
    if name is None:
        pytest.skip("sortograph is not installed in this environment")
    done = subprocess.run([name, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"sortograph {sortograph.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], [], ["index", "--help"], ["train", "--help"], ["recipes", "--help"],
     ["predict", "--help"], ["predict"]],
)  # fmt: skip
def test_help_imports_nothing_that_takes_long(shell, arguments):
    heavy = "numpy PIL torch pandas sklearn matplotlib onnx onnxruntime timm rich platformdirs"
    # Typer itself parses the options of a command with pydantic.
    late = set() if arguments[1:] == ["--help"] else {"pydantic"}
    assert not loaded(shell, arguments) & {*heavy.split(), *late}


def test_predict_imports_no_more_than_it_needs(shell, model):
    modules = loaded(shell, ["predict", "model.onnx", "one.png"])
    assert "onnxruntime" in modules
    assert "PIL" in modules
    heavy = "torch pandas sklearn matplotlib onnx pydantic rich typer click jinja2 filelock platformdirs csv"
    assert not modules & set(heavy.split())


def test_a_table_of_predictions_costs_no_schema_and_no_drawing(shell, model):
    modules = loaded(shell, ["predict", "model.onnx", "one.png", "--csv", "answers.csv"])
    assert (shell.folder / "answers.csv").is_file()
    assert not modules & {"torch", "pandas", "sklearn", "matplotlib", "onnx", "pydantic", "rich", "typer"}


@POSIX
def test_whoever_writes_names_slowly_gets_each_answer_at_once(shell, model):
    with subprocess.Popen(
        shell.words(["predict", "model.onnx", "-", "--json"]), cwd=shell.folder, env=shell.environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    ) as program:  # fmt: skip
        watch = threading.Timer(60, program.kill)  # what waits for ever shall fail
        watch.start()
        for name in ("one.png", "gone.png", "one.png"):
            program.stdin.write(f"{name}\n")
            assert json.loads(program.stdout.readline())["path"] == name
        program.stdin.write("one.png\none.png")
        rest, _ = program.communicate()
        watch.cancel()
    assert [json.loads(line)["path"] for line in rest.splitlines()] == ["one.png"] * 2
    assert program.returncode == 6


def loaded(shell, arguments) -> set[str]:
    code = (
        "import sys\nfrom sortograph.cli.main import main\n"
        f"main({arguments!r})\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=shell.folder, capture_output=True, check=True)
    return set(text(done.stderr).splitlines()[-1].split())


def test_train_evaluate_report_predict(place, trained):
    out, err = text(trained.stdout), text(trained.stderr)
    assert out.startswith("split")
    assert "never saw" in out
    assert " 3/3 " in err
    assert "reading photos: 40 photos" in err
    assert "never saw" not in err
    assert "\x1b" not in out + err
    assert "\r" not in err
    next_ = shlex.split(out.splitlines()[-1])
    assert next_ == ["next", "sortograph", "predict", "run", "PHOTOS"]
    said = place.run(*next_[2:-1], "photos", "--json")
    answers = [json.loads(line) for line in text(said.stdout).splitlines()]
    right = [answer["label"] == Path(answer["path"]).parent.name for answer in answers]
    assert said.returncode == 0
    assert len(right) == 40
    assert sum(right) >= 30
    judged = json.loads(place.run("evaluate", "run", "--json").stdout)
    assert set(judged["evaluation"]) == {"train", "validation", "test"}
    before = (place.folder / "run" / "report.html").read_bytes()
    assert place.run("report", "run").stdout == os.fsencode(Path("run/report.html")) + os.linesep.encode()
    assert len((place.folder / "run" / "report.html").read_bytes()) > len(before) / 2


def test_a_run_folder_is_never_used_twice(place, trained, tiny):
    done = place.run("train", "photos", "--out", "run", *tiny("train.epochs=1"))
    assert done.returncode == 3
    assert done.stdout == b""
    assert "error: the run folder is not empty: run\n" in text(done.stderr)


def test_a_folder_that_lies(shell):
    (shell.folder / "lies" / "cat").mkdir(parents=True)
    (shell.folder / "lies" / "cat" / "1.jpg").write_bytes(b"<html>")
    for verb in ("train", "index"):
        done = shell.run(verb, "lies", "--recipe", "cnn")
        assert done.returncode == 3
        assert done.stdout == b""
        what, expected, next_ = text(done.stderr).replace("reading photos: 1 photo\n", "").splitlines()
        assert what.startswith("error: ")
        assert "lies" in what
        assert expected.startswith("  expected: ")
        assert next_.startswith("  next: ")


@pytest.mark.parametrize(("verb", "code"), [("predict", 6), ("index", 0)])
def test_partly_done(shell, model, make_photos, verb, code):
    make_photos(shell.folder / "photos", 4)
    (shell.folder / "photos" / "cat" / "x.jpg").write_bytes(b"no photo")
    options = {"predict": ["model.onnx", "photos"], "index": ["photos", "--no-grid"]}[verb]
    assert shell.run(verb, *options).returncode == code


@POSIX
def test_a_bug_is_one_line_and_a_log(shell):
    code = (
        "import sys, sortograph.classify\nfrom sortograph.cli.main import main\n"
        "sortograph.classify.load = lambda *given, **options: 1 / 0\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    for debug in ([], ["--debug"]):
        done = subprocess.run(
            [sys.executable, "-c", code, "predict", "m", "p", *debug],
            capture_output=True,
            env=shell.environment({"TMPDIR": str(shell.folder)}),
        )
        err = text(done.stderr)
        assert done.returncode == 1
        assert done.stdout == b""
        assert ("Traceback" in err) == bool(debug)
        last = err.splitlines()[-1]
        assert last.startswith("error: a bug in sortograph (ZeroDivisionError")
        assert debug or err.count("\n") == 1
        assert "Traceback" in Path(last.rpartition(" in ")[2]).read_text(encoding="utf-8")


@POSIX
@pytest.mark.parametrize(
    "arguments",
    [["recipes", "list"], ["predict", "model.onnx", "many"], ["predict", "model.onnx", "many", "--json"]],
)
def test_a_reader_that_goes_away(shell, model, arguments):
    (shell.folder / "many").mkdir()
    for number in range(300):
        shutil.copy(shell.folder / "one.png", shell.folder / "many" / f"{number}.png")
    started = subprocess.Popen(
        shell.words(arguments),
        cwd=shell.folder,
        env=shell.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    first = started.stdout.readline()
    started.stdout.close()
    err = started.stderr.read()
    started.stderr.close()
    assert first.endswith(b"\n")
    assert err == b""
    assert started.wait(60) in (0, 141)  # 0 if it had written all before


@FULL
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["train", "-h"], ["predict", "-h"], ["recipes"], ["recipes", "show", "cnn"],
     ["predict", "model.onnx", "one.png"], ["predict", "model.onnx", "one.png", "--csv"]],
)  # fmt: skip
def test_a_full_disk_behind_stdout(shell, model, arguments):
    with Path("/dev/full").open("wb") as full:
        done = shell.run(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 3
    assert text(done.stderr).startswith("error: cannot write (No space left on device): standard output")


@FULL
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["predict", "model.onnx", "gone"], 3), (["index", "photos", "--no-grid"], 0), (["foo"], 2)],
)
def test_a_full_disk_behind_stderr_changes_nothing(shell, model, make_photos, arguments, code):
    make_photos(shell.folder / "photos", 4)
    with Path("/dev/full").open("wb") as full:
        done = shell.run(*arguments, stderr=full, stdout=subprocess.PIPE)
    assert done.returncode == code
    assert bool(done.stdout) == (code == 0)


@POSIX
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(shell, model, closed):
    command = shlex.join(shell.words(["predict", "model.onnx", "one.png"]))
    done = subprocess.run(
        ["sh", "-c", f"{command} {closed}"], cwd=shell.folder, env=shell.environment(), capture_output=True
    )
    assert done.returncode == 0
    assert done.stderr == b""
    assert (b"one.png  cat" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))


@pytest.mark.parametrize("encoding", ["cp1252", "cp949"])
def test_consoles_of_other_letters(place, trained, encoding):
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for arguments in (
        ["evaluate", "run", "--verbose"],
        ["predict", "run", "photos"],
        ["predict", "run", "개"],
    ):
        done = place.run(*arguments, env=env)
        assert done.returncode == (3 if "개" in arguments else 0)
        assert ("개" if encoding in ("cp949", "utf-8") else "\\uac1c") in (done.stdout + done.stderr).decode(
            encoding
        )
    lines = place.run("predict", "run", "photos", "--json", env=env).stdout.decode(encoding).splitlines()
    assert {json.loads(line)["label"] for line in lines} == {"cat", "개"}


@POSIX
def test_on_a_terminal_it_draws_and_in_a_log_it_does_not(place, trained):
    drawn = on_a_terminal(place, ["evaluate", "run"])
    assert "\x1b[1m" in drawn
    assert "──" in drawn
    assert "\x1b[3" not in on_a_terminal(place, ["evaluate", "run"], NO_COLOR="1")
    for plain in (
        text(place.run("evaluate", "run").stdout),
        on_a_terminal(place, ["evaluate", "run"], TERM="dumb"),
    ):
        assert "\x1b" not in plain
        assert "──" not in plain
    answer = on_a_terminal(place, ["predict", "run", "photos/cat/1.png"])
    assert "\x1b" not in answer
    assert "%" in answer


def on_a_terminal(place, arguments, **env: str) -> str:
    """What the program writes on a pseudo-terminal."""
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    started = subprocess.Popen(
        place.words(arguments), cwd=place.folder, env=place.environment(env),
        stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    written = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        written += part
    os.close(leader)
    assert started.wait(60) == 0, text(written)
    return text(written)


@POSIX
def test_ctrl_c_and_going_on(shell, make_photos, tiny):
    """Stops after the first epoch, leaves a model that works, and the command that it prints goes on."""
    make_photos(shell.folder / "my photos", 16)
    started = subprocess.Popen(
        shell.words(["train", "my photos", *tiny("train.epochs=20")]), cwd=shell.folder,
        env=shell.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    lines = []
    for line in started.stderr:
        lines.append(text(line).rstrip())
        if lines[-1].lstrip().startswith("1/20 "):
            started.send_signal(signal.SIGINT)
    out = text(started.stdout.read())
    started.stdout.close()
    started.stderr.close()
    assert started.wait(60) == 130, lines
    done = len([line for line in lines if "/20 " in line])
    assert 1 <= done < 20
    assert f"interrupted after {done} epoch" in "\n".join(lines)
    assert "Traceback" not in "\n".join(lines)
    assert lines[-1].startswith("  next: sortograph train 'my photos' --resume runs/cnn-")
    run = shell.folder / shlex.split(lines[-1])[-1]
    assert "model.onnx" in out
    assert (run / "report.html").is_file()
    assert sortograph.load(run).predict(run.parent.parent / "my photos" / "cat" / "0.png").label in (
        "cat",
        "개",
    )
    again = as_printed(shell, lines[-1].removeprefix("  next: "))
    assert again.returncode == 0, again.stderr
    first = next(line for line in text(again.stderr).splitlines() if "/20 " in line)
    assert int(first.split("/")[0]) in (done, done + 1)
    assert "20/20 " in text(again.stderr)
    assert json.loads((run / "run.json").read_text("utf-8"))["status"] == "finished"
    finished = as_printed(shell, lines[-1].removeprefix("  next: "))
    assert finished.returncode == 3
    assert "finished" in text(finished.stderr)


def as_printed(shell, command: str):
    """Pasted into a shell, where `sortograph` is the program of this interpreter."""
    script = f'sortograph() {{ {shlex.join(shell.words([]))} "$@"; }}\n{command}'
    return subprocess.run(
        ["sh", "-c", script], cwd=shell.folder, env=shell.environment(), capture_output=True, timeout=100
    )


@POSIX
def test_ctrl_c_where_nothing_is_to_be_kept(shell, model):
    started = subprocess.Popen(
        shell.words(["predict", "--verbose", "model.onnx", "-"]), cwd=shell.folder, env=shell.environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs ignore it
    )  # fmt: skip
    assert started.stderr.readline().startswith(b"model ")  # now it waits for names
    time.sleep(0.2)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert out == b""
    assert err.endswith(b"interrupted\n")
    assert b"Traceback" not in err
