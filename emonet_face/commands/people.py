"""The commands of labels by people on a page: annotate-page, annotate-export."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from emonet_face.commands.options import PictureSource, RepoConfig, Seed, refuse


class PeopleTask(enum.StrEnum):
    """What people do on the page; `generation.people.questions.Task`, which is slower to import."""

    sliders = "sliders"
    votes = "votes"


def annotate_page(
    context: typer.Context,
    source: PictureSource,
    task: Annotated[
        PeopleTask,
        typer.Option(help="sliders: 40 ratings 0-7 of each face; votes: one yes or no at a time."),
    ],
    store: Annotated[Path, typer.Option(help="SQLite file of all answers; made, or gone on with.")],
    annotator: Annotated[
        list[str] | None,
        typer.Option(help="Who may join, by made-up name; repeat it. Without it: any good name."),
    ] = None,
    raters: Annotated[int, typer.Option(min=1, help="Sliders: people who rate each image.")] = 4,
    both_questions: Annotated[
        bool,
        typer.Option(
            "--both-questions",
            help="Votes: one person may answer both questions of an image (for fewer than four "
            "people); without the prompts nobody can tell then which was which.",
        ),
    ] = False,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Votes: .jsonl with image_id and prompted_emotion. Without it: the sidecar "
            "NAME.json beside each NAME.png."
        ),
    ] = None,
    config: RepoConfig = "hq",
    lease: Annotated[
        float, typer.Option(min=0.1, help="Minutes a picture waits for who has it on the screen.")
    ] = 10.0,
    seed: Seed = 0,
    host: Annotated[
        str, typer.Option(help="0.0.0.0 lets in everybody who can reach this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7861,
) -> None:
    """A page on which people label images: sliders as in hq.csv, or yes/no votes as in binary.csv.

    Several people work at once, by keyboard or finger, each in an order of their own. Every answer
    is on the disk before the next picture comes: stop the page, or lose power, and the same call
    goes on where everybody was. Votes are the published cascade: after a Yes the next person is
    asked, up to three, and the opposite emotion once.

    `emonet-face annotate-page run --task sliders --store people.sqlite`, and then
    `emonet-face annotate-export people.sqlite --out hq.csv`
    """
    from generation.people.questions import Task
    from generation.people.server import serve
    from generation.people.store import Setup

    if task is PeopleTask.sliders:
        refuse(context, ("both_questions", "prompts"), "is about votes: give --task votes")
    else:
        refuse(context, ("raters",), "is about sliders: give --task sliders")
    setup = Setup(Task(task.value), seed, raters, both_questions)
    serve(
        source,
        store,
        setup,
        config=config,
        prompts=prompts,
        annotators=annotator or [],
        lease=60 * lease,
        host=host,
        port=port,
    )


def annotate_export(
    store: Annotated[Path, typer.Argument(help="A store of `annotate-page`, in use or not.")],
    out: Annotated[
        Path, typer.Option(help=".csv (hq.csv or binary.csv form) or .jsonl (with durations).")
    ],
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Votes on images still being asked about, too.")
    ] = False,
    without: Annotated[
        list[str] | None, typer.Option(help="Leave out an annotator who asked for it; repeat it.")
    ] = None,
) -> None:
    """What people answered on the page, in the form of hq.csv or binary.csv.

    Everybody's latest answer counts. Then: `build hq`, `build binary`, `votes`, `benchmark`, or
    `annotate-report` with the .jsonl.
    """
    from generation.people.exports import export, told

    print(told(export(store, out, unfinished=unfinished, without=without or [])))
