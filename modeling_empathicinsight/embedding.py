"""Embeddings of a dataset's images or of a folder's, written to one Parquet file.

    emonet-face embed --dataset REPO --config big --backbone ID_OR_DIR --out big.parquet
    emonet-face embed --images FOLDER --backbone ID_OR_DIR --out faces.parquet

Pictures are read, decoded and resized ahead of the tower, in threads or in processes, as `predict`
does it. The form of the file is that of `embedding_file`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emonet_face import __version__
from emonet_face.embedding_file import MADE_BY
from emonet_face.errors import EmoNetFaceError
from emonet_face.look_ahead import look_ahead
from emonet_face.progress import track
from modeling_empathicinsight.backbone import Backbone, load_backbone
from modeling_empathicinsight.embedding_parts import join, note_rejects, open_parts, rejects_path
from modeling_empathicinsight.embedding_source import FOLDER_CONFIG, dataset_source, folder_source
from modeling_empathicinsight.embedding_steps import (
    AUTOCAST,
    DTYPES,
    PRECISIONS,
    Decoder,
    Embedder,
    Settings,
)
from modeling_empathicinsight.embedding_workers import worker_processes

if TYPE_CHECKING:
    from collections import Counter
    from concurrent.futures import Executor

    from emonet_face.ray_cluster import Cluster
    from modeling_empathicinsight.embedding_source import Source

ENGINES = ("local", "ray")

_BATCH_SIZES = {"cpu": 16, "cuda": 64}
"""On a CPU what a layer hands to the next one then mostly stays in the cache."""

_WORTH_PROCESSES = 2_000
"""Rows. Processes take seconds to start; on two cores threads decode as fast (210 pictures of 1024
px a second), with many cores they would wait for Python's lock."""


def embed(
    dataset: str | Path | None,
    config: str | None,
    backbone: str | Path,
    out: Path,
    *,
    images: Path | None = None,
    batch_size: int | None = None,
    dtype: str = "auto",
    precision: str = "float32",
    workers: int | None = None,
    engine: str = "local",
    actors: int | None = None,
) -> dict[str, Any]:
    """Embed every image of one config of a dataset repo, or of a folder.

    A call that ends early, also by SIGKILL, leaves its finished pieces in `.NAME.parts` beside
    `out`; an equal call goes on from them and writes the same bytes as one that was not disturbed.

    Args:
        dataset: folder or Hub id, its configs in Parquet; None with `images`.
        config: e.g. "big". With `images` what to write as the config; None is "images".
        backbone: a vision tower in any form that `load_backbone` takes.
        out: Parquet file to write, rows in the order of the dataset, or of the paths.
        images: a folder of PNG, JPEG or WebP files, searched recursively; ids are their stems.
        batch_size: the most images that go through the tower at a time; None: 16 on a CPU, 64 on a
            GPU. Embeddings may differ by rounding between batch sizes, and between machines.
        dtype: how the tower computes: "float32", or "bfloat16" or "float16" by autocast with the
            weights in float32; "auto" is bfloat16 on a GPU and float32 on a CPU.
        precision: of the embeddings in the file: "float32" or "float16".
        workers: processes that decode; 0: threads of this process; None: one a core where there are
            many images, else threads. They are started afresh, so a script that asks for them needs
            the `if __name__ == "__main__"` guard.
        engine: "local", or "ray": actors on a Ray cluster (`embedding_ray`).
        actors: with "ray", how many; None: one a GPU of the cluster, or one a core.

    Returns:
        The metadata of the file, and `config`, `n` (embeddings), `n_null` (rows without an image,
        left out), `n_rejected` (images that could not be read: each is listed with its reason in
        `rejects`, a file beside `out`, else None) and `n_resumed` (pieces that an earlier call had
        finished).

    Raises:
        EmoNetFaceError: an argument out of range; dataset, config, folder or backbone cannot be
            used; no row has an image, or none that can be read; the tower gives a vector that is
            not finite; `out` holds something else, or another process is writing it.
    """
    _check(engine, dtype, precision, batch_size, workers, actors)
    source = _source(dataset, config, images)
    out = Path(os.path.realpath(out))
    with ExitStack() as stack:
        cluster = _cluster(engine)
        pool = None if cluster else _pool(stack, source, workers)  # starts while the tower loads
        tower = load_backbone(backbone)
        on_gpu = cluster.gpus > 0 if cluster else tower.device == "cuda"
        settings = Settings(
            str(backbone),
            batch_size or _BATCH_SIZES["cuda" if on_gpu else "cpu"],
            ("bfloat16" if on_gpu else "float32") if dtype == "auto" else dtype,
            precision,
        )
        metadata = _metadata(tower, settings)
        plan = {
            "version": __version__,
            "metadata": metadata,
            "batch_size": settings.batch_size,
            "config": source.config,
            "source": source.fingerprint,
        }
        parts = stack.enter_context(open_parts(out, plan, len(source.pieces)))
        missing = parts.missing()
        if cluster and missing:
            from modeling_empathicinsight.embedding_ray import embed_with_ray

            made = embed_with_ray(cluster, source, missing, settings, tower.sha256, actors)
        else:
            made = _embed_here(source, missing, tower, settings, pool)
        for number, piece in track(made, f"embedding {source.name}", len(missing)):
            parts.put(number, piece)
        counts = note_rejects(parts, out)
        if counts["n"]:
            join(parts, out, source.config, metadata)
    rejects = rejects_path(out) if counts["n_rejected"] else None
    if not counts["n"]:
        raise EmoNetFaceError(_nothing(source, counts, rejects))
    done = {name: counts[name] for name in ("n", "n_null", "n_rejected")}
    n_resumed = len(source.pieces) - len(missing)
    return {**metadata, "config": source.config, **done, "rejects": rejects, "n_resumed": n_resumed}


