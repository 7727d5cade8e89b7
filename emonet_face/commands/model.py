"""The commands that use a model: predict, export, page, calibrate."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from emonet_face.commands.options import ModelRepo, Seed
from emonet_face.screen_table import print_table


class ExportDtype(enum.StrEnum):
    """Numbers of an exported tower."""

    fp32 = "fp32"
    fp16 = "fp16"
    both = "both"


def predict(
    paths: Annotated[list[str], typer.Argument(help="Images, folders (recursive) or globs.")],
    model: ModelRepo,
    out: Annotated[
        Path | None,
        typer.Option(
            help="JSON lines, or a table where it ends in .csv; without it, JSON lines on standard "
            "output. A call that broke off is taken up by the same call."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=4096, help="Pictures at a time.")] = 16,
    top_k: Annotated[int, typer.Option(min=1, max=40, help="How many categories to name.")] = 5,
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


def export(
    model: ModelRepo,
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
        columns = ("output", "largest difference", "mean", "allowed")
        print_table(f"{done.dtype} against the model, {done.parity.pictures}", columns, rows)
        print(f"{done.path}: {done.n_bytes / 1e6:,.1f} MB")


def page(
    model: ModelRepo,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="The first free one from here on is taken.")
    ] = 7860,
    out: Annotated[
        Path | None, typer.Option(help="Write the page as a Space folder instead of starting it.")
    ] = None,
) -> None:
    """The model's page in a browser: drop a picture, see the distribution. Stop with Ctrl-C."""
    from modeling_empathicinsight.space_staging import serve, stage_space

    if out is not None:
        stage_space(out, model)
        print(f"{out}: a Space for {model}")
    else:
        raise typer.Exit(serve(model, port))


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
