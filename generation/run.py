"""A run: a folder of faces made from balanced prompts, each with a sidecar that says all about it.

RUN/images/ID.png, RUN/images/ID.json beside it, and RUN/run.json, whose presence means that the run
is complete. Each image is written whole, then its sidecar; a run that was cut off is finished by
the same call, the same call on a finished run changes nothing, and the same call in several
processes or on several machines shares the work.

    from generation.run import generate
    generate(120, Path("run"), seed=0)
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import zlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.progress import track
from generation import finishing, reports
from generation.backends import Backend
from generation.claims import ClaimFile
from generation.marking import FORMATS
from generation.prompts import check_balance_factors
from generation.redraw import Redrawn, redraw
from generation.run_folder import (
    CLAIMS,
    FAILURES,
    MADE_BY,
    MANIFEST,
    MOST_IMAGES,
    PLAN,
    Run,
    begun,
    image_id_of,
    open_run,
)
from generation.schematic_backend import SchematicBackend
from generation.work import Work, share

__all__ = ["MANIFEST", "PLAN", "Redrawn", "check_finished", "generate", "image_id_of"]

ENGINES = ("local", "ray")
SIZES = (32, 2048)
"""Smallest and largest side of an image, in pixels."""
RETRIES = 2

_WORTH_WORKERS = 100
"""Fewer images than this are drawn sooner than new processes start."""


def generate(
    n: int,
    out: Path,
    *,
    backend: str | Backend = "schematic",
    size: int = 128,
    seed: int = 0,
    only: str | None = None,
    workers: int | None = None,
    balance: Sequence[str] = (),
    image_format: str = "png",
    retries: int = RETRIES,
    find_faces: Callable | None = None,
    report: bool = False,
    engine: str = "local",
    actors: int | None = None,
) -> Path | Redrawn:
    """Make the faces of prompts 0 to n - 1, or those still missing.

    An image counts as there if its sidecar names its sha256; anything else is made again. Processes
    that make the same call at the same time share the work, whatever their engine.

    Args:
        n: number of images, at least 1.
        out: the run folder: new, empty, or of a run with the same arguments.
        backend: "schematic", the drawn faces (each then has latent intensities, see `latents`), or
            a backend such as `diffusers_backend.DiffusersBackend("org/model")`.
        size: side in pixels.
        seed: 0 or more. Same arguments, same bytes (with the same versions and, for a pipeline, on
            the same kind of device).
        only: the id of one image (`image_id_of`): make just that one again, in the batch that its
            sidecar names, and say whether it comes out the same. Where `out` has no such image it
            is written, so that another folder than the run's can serve; an image that is there is
            left as it is.
        workers: processes on this machine; None takes one for each core where faces are drawn and
            it is worth it. They are spawned, so a script that asks for more than one needs the
            `if __name__ == "__main__"` guard.
        balance: factors of `prompts.FREE_FACTORS` to balance exactly as well.
        image_format: a key of `marking.FORMATS`.
        retries: how often to try again what failed, see `attempts.make_all`.
        find_faces: see `quality.measure`; a plain function where processes are started.
        report: whether a complete run also gets its reports (`reports`).
        engine: "local", or "ray": actors on a Ray cluster that all reach `out` (`ray_engine`).
        actors: with "ray", how many; None: one for each GPU of the cluster, or without GPUs one for
            each two cores.

    Returns:
        The run folder, or with `only` what became of that image.

    Raises:
        EmoNetFaceError: an argument out of range, an id that is not of this run, `out` holds
            something else, or images could not be made (the run is then not complete; their causes
            are kept, and the same call tries again).
        OSError: the disk is full or the folder cannot be written; the same call goes on.
    """
    backend = SchematicBackend() if backend == "schematic" else backend
    plan = _plan(n, backend, size, seed, balance, image_format)
    if engine not in ENGINES:
        raise EmoNetFaceError(f"unknown engine {engine!r}; allowed: {', '.join(ENGINES)}")
    unused = {"local": ("actors", actors), "ray": ("workers", workers)}[engine]
    if unused[1] is not None:
        raise EmoNetFaceError(f"engine {engine} has no {unused[0]}: they are of the other engine")
    wanted = None if only is None else Run(out, plan).index_of(only)
    run = open_run(out, plan, before=backend.load if engine == "local" else None)
    if wanted is not None:
        return redraw(Work(run, backend, retries, find_faces), wanted)
    if (run.out / MANIFEST).exists():
        if not any(run.missing(batch) for batch in range(run.n_batches)):
            finishing.close(run)
            if report and not reports.are_written(run):
                reports.write_reports(run)
            return out
        finishing.reopen(run)
    work = Work(run, backend, retries, find_faces)
    with ClaimFile(run.out / CLAIMS) as claims:
        done = False
        while not done:
            if engine == "ray":
                from generation.ray_engine import share_with_ray

                share_with_ray(work, claims, actors)
            else:
                _share_locally(work, claims, workers)
            _check_all_done(run, claims)
            done = finishing.finish(run, claims, report=report)
    return out


def _plan(
    n: int, backend: str | Backend, size: int, seed: int, balance: Sequence[str], image_format: str
) -> dict[str, object]:
    """The manifest of a run; its arguments are checked here."""
    if isinstance(backend, str):
        allowed = "schematic, or a backend such as DiffusersBackend"
        raise EmoNetFaceError(f"unknown backend {backend!r}; allowed: {allowed}")
    if not 1 <= n <= MOST_IMAGES:
        raise EmoNetFaceError(f"number of images is {n}: must lie in 1..{MOST_IMAGES}")
    if not SIZES[0] <= size <= SIZES[1]:
        raise EmoNetFaceError(f"size is {size} pixels: must lie in {SIZES[0]}..{SIZES[1]}")
    if seed < 0:
        raise EmoNetFaceError(f"seed is {seed}: must be 0 or more")
    if image_format not in FORMATS:
        raise EmoNetFaceError(f"unknown format {image_format!r}; allowed: {', '.join(FORMATS)}")
    if backend.batch_size < 1:
        raise EmoNetFaceError(f"batch size is {backend.batch_size}: must be 1 or more")
    check_balance_factors(balance)
    versions = {name: version(name) for name in ("numpy", "pillow")}
    plan = {
        "made_by": MADE_BY,
        "n": n,
        "backend": backend.name,
        "generator": backend.generator(),
        "size": size,
        "seed": seed,
        "format": image_format,
        "balance": list(balance),
        "batch_size": backend.batch_size,
        "recipe": backend.recipe(),
        "versions": {"emonet-face": __version__, **versions, "zlib": zlib.ZLIB_RUNTIME_VERSION},
    }
    try:
        return json.loads(json.dumps(plan, allow_nan=False))  # as it will be read: tuples are lists
    except (TypeError, ValueError) as error:
        raise EmoNetFaceError(f"the backend's settings cannot be kept as JSON ({error})") from None


def _share_locally(work: Work, claims: ClaimFile, workers: int | None) -> None:
    run = work.run
    if workers is None:
        worth = run.plan["n"] >= _WORTH_WORKERS and work.backend.one_core
        workers = (os.cpu_count() or 1) if worth else 1
    spawn = multiprocessing.get_context("spawn")  # forking is not safe once torch has threads
    others = [spawn.Process(target=_help, args=(work,), daemon=True) for _ in range(workers - 1)]
    for other in others:
        other.start()
    try:
        batches = share(run, work.maker(), claims, overlap=work.backend.overlap)
        for _ in track(batches, "batches of faces", run.n_batches):
            pass
    except BaseException:
        for other in others:  # else they would wait for the batch that this process has claimed
            other.terminate()
        raise
    finally:
        for other in others:
            other.join()


def _help(work: Work) -> None:
    """Work on a run in a process of its own.

    What it leaves is made by the process that asked, which then meets the same error and says so.
    It ends with that process, however that ends: whoever killed it may make another run in the same
    place next.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both; the parent answers
    parent = multiprocessing.parent_process()
    failed = contextlib.suppress(EmoNetFaceError, OSError)
    with failed, ClaimFile(work.run.out / CLAIMS) as claims:
        for _ in share(work.run, work.maker(), claims, overlap=work.backend.overlap):
            if parent is not None and not parent.is_alive():
                return


def _check_all_done(run: Run, claims: ClaimFile) -> None:
    if all(claims.is_done(batch) for batch in range(run.n_batches)):
        return
    failures = list(run.failures())
    named = "; ".join(f"{f['image_id']}: {f['causes'][-1]}" for f in failures[:1])
    raise EmoNetFaceError(
        f"{run.out}: {len(failures)} of {run.plan['n']} images could not be made ({named});"
        f" all causes are in {FAILURES}/, and the same call tries again"
    )


def check_finished(folder: Path) -> None:
    """Raise EmoNetFaceError where a run lacks images; folders that are no run pass."""
    manifest, plan = begun(folder)
    if manifest is None:
        return
    run = Run(folder, plan)
    there = sum(run.image_path(i).exists() for i in range(plan["n"]))
    if manifest == PLAN or there < plan["n"]:
        raise EmoNetFaceError(
            f"{folder}: this run is not finished ({there} of {plan['n']} images);"
            " repeat its generate command"
        )
