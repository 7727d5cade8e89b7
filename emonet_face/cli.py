"""The command `emonet-face`.

Each subcommand parses its options, calls one function and prints what came out. Heavy imports
happen inside, so that `--help` answers at once.
"""

from __future__ import annotations

import enum
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.screen_table import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataset_scripts.repository import BuildReport

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
build_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Write or replace one config of a dataset repo from raw files.",
)
app.add_typer(build_app, name="build")

_USAGE_ERROR = typer.BadParameter.__base__
"""What typer raises for unknown options, missing arguments and values out of range; it has no
public name there."""

OPTIONAL_VALUE = ("--from-hub",)

Out = Annotated[Path, typer.Option("--out", help="Folder to write; ours is replaced.")]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same result.")]


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


class PeopleTask(enum.StrEnum):
    sliders = "sliders"
    votes = "votes"


class ExportDtype(enum.StrEnum):
    fp32 = "fp32"
    fp16 = "fp16"
    both = "both"


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
    _write_any_character(sys.stdout, sys.stderr)
    try:
        code = app(args=arguments, prog_name="emonet-face", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except _USAGE_ERROR as error:
        print(_usage(error), file=sys.stderr)
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
    """What to print where a command was called wrongly: one line, or the help it lacks."""
    context = error.ctx
    message = " ".join(error.format_message().split()).replace("Value error, ", "")
    if context is None:
        return f"emonet-face: {message}"
    if "Usage:" in message:  # a command that has no sense without arguments
        return context.get_help()
    return f"{context.command_path}: {message.rstrip('.')}. See {context.command_path} --help."


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
    backbone: Annotated[str, typer.Option(help="SigLIP or SigLIP2 vision tower: id or folder.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    dataset: Annotated[
        str | None, typer.Option(help="Dataset repo, folder or Hub id; name its config too.")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(help="hq, binary, big ...; with --images what to write there, else images."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images instead; ids are the files' stems.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Most images at a time; default 16 on a CPU, 64 on a GPU."),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            help="Of the tower: float32, or bfloat16 or float16 by autocast; auto is bfloat16 on "
            "a GPU, float32 on a CPU."
        ),
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help="Of the numbers in the file: float32, or float16 at half the size.")
    ] = "float32",
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that decode; 0: threads. Default: one a core from 2,000 images on, "
            "else threads.",
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help="local or ray")] = "local",
    actors: Annotated[
        int | None, typer.Option(min=1, help="ray: how many; default one a GPU, else one a core.")
    ] = None,
) -> None:
    """Images of a dataset or a folder -> L2-normalised embeddings in Parquet.

    A call that broke off is taken up by the same call. Images that cannot be read are counted and
    listed, each with its reason, in OUT.rejects.jsonl. The file says which tower made it, so that
    `train` refuses to mix towers.
    """
    from modeling_empathicinsight.embedding import embed as run
    from modeling_empathicinsight.embedding import lines

    summary = run(
        dataset,
        config,
        backbone,
        out,
        images=images,
        batch_size=batch_size,
        dtype=dtype,
        precision=precision,
        workers=workers,
        engine=engine,
        actors=actors,
    )
    for line in lines(out, summary):
        print(line)


