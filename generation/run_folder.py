"""The run folder: what it is a run of, where its images lie, and who may write to it.

RUN/images/ID.png with ID.json beside each, RUN/run.json once the run is complete, and until then
RUN/.plan.json with the same content, RUN/.claims (`claims`) and perhaps RUN/failures/.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from emonet_face import outputs
from emonet_face.errors import EmoNetFaceError, shown
from generation.backends import Request
from generation.marking import FORMATS
from generation.prompts import PromptRecord, prompt_record
from generation.sidecars import read_sidecar

MADE_BY = "emonet-face generate"
MANIFEST = "run.json"
PLAN = ".plan.json"
"""The manifest's name while images are missing."""
CLAIMS = ".claims"
IMAGES, FAILURES = "images", "failures"

NOT_COMPARED = ("made_by", "versions", "made")
"""Keys of a manifest that may differ between the calls that share a run."""


def image_id_of(seed: int, index: int, generator: str = "schematic") -> str:
    """The id of a run's image; generator, seed and number make it unique across runs.

    >>> image_id_of(7, 12), image_id_of(7, 12, "black-forest-labs/FLUX.1-dev")
    ('schematic-7-000012', 'flux-1-dev-7-000012')
    """
    return f"{_short_name(generator)}-{seed}-{index:06d}"


