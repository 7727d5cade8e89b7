"""The command `emonet-face`: what it is made of, and how errors are told.

The commands themselves are in `emonet_face.commands`.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from emonet_face import __version__
from emonet_face.commands import (
    annotating,
    data,
    demonstration,
    evaluation,
    generating,
    model,
    people,
    release,
    training,
)
from emonet_face.commands.examples import example
from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from collections.abc import Sequence

PANELS = {
    "Begin": (demonstration.demo, data.taxonomy, data.fetch),
    "Faces and labels": (
        generating.generate,
        annotating.annotate,
        annotating.annotate_report,
        people.annotate_page,
        people.annotate_export,
    ),
    "Dataset": (data.check,),  # and the group `build`
    "Model": (
        training.embed,
        training.train,
        training.ablate,
        training.convert,
        model.predict,
        model.calibrate,
        model.export,
        model.page,
    ),
    "Evaluation": (evaluation.benchmark, evaluation.votes, evaluation.transfer),
    "Release": (release.card, release.publish),
}
"""The commands in the order of `--help`, each under its function's name."""

app = typer.Typer(
    name="emonet-face",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Datasets, model, metric and benchmark for 40-category facial emotion recognition. "
    "Start with: emonet-face demo --out demo-out",
    epilog="Put --debug anywhere to see a traceback instead of a one-line error.",
)
for _panel, _commands in PANELS.items():
    for _command in _commands:
        _name = _command.__name__.replace("_", "-")
        app.command(_name, rich_help_panel=_panel, epilog=example(_name))(_command)
app.add_typer(data.build_app, name="build", rich_help_panel="Dataset")

_USAGE_ERROR = typer.BadParameter.__base__
"""What typer raises for unknown options, missing arguments and values out of range; it has no
public name there."""

OPTIONAL_VALUE = ("--from-hub",)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code (0 done, 1 partly, 2 bad input)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = _with_empty_values([a for a in arguments if a != "--debug"])
    _write_any_character(sys.stdout, sys.stderr)
    try:
        code = app(args=arguments, prog_name="emonet-face", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except _USAGE_ERROR as error:
        if said := _usage(error):
            print(said, file=sys.stderr)
        return 2
    except (EmoNetFaceError, OSError) as error:
        if debug:
            raise
        print(f"emonet-face: {_one_line(error)}", file=sys.stderr)
        return 2


def _write_any_character(*streams: object) -> None:
    """Have characters that a terminal or a pipe cannot show written as \\u2026 and the like."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _usage(error: Exception) -> str:
    """What to print where a command was called wrongly: one line, or the help it lacks.

    Nothing where typer has shown the help by itself.
    """
    context = error.ctx
    message = " ".join(error.format_message().split()).replace("Value error, ", "")
    if not message:
        return ""
    if context is None:
        return f"emonet-face: {message}"
    if "Usage:" in message:  # a command that has no sense without arguments
        return context.get_help()
    end = "" if message.endswith(("?", ".")) else "."
    return f"{context.command_path}: {message}{end} See {context.command_path} --help."


def _with_empty_values(arguments: list[str]) -> list[str]:
    """Give an empty value to options of OPTIONAL_VALUE that stand alone: typer wants one."""
    following = [*arguments[1:], "--"]
    return [
        f"{argument}=" if argument in OPTIONAL_VALUE and after.startswith("-") else argument
        for argument, after in zip(arguments, following, strict=False)
    ]


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _show_version(value: bool) -> None:
    if value:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