@app.command()
def train(
    embeddings: Annotated[
        list[Path], typer.Option(help="Parquet files of `embed`; repeat the option.")
    ],
    labels: Annotated[str, typer.Option(help="Dataset repo with the labels: folder or Hub id.")],
    out: Annotated[Path, typer.Option(help="Model repo folder to write.")],
    size: Annotated[Size, typer.Option(help="Published head size, and its recipe.")] = Size.small,
    backbone: Annotated[
        str | None,
        typer.Option(help="The tower that made the embeddings; default: as they name it."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Another recipe: small, large or a .toml file.")
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="Of stage 1: huber or mae; else the recipe's.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew where an earlier call was interrupted.")
    ] = False,
    log: Annotated[Path | None, typer.Option(help="Folder for TensorBoard's event files.")] = None,
    seed: Seed = 0,
) -> None:
    """Train the heads: stage 1 on config big, stage 2 on config binary.

    Called again after an interruption it goes on, and gives the same bytes.
    """
    from modeling_empathicinsight.recipes import chosen_recipe
    from modeling_empathicinsight.training import train as run

    chosen = chosen_recipe(recipe or size.value, loss)
    result = run(
        embeddings,
        labels,
        out,
        recipe=chosen,
        backbone=backbone,
        seed=seed,
        restart=restart,
        log=log,
    )
    for line in result["lines"]:
        print(line)


@app.command()
def ablate(
    embeddings: Annotated[
        list[Path], typer.Option(help="Parquet files of `embed`: big, binary and hq; repeatable.")
    ],
    labels: Annotated[str, typer.Option(help="Dataset repo with the labels: folder or Hub id.")],
    out: Annotated[Path, typer.Option(metavar="FILE.json", help="File to write.")],
    only: Annotated[
        list[str] | None, typer.Option(help="An ablation by name; repeatable. Default: all.")
    ] = None,
    raw: Annotated[
        Path | None, typer.Option(help="The tower, to embed without normalisation as well.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Train variants and compare them on the people's ratings of config hq: weighted kappa."""
    from modeling_empathicinsight.ablations import ablate as run

    columns, rows = run(embeddings, labels, out, names=only, raw=raw, seed=seed)
    print_table(f"Ablations, written to {out}", columns, rows)


@app.command()
def convert(
    heads: Annotated[Path, typer.Option(help=r"Folder of the released model_\<slug>_best.pth.")],
    backbone: Annotated[str, typer.Option(help="The tower the heads belong to: id or folder.")],
    out: Annotated[Path, typer.Option(help="Model repo folder to write.")],
    size: Annotated[
        Size | None, typer.Option(help="What the shapes must say; without it, what they say.")
    ] = None,
    neutral: Annotated[
        Path | None,
        typer.Option(
            help="Neutral means: .json {slug or name: mean}, folder of neutral faces or .parquet "
            "of `embed`. Without it the published ones, known for small only."
        ),
    ] = None,
) -> None:
    """Released head files, 40 or 44 -> one model repo; no file's code is ever run."""
    from modeling_empathicinsight.conversion import convert as run

    size_name = None if size is None else size.value
    record = run(heads, backbone, out, size=size_name, neutral=neutral)
    print(f"{out}: {record['size']} heads, {record['outputs']} outputs")
    print(f"neutral means: {record['neutral_source']}")


@app.command()
def predict(
    paths: Annotated[list[str], typer.Argument(help="Images, folders (recursive) or globs.")],
    model: Annotated[str, typer.Option(help="Model repo: folder or Hub id.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines, or a table where it ends in .csv; without it, JSON lines on standard "
            "output. A call that broke off is taken up by the same call."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=4096)] = 16,
    top_k: Annotated[int, typer.Option(min=1, max=40)] = 5,
    faces: Annotated[
        bool, typer.Option("--faces", help="Find the faces and score each, the largest first.")
    ] = False,
    face_detector: Annotated[
        Path | None,
        typer.Option(help="File of a better detector, dlib's .dat or .svm; implies --faces."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of the tower: float32, bfloat16 or float16.")
    ] = "float32",
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrated", help="Add expected ratings with intervals; `calibrate` makes them."
        ),
    ] = False,
) -> None:
    """Score images, or the faces in them, in input order: a line each, or a row of a table.

    Columns of the table: image, the face, a category each with its neutral-subtracted score, the
    dimensions, the calibrated ratings if asked for, the top categories, error. Any line with an
    error: exit 1. A picture without a face is no error.
    """
    from modeling_empathicinsight.prediction import predict as run

    summary = run(
        model,
        paths,
        out,
        batch_size=batch_size,
        top_k=top_k,
        faces=faces,
        face_detector=face_detector,
        device=device,
        dtype=dtype,
        calibrated=calibrated,
    )
    if summary.n_resumed:
        print(f"{summary.n_resumed} images were done by an earlier call", file=sys.stderr)
    if faces or face_detector:
        found = summary.n - summary.n_errors - summary.n_without_face
        print(
            f"{found} faces, {summary.n_without_face} images without, {summary.n_errors} errors",
            file=sys.stderr,
        )
    else:
        print(f"{summary.n} images, {summary.n_errors} unreadable", file=sys.stderr)
    if summary.n_errors:
        raise typer.Exit(1)


@app.command()
def export(
    model: Annotated[str, typer.Option(help="Model repo: folder or Hub id.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.onnx", help="Without it, onnx/model.onnx in the model folder."),
    ] = None,
    dtype: Annotated[
        ExportDtype, typer.Option(help="Of the tower; both: a second file, FILE_fp16.onnx.")
    ] = ExportDtype.fp32,
    opset: Annotated[int, typer.Option(help="18..23")] = 18,
    images: Annotated[
        Path | None, typer.Option(help="Folder of 32 or more images to compare on; default drawn.")
    ] = None,
) -> None:
    """An ONNX file for onnxruntime, compared with the model, and predict_onnx.py beside it.

    A file that gives other values than the model is not kept.
    """
    from modeling_empathicinsight.export import DTYPES
    from modeling_empathicinsight.export import export as run

    dtypes = DTYPES if dtype is ExportDtype.both else (dtype.value,)
    for done in run(model, out, dtypes=dtypes, opset=opset, images=images):
        rows = [
            (d.output, *(f"{x:.1e}" for x in (d.largest, d.mean, d.tolerance)))
            for d in done.parity.differences
        ]
        columns = ("output", "largest difference", "mean", "let pass")
        print_table(f"{done.dtype} against the model, {done.parity.pictures}", columns, rows)
        print(f"{done.path}: {done.n_bytes / 1e6:,.1f} MB")


@app.command()
def page(
    model: Annotated[str, typer.Option(help="Model repo: folder or Hub id.")],
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="The first free one from here on is taken.")
    ] = 7860,
    out: Annotated[
        Path | None, typer.Option(help="Only write the page as a Space folder, do not start it.")
    ] = None,
) -> None:
    """The model's page in a browser: drop a picture, see the distribution. Stop with Ctrl-C."""
    from modeling_empathicinsight.space_staging import serve, stage_space

    if out is not None:
        stage_space(out, model)
        print(f"{out}: a Space for {model}")
    else:
        raise typer.Exit(serve(model, port))


