"""The commands of the evaluation: benchmark, votes, transfer."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from emonet_face.commands.options import VOTES_FILE, Out, RatingsFile, Resamples, Seed
from emonet_face.errors import EmoNetFaceError
from emonet_face.screen_table import interval, print_table


class Protocol(enum.StrEnum):
    """Analyses of `benchmark`."""

    official = "official"
    corrected = "corrected"
    both = "both"


class Target(enum.StrEnum):
    """Data sets of `transfer`."""

    ferd = "ferd"
    affectnet = "affectnet"


def benchmark(
    out: Out,
    ratings: RatingsFile = None,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset repo with config hq: folder or Hub id.")
    ] = None,
    predictions: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Lines of `predict`; repeatable.")
    ] = None,
    protocol: Annotated[
        Protocol, typer.Option(help="The published analysis, the corrected one, or both.")
    ] = Protocol.both,
    resamples: Resamples = 1000,
    seed: Seed = 42,
    figures: Annotated[bool, typer.Option(help="Draw the figures; tables come either way.")] = True,
) -> None:
    """The paper's evaluation: agreement tables, figures and results.json.

    People's ratings come from --ratings or from --dataset; --predictions adds models to them.
    """
    from eval_metrics.benchmark import benchmark as run
    from eval_metrics.benchmark import notes, summary_rows

    named = {}
    for item in predictions or []:
        name, sign, file = item.partition("=")
        if not (name and sign and file):
            raise EmoNetFaceError(f"--predictions {item!r}: give NAME=FILE")
        if name in named:
            raise EmoNetFaceError(f"--predictions: the name {name!r} is given twice")
        named[name] = Path(file)
    results = run(
        out,
        ratings=ratings,
        dataset=dataset,
        predictions=named,
        protocol=protocol.value,
        n_resamples=resamples,
        seed=seed,
        figures=figures,
    )
    for shown in results["protocols"]:
        print_table(
            f"Agreement with the raters ({shown} protocol)",
            ("annotator", "group", "weighted kappa", "95% interval", "Spearman", "95% interval"),
            [
                (r["annotator"], r["group"], r["weighted_kappa"], interval(r["weighted_kappa_ci"]),
                 r["spearman"], interval(r["spearman_ci"]))
                for r in summary_rows(results, shown)
            ],
        )  # fmt: skip
    for note in notes(results):
        print(note)
    print(f"Tables{', figures' if figures else ''} and results.json are in {out}")


def votes(
    votes: Annotated[Path, VOTES_FILE],
    out: Out,
) -> None:
    """Agreement of yes/no votes per category: tables and figure."""
    from eval_metrics.votes import COLUMNS, votes_report

    summary = votes_report(votes, out)
    print_table(
        "Agreement on (image, category) pairs with more than one vote",
        COLUMNS,
        [[row[column] for column in COLUMNS] for row in summary.rows],
    )
    print(f"{summary.n_votes} votes on {summary.n_images} images")
    if summary.simulated_annotators:
        print(f"Simulated, no people: {', '.join(summary.simulated_annotators)}")
    for alias, n in summary.aliases.items():
        print(f"{alias}: {n} votes counted under the category it is an alias of")
    for (yes, n), pairs in summary.unclassified.items():
        print(f"{pairs} pairs with {yes} yes of {n} fit none of the three outcomes")
    print(f"Tables, figure and results.json are in {out}")


def transfer(
    predictions: Annotated[
        Path,
        typer.Option(
            help="JSON lines of `predict` or of the published evaluation. The true class is the "
            "field label, else the end of the file's name (0003_Surprised.jpg), else its folder's."
        ),
    ],
    mapping: Annotated[
        Path,
        typer.Option(
            help=r'JSON {target: {"model_\<slug>_best": class}} of all 40, or a pack: basic6-, '
            "basic7-, affectnet8-, valence- or arousal-, and strict or inclusive."
        ),
    ],
    target: Annotated[Target, typer.Option(help="The data set; which mapping of the file.")],
    out: Out,
) -> None:
    """Accuracy on sets labelled with 8 classes, by the published rule and by two stricter ones."""
    from eval_metrics.transfer import COLUMNS, transfer_report

    summary = transfer_report(predictions, mapping, target.value, out)
    print_table(
        f"Transfer to {target.value}",
        COLUMNS,
        [[row[column] for column in COLUMNS] for row in summary.rows],
    )
    *_, left = summary.coverage
    print(
        f"Mapping {mapping.name}: {40 - left['n_categories']} of 40 categories have a class;"
        f" {left['mean_mass']:.1%} of the probability has none"
    )
    if summary.n_outside:
        print(f"{summary.n_outside} images have a label that the mapping has no class for")
    if left_out := summary.file.left_out():
        print(f"Left out: {left_out}")
    print(f"Table, figure and results.json are in {out}")
