"""The command `emonet-face`.

Each subcommand parses its options, calls one function and prints what came out. Heavy imports
happen inside, so that `--help` answers at once.
"""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dataset_scripts.repository import BuildReport

app = typer.Typer(
    name="emonet-face",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Datasets, model, metric and benchmark for 40-category facial emotion recognition. "
    "Start with: emonet-face demo --out demo-out",
    epilog="Put --debug anywhere to see a traceback instead of a one-line error.",
)
build_app = typer.Typer(
    no_args_is_help=True,
    help="Write or replace one config of a dataset repo from raw files.",
)
app.add_typer(build_app, name="build")

OPTIONAL_VALUE = ("--from-hub",)

Out = Annotated[Path, typer.Option("--out", help="Folder to write; ours is replaced.")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]


class Size(enum.StrEnum):
    small = "small"
    large = "large"


class Protocol(enum.StrEnum):
    official = "official"
    corrected = "corrected"
    both = "both"


class Target(enum.StrEnum):
    ferd = "ferd"
    affectnet = "affectnet"


class PublishedFile(enum.StrEnum):
    ratings = "ratings"
    votes = "votes"
    taxonomy = "taxonomy"
    heads_small = "heads-small"
    heads_large = "heads-large"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code (0 done, 1 partly, 2 bad input)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = _with_empty_values([a for a in arguments if a != "--debug"])
    try:
        app(args=arguments, standalone_mode=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except (EmoNetFaceError, OSError) as error:
        if debug:
            raise
        print(f"emonet-face: {_one_line(error)}", file=sys.stderr)
        return 2
    return 0


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


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], n_left: int = 1
) -> None:
    """One table on standard output; NaN and None are shown as a dash.

    The first `n_left` columns are set to the left, the others to the right.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < n_left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(width=None if sys.stdout.isatty() else 120, markup=False).print(table)


def _cell(value: object) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


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


@app.command()
def demo(
    out: Out = Path("demo-out"),
    seed: Seed = 0,
    faces: Annotated[
        int, typer.Option(min=200, help="How many schematic faces in all; fewer is quicker.")
    ] = 2000,
) -> None:
    """Make everything once, offline, in minutes: faces, labels, dataset, model, metric, benchmark.

    Then load the three products back through the public APIs in a fresh process. A demonstration
    on schematic faces with simulated raters, not a result on EmoNet-Face.
    """
    from emonet_face.demo import run_demo

    run_demo(out, seed=seed, n_faces=faces)


@app.command()
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


@app.command()
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


@build_app.command("hq")
def build_hq(
    out: Repo,
    ratings: Annotated[
        Path | None, typer.Option(help="CSV in the form of the published hq.csv.")
    ] = None,
    images: Images = None,
    from_hub: FromHub = None,
    prompts: Prompts = None,
    strict: Strict = False,
) -> None:
    """Ratings by people and models -> configs hq and hq_baselines.

    Give --ratings, with --images where there are any, or --from-hub. The published repo has lost
    its file names: with --from-hub and --ratings they are found again by who gave which ratings;
    without --ratings an image is named by its sha256 and there are no baselines.
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