@app.command()
def calibrate(
    model: Annotated[Path, typer.Option(help="Model repo folder; its config.json is completed.")],
    dataset: Annotated[str, typer.Option(help="Dataset repo with raters: folder or Hub id.")],
    config: Annotated[str, typer.Option(help="Config of the dataset.")] = "hq",
    coverage: Annotated[
        float, typer.Option(help="How often an interval is to hold a rater's rating.")
    ] = 0.9,
    holdout: Annotated[
        float, typer.Option(help="Share of the images on which coverage is measured.")
    ] = 0.25,
    seed: Seed = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write a calibrated copy here and leave the model as it is.")
    ] = None,
) -> None:
    """Scores -> expected ratings with intervals, measured on raters' data, kept in config.json."""
    from modeling_empathicinsight.calibration import TABLE_COLUMNS, old_exports, table_rows
    from modeling_empathicinsight.calibration import calibrate as run

    found = run(
        model, dataset, config=config, coverage=coverage, holdout=holdout, seed=seed, out=out
    )
    print_table("Held-out images", TABLE_COLUMNS, table_rows(found), n_left=2)
    print(found["statement"])
    low = sum(entry["low_reliability"] for entry in found["categories"].values())
    parts = ", ".join(f"{n} {part}" for part, n in found["images"].items())
    print(f"{out or model}: calibrated on {parts} images; {low} categories of low reliability")
    for file in old_exports(out or model):
        print(f"{file}: does not hold this calibration; export again", file=sys.stderr)


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
    figures: Annotated[bool, typer.Option(help="Draw the figures; tables come either way.")] = True,
) -> None:
    """The paper's evaluation: agreement tables, figures and results.json."""
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
        Path,
        typer.Option(
            help=r'JSON {target: {"model_\<slug>_best": class}} of all 40, or a pack: basic6-, '
            "basic7-, affectnet8-, valence- or arousal-, and strict or inclusive."
        ),
    ],
    target: Annotated[Target, typer.Option(help="The data set; which mapping of the file.")],
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


