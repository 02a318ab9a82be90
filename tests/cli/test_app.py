from __future__ import annotations

import pytest
import typer

from sortograph.cli import app

VERBS = [
    "index", "audit", "quarantine", "train", "evaluate", "report", "explain", "diagnose", "compare", "sweep",
    "predict", "sort", "undo", "review", "serve", "recipes", "backbones", "weights", "cache", "demo",
    "doctor",
]  # fmt: skip
EVERYWHERE = {"--json", "--quiet", "--verbose", "--debug"}


def commands(group, path=()):
    for name, command in group.commands.items():
        yield " ".join((*path, name)), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


def known_options(command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


TREE = dict(commands(typer.main.get_command(app.app())))


def test_the_verbs():
    assert sorted(name for name in TREE if " " not in name) == sorted(VERBS)
    assert {name for name in TREE if " " in name} == {
        *(f"quarantine {verb}" for verb in ("apply", "undo")),
        *(f"recipes {verb}" for verb in ("list", "show", "copy", "check")),
        *(f"weights {verb}" for verb in ("add", "list")),
        *(f"cache {verb}" for verb in ("info", "clear")),
    }


@pytest.mark.parametrize(
    "verb", ["index", "train", "evaluate", "report", "diagnose", "compare", "demo", "doctor"]
)
def test_options_that_every_verb_has(verb):
    assert known_options(TREE[verb]) >= EVERYWHERE


@pytest.mark.parametrize("command", TREE)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_explains_itself(call, command, option):
    said = call(*command.split(), option)
    assert said.code == 0
    assert said.err == ""
    assert "--debug" in said.out or command in ("quarantine", "recipes", "weights", "cache")
    assert f"sortograph {command}" in said.out


@pytest.mark.parametrize("name", [name for name in TREE if name != "predict"])
def test_every_option_and_argument_is_explained(name):
    command = TREE[name]
    assert command.help
    assert all(getattr(parameter, "help", None) for parameter in command.params)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["trian", "photos"], "train"),
        (["predikt", "m", "p"], "predict"),
        (["recipes", "lst"], "list"),
        (["train", "photos", "--recip", "cnn"], "--recipe"),
        (["index", "photos", "--no-gird"], "--no-grid"),
    ],
)
def test_typos_get_the_nearest_name(call, arguments, hint):
    said = call(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error: No such ")
    assert hint in said.err.splitlines()[0]
    assert " --help" in said.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("option", "setting"),
    [("--epochs", "train.epochs"), ("--learning-rate", "train.learning_rate"), ("--size", "pixels.size")],
)
def test_what_a_recipe_decides_is_no_option_but_easy_to_find(call, option, setting):
    said = call("train", "photos", option, "3")
    assert said.code == 2
    assert f"expected: --set {setting}=VALUE" in said.err


@pytest.mark.parametrize(
    "arguments",
    [["train"], ["train", "a", "b"], ["train", "a", "--set"], ["train", "a", "--seed", "x"],
     ["train", "a", "--seed=-1"], ["index", "a", "--test", "2"], ["index", "a", "--seed", "1"],
     ["recipes", "copy", "cnn"], ["evaluate"], ["report"], ["demo", "x"], ["--foo"]],
)  # fmt: skip
def test_wrong_usage_is_told_in_our_shape(call, arguments):
    said = call(*arguments)
    assert said.code == 2
    assert said.out == ""
    first, *_, last = said.err.splitlines()
    assert first.startswith("error: ")
    assert not first.endswith(".")
    assert last.startswith("  next: sortograph")
    assert last.endswith("--help")


@pytest.mark.parametrize("words", [("--resume", "runs/my run"), ("--seed", "3", "--resume=runs/my run")])
def test_a_run_is_resumed_on_photos_that_are_named(call, words):
    said = call("train", *words)
    assert said.code == 2
    assert said.err.splitlines() == [
        "error: Missing argument 'PHOTOS'",
        "  expected: the photos, too: a run does not keep where they lie",
        "  next: sortograph train PHOTOS --resume 'runs/my run'",
    ]


def test_predict_is_reached_through_the_parser_too(model_file, call, tmp_path):
    said = app.run(["predict", "--help"])
    assert said == 0
    assert "--top-k" in call("predict", "--help").out
