"""What a training run leaves behind after each epoch, so that the same call goes on if it ends.

A hidden folder beside the model repo: `plan.json` says what is trained on what, `STAGE.safetensors`
holds the tensors of a stage and, in its head, the rest of its state as JSON. Each file is replaced
whole. A run that went on gives the same bytes as one that was never interrupted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import locked, remove, write_json

PLAN = "plan.json"
SHARE = 0.1
"""Of the time that writing may take: where an epoch is short, some are not written."""


class Checkpoint:
    """The folder of one run; without a folder nothing is kept.

    Args:
        folder: see `unfinished`.
        writes: whether this process is the one that writes.
    """

    def __init__(self, folder: Path | None = None, *, writes: bool = True) -> None:
        self.folder, self.writes = folder, writes
        self._due = 0.0

    def load(self, stage: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """The tensors and the state that were saved last; None where there are none.

        Raises:
            EmoNetFaceError: the file is damaged.
        """
        if self.folder is None or not (path := self._path(stage)).is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                return tensors, json.loads(file.metadata()["state"])
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise EmoNetFaceError(
                f"{path}: cannot be read ({error}); begin anew with --restart"
            ) from None

    def due(self) -> bool:
        """Whether writing now keeps to its share of the time."""
        return self.folder is not None and time.monotonic() >= self._due

    def save(self, stage: str, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        """Replace what is kept of a stage."""
        if self.folder is None or not self.writes:
            return
        start = time.monotonic()
        path = self._path(stage)
        aside = path.with_suffix(".new")
        save_file(tensors, aside, metadata={"state": json.dumps(state)})
        os.replace(aside, path)
        self._due = time.monotonic() + (time.monotonic() - start) / SHARE

    def _path(self, stage: str) -> Path:
        return self.folder / f"{stage}.safetensors"


@contextmanager
def unfinished(
    out: Path, plan: dict[str, Any], *, restart: bool, writes: bool = True
) -> Iterator[Checkpoint]:
    """Give the checkpoint of the run that is to write `out`; remove it when the block ends well.

    Args:
        out: model repo to come.
        plan: JSON values that tell this run from any other.
        restart: forget an unfinished run.
        writes: False in all but one of the processes of a run.

    Raises:
        EmoNetFaceError: an unfinished run had another plan (the first difference is named), or
            another process is at it.
    """
    out = Path(os.path.realpath(out))
    folder = out.parent / f".{out.name}.unfinished-training"
    if not writes:
        yield Checkpoint(folder, writes=False)
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder, wait=False):
            try:
                _settle_plan(folder, out, plan, restart)
                yield Checkpoint(folder)
                remove(folder)
            finally:
                # Refused or failed before anything was learnt: nothing stays.
                if folder.is_dir() and not list(folder.glob("*.safetensors")):
                    remove(folder)
    except BlockingIOError:
        raise EmoNetFaceError(f"{out}: is being trained by another process") from None


def _settle_plan(folder: Path, out: Path, plan: dict[str, Any], restart: bool) -> None:
    path = folder / PLAN
    plan = json.loads(json.dumps(plan))  # as it will be read back
    if restart:
        for old in folder.iterdir():
            remove(old)
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        write_json(path, plan)
        return
    for key in sorted(before.keys() | plan.keys()):
        if before.get(key) != plan.get(key):
            raise EmoNetFaceError(
                f"{out}: an unfinished run has another {key} ({_short(before.get(key))}, now"
                f" {_short(plan.get(key))}); call it as before to go on, or begin anew with"
                " --restart"
            )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