@app.command()
def generate(
    n: Annotated[int, typer.Option("--n", min=1, help="How many images.")],
    out: Annotated[Path, typer.Option(help="Run folder; an unfinished run is finished.")],
    backend: Annotated[str, typer.Option(help="schematic or diffusers")] = "schematic",
    model: Annotated[
        str | None, typer.Option(help="diffusers: text-to-image pipeline, Hub id or folder.")
    ] = None,
    size: Annotated[int, typer.Option(help="Pixels of a side.")] = 512,
    seed: Seed = 0,
    only: Annotated[
        str | None, typer.Option(metavar="IMAGE_ID", help="Make one image again and compare.")
    ] = None,
    balance: Annotated[
        str, typer.Option(help="Balance exactly as well: some of intensity,style,template.")
    ] = "",
    image_format: Annotated[
        str, typer.Option("--format", help="png, jpeg or webp; png keeps every pixel value.")
    ] = "png",
    revision: Annotated[str | None, typer.Option(help="Of a Hub id; default: the newest.")] = None,
    steps: Annotated[int | None, typer.Option(help="Default: the pipeline's own.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Default: the pipeline's own.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Scheduler class; default: the pipeline's own.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images at once; halved where memory is short.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=JSON", help="Argument of the pipeline's call; repeatable."),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="Further attempts at an image that fails or comes out black.")
    ] = 2,
    faces: Annotated[
        bool, typer.Option("--faces", help="Count and measure faces; needs emonet-face[faces].")
    ] = False,
    report: Annotated[
        bool, typer.Option(help="Balance, quality and contact sheet when the run is complete.")
    ] = True,
    engine: Annotated[str, typer.Option(help="local or ray")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; for diffusers 1 unless given.")
    ] = None,
    actors: Annotated[
        int | None, typer.Option(min=1, help="ray: how many; default one a GPU.")
    ] = None,
) -> None:
    """Faces from prompts balanced over emotion, ethnicity, age and gender.

    The same call finishes a run that was cut off, changes nothing in a finished one, and shares the
    work where several processes or machines make it at once. With `--engine ray` it runs on a Ray
    cluster whose nodes all reach the run folder.
    """
    from generation.command import backend_from
    from generation.run import generate as run

    made_by = backend_from(
        backend,
        model=model,
        revision=revision,
        steps=steps,
        guidance=guidance,
        scheduler=scheduler,
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        options=option or [],
    )
    find_faces = None
    if faces:
        from modeling_empathicinsight.face_crops import find_faces
    done = run(
        n,
        out,
        backend=made_by,
        size=size,
        seed=seed,
        only=only,
        balance=[name.strip() for name in balance.split(",") if name.strip()],
        image_format=image_format,
        retries=retries,
        find_faces=find_faces,
        report=report,
        engine=engine,
        workers=workers,
        actors=actors,
    )
    print(done)


