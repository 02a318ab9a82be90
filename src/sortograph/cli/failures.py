"""From whatever happened to an exit code and a few words."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from sortograph.cli import streams
from sortograph.errors import SortographError

BUG = 1
INTERRUPTED = 130
UNREAD = 141  # what a shell reports of a program whose reader went away


def guarded(work: Callable[[], int], *, debug: bool = False) -> int:
    """The exit code of `work`. Errors meant for the user are printed as they are; everything else is a
    bug of ours and goes into a log file."""
    try:
        code = work()
        streams.finish()
    except BrokenPipeError:
        streams.abandon()
        return UNREAD
    except KeyboardInterrupt:
        streams.note("interrupted")
        return INTERRUPTED
    except SortographError as error:
        _show_trace(debug)
        stopped = error.exit_code == INTERRUPTED
        streams.note(streams.safe(str(error) if stopped else f"error: {error}", keep="\n"))
        return error.exit_code
    except Exception as error:
        _show_trace(debug)
        streams.note(_bug(error))
        return BUG
    return code


def _bug(error: Exception) -> str:
    words = str(error).splitlines()
    what = f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
    return streams.safe(f"error: a bug in sortograph ({what}); details are in {_log(error)}")


def _log(error: Exception) -> str:
    """Where the traceback was written."""
    import platform
    import tempfile
    import traceback

    import sortograph

    about = f"sortograph {sortograph.__version__}, Python {platform.python_version()}, {platform.platform()}"
    lines = [about, f"arguments: {sys.argv[1:]!r}", "", *traceback.format_exception(error)]
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="sortograph-",
            suffix=".log",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write("\n".join(line.rstrip("\n") for line in lines) + "\n")
    except OSError:
        return "no file, since none could be written: --debug shows them"
    return file.name


def _show_trace(debug: bool) -> None:
    if debug:
        import traceback

        with contextlib.suppress(OSError):
            traceback.print_exc()
