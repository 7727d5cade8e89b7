"""Accuracy of 40-category outputs on sets labelled with a few classes (FERD, AffectNet).

Three ways of turning a distribution over 40 categories into an answer stand side by side:

- `hit_rate`, the published rule: correct if any category mapped to the true class has more than
  1.5/40 of the probability. About 3.5 classes pass per image on FERD, so it is no accuracy.
- `top1`: the class of the single most probable category.
- `class_sum`: the class with the largest summed probability.

The distribution is a softmax over the neutral-subtracted scores of the 40 categories. Where a
mapping pack leaves a category unmapped, its probability belongs to no class: an image whose most
probable category is unmapped is answered wrongly by `top1`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.imaging import image_stem
from emonet_face.outputs import made_by, new_folder, write_json
from emonet_face.ratings import parse_scores
from emonet_face.taxonomy import EMOTIONS
from eval_metrics.mappings import CLASSES, ClassMapping, class_of, find_mapping, is_class
from eval_metrics.prediction_file import PredictionFile, Record, ScoredLine, read_prediction_file

MADE_BY = "emonet-face transfer"
MANIFEST = "results.json"
TARGETS = {"ferd": "FERD", "affectnet": "AffectNet"}
HIT_THRESHOLD = 1.5 / len(EMOTIONS)
COLUMNS = ("class", "n", "hit_rate", "top1", "class_sum")
MEASURES = COLUMNS[2:]
COVERAGE_COLUMNS = ("class", "n_categories", "mean_mass", "categories")
UNMAPPED = "unmapped"


@dataclass(frozen=True)
class Answer:
    """How one image was answered.

    Attributes:
        image: name in the predictions.
        true_class: of the mapping.
        right: rule -> whether it got the true class.
        masses: class -> its probability; what is left to 1 is unmapped.
    """

    image: str
    true_class: str
    right: dict[str, bool]
    masses: dict[str, float]


@dataclass(frozen=True)
class Answers:
    """All answers of a file of predictions.

    Attributes:
        answers: one per image with a label that the mapping has.
        file: what was read, with the lines that were left out.
        n_outside: images whose label the mapping has no class for.
    """

    answers: list[Answer]
    file: PredictionFile = field(default_factory=PredictionFile)
    n_outside: int = 0


@dataclass(frozen=True)
class TransferSummary:
    """The table, one row per class and `overall`, what was left out, and what the mapping covers.

    Attributes:
        rows: keys `COLUMNS`; NaN for a class without images.
        file, n_outside: see `Answers`.
        coverage: keys `COVERAGE_COLUMNS`, one row per class and `unmapped`: how many of the 40
            categories, and how much of the probability on average.
    """

    rows: list[dict[str, object]]
    file: PredictionFile
    n_outside: int
    coverage: list[dict[str, object]]


def answer(scores: list[float], true_class: str, mapping: ClassMapping) -> Answer:
    """Whether each of the three rules answers an image with its true class.

    Args:
        scores: 40 neutral-subtracted scores in canonical order.
        true_class: one of the mapping's classes.
        mapping: category -> class.

    Ties go to the category, or class, that comes first in its order.
    """
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    total = sum(weights)
    shares = dict(zip(EMOTIONS, (weight / total for weight in weights), strict=True))
    masses = dict.fromkeys(mapping.classes, 0.0)
    for name, given in mapping.categories.items():
        masses[given] += shares[name]
    top1: str | None = mapping.categories.get(EMOTIONS[scores.index(top)])
    class_sum = max(mapping.classes, key=masses.__getitem__)
    if mapping.neutral_below is not None:
        mapped = zip(EMOTIONS, scores, strict=True)
        if all(
            score < mapping.neutral_below for name, score in mapped if name in mapping.categories
        ):
            top1 = class_sum = "neutral"
    hit = any(shares[name] > HIT_THRESHOLD for name in mapping.members(true_class))
    right = {
        "hit_rate": hit or (top1 == true_class == "neutral"),
        "top1": top1 == true_class,
        "class_sum": class_sum == true_class,
    }
    return Answer("", true_class, right, masses)


def read_answers(path: Path, mapping: ClassMapping) -> Answers:
    """Every prediction line answered by the three rules.

    A line is `predict`'s own (with `--faces` the largest face stands for its image), or the
    published `{"image_path", "results": {"model_<slug>_best": {"mean_subtracted": number,
    ...}}}`. The true class comes from a `label` field (class name or
    AffectNet id 0..7), else from the end of the file name (`0003_Surprised.jpg`), else it is the
    name of the folder.

    Raises:
        EmoNetFaceError: the first line that cannot be used, named; a file without answers.
    """
    file = read_prediction_file(path, image_id=str)
    answers, n_outside = [], 0
    for line in file.scored:
        try:
            label, scores = _labelled(line)
            true_class = mapping.labels.get(label)
            if true_class is None:
                n_outside += 1
                continue
            answers.append(replace(answer(scores, true_class, mapping), image=line.image))
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"{line.where}: {error}") from None
    if not answers:
        left = f"; {n_outside} images have labels that {mapping.name} has no class for"
        raise EmoNetFaceError(f"{path}: holds no predictions{left if n_outside else ''}")
    return Answers(answers, file, n_outside)


def _labelled(line: ScoredLine) -> tuple[str, list[float]]:
    """Label and scores of a line."""
    record = line.record
    if "label" in record:
        label = class_of(record["label"], "'label'")
    else:
        label = _label_of_path(line.image)
    return label, parse_scores(_neutral_subtracted(record), bounded=False).scores


def _label_of_path(image: str) -> str:
    """The class at the end of the file's name, else the name of its folder."""
    folder, _, _ = image.replace("\\", "/").rpartition("/")
    for name in (re.split(r"[_\W]", image_stem(image))[-1], folder.rpartition("/")[2]):
        if is_class(name):
            return class_of(name, "")
    raise EmoNetFaceError(
        f"{shown(image)} names no class: the file's name must end in one, as 0003_Surprised.jpg,"
        f" or its folder be called so; allowed are {', '.join(CLASSES)}"
    )


