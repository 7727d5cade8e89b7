"""The commands of the datasets: taxonomy, fetch, build, check."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emonet_face.commands.examples import example
from emonet_face.commands.options import VOTES_FILE, RatingsFile
from emonet_face.errors import EmoNetFaceError
from emonet_face.screen_table import print_table

if TYPE_CHECKING:
    from dataset_scripts.repository import BuildReport

build_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Write or replace one config of a dataset repo from raw files.",
)


class PublishedFile(enum.StrEnum):
    """What `fetch` can get."""

    ratings = "ratings"
    votes = "votes"
    taxonomy = "taxonomy"
    heads_small = "heads-small"
    heads_large = "heads-large"


def taxonomy(
    as_json: Annotated[bool, typer.Option("--json", help="The whole taxonomy as JSON.")] = False,
) -> None:
    """Print the 40 categories, 7 families, words, slugs and the 4 extra dimensions."""
    from emonet_face import taxonomy as tax

    if as_json:
        print(json.dumps(tax.as_json(), indent=2, ensure_ascii=False))
        return
    for family, names in tax.FAMILIES.items():
        rows = [
            (tax.INDEX[n] + 1, n, tax.category(n).slug, ", ".join(tax.category(n).words))
            for n in names
        ]
        print_table(family, ("#", "category", "slug", "words"), rows)
    print_table(
        "Extra dimensions (rated by models only)",
        ("dimension", "slug", "range", "from ... to"),
        [
            (d.name, d.slug, f"{d.low}..{d.high}", f"{d.anchors[0]} ... {d.anchors[-1]}")
            for d in tax.DIMENSIONS
        ],
    )
    shared = "; ".join(f"{word} ({', '.join(n)})" for word, n in tax.SHARED_WORDS.items())
    print(f"Words of more than one category: {shared}")
    print(f"Aliases: {', '.join(f'{a} = {name}' for a, name in tax.ALIASES.items())}")


def fetch(
    names: Annotated[list[PublishedFile], typer.Argument(help="Which published files.")],
    out: Annotated[Path, typer.Option(help="Folder; what is there and right is left as it is.")],
    base_url: Annotated[
        str | None,
        typer.Option(
            envvar="EMONET_FACE_BASE_URL",
            help="Mirror of raw.githubusercontent.com. The Hub's is set by HF_ENDPOINT.",
        ),
    ] = None,
) -> None:
    """Published ratings, votes, taxonomy and head files, each checked against its hash.

    A fetch that broke off goes on where it stopped; what has another hash is not kept.
    """
    from dataset_scripts.fetch import fetch as run

    for line in run([name.value for name in names], out, base_url=base_url):
        print(line)


Images = Annotated[
    Path | None, typer.Option(help="Folder of images, matched to rows by file-name stem.")
]
Prompts = Annotated[
    Path | None, typer.Option(help="JSON lines of prompt records, each with an image_id.")
]
FromHub = Annotated[
    str | None,
    typer.Option(
        metavar="[ID_OR_DIR]",
        help="Read a dataset repo in the published form: a Hub id or a folder of Parquet files; "
        "without a value, the published repo.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Any bad row: write nothing, exit 2.")]
Repo = Annotated[Path, typer.Option("--out", help="Dataset repo folder; other configs are kept.")]


def _print_build(report: BuildReport) -> None:
    for line in report.lines():
        print(line)


@build_app.command("hq", epilog=example("build hq"))
def build_hq(
    out: Repo,
    ratings: RatingsFile = None,
    images: Images = None,
    from_hub: FromHub = None,
    prompts: Prompts = None,
    strict: Strict = False,
) -> None:
    """Ratings by people and models -> configs hq and hq_baselines.

    Give --ratings, with --images where there are any, or --from-hub. The published repo has lost
    its file names: with --from-hub and --ratings they are found again by who gave which ratings;
    without --ratings an image is named by the file name that the repo has kept, else by its
    sha256, and there are no baselines.
    """
    if from_hub is None:
        if ratings is None:
            raise EmoNetFaceError("build hq: give --ratings hq.csv, --from-hub or both")
        from dataset_scripts.hq import build_hq as build

        report = build(ratings, out, images=images, prompts=prompts, strict=strict)
    else:
        _no_other("--from-hub", "the pictures", **{"--images": images})
        from dataset_scripts.from_hub import build_hq_from_hub as build

        report = build(from_hub, out, ratings=ratings, prompts=prompts, strict=strict)
    _print_build(report)


@build_app.command("binary", epilog=example("build binary"))
def build_binary(
    out: Repo,
    votes: Annotated[Path | None, VOTES_FILE] = None,
    images: Images = None,
    from_hub: FromHub = None,
    prompts: Prompts = None,
    strict: Strict = False,
) -> None:
    """Yes/no votes -> config binary.

    Give --votes, with --images and --prompts where there are any, or --from-hub, which has votes,
    pictures and prompts of its own.
    """
    if from_hub is None:
        if votes is None:
            raise EmoNetFaceError("build binary: give --votes binary.csv or --from-hub")
        from dataset_scripts.binary import build_binary as build

        report = build(votes, out, images=images, prompts=prompts, strict=strict)
    else:
        others = {"--votes": votes, "--images": images, "--prompts": prompts}
        _no_other("--from-hub", "votes, pictures and prompts", **others)
        from dataset_scripts.from_hub import build_binary_from_hub as build

        report = build(from_hub, out, strict=strict)
    _print_build(report)


def _no_other(option: str, brings: str, **others: object) -> None:
    given = next((name for name, value in others.items() if value is not None), None)
    if given is not None:
        raise EmoNetFaceError(f"{option} brings {brings} itself: leave {given} out")


@build_app.command("big", epilog=example("build big"))
def build_big(
    source: Annotated[
        Path, typer.Option(help="Folder of NAME.png|jpg|jpeg|webp beside NAME.json, or *.tar.")
    ],
    out: Repo,
    labels: Annotated[
        Path | None, typer.Option(help="JSON lines written by `annotate`, for a generated run.")
    ] = None,
    strict: Strict = False,
) -> None:
    """Images with machine labels -> config big."""
    from dataset_scripts.big import build_big as build

    _print_build(build(source, out, labels=labels, strict=strict))


def check(
    repo: Annotated[Path, typer.Argument(help="Dataset repo folder.")],
    embeddings: Annotated[
        list[Path] | None,
        typer.Option(help="Parquet files of `embed`, to find near duplicates; repeatable."),
    ] = None,
) -> None:
    """Validate a dataset repo; writes check.json and balance.png into it. Any error: exit 1."""
    from dataset_scripts.check import BALANCE_COLUMNS, balance_rows
    from dataset_scripts.check import check as run

    report = run(repo, embeddings=embeddings)
    if report.findings:
        names = ("severity", "rule", "config", "where", "message")
        rows = [[getattr(finding, name) for name in names] for finding in report.findings]
        print_table(f"Findings in {repo}", names, rows, n_left=5)
    if balance := balance_rows(report):
        print_table("Balance of the prompts", BALANCE_COLUMNS, balance, n_left=2)
    rows_of = ", ".join(f"{config} {n:,}" for config, n in report.rows.items())
    found = ", ".join(f"{n} {severity}" for severity, n in report.counts.items())
    print(f"{repo}: rows looked at: {rows_of or 'none'}; findings: {found}")
    if report.counts["error"]:
        raise typer.Exit(1)
