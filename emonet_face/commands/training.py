"""The commands that make a model: embed, train, ablate, convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emonet_face.commands.options import (
    Engine,
    LabelledRepo,
    NewModelRepo,
    Seed,
    Size,
    refuse,
)
from emonet_face.screen_table import print_table


def embed(
    backbone: Annotated[str, typer.Option(help="SigLIP or SigLIP2 vision tower: id or folder.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    dataset: Annotated[
        str | None, typer.Option(help="Dataset repo, folder or Hub id; name its config too.")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(help="Of the dataset: hq, binary, big ...; with --images the name to write."),
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
    engine: Engine = "local",
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


def train(
    context: typer.Context,
    embeddings: Annotated[
        list[Path], typer.Option(help="Parquet files of `embed`; repeat the option.")
    ],
    labels: LabelledRepo,
    out: NewModelRepo,
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

    Called again after an interruption it goes on, and gives the same bytes. In several processes:
    accelerate launch (GPUs) or torchrun (processors) with -m emonet_face.cli train and its options.
    """
    if recipe is not None:
        refuse(context, ("size",), "is in the recipe: give --size or --recipe")
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


def ablate(
    embeddings: Annotated[
        list[Path], typer.Option(help="Parquet files of `embed`: big, binary and hq; repeatable.")
    ],
    labels: LabelledRepo,
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


def convert(
    heads: Annotated[Path, typer.Option(help=r"Folder of the released model_\<slug>_best.pth.")],
    backbone: Annotated[str, typer.Option(help="The tower the heads belong to: id or folder.")],
    out: NewModelRepo,
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
