"""The command that makes faces: `emonet-face generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emonet_face.commands.options import Engine, Seed, values

OF_A_BACKEND = (
    "model",
    "revision",
    "steps",
    "guidance",
    "scheduler",
    "dtype",
    "device",
    "batch_size",
)
"""Options that `backend_from` takes by these names."""

Model = Annotated[
    str | None, typer.Option(help="diffusers: text-to-image pipeline, Hub id or folder.")
]
Revision = Annotated[str | None, typer.Option(help="Of a Hub id; default: the newest.")]
Steps = Annotated[int | None, typer.Option(help="Default: the pipeline's own.")]
Guidance = Annotated[float | None, typer.Option(help="Default: the pipeline's own.")]
Scheduler = Annotated[
    str | None, typer.Option(help="Scheduler class; default: the pipeline's own.")
]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Images at once; halved where memory is short.")
]
PipelineOptions = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=JSON", help="Argument of the pipeline's call; repeatable."),
]

Only = Annotated[
    str | None, typer.Option(metavar="IMAGE_ID", help="Make one image again and compare.")
]
Balance = Annotated[
    str, typer.Option(help="Balance exactly as well: some of intensity,style,template.")
]
ImageFormat = Annotated[
    str, typer.Option("--format", help="png, jpeg or webp; png keeps every pixel value.")
]
Retries = Annotated[
    int, typer.Option(min=0, help="Further attempts at an image that fails or comes out black.")
]
Faces = Annotated[
    bool, typer.Option("--faces", help="Count and measure faces; needs emonet-face[faces].")
]
Report = Annotated[
    bool, typer.Option(help="Balance, quality and contact sheet when the run is complete.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes; for diffusers 1 unless given.")
]
Actors = Annotated[int | None, typer.Option(min=1, help="ray: how many; default one a GPU.")]


def generate(
    context: typer.Context,
    n: Annotated[int, typer.Option("--n", min=1, help="How many images.")],
    out: Annotated[Path, typer.Option(help="Run folder; an unfinished run is finished.")],
    backend: Annotated[str, typer.Option(help="schematic or diffusers")] = "schematic",
    model: Model = None,
    size: Annotated[int, typer.Option(help="Pixels of a side.")] = 512,
    seed: Seed = 0,
    only: Only = None,
    balance: Balance = "",
    image_format: ImageFormat = "png",
    revision: Revision = None,
    steps: Steps = None,
    guidance: Guidance = None,
    scheduler: Scheduler = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    batch_size: BatchSize = None,
    option: PipelineOptions = None,
    retries: Retries = 2,
    faces: Faces = False,
    report: Report = True,
    engine: Engine = "local",
    workers: Workers = None,
    actors: Actors = None,
) -> None:
    """Faces from prompts balanced over emotion, ethnicity, age and gender.

    The same call finishes a run that was cut off, changes nothing in a finished one, and shares the
    work where several processes or machines make it at once. With `--engine ray` it runs on a Ray
    cluster whose nodes all reach the run folder.
    """
    from generation.command import backend_from
    from generation.run import generate as run

    find_faces = None
    if faces:
        from modeling_empathicinsight.face_crops import find_faces
    settings = values(
        context,
        (
            "size",
            "seed",
            "only",
            "image_format",
            "retries",
            "report",
            "engine",
            "workers",
            "actors",
        ),
    )
    done = run(
        n,
        out,
        backend=backend_from(backend, options=option or [], **values(context, OF_A_BACKEND)),
        balance=[name.strip() for name in balance.split(",") if name.strip()],
        find_faces=find_faces,
        **settings,
    )
    print(done)