def lines(out: Path, done: dict[str, Any]) -> list[str]:
    """What to tell people of an `embed` that is done."""
    told = [
        f"{out}: {done['n']:,} embeddings of {done['dim']} numbers, {done['precision']}, by"
        f" {done['backbone']} in {done['dtype']}"
    ]
    if done["n_resumed"]:
        told.append(f"{done['n_resumed']:,} pieces of them were there from an earlier call")
    if done["n_null"]:
        told.append(f"{done['n_null']:,} rows have no image and were left out")
    if done["n_rejected"]:
        told.append(f"{done['n_rejected']:,} images cannot be read, all in {done['rejects']}")
    return told


def _check(
    engine: str,
    dtype: str,
    precision: str,
    batch_size: int | None,
    workers: int | None,
    actors: int | None,
) -> None:
    allowed = {"engine": ENGINES, "dtype": DTYPES, "precision": PRECISIONS}
    given = {"engine": engine, "dtype": dtype, "precision": precision}
    for name, values in allowed.items():
        if given[name] not in values:
            raise EmoNetFaceError(f"{name} is {given[name]!r}: must be {', '.join(values)}")
    counts = (("batch_size", batch_size, 1), ("workers", workers, 0), ("actors", actors, 1))
    for name, value, least in counts:
        if value is not None and value < least:
            raise EmoNetFaceError(f"{name} is {value}: must be {least} or more")
    if actors is not None and engine != "ray":
        raise EmoNetFaceError(f"actors is {actors}: only the engine ray has actors")
    if workers is not None and engine == "ray":
        raise EmoNetFaceError(f"workers is {workers}: with the engine ray the actors decode")


def _source(dataset: str | Path | None, config: str | None, images: Path | None) -> Source:
    if (dataset is None) == (images is None):
        raise EmoNetFaceError("give either a dataset with its config or a folder of images")
    if images is not None:
        return folder_source(Path(images), config or FOLDER_CONFIG)
    if config is None:
        raise EmoNetFaceError(f"{dataset}: name the config to embed, e.g. big")
    return dataset_source(dataset, config)


def _cluster(engine: str) -> Cluster | None:
    if engine == "local":
        return None
    from emonet_face.ray_cluster import join_cluster

    return join_cluster()


def _pool(stack: ExitStack, source: Source, workers: int | None) -> Executor | None:
    """The processes that decode; None where threads do."""
    if workers is None:
        workers = (os.cpu_count() or 1) if source.n_rows >= _WORTH_PROCESSES else 0
    return stack.enter_context(worker_processes(workers)) if workers else None


def _embed_here(
    source: Source, numbers: list[int], tower: Backbone, settings: Settings, pool: Executor | None
) -> Iterator[tuple[int, bytes]]:
    """The given pieces, finished, in order."""
    embedder = Embedder(tower, settings)
    decoder = Decoder(tower, source.config)
    pieces = (source.pieces[number] for number in numbers)
    ahead = (os.cpu_count() or 1) + 1
    for number, pixels in zip(numbers, look_ahead(decoder, pieces, ahead, pool), strict=True):
        yield number, embedder(pixels)


def _metadata(tower: Backbone, settings: Settings) -> dict[str, Any]:
    return {
        "made_by": MADE_BY,
        "backbone": tower.name,
        "revision": tower.revision,
        "tower_sha256": tower.sha256,
        "size": tower.tower.config.image_size,
        "normalisation": tower.normalisation,
        "dtype": settings.dtype,
        "autocast": settings.dtype in AUTOCAST,
        "precision": settings.precision,
        "normalized": True,
        "dim": tower.tower.config.hidden_size,
    }


def _nothing(source: Source, counts: Counter[str], rejects: Path | None) -> str:
    if rejects is None:
        return f"{source.name}: none of its {counts['n_null']} rows has an image"
    return (
        f"{source.name}: none of its images can be read; all {counts['n_rejected']} are listed in"
        f" {rejects}"
    )