@app.command()
def annotate(
    source: Annotated[
        str, typer.Argument(help="A run of `generate`, a folder of images, a dataset repo or id.")
    ],
    out: Annotated[Path, typer.Option(help=".jsonl (all) or .csv (hq.csv or binary.csv form).")],
    annotator: Annotated[
        str, typer.Option(help="simulated, openai (any such endpoint) or transformers (local).")
    ] = "simulated",
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Simulated: sliders, votes or multi-shot. Models: multi-shot, zero-shot, "
            "zero-shot-25 (the published form), readout (transformers only)."
        ),
    ] = None,
    seed: Seed = 0,
    model: Annotated[
        str | None, typer.Option(help="As the endpoint calls it, or a local folder or Hub id.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Annotator's name in the results; else made of the model's.")
    ] = None,
    config: Annotated[str, typer.Option(help="Config of a dataset repo.")] = "hq",
    control: Annotated[
        str | None,
        typer.Option(help="Ask about no face: grey, shuffled or constant; for annotate-report."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="E.g. http://localhost:8000/v1. The key: $OPENAI_API_KEY, only there."),
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Requests under way at once.")] = 50,
    requests_per_minute: Annotated[float | None, typer.Option(help="Most to send.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one request.")] = 120.0,
    retries: Annotated[
        int, typer.Option(help="After HTTP 429, 500, 502, 503, 504, a timeout, a broken line.")
    ] = 5,
    price_in: Annotated[float | None, typer.Option(help="Per million prompt tokens.")] = None,
    price_out: Annotated[float | None, typer.Option(help="Per million reply tokens.")] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Stop before it; counts earlier calls on this file.")
    ] = None,
    max_requests: Annotated[int | None, typer.Option(help="Of this call, with retries.")] = None,
    device: Annotated[str, typer.Option(help="Of a local model: auto, cpu or cuda.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="Of a local model: auto, float32, bfloat16 or float16.")
    ] = "auto",
    batch_size: Annotated[int, typer.Option(help="Questions of a readout at once.")] = 40,
    prefill: Annotated[
        str, typer.Option(help="Start of a readout's answer, put before the model's; may be empty.")
    ] = "Answer:",
) -> None:
    """Label images, by a model or by simulated annotators, who say so in every name they write.

    Every picture is asked about once and every raw reply is kept; one that does not fit its
    protocol is a recorded failure. Killed, the same call goes on; several may share an --out.
    Exit code 1 where pictures are left without an answer: the same call asks again.
    """
    from generation.annotate import ModelOptions
    from generation.annotate import annotate as run

    options = None
    if model is None:
        _need_model(
            **{
                "--name": name,
                "--control": control,
                "--base-url": base_url,
                "--max-cost": max_cost,
                "--max-requests": max_requests,
            }
        )
    else:
        options = ModelOptions(
            model=model,
            name=name,
            config=config,
            control=control,
            base_url=base_url,
            timeout_s=timeout,
            retries=retries,
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            price_in=price_in,
            price_out=price_out,
            max_cost=max_cost,
            max_requests=max_requests,
            device=device,
            dtype=dtype,
            batch_size=batch_size,
            prefill=prefill,
        )
    summary = run(source, out, annotator=annotator, protocol=protocol, seed=seed, options=options)
    if options is None:
        print(", ".join(f"{key}: {value}" for key, value in summary.items()))
        return
    _print_annotation(summary)
    if summary["stopped"] or summary["unanswered"] or summary["busy"] or not summary["labels"]:
        raise typer.Exit(1)


def _need_model(**options: object) -> None:
    given = next((name for name, value in options.items() if value is not None), None)
    if given is not None:
        raise EmoNetFaceError(f"{given} is about a model: give --model too")


