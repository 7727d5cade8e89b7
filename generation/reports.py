"""What a complete run says of itself: its balance, the quality of its pictures, a contact sheet.

RUN/balance.csv, RUN/balance.pdf, RUN/quality.jsonl and RUN/contact_sheet.pdf. The figures are PDF
because whoever reads a run takes each PNG in it for a face.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from emonet_face import outputs
from generation.balance import Balance, draw_balance, write_table
from generation.quality import QUALITY, Alike
from generation.run_folder import Run
from generation.run_sheet import write_run_sheet

BALANCE_TABLE, BALANCE_FIGURE, SHEET = "balance.csv", "balance.pdf", "contact_sheet.pdf"
REPORTS = (BALANCE_TABLE, BALANCE_FIGURE, QUALITY, SHEET)


def are_written(run: Run) -> bool:
    """Whether all reports are there."""
    return all((run.out / name).exists() for name in REPORTS)


def write_reports(run: Run) -> None:
    """Write the reports of a run whose images are all whole."""
    balance, alike = Balance(), Alike()
    for sidecar in sidecars(run):
        balance.add(sidecar)
        alike.add(sidecar["quality"])
    exact, near = alike.found()
    ours = lambda _: True  # noqa: E731 - the names are ours in a folder that is ours
    with outputs.new_file(run.out / QUALITY, ours) as aside, aside.open("w") as stream:
        for index, sidecar in enumerate(sidecars(run)):
            row = _quality_row(sidecar)
            for key, others in (("duplicate_of", exact), ("near_duplicate_of", near)):
                row[key] = run.image_id(others[index]) if index in others else None
            stream.write(f"{json.dumps(row)}\n")
    write_table(balance, run.out / BALANCE_TABLE)
    with outputs.new_file(run.out / BALANCE_FIGURE, ours) as aside:
        draw_balance(balance, aside)
    with outputs.new_file(run.out / SHEET, ours) as aside:
        write_run_sheet(run, aside)


def sidecars(run: Run) -> Iterator[dict[str, Any]]:
    """The sidecars of a run in its order; images are not read."""
    for index in range(run.plan["n"]):
        path = run.image_path(index).with_suffix(".json")
        yield json.loads(path.read_text(encoding="utf-8"))


def _quality_row(sidecar: dict[str, Any]) -> dict[str, Any]:
    made = sidecar["generation"]
    keys = ("flagged", "attempt", "causes")
    return {
        "image_id": sidecar["image_id"],
        **sidecar["quality"],
        **{key: made[key] for key in keys},
    }