@lru_cache(maxsize=16)
def _short_name(generator: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", generator.rstrip("/").rpartition("/")[2].lower()).strip("-")
    return name or "model"


MOST_IMAGES = 10**8
"""Of a run: five times what anybody has published; a process keeps a byte for each batch."""

PLAN_KEYS: dict[str, type] = {
    "n": int, "backend": str, "generator": str, "size": int, "seed": int, "format": str,
    "balance": list, "batch_size": int, "recipe": dict, "versions": dict,
}  # fmt: skip
"""What every manifest has."""

_REPORTED = {
    "generation": {"intensity", "style", "template", "flagged", "attempt", "causes"},
    "quality": {"pixels", "perceptual_hash"},
}
"""What reports need of a sidecar."""


@dataclass(frozen=True)
class Run:
    """A run: its folder and its plan.

    Attributes:
        out: the folder.
        plan: what `run.json` says, with the keys of `PLAN_KEYS`.
    """

    out: Path
    plan: Mapping[str, Any]

    @property
    def n_batches(self) -> int:
        return -(-self.plan["n"] // self.plan["batch_size"])

    def indices(self, batch: int) -> range:
        """The images of a batch. Batches are cut alike in every process and every call."""
        size = self.plan["batch_size"]
        return range(batch * size, min((batch + 1) * size, self.plan["n"]))

    def batch_of(self, index: int) -> int:
        return index // self.plan["batch_size"]

    def image_id(self, index: int) -> str:
        return image_id_of(self.plan["seed"], index, self.plan["generator"])

    def image_path(self, index: int) -> Path:
        return self._images / self._image_name(index)

    def _image_name(self, index: int) -> str:
        return f"{self.image_id(index)}{FORMATS[self.plan['format']]}"

    @cached_property
    def _images(self) -> Path:
        return self.out / IMAGES

    def failure_path(self, index: int) -> Path:
        # Not .json: beside images that would be the record of an image.
        return self.out / FAILURES / f"{self.image_id(index)}.jsonl"

    def record(self, index: int) -> PromptRecord:
        return prompt_record(index, self.plan["seed"], self.plan["balance"])

    def request(self, index: int, attempt: int = 0) -> Request:
        return Request(self.image_id(index), self.record(index), self.plan["seed"], attempt)

    def whole_sidecar(self, index: int) -> dict[str, Any] | None:
        """The sidecar of an image that is there; None where it does not name the image's sha256
        and how it was made."""
        if not os.path.exists(f"{self._images}/{self._image_name(index)}"):
            return None  # most often, and told by text alone: paths cost as much as the question
        try:
            sidecar = read_sidecar(self.image_path(index))
        except EmoNetFaceError:
            return None
        told = all(_has(sidecar.get(name), keys) for name, keys in _REPORTED.items())
        return sidecar if told else None

    def is_whole(self, index: int) -> bool:
        """Whether an image and its sidecar are there and fit each other."""
        return self.whole_sidecar(index) is not None

    def missing(self, batch: int) -> list[int]:
        """The images of a batch that are not whole."""
        return [index for index in self.indices(batch) if not self.is_whole(index)]

    def index_of(self, image_id: str) -> int:
        """The number of an image.

        Raises:
            EmoNetFaceError: it is not of this run.
        """
        tail = image_id.rpartition("-")[2]
        if tail.isascii() and tail.isdigit():
            index = int(tail)
            if index < self.plan["n"] and self.image_id(index) == image_id:
                return index
        first, last = self.image_id(0), self.image_id(self.plan["n"] - 1)
        raise EmoNetFaceError(
            f"{image_id!r} is not an image of this run: its ids go from {first} to {last}"
        )

    def failures(self) -> Iterator[dict[str, Any]]:
        """The images that could not be made: "image_id" and "causes", in order of their ids."""
        for path in sorted((self.out / FAILURES).glob("*.jsonl")):
            if not self.is_whole(self.index_of(path.stem)):
                yield json.loads(path.read_text(encoding="utf-8"))


def _has(value: object, keys: set[str]) -> bool:
    return isinstance(value, dict) and keys <= value.keys()


def begun(folder: Path) -> tuple[str | None, dict[str, Any]]:
    """Name and content of the manifest of a run in a folder; (None, {}) where there is no run.

    Raises:
        EmoNetFaceError: the manifest is not JSON, or lacks a key that every run has, or a value is
            none that a run can have.
    """
    for name in (MANIFEST, PLAN, MANIFEST):  # it may be renamed between the first two
        try:
            plan = json.loads((folder / name).read_bytes())
        except OSError:
            continue
        except ValueError as error:
            raise _damaged(folder / name, f"is not JSON ({error})") from None
        if not isinstance(plan, dict) or plan.get("made_by") != MADE_BY:
            continue
        for key, kind in PLAN_KEYS.items():
            if key not in plan:
                raise _damaged(folder / name, f"has no {key!r}")
            value = plan[key]
            counts = key in ("n", "batch_size")
            if type(value) is not kind or (counts and not 1 <= value <= MOST_IMAGES):
                raise _damaged(folder / name, f"{key!r} is {shown(value)}")
        if plan["format"] not in FORMATS:
            raise _damaged(folder / name, f"'format' is {shown(plan['format'])}")
        return name, plan
    return None, {}


def _damaged(path: Path, how: str) -> EmoNetFaceError:
    return EmoNetFaceError(
        f"{path}: {how}; it is damaged, or not of a run; make the run in another folder"
    )


def open_run(out: Path, plan: Mapping[str, Any], before: Callable[[], None] | None = None) -> Run:
    """Make the run folder, or make sure that an existing one is of the same run.

    Several processes may do so at once: one of them makes it.

    Args:
        out: the folder.
        plan: what the run is to be.
        before: called before a new folder is made: where it raises, nothing is left behind.

    Raises:
        EmoNetFaceError: `out` holds something else, or a run with other arguments.
    """
    out = Path(os.path.abspath(out))
    outputs.remove_stale(out.parent, out.name)
    outputs.check_replaceable(out, ours=lambda folder: begun(folder)[0] is not None)
    if begun(out)[0] is None:
        if before is not None:
            before()
        out.mkdir(parents=True, exist_ok=True)
        _put_new(out / PLAN, plan)
    _, there = begun(out)
    for key, wanted in plan.items():
        if key not in NOT_COMPARED and there.get(key) != wanted:
            raise EmoNetFaceError(
                f"{out}: holds a run with {key} {there.get(key)!r}, not {wanted!r};"
                " give the same arguments or another folder"
            )
    (out / IMAGES).mkdir(exist_ok=True)
    return Run(out, there)


def _put_new(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON to a place where nothing is; where another process was sooner, leave its file."""
    aside = outputs.own_name(path.parent)
    try:
        aside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        os.link(aside, path)
    except FileExistsError:
        pass
    except OSError as error:  # of two names it tells the other one first
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        aside.unlink(missing_ok=True)
