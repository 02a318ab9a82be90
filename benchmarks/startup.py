"""What a user waits for before anything happens, against programs that do no more than they must.

help     `sortograph --help` against a bare Typer app with as many commands
predict  `sortograph predict MODEL PHOTO` against a bare script that imports ONNX Runtime and Pillow, opens
         the same model and the same photo, and predicts once

Every run is a new process; files are in the page cache, and modules are compiled, as pip leaves them. Runs
alternate; the ratio is taken pair by pair.
    python benchmarks/startup.py --model RUN/model.onnx --photo PHOTO.jpg
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import common

COMMANDS = 24
PACKAGES = ("onnxruntime", "typer")
Commands = dict[str, common.Command]

APP = """
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)
"""

COMMAND = '''

@app.command()
def verb{number}(
    place: Annotated[Path, typer.Argument(help="a folder")],
    out: Annotated[Path | None, typer.Option(help="where the result goes")] = None,
    seed: Annotated[int, typer.Option(help="of everything random")] = 0,
    share: Annotated[float, typer.Option(min=0, max=1, help="between 0 and 1")] = 0.5,
    name: Annotated[list[str] | None, typer.Option(help="may be repeated")] = None,
    quiet: Annotated[bool, typer.Option(help="say less")] = False,
) -> None:
    """One line on what the verb does."""
    typer.echo(f"{{place}} {{out}} {{seed}} {{share}} {{name}} {{quiet}}")
'''

PREDICT = """
import sys

import numpy as np
import onnxruntime
from PIL import Image


def main():
    model, photo = sys.argv[1:]
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    height, width = session.get_inputs()[0].shape[1:3]
    with Image.open(photo) as image:
        pixels = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    outputs = session.run(None, {session.get_inputs()[0].name: pixels[None]})
    print(int(outputs[0].argmax()), float(outputs[0].max()))
"""


def bare_programs(folder: Path) -> tuple[Path, Path]:
    """Write the bare programs: the one with commands, the one that predicts.

    Each is a module that a two-line script imports, so that both are compiled ahead, as the modules of an
    installed package are.
    """
    verbs = "".join(COMMAND.format(number=number) for number in range(COMMANDS))
    (folder / "bare_app.py").write_text(APP + verbs, encoding="utf-8")
    (folder / "bare_predict.py").write_text(PREDICT, encoding="utf-8")
    app, predict = folder / "app.py", folder / "predict.py"
    app.write_text("from bare_app import app\napp()\n", encoding="utf-8")
    predict.write_text("from bare_predict import main\nmain()\n", encoding="utf-8")
    return app, predict


def benchmarks(options: argparse.Namespace, folder: Path) -> dict[str, Commands]:
    app, predict = bare_programs(folder)
    ours = common.sortograph(options.sortograph)
    plain = {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": ""}
    found = {
        "help": {
            "ours": common.Command((ours, "--help"), plain),
            "bare": common.Command((sys.executable, str(app), "--help"), plain),
        }
    }
    if options.model is None:
        return found
    files = (str(options.model.resolve()), str(options.photo.resolve()))
    found["predict"] = {
        "ours": common.Command((ours, "predict", *files), plain),
        "bare": common.Command((sys.executable, str(predict), *files), plain),
    }
    return found


def measure(name: str, commands: Commands, options: argparse.Namespace, session: str) -> None:
    pairs = [with_ratio(seconds) for seconds in common.alternate(commands, options.repeats)]
    spreads = {column: common.spread([pair[column] for pair in pairs]) for column in pairs[0]}
    middle = {column: spread["median"] for column, spread in spreads.items()}
    about = {"session": session, "benchmark": name}
    rows = [about | {"repeat": number} | pair for number, pair in enumerate(pairs)]
    rows.append(about | {"repeat": "median"} | middle)
    common.append_rows(options.results or common.results_file("startup", PACKAGES), rows)
    print(
        f"{name}: sortograph {middle['ours']:.2f} s, bare {middle['bare']:.2f} s, "
        f"ratio {middle['ratio']:.2f} ({spreads['ratio']['low']:.2f}–{spreads['ratio']['high']:.2f}, "
        f"n={len(pairs)})",
        flush=True,
    )


def with_ratio(seconds: dict[str, float]) -> dict[str, float]:
    ours, bare = seconds["ours"], seconds["bare"]
    return {"ours": ours, "bare": bare, "ratio": ours / bare}


def main() -> None:
    parser = argparse.ArgumentParser(description="Startup of sortograph against bare programs.")
    parser.add_argument("--model", type=Path, help="a model.onnx; without it only --help is measured")
    parser.add_argument("--photo", type=Path, help="the photo to predict")
    parser.add_argument("--repeats", type=int, default=15, help="pairs (default: 15)")
    parser.add_argument("--sortograph", type=Path, help="the program (default: the one of this environment)")
    parser.add_argument("--results", type=Path, help="the CSV (default: in benchmarks/results)")
    options = parser.parse_args()
    if (options.model is None) != (options.photo is None):
        parser.error("--model and --photo go together")
    session = common.session()
    with tempfile.TemporaryDirectory() as folder:
        for name, commands in benchmarks(options, Path(folder)).items():
            measure(name, commands, options, session)


if __name__ == "__main__":
    main()
