"""The command at its edges: help, unknown options, errors in one line. pytest tests/test_cli.py"""

from __future__ import annotations

import inspect
import json
import os
import shlex
import subprocess
import sys
from dataclasses import fields

import pytest
import typer

from emonet_face import EmoNetFaceError, __version__
from emonet_face.cli import app, main
from emonet_face.commands import annotating, generating
from emonet_face.commands.examples import EXAMPLES
from emonet_face.screen_table import interval
from emonet_face.taxonomy import EMOTIONS
from generation.annotate import ModelOptions
from generation.command import backend_from

COMMANDS = [
    "demo",
    "taxonomy",
    "check",
    "embed",
    "train",
    "ablate",
    "convert",
    "calibrate",
    "predict",
    "export",
    "page",
    "benchmark",
    "votes",
    "transfer",
    "generate",
    "annotate",
    "annotate-report",
    "annotate-page",
    "annotate-export",
    "card",
    "publish",
    "fetch",
]


def test_help_names_every_command_and_where_to_start(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in [*COMMANDS, "build"]:
        assert command in text
    assert "emonet-face demo" in text


@pytest.mark.parametrize("command", [*COMMANDS, "build hq", "build binary", "build big"])
def test_every_command_explains_itself(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out


@pytest.mark.parametrize("command", [*COMMANDS, "build hq", "build binary", "build big"])
def test_every_command_shows_a_call_that_it_understands(command):
    """Parsed as the command itself would, without running it."""
    names = command.split()
    words = shlex.split(EXAMPLES[command].partition(" > ")[0])
    assert words[: len(names) + 1] == ["emonet-face", *names]
    parsed = typer.main.get_command(app)
    for name in names:
        parsed = parsed.commands[name]
    parsed.make_context(command, words[len(names) + 1 :])  # raises where it is not understood
    assert f"Example: `{EXAMPLES[command]}`" == parsed.epilog


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ""),
        (["build"], ""),
        (["bild"], "emonet-face: No such command 'bild'. Did you mean 'build'? See emonet-face"),
    ],
)
def test_a_call_without_a_command_shows_the_help_and_one_with_a_wrong_one_says_so(
    arguments, said, capsys
):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(said)
    assert bool(captured.err) == bool(said)
    assert ("Usage:" in captured.out) != bool(said)


