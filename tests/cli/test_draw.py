from __future__ import annotations

import io
import re
import sys

import pytest

from sortograph.cli import draw
from sortograph.records import EpochDone, EpochRow, Said, Step

CODES = re.compile(r"\x1b\[[0-9?]*[A-Za-z]")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def epoch(number: int, *, validation: bool = True) -> EpochDone:
    row = EpochRow(
        number, 0.5, 0.75, 0.25 if validation else None, 1.0 if validation else None, 1e-3, 1.5, 80.0
    )
    return EpochDone(row, 12, 90.0, number == 2)


EVENTS = (
    Step("reading photos", 10, 100),
    Step("reading photos", 100, 100),
    Said("test: cut 24 of 160 photos"),
    Said("3 photos are left out", warning=True),
    Step("epoch 1 of 12", 10, 100, seconds_left=65),
    epoch(1),
    Step("epoch 2 of 12", 10, 100),
    epoch(2),
    Step("judging test", 50, 50),
)


def drawn(monkeypatch, *events, quiet: bool = False, terminal: bool = False) -> str:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", stream)
    with draw.progress(quiet=quiet) as progress:
        for event in events:
            progress(event)
    return stream.getvalue()


def test_a_log_has_lines_and_nothing_that_moves(monkeypatch):
    text = drawn(monkeypatch, *EVENTS)
    assert not {"\x1b", "\r", "━"} & set(text)
    lines = text.splitlines()
    assert lines[:3] == [
        "reading photos: 100 photos",
        "test: cut 24 of 160 photos",
        "warning: 3 photos are left out",
    ]
    assert lines[-1] == "judging test: 50 photos"
    assert len(lines) == 8  # two of headings, two of epochs


def test_quiet_leaves_warnings_alone(monkeypatch):
    for terminal in (False, True):
        assert (
            drawn(monkeypatch, *EVENTS, quiet=True, terminal=terminal) == "warning: 3 photos are left out\n"
        )


def test_every_epoch_is_a_row_below_its_headings(monkeypatch):
    lines = drawn(monkeypatch, epoch(1), epoch(2), epoch(12, validation=False)).splitlines()
    assert len(lines) == 5
    ends = [found.end() for found in re.finditer(r"\S+", lines[1])]
    for line in lines[2:]:
        assert ends == [found.end() for found in re.finditer(r"\S+", line)][: len(ends)]
    assert lines[2].split() == ["1/12", "0.500", "0.250", "75.0", "100.0", "1.0e-03", "1.5", "80", "1:30"]
    assert lines[3].endswith("best")
    assert lines[4].split()[:5] == ["12/12", "0.500", "–", "75.0", "–"]


def test_the_end_of_a_task_is_told_once(monkeypatch):
    assert drawn(monkeypatch, *[Step("reading photos", 5, 5)] * 3).count("reading photos") == 1
    again = [Step("reading photos", 5, 5), Step("reading photos", 1, 5), Step("reading photos", 5, 5)]
    assert drawn(monkeypatch, *again).count("reading photos") == 2


def screen(text: str) -> list[str]:
    """What stands on the terminal at the end, of the codes that Rich's bars use."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[0-9?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b["):
            if part.endswith("A"):
                row -= int(part[2:-1] or 1)
            elif part.endswith("K"):
                lines[row] = ""
        elif part != "\r":
            lines[row] += part
    return [line.rstrip() for line in lines if line.strip()]


def test_a_terminal_gets_one_bar_at_a_time_and_keeps_only_lines(monkeypatch):
    left = screen(drawn(monkeypatch, *EVENTS, terminal=True))
    assert left == drawn(monkeypatch, *EVENTS).splitlines()


def test_the_bar_of_an_epoch_goes_with_it(monkeypatch):
    """The loop tells no last step of an epoch."""
    seen = []

    class Console(draw._Bars):
        def close(self) -> None:
            seen.append([task.description for task in self._bars.tasks])
            super().close()

    monkeypatch.setattr(draw, "_Bars", Console)
    text = drawn(
        monkeypatch,
        *(event for n in range(1, 9) for event in (Step(f"epoch {n}", 1, 9), epoch(n))),
        terminal=True,
    )
    assert seen == [[]]
    assert "epoch 1" in text
    drawn(monkeypatch, Step("a", 1, 9), Step("b", 1, 9), Step("b", 2, 9), terminal=True)
    assert seen[1] == ["b"]


def test_a_bar_says_how_long_it_will_take(monkeypatch):
    text = CODES.sub("", drawn(monkeypatch, Step("epoch 1 of 12", 10, 100, seconds_left=65), terminal=True))
    assert re.search(r"epoch 1 of 12 .* 10/100 photos 1:05 left", text)


@pytest.mark.parametrize("terminal", [False, True])
def test_names_are_text(monkeypatch, terminal):
    text = drawn(monkeypatch, Said("[red]a\x1b[2J새"), Step("[b]c", 1, 2), terminal=terminal)
    assert "[red]a\\x1b[2J새\n" in text
    assert ("[b]c" in CODES.sub("", text)) == terminal


def test_bars_are_gone_when_work_fails(monkeypatch):
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream)

    def work() -> None:
        with draw.progress() as progress:
            progress(Step("reading photos", 1, 10))
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        work()
    assert screen(stream.getvalue()) == []
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")  # the cursor is back