def _print_annotation(summary: dict[str, object]) -> None:
    rate = summary["failure_rate"]
    share = "" if rate is None else f" ({rate:.1%} of the answers)"
    failed = sum(summary["failures"].values())
    print(
        f"{summary['out']}: {summary['annotator']}, {summary['protocol']}: {summary['labels']} of"
        f" {summary['images']} images labelled, {failed} replies do not fit{share}"
    )
    for reason, n in list(summary["failures"].items())[:5]:
        print(f"  {n} x {reason}")
    tokens = summary["tokens"]
    if summary["requests"]:
        spent = (
            f"{summary['requests']} requests, {tokens['prompt']} + {tokens['completion']} tokens"
        )
        cost = summary["cost"]
        print(spent if cost is None else f"{spent}; cost so far {cost:.4f}")
    if summary["unanswered"]:
        print(f"{summary['unanswered']} images got no answer; the same call asks again")
    if summary["busy"]:
        print(f"{summary['busy']} images are being labelled by another process")
    if summary["stopped"]:
        print(f"Stopped: {summary['stopped']}")


@app.command()
def annotate_report(
    files: Annotated[
        list[Path], typer.Argument(help=".jsonl of `annotate`, or .csv in the form of hq.csv.")
    ],
    out: Out,
    resamples: Annotated[int, typer.Option(min=0, help="Bootstrap resamples.")] = 1000,
    seed: Seed = 42,
) -> None:
    """Annotators beside each other: failures, scale use, bias, agreement, pace; and their controls.

    Give the runs with --control along with the annotator's own, and ratings by people where there
    are any. Without a control, a model's own answers dealt out to other images stand for one.
    """
    from generation.annotators.report import SHOWN, annotator_report

    report = annotator_report(files, out, n_resamples=resamples, seed=seed)
    print_table("Annotators", SHOWN, report.rows())
    for statement in report.statements():
        print(statement)
    print(f"Tables and report.json are in {out}")


@app.command()
def annotate_page(
    source: Annotated[
        str, typer.Argument(help="A run of `generate`, a folder of images, a dataset repo or id.")
    ],
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
    config: Annotated[str, typer.Option(help="Config of a dataset repo.")] = "hq",
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


@app.command()
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


@app.command()
def card(
    repos: Annotated[list[Path], typer.Argument(help="Dataset, model, metric or page folders.")],
    org: Annotated[str | None, typer.Option(help="Name them ORG/NAME, as on the Hub.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="results.json of a benchmark, to put into the cards.")
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="With --results: the model's own name in it.")
    ] = None,
) -> None:
    """Render or refresh the card (README.md) of product folders.

    Its text is written anew; keys that others put into the front matter stay.
    """
    from cards.render import put_results, render_card

    if results is None and annotator is not None:
        raise EmoNetFaceError("--annotator: names the model in --results, which is not given")
    if results is not None:
        from eval_metrics.model_index import read_results
        from eval_metrics.summary import summary_rows

        found = read_results(results)
        summaries = {name: summary_rows(found, name) for name in found["protocols"]}
        put_results(repos, summaries, found, annotator)
    for repo in repos:
        print(f"{render_card(repo, org)}")


@app.command()
def publish(
    hub_dir: Annotated[Path, typer.Argument(help="Each folder in it is one repo.")],
    org: Annotated[str, typer.Option(help="Organisation or user on the Hub (HF_ENDPOINT).")],
    upload: Annotated[bool, typer.Option("--upload", help="Without it: the plan only.")] = False,
    private: Annotated[bool, typer.Option("--private", help="New repos stay private.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Allow what is published already to change.")
    ] = False,
) -> None:
    """Verify all products, show what would change on the Hub; with --upload, publish them.

    One commit a repo, a collection, a tag of this version; then everything is read back. A run that
    broke off is finished by the same call. The token ($HF_TOKEN or `hf auth login`) is needed to
    upload only. Any fault in a folder: exit code 1, and nothing is uploaded.
    """
    from cards.publishing.publish import publish as run

    if code := run(hub_dir, org, upload=upload, private=private, update=update):
        raise typer.Exit(code)


if __name__ == "__main__":
    sys.exit(main())
