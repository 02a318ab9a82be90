"""A sort that moves photos from one file system to another, killed (`kill -9`) at random moments.

Each round starts a process that sorts small generated photos by prepared answers, and kills it. Then
`resume` must bring every photo to its place, exactly once and with its content, and `undo` must leave both
folders as they were at the start: names, contents, permissions, times. In every fifth round, where the plan
is written by then, `resume` and `undo` are killed, too, before they are run to their end. Rounds go to and
fro between both file systems. The kill falls at a random moment from the first act on, in one of ten rounds
from the start of the process.

    nice python benchmarks/sort_kills.py --here /dev/shm --there /tmp
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import common

PACKAGES = ("pillow",)
LABELS = ("cat", "dog", "새")
HOME = ".sortograph"
_FIRST = b'{"act": "doing"'
# What the killed processes run: the product, with answers that were made before.
APPLY = """
import json, sys
from pathlib import Path
from sortograph import sorting
from sortograph.records import Prediction
source, destination, way, answers = sys.argv[1:]
home, place = sorting.check_ends(Path(source), Path(destination))
labels = json.loads(Path(answers).read_text())
found = (Prediction(str(home / path), label, 0.9) for path, label in labels.items())
template = sorting.read_template(sorting.DEFAULT)
wish = sorting.Wish(home, place, way, template, sorting.class_folders(sorted(set(labels.values()))))
sorting.apply(sorting.make_plan(wish, found))
"""
RESUME = "import sys; from sortograph import sorting; sorting.resume(__import__('pathlib').Path(sys.argv[1]))"
UNDO = "import sys; from sortograph import sorting; sorting.undo(__import__('pathlib').Path(sys.argv[1]))"

State = dict[str, tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class Sides:
    """Two folders, on two file systems, and what the photos are."""

    source: Path
    destination: Path
    answers: Path
    start: State
    contents: Counter[str]

    def apply(self) -> list[str]:
        return [APPLY, str(self.source), str(self.destination), "move", str(self.answers)]

    @property
    def journal(self) -> Path | None:
        return next((self.destination / HOME).glob("sort-*.jsonl"), None)

    def whole(self) -> bool:
        """Whether both folders are as at the start."""
        return tree(self.source) == self.start and not os.path.lexists(self.destination)

    def sorted(self) -> bool:
        """Whether every photo is in the destination, exactly once, with its content, and nowhere else."""
        found = tree(self.destination, hidden=False)
        contents = Counter(state[0] for state in found.values() if state[0])
        return contents == self.contents and not any(state[0] for state in tree(self.source).values())


def tree(folder: Path, *, hidden: bool = True) -> State:
    """Path → content hash, permissions, time of change of files; folders with empty content."""
    found: State = {}
    for place in folder.rglob("*"):
        path = place.relative_to(folder).as_posix()
        if not hidden and path.split("/")[0] == HOME:
            continue
        if place.is_file():
            facts = place.stat()
            found[path] = (hashlib.sha256(place.read_bytes()).hexdigest(), facts.st_mode, facts.st_mtime_ns)
        else:
            found[path] = ("", 0, 0)
    return found


def make_photos(folder: Path, count: int) -> dict[str, str]:
    """Small photos, each with a content of its own, some with companions; path → class."""
    import numpy as np
    from PIL import Image

    answers = {}
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        path = f"{number % 7}/photo {number}.png"
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place)
        os.utime(place, ns=(10**18, 10**18 + 1_000_003 * number))
        place.chmod((0o644, 0o600, 0o444)[number % 3])
        if number % 50 == 0:
            place.with_suffix(".xmp").write_text(f"settings of {number}")
        answers[path] = LABELS[number % len(LABELS)]
    return answers


def start(words: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(words: Sequence[str]) -> float:
    """Seconds of a process that is left alone. Exits when it fails."""
    began = time.perf_counter()
    with start(words) as process:
        _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"ended with {process.returncode}: {said.decode()[-2000:]}")
    return time.perf_counter() - began


class Begun:
    """Whether the first acts of a journal are announced by now; reads on where it stopped before."""

    def __init__(self, sides: Sides) -> None:
        self._sides, self._read = sides, 0

    def __call__(self) -> bool:
        journal = self._sides.journal
        if journal is None:
            return False
        with journal.open("rb") as file:
            file.seek(max(0, self._read - len(_FIRST)))
            new = file.read()
            self._read = file.tell()
        return _FIRST in new


def kill(words: Sequence[str], until: Callable[[], bool], seconds: float) -> bool:
    """Kill a process some time after something is so; whether it was still at work."""
    with start(words) as process:
        while process.poll() is None and not until():
            time.sleep(0.002)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return process.returncode == -signal.SIGKILL


def acts(journal: Path | None) -> Counter[str]:
    """How often each act is in a journal."""
    if journal is None:
        return Counter()
    data = journal.read_bytes()
    return Counter(json.loads(line)["act"] for line in data[: data.rfind(b"\n") + 1].splitlines())


def seconds_of(sides: Sides) -> float:
    """From the first act to the end of a sort that is left alone, which is undone again."""
    begun = Begun(sides)
    with start(sides.apply()) as process:
        while not begun():
            time.sleep(0.002)
        began = time.perf_counter()
        process.communicate()
    seconds = time.perf_counter() - began
    check(sides.sorted(), "a sort that nobody has stopped")
    finish([UNDO, str(sides.journal)])
    check(sides.whole(), "the undo of a sort that nobody has stopped")
    return seconds


def one_round(sides: Sides, seconds: float, chance: random.Random, number: int) -> dict[str, object]:
    """One kill, or three; then on, and back. Exits when anything is not as it must be."""
    early, often = number % 10 == 9, number % 5 == 4
    wait = chance.uniform(0, 0.6) if early else chance.uniform(0, 0.9 * seconds)
    killed = kill(sides.apply(), (lambda: True) if early else Begun(sides), wait)
    seen = acts(sides.journal)
    if not seen["ready"]:  # nothing was done: there is nothing to go on with
        if sides.journal is not None:
            finish([UNDO, str(sides.journal)])
        leftover(sides)
    else:
        kills = [kill([RESUME, str(sides.journal)], lambda: True, chance.uniform(0.3, 1.5))] if often else []
        finish([RESUME, str(sides.journal)])
        check(sides.sorted(), f"round {number}: after resume")
        kills += [kill([UNDO, str(sides.journal)], lambda: True, chance.uniform(0.3, 1.5))] if often else []
        if sides.journal is not None:
            finish([UNDO, str(sides.journal)])
    check(sides.whole(), f"round {number}: after undo")
    files = sum(sides.contents.values())
    return {
        "round": number,
        "from": sides.source.parts[1],
        "seconds_to_kill": wait,
        "killed": killed,
        "announced": seen["doing"],
        "done": seen["done"],
        "files": files,
        "between_first_and_last_act": killed
        and seen["doing"] > 0
        and seen["done"] < sum(sides.contents.values()),
        "resume_and_undo_killed_too": often and bool(seen["ready"]),
    }


def leftover(sides: Sides) -> None:
    """Folders that were made right before the journal was: empty, and known to nobody."""
    for folder in (sides.destination / HOME, sides.destination):
        for lock in folder.glob("*.lock"):
            lock.unlink()
        if folder.is_dir():
            folder.rmdir()


def check(held: bool, what: str) -> None:
    if not held:
        raise SystemExit(f"NOT AS IT MUST BE: {what}")


def sides_of(here: Path, there: Path, count: int) -> Sides:
    source = Path(tempfile.mkdtemp(prefix="sort-kills-", dir=here)) / "photos"
    answers = make_photos(source, count)
    file = Path(tempfile.mkdtemp(prefix="sort-kills-", dir=there)) / "answers.json"
    file.write_text(json.dumps(answers), encoding="utf-8")
    state = tree(source)
    contents = Counter(facts[0] for facts in state.values() if facts[0])
    return Sides(source, file.with_name("sorted"), file, state, contents)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--here", type=Path, required=True, help="a folder on one file system")
    parser.add_argument("--there", type=Path, required=True, help="a folder on another one")
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-csv", action="store_true", help="write no results")
    options = parser.parse_args()
    if options.here.stat().st_dev == options.there.stat().st_dev:
        raise SystemExit("both folders lie on one file system")
    ways = [(options.here, options.there), (options.there, options.here)]
    both = [sides_of(*way, options.photos) for way in ways]
    try:
        rows = rounds(both, options.rounds, random.Random(options.seed))
    finally:
        for sides in both:
            for folder in (sides.source.parent, sides.answers.parent):
                shutil.rmtree(folder)
    between = sum(bool(row["between_first_and_last_act"]) for row in rows)
    print(
        f"{len(rows)} rounds, {between} killed between the first and the last act; nothing lost, all undone"
    )
    if not options.no_csv:
        session = common.session()
        common.append_rows(
            common.results_file("sort-kills", PACKAGES), [{"session": session, **row} for row in rows]
        )


def rounds(both: Sequence[Sides], count: int, chance: random.Random) -> list[dict[str, object]]:
    seconds = [seconds_of(sides) for sides in both]
    print("seconds from the first act to the last:", ", ".join(f"{each:.2f}" for each in seconds), flush=True)
    rows = []
    for number in range(count):
        side = number % 2
        rows.append(one_round(both[side], seconds[side], chance, number))
        print(" ".join(f"{key}={value}" for key, value in rows[-1].items()), flush=True)
    return rows


if __name__ == "__main__":
    main()