@pytest.mark.parametrize("command", ["convert", "transfer"])
def test_help_keeps_what_stands_in_angle_brackets(command, capsys):
    assert main([command, "--help"]) == 0
    assert "model_<slug>_best" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["votes", "--nothing"],
        ["votes"],
        ["nonsense"],
        ["benchmark", "--protocol", "best", "--out", "x"],
        ["transfer", "--target", "fer", "--predictions", "a", "--mapping", "b", "--out", "x"],
        ["demo", "--faces", "3"],
        ["demo", "--seed=-1"],
        ["benchmark", "--ratings", "r.csv", "--out", "x", "--seed=-1"],
    ],
)
def test_unknown_or_missing_options_exit_with_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_taxonomy_prints_all_categories_both_ways(capsys):
    assert main(["taxonomy", "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert [c["name"] for c in plain["categories"]] == list(EMOTIONS)
    assert main(["taxonomy"]) == 0
    text = capsys.readouterr().out
    for slug in ("jealousy_&_envy", "emotional_vulnerability"):
        assert slug in text
    assert "Hopelessness = Helplessness" in text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


def test_debug_shows_the_traceback(tmp_path):
    arguments = ["votes", "--votes", str(tmp_path / "none.csv"), "--out", str(tmp_path / "o")]
    assert main(arguments) == 2
    with pytest.raises(EmoNetFaceError):
        main([*arguments, "--debug"])


def test_benchmark_predictions_must_be_name_and_file(tmp_path, capsys):
    base = ["benchmark", "--ratings", "r.csv", "--out", str(tmp_path / "o")]
    assert main([*base, "--predictions", "file.jsonl"]) == 2
    assert "give NAME=FILE" in capsys.readouterr().err
    assert main([*base, "--predictions", "a=b", "--predictions", "a=c"]) == 2
    assert "given twice" in capsys.readouterr().err


def test_intervals_are_a_dash_where_undefined():
    assert interval([0.1, 0.25]) == "[0.100, 0.250]"
    assert interval(None) == interval([None, None]) == interval([float("nan"), 1.0]) == "-"


def test_a_terminal_that_cannot_show_a_character_gets_its_number(tmp_path):
    (tmp_path / "v.csv").write_text(
        "path,annotator,value,emotion\n1,a,True,Anger\n2,a,True,\u00c4rger\n", encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "emonet_face.cli", "build", "binary", "--votes", "v.csv", "--out",
         "repo"],
        cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "unknown category \\u2026; nearest: \\u2026: 1" in done.stdout


def test_the_command_runs_as_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "emonet_face.cli", "votes", "--votes", "absent.csv", "--out", "o"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "emonet-face: absent.csv: cannot be read (No such file or directory)\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("nope", "No such command 'nope'"),
        ("build hq", "Missing option '--out'"),
        ("build hq --out", "requires an argument"),
        ("benchmark --out x --protocol fair", "'fair' is not one of 'official'"),
        ("generate --out x --n many", "Invalid value for '--n'"),
        ("taxonomy --jsno", "No such option: --jsno"),
    ],
)
def test_a_wrong_call_is_one_line(arguments, said, capsys):
    assert main(arguments.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert line.startswith("emonet-face")


# Options that would say nothing


def _refused(asked, names, capsys):
    """Which of some options of `annotate` are refused; the others come as far as the source."""
    refused = set()
    for name in names:
        option = "--" + name.removesuffix("_s").replace("_", "-")
        assert main(["annotate", "absent", "--out", "o.jsonl", *asked.split(), option, "1"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        if line.startswith(f"emonet-face: {option} is about "):
            refused.add(name)
        else:
            assert line == "emonet-face: absent: no such folder of images, nor a dataset repo"
    return refused


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        ("", annotating.MODEL_OPTIONS),
        ("--annotator openai", annotating.MODEL_OPTIONS),
        ("--annotator openai --model m", ("device", "dtype", "batch_size", "prefill")),
        (
            "--annotator transformers --model m",
            (*annotating.OF_AN_ENDPOINT, "batch_size", "prefill"),
        ),
        (
            "--annotator transformers --model m --protocol readout",
            annotating.OF_AN_ENDPOINT,
        ),
    ],
)
def test_annotate_refuses_what_the_annotator_would_not_heed(
    asked, refused, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert _refused(asked, annotating.MODEL_OPTIONS, capsys) == set(refused)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "annotate run --annotator openai --model m --out o.jsonl --device auto",
            "--device is about a local model: leave it out with --annotator openai",
        ),
        (
            "annotate run --annotator transformers --model m --out o.jsonl --max-cost 1",
            "--max-cost is about an endpoint: leave it out with --annotator transformers",
        ),
        (
            "annotate run --annotator transformers --model m --out o.jsonl --prefill A",
            "--prefill is about a readout: give --protocol readout too",
        ),
        (
            "train --embeddings e.parquet --labels repo --out m --recipe large --size small",
            "--size is in the recipe: give --size or --recipe",
        ),
        (
            "annotate-page run --task sliders --store s --both-questions",
            "--both-questions is about votes: give --task votes",
        ),
        (
            "annotate-page run --task sliders --store s --prompts p.jsonl",
            "--prompts is about votes: give --task votes",
        ),
        (
            "annotate-page run --task votes --store s --raters 4",
            "--raters is about sliders: give --task sliders",
        ),
    ],
)
def test_an_option_that_does_not_apply_is_named_even_with_its_default(
    arguments, said, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 2
    assert capsys.readouterr().err == f"emonet-face: {said}\n"
    assert not list(tmp_path.iterdir())


def test_options_have_the_names_and_defaults_of_what_they_are_passed_to():
    shown = inspect.signature(annotating.annotate).parameters
    taken = {field.name: field.default for field in fields(ModelOptions) if field.name != "model"}
    assert {name: shown[name].default for name in annotating.MODEL_OPTIONS} == taken
    shown = inspect.signature(generating.generate).parameters
    named = {
        name for name, p in inspect.signature(backend_from).parameters.items() if p.default is None
    }
    assert named < set(generating.OF_A_BACKEND) < set(shown)