@build_app.command("binary")
def build_binary(
    out: Repo,
    votes: Annotated[
        Path | None, typer.Option(help="CSV in the form of the published binary.csv.")
    ] = None,
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


@build_app.command("big")
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


@app.command()
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


@app.command()
def embed(
    dataset: Annotated[str, typer.Option(help="Dataset repo: folder or Hub id.")],
    config: Annotated[str, typer.Option(help="hq, binary or big.")],
    backbone: Annotated[str, typer.Option(help="SigLIP or SigLIP2 vision tower: id or folder.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
) -> None:
    """Images of a dataset -> L2-normalised embeddings in Parquet."""
    from modeling_empathicinsight.embedding import embed as run

    summary = run(dataset, config, backbone, out, batch_size=batch_size)
    print(f"{out}: {summary['n']} embeddings of {summary['dim']} numbers")


@app.command()
def train(
    embeddings: Annotated[
        list[Path], typer.Option(help="Parquet files of `embed`; repeat the option.")
    ],
    labels: Annotated[str, typer.Option(help="Dataset repo with the labels: folder or Hub id.")],
    out: Annotated[Path, typer.Option(help="Model repo folder to write.")],
    size: Annotated[Size, typer.Option(help="Published head size.")] = Size.small,
    seed: Seed = 0,
) -> None:
    """Train the heads: stage 1 on config big, stage 2 on config binary."""
    from modeling_empathicinsight.training import train as run

    for line in run(embeddings, labels, out, size=size.value, seed=seed)["lines"]:
        print(line)


@app.command()
def predict(
    paths: Annotated[list[str], typer.Argument(help="Images, folders (recursive) or globs.")],
    model: Annotated[str, typer.Option(help="Model repo: folder or Hub id.")],
    out: Annotated[
        Path | None, typer.Option(help="JSON lines file; without it, standard output.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 16,
    top_k: Annotated[int, typer.Option(min=1, max=40)] = 5,
) -> None:
    """Score images: one JSON object a line, in input order."""
    from modeling_empathicinsight.prediction import predict as run

    summary = run(model, paths, out, batch_size=batch_size, top_k=top_k)
    print(f"{summary.n} images, {summary.n_errors} unreadable", file=sys.stderr)
    if summary.n_errors:
        raise typer.Exit(1)


@app.command()
def benchmark(
    out: Out,
    ratings: Annotated[
        Path | None, typer.Option(help="CSV in the form of the published hq.csv.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset repo with config hq: folder or Hub id.")
    ] = None,
    predictions: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Lines of `predict`; repeatable.")
    ] = None,
    protocol: Annotated[
        Protocol, typer.Option(help="The published analysis, the corrected one, or both.")
    ] = Protocol.both,
    resamples: Annotated[int, typer.Option(min=0, help="Bootstrap resamples.")] = 1000,
    seed: Seed = 42,
) -> None:
    """The paper's evaluation: agreement tables, figures and results.json."""
    from eval_metrics.benchmark import benchmark as run
    from eval_metrics.benchmark import summary_rows

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
    )
    print_table(
        f"Agreement with human raters ({protocol.value})",
        ("annotator", "group", "weighted kappa", "95% interval", "Spearman", "95% interval"),
        [
            (r["annotator"], r["group"], r["weighted_kappa"], interval(r["weighted_kappa_ci"]),
             r["spearman"], interval(r["spearman_ci"]))
            for r in summary_rows(results)
        ],
    )  # fmt: skip
    print(f"Tables, figures and results.json are in {out}")


def interval(pair: Sequence[float | None] | None) -> str:
    """An interval as text; a dash where it is undefined."""
    if pair is None or any(value is None or value != value for value in pair):
        return "-"
    return f"[{pair[0]:.3f}, {pair[1]:.3f}]"


@app.command()
def votes(
    votes: Annotated[Path, typer.Option(help="CSV in the form of the published binary.csv.")],
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
    for alias, n in summary.aliases.items():
        print(f"{alias}: {n} votes counted under the category it is an alias of")
    for (yes, n), pairs in summary.unclassified.items():
        print(f"{pairs} pairs with {yes} yes of {n} fit none of the three outcomes")
    print(f"Tables, figure and results.json are in {out}")


@app.command()
def transfer(
    predictions: Annotated[
        Path, typer.Option(help="JSON lines of `predict` or of the published evaluation.")
    ],
    mapping: Annotated[
        Path, typer.Option(help='JSON {target: {"model_<slug>_best": class}}, 40 categories each.')
    ],
    target: Annotated[Target, typer.Option(help="Which mapping of the file to use.")],
    out: Out,
) -> None:
    """Accuracy on sets labelled with 8 classes, by the published rule and by honest ones."""
    from eval_metrics.transfer import COLUMNS, transfer_report

    summary = transfer_report(predictions, mapping, target.value, out)
    print_table(
        f"Transfer to {target.value}",
        COLUMNS,
        [[row[column] for column in COLUMNS] for row in summary.rows],
    )
    if summary.n_errors:
        print(f"{summary.n_errors} prediction lines hold an error and were left out")
    print(f"Table, figure and results.json are in {out}")


@app.command()
def generate(
    n: Annotated[int, typer.Option("--n", min=1, help="How many images.")],
    out: Annotated[Path, typer.Option(help="Run folder; an unfinished run is finished.")],
    backend: Annotated[str, typer.Option(help="schematic")] = "schematic",
    size: Annotated[int, typer.Option(help="Pixels of a side.")] = 512,
    seed: Seed = 0,
    only: Annotated[
        str | None, typer.Option(metavar="IMAGE_ID", help="Make one image again and compare.")
    ] = None,
) -> None:
    """Faces from prompts balanced over emotion, ethnicity, age and gender."""
    from generation.run import generate as run

    print(run(n, out, backend=backend, size=size, seed=seed, only=only))


@app.command()
def annotate(
    source: Annotated[Path, typer.Argument(help="A run folder of `generate`.")],
    out: Annotated[Path, typer.Option(help=".jsonl (all) or .csv (hq.csv or binary.csv form).")],
    annotator: Annotated[str, typer.Option(help="simulated")] = "simulated",
    protocol: Annotated[
        str | None, typer.Option(help="sliders, votes (people) or multi-shot (machine).")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Label images; simulated annotators say so in every name they write."""
    from generation.annotate import annotate as run

    summary = run(source, out, annotator=annotator, protocol=protocol, seed=seed)
    print(", ".join(f"{key}: {value}" for key, value in summary.items()))


@app.command()
def card(
    repos: Annotated[list[Path], typer.Argument(help="Dataset, model or metric folders.")],
) -> None:
    """Render or refresh the card (README.md) of product folders."""
    from cards.render import render_card

    for repo in repos:
        print(f"{render_card(repo)}")


if __name__ == "__main__":
    sys.exit(main())
