"""The annotators' report: tables of habits, agreement and controls, written and summed up."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emonet_face import outputs
from emonet_face.taxonomy import EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import (
    LEVELS,
    nan_mean,
    pairwise_kappa,
    round_to_levels,
)
from generation.annotators.control_tests import ControlTest, control_tests
from generation.annotators.habits import Habits, habits_of
from generation.annotators.said import Annotator, read_annotators, stacked

MADE_BY = "emonet-face annotate-report"
MANIFEST = "report.json"


@dataclass(frozen=True)
class Report:
    """What the command prints."""

    annotators: list[Annotator]
    habits: list[Habits]
    tests: list[ControlTest]

    def rows(self) -> list[tuple[object, ...]]:
        """A row of SHOWN for each annotator."""
        return [
            (
                annotator.name,
                one.n_images,
                one.failure_rate,
                one.n_distinct,
                one.marked_mean,
                one.strength,
                one.bias,
                one.kappa_people,
                one.kappa_rest,
                one.seconds,
            )
            for annotator, one in zip(self.annotators, self.habits, strict=True)
        ]

    def statements(self) -> list[str]:
        """What the controls say, one sentence each, then the commonest failures."""
        said = [str(test) for test in self.tests]
        for annotator in self.annotators:
            for reason, n in annotator.failures.most_common(1):
                said.append(f"{annotator.name}: {n} x {reason}")
            if annotator.unanswered:
                said.append(f"{annotator.name}: {annotator.unanswered} images without an answer")
        return said


SHOWN = (
    "annotator",
    "images",
    "failed",
    "distinct",
    "marked",
    "strength",
    "bias",
    "kappa people",
    "kappa rest",
    "seconds",
)


def annotator_report(
    paths: Sequence[Path], out: Path, *, n_resamples: int = 1000, seed: int = 42
) -> Report:
    """Describe the annotators of some files and test the models against their controls.

    Args:
        paths: see `said.read_annotators`.
        out: folder; holds `annotators.csv` (a row each: images, failure rate, distinct answers,
            marked categories, strength, shares of the 8 levels, bias, mean kappas, seconds),
            `bias.csv` (annotator x 40), `agreement.csv` (mean kappa of every pair), `controls.csv`
            and `report.json`, which comes last. Empty cell = undefined.
        n_resamples: of the images, for intervals.
        seed: of resamples and permutations.

    Raises:
        EmoNetFaceError: see `said.read_annotators`; `out` exists and is not ours.
    """
    annotators = read_annotators(paths)
    images, scores = stacked(annotators)
    habits = habits_of(annotators, scores)
    tests = control_tests(annotators, images, scores, n_resamples=n_resamples, seed=seed)
    report = Report(annotators, habits, tests)
    with outputs.new_folder(out, lambda folder: outputs.made_by(folder, MANIFEST) == MADE_BY) as at:
        _write_annotators(at / "annotators.csv", report)
        _write(
            at / "bias.csv",
            ("annotator", *EMOTIONS),
            [(a.name, *h.category_bias) for a, h in zip(annotators, habits, strict=True)],
        )
        _write_agreement(at / "agreement.csv", annotators, scores)
        _write_controls(at / "controls.csv", tests)
        manifest = {
            "made_by": MADE_BY,
            "files": [path.name for path in paths],
            "n_images": len(images),
            "n_resamples": n_resamples,
            "seed": seed,
            "statements": report.statements(),
        }
        outputs.write_json(at / MANIFEST, manifest)
    return report


def _write_annotators(path: Path, report: Report) -> None:
    columns = (
        "annotator", "human", "control", "images", "failed", "unanswered", "distinct",
        "marked_mean", "marked_sd", "strength", *(f"level_{level}" for level in range(LEVELS)),
        "bias", "kappa_people", "kappa_rest", "seconds", "images_per_hour",
    )  # fmt: skip
    rows = [
        (
            a.name, a.human, a.control, h.n_images, h.failure_rate, a.unanswered, h.n_distinct,
            h.marked_mean, h.marked_sd, h.strength, *h.level_shares, h.bias, h.kappa_people,
            h.kappa_rest, h.seconds, h.images_per_hour,
        )
        for a, h in zip(report.annotators, report.habits, strict=True)
    ]  # fmt: skip
    _write(path, columns, rows)


def _write_agreement(path: Path, annotators: Sequence[Annotator], scores: np.ndarray) -> None:
    kappas = nan_mean(pairwise_kappa(round_to_levels(scores)))
    names = [annotator.name for annotator in annotators]
    rows = [
        (names[i], names[j], kappas[i, j])
        for i in range(len(names))
        for j in range(i + 1, len(names))
    ]
    _write(path, ("annotator1", "annotator2", "kappa"), rows)


def _write_controls(path: Path, tests: Sequence[ControlTest]) -> None:
    columns = (
        "annotator", "control", "measure", "n_images", "value", "control_value", "difference",
        "ci_low", "ci_high", "told_apart",
    )  # fmt: skip
    rows = [
        (
            t.annotator, t.control, t.measure, t.n_images, t.value, t.control_value, t.difference,
            *t.interval, t.told_apart,
        )
        for t in tests
    ]  # fmt: skip
    _write(path, columns, rows)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(float(value)) if isinstance(value, float) else value