def _neutral_subtracted(record: Record) -> dict[str, object]:
    if isinstance(record.get("neutral_subtracted"), dict):
        return record["neutral_subtracted"]
    results = record.get("results")
    if not isinstance(results, dict):
        raise EmoNetFaceError("no 'results' or 'neutral_subtracted' with scores")
    scores = {}
    for key, value in results.items():
        if not isinstance(value, dict) or "mean_subtracted" not in value:
            raise EmoNetFaceError(f"'results', {key!r}: no 'mean_subtracted'")
        scores[key] = value["mean_subtracted"]
    return scores


def summarise(found: Answers, mapping: ClassMapping) -> TransferSummary:
    """The share of images that each rule gets right, per class and over all images."""

    def row(name: str, chosen: list[Answer]) -> dict[str, object]:
        n = len(chosen)
        shares = {
            rule: sum(a.right[rule] for a in chosen) / n if n else math.nan for rule in MEASURES
        }
        return {"class": name, "n": n, **shares}

    answers = found.answers
    rows = [row(name, [a for a in answers if a.true_class == name]) for name in mapping.classes]
    rows.append(row("overall", answers))
    return TransferSummary(rows, found.file, found.n_outside, _coverage(answers, mapping))


def _coverage(answers: list[Answer], mapping: ClassMapping) -> list[dict[str, object]]:
    masses = {
        name: sum(one.masses[name] for one in answers) / len(answers) if answers else math.nan
        for name in mapping.classes
    }
    members = {name: mapping.members(name) for name in mapping.classes}
    members[UNMAPPED], masses[UNMAPPED] = mapping.unmapped, 1 - sum(masses.values())
    if not mapping.unmapped:
        masses[UNMAPPED] = 0.0  # and not what rounding leaves
    return [
        {
            "class": name,
            "n_categories": len(names),
            "mean_mass": masses[name],
            "categories": "; ".join(names),
        }
        for name, names in members.items()
    ]


def transfer_report(
    predictions: Path, mapping: Path | str, target: str, out: Path
) -> TransferSummary:
    """Write tables, figure and `results.json` of the accuracy into the folder `out`.

    Args:
        predictions: JSON lines (see `read_answers`).
        mapping: JSON `{target: {"model_<slug>_best": class}}` for all 40 categories, or the name
            of a pack of `mapping_packs.json`, e.g. "basic6-strict".
        target: "ferd" or "affectnet".
        out: the folder to make; one made by this function before is replaced.

    Raises:
        EmoNetFaceError: bad input (file and line named), or `out` is not ours.
    """
    from eval_metrics.tables import write_table
    from eval_metrics.transfer_figure import transfer_figure

    if target not in TARGETS:
        raise EmoNetFaceError(f"unknown target {target!r}; allowed are {', '.join(TARGETS)}")
    with new_folder(out, ours=lambda folder: made_by(folder, MANIFEST) == MADE_BY) as folder:
        used = find_mapping(mapping, target)
        summary = summarise(read_answers(predictions, used), used)
        write_table(folder / "tables" / "transfer.csv", COLUMNS, summary.rows)
        write_table(folder / "tables" / "mapping_coverage.csv", COVERAGE_COLUMNS, summary.coverage)
        (folder / "figures").mkdir()
        figure = transfer_figure(summary, TARGETS[target], used)
        figure.savefig(folder / "figures" / "transfer.png", dpi=150, metadata={"Software": None})
        figure.savefig(folder / "figures" / "transfer.pdf", metadata={"CreationDate": None})
        write_json(folder / MANIFEST, _results(summary, target, used))
    return summary


def _results(summary: TransferSummary, target: str, mapping: ClassMapping) -> dict[str, object]:
    def plain(row: Mapping[str, object]) -> dict[str, object]:
        return {key: None if value != value else value for key, value in row.items()}

    return {
        "made_by": MADE_BY,
        "version": __version__,
        "target": target,
        "mapping": {
            "name": mapping.name,
            "what": mapping.what,
            "neutral_below": mapping.neutral_below,
            "labels": dict(mapping.labels),
            "coverage": [plain(row) for row in summary.coverage],
        },
        "hit_threshold": HIT_THRESHOLD,
        "n_error_lines": len(summary.file.errors),
        "n_images_without_face": len(summary.file.without_face),
        "n_other_faces": summary.file.n_other_faces,
        "n_images_outside": summary.n_outside,
        "classes": [plain(row) for row in summary.rows],
    }
