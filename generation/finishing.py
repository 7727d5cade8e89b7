"""The end of a run: every image read back, the reports written, the manifest last."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

from emonet_face import outputs
from generation.claims import ClaimFile
from generation.reports import write_reports
from generation.run_folder import CLAIMS, FAILURES, IMAGES, MANIFEST, PLAN, Run

_CUT = (
    "{:,} of {:,} prompts are longer than a text encoder of the model reads;"
    " 'prompt_cut_by' in their sidecars says which cut them"
)


def finish(run: Run, claims: ClaimFile, *, report: bool) -> bool:
    """Complete a run whose batches are all done.

    One process does so; the others wait for it and find the manifest.

    Args:
        run: the run.
        claims: its open claim file.
        report: whether to write the reports (`reports`).

    Returns:
        False where images turned out to be damaged or missing: their batches are open again.
    """
    claims.wait(run.n_batches)  # the place behind the batches stands for the end
    try:
        if (run.out / MANIFEST).exists():
            close(run)
            return True
        n_cut = _verified(run, claims)
        if n_cut is None:
            return False
        if n_cut:
            print(_CUT.format(n_cut, run.plan["n"]), file=sys.stderr)
        if report:
            write_reports(run)
        _clear(run)
        outputs.write_json(run.out / PLAN, dict(run.plan))
        os.replace(run.out / PLAN, run.out / MANIFEST)
        close(run)
        return True
    finally:
        claims.release(run.n_batches)


def close(run: Run) -> None:
    """Remove the claim file of a complete run; a process killed before this left it."""
    (run.out / CLAIMS).unlink(missing_ok=True)


def reopen(run: Run) -> None:
    """Make a complete run of which images are missing an incomplete one."""
    with contextlib.suppress(FileNotFoundError):  # another process was sooner
        os.replace(run.out / MANIFEST, run.out / PLAN)


def _verified(run: Run, claims: ClaimFile) -> int | None:
    """How many prompts were cut; None where images are damaged or missing."""
    whole, n_cut = True, 0
    for batch in range(run.n_batches):
        sidecars = [run.whole_sidecar(index) for index in run.indices(batch)]
        if None in sidecars:
            claims.reopen(batch)
            whole = False
        n_cut += sum("prompt_cut_by" in s["generation"] for s in sidecars if s is not None)
    return n_cut if whole else None


def _clear(run: Run) -> None:
    """Remove what killed processes left: nobody else writes any more."""
    for folder in (run.out, run.out / IMAGES):
        for entry in os.scandir(folder):
            if entry.name.startswith(".") and f".{outputs.PARTIAL}" in entry.name:
                outputs.remove(Path(entry.path))
    shutil.rmtree(run.out / FAILURES, ignore_errors=True)
