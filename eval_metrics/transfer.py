"""Accuracy of 40-category outputs on sets labelled with 8 classes (FERD, AffectNet).

Three ways of turning a distribution over 40 categories into an answer stand side by side:

- `hit_rate`, the published rule: correct if any category mapped to the true class has more than
  1.5/40 of the probability. About 3.5 classes pass per image on FERD, so it is no accuracy.
- `top1`: the class of the single most probable category.
- `class_sum`: the class with the largest summed probability.

The distribution is a softmax over the neutral-subtracted scores of the 40 mapped categories.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import image_stem
from emonet_face.outputs import made_by, new_folder, write_json
from emonet_face.ratings import parse_scores, resolve
from emonet_face.taxonomy import EMOTIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MADE_BY = "emonet-face transfer"
MANIFEST = "results.json"
CLASSES = ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""Alphabetical, and so also the label ids 0..7 of AffectNet as the published evaluation uses it."""
CLASS_ALIASES = {"surprised": "surprise", "happiness": "happy", "sadness": "sad"}
TARGETS = {"ferd": "FERD", "affectnet": "AffectNet"}
HIT_THRESHOLD = 1.5 / len(EMOTIONS)
COLUMNS = ("class", "n", "hit_rate", "top1", "class_sum")
MEASURES = COLUMNS[2:]


@dataclass(frozen=True)
class Answer:
    """How one image was answered: its true class and whether each rule got it right."""

    image: str
    true_class: str
    right: dict[str, bool]


@dataclass(frozen=True)
class TransferSummary:
    """The table, one row per class and `overall`, and what was left out.

    Attributes:
        rows: keys `COLUMNS`; NaN for a class without images.
        n_errors: prediction lines that hold an error instead of scores.
    """

    rows: list[dict[str, object]]
    n_errors: int = 0


def read_mapping(path: Path, target: str) -> dict[str, str]:
    """Category -> class for one target of a mapping file `{target: {"model_<slug>_best": class}}`.

    Raises:
        EmoNetFaceError: the file is no such JSON, lacks the target or one of the 40 categories, or
            names an unknown category or class.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise EmoNetFaceError(f"{path}: is not JSON ({error})") from None
    if not isinstance(table, dict) or not isinstance(table.get(target), dict):
        found = ", ".join(table) if isinstance(table, dict) else type(table).__name__
        raise EmoNetFaceError(f"{path}: no target {target!r}; found {found}")
    mapping: dict[str, str] = {}
    for key, value in table[target].items():
        try:
            name = resolve(key)
            if name in mapping:
                raise EmoNetFaceError(f"category {name!r} is mapped twice")
            mapping[name] = _class_of(value, f"key {key!r}")
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"{path}, {target}: {error}") from None
    missing = [name for name in EMOTIONS if name not in mapping]
    if missing:
        raise EmoNetFaceError(f"{path}, {target}: no class for {missing[0]!r}; all 40 are needed")
    return mapping


def _class_of(value: object, what: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(CLASSES):
        return CLASSES[value]
    if isinstance(value, str):
        name = value.strip().lower()
        if name.isdigit() and int(name) < len(CLASSES):
            return CLASSES[int(name)]
        name = CLASS_ALIASES.get(name, name)
        if name in CLASSES:
            return name
    raise EmoNetFaceError(f"{what} names class {value!r}; allowed are {', '.join(CLASSES)}")


def answer(scores: list[float], true_class: str, mapping: Mapping[str, str]) -> dict[str, bool]:
    """Whether each of the three rules answers an image with its true class.

    Args:
        scores: 40 neutral-subtracted scores in canonical order.
        true_class: one of `CLASSES`.
        mapping: category -> class, all 40.

    Ties go to the category, or class, that comes first in its order.
    """
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    total = sum(weights)
    shares = [weight / total for weight in weights]
    sums = dict.fromkeys(CLASSES, 0.0)
    for name, share in zip(EMOTIONS, shares, strict=True):
        sums[mapping[name]] += share
    return {
        "hit_rate": any(
            share > HIT_THRESHOLD and mapping[name] == true_class
            for name, share in zip(EMOTIONS, shares, strict=True)
        ),
        "top1": mapping[EMOTIONS[scores.index(top)]] == true_class,
        "class_sum": max(CLASSES, key=sums.__getitem__) == true_class,
    }


def read_answers(path: Path, mapping: Mapping[str, str]) -> tuple[list[Answer], int]:
    """Every prediction line answered by the three rules, and the number of error lines.

    A line is `predict`'s own, or the published `{"image_path", "results": {"model_<slug>_best":
    {"mean_subtracted": number, ...}}}`. The true class comes from a `label` field (class name or
    AffectNet id 0..7) or else from the end of the file name (`0003_Surprised.jpg`).

    Raises:
        EmoNetFaceError: the first line that cannot be used, named; a file without answers.
    """
    answers, n_errors, seen = [], 0, {}
    for number, line in _lines(path):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise EmoNetFaceError("is not a JSON object")
            if "error" in record:
                n_errors += 1
                continue
            found = _answer_line(record, mapping)
            first = seen.setdefault(found.image, number)
            if first != number:
                raise EmoNetFaceError(f"image {found.image!r} already stands in line {first}")
            answers.append(found)
        except (EmoNetFaceError, json.JSONDecodeError) as error:
            raise EmoNetFaceError(f"{path}, line {number}: {error}") from None
    if not answers:
        raise EmoNetFaceError(f"{path}: holds no predictions")
    return answers, n_errors


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise EmoNetFaceError(f"{path}: is not UTF-8 text") from None


def _answer_line(record: Mapping[str, object], mapping: Mapping[str, str]) -> Answer:
    image = record.get("image_path", record.get("image"))
    if not isinstance(image, str):
        raise EmoNetFaceError("no 'image_path' or 'image' with a file name")
    if "label" in record:
        true_class = _class_of(record["label"], "'label'")
    else:
        word = re.split(r"[_\W]", image_stem(image))[-1]
        true_class = _class_of(word if not word.isdigit() else None, f"file name {image!r}")
    scores = parse_scores(_neutral_subtracted(record), bounded=False).scores
    return Answer(image, true_class, answer(scores, true_class, mapping))


def _neutral_subtracted(record: Mapping[str, object]) -> dict[str, object]:
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


def summarise(answers: list[Answer], n_errors: int = 0) -> TransferSummary:
    """The share of images that each rule gets right, per class and over all images."""

    def row(name: str, chosen: list[Answer]) -> dict[str, object]:
        n = len(chosen)
        shares = {
            rule: sum(a.right[rule] for a in chosen) / n if n else math.nan for rule in MEASURES
        }
        return {"class": name, "n": n, **shares}

    rows = [row(name, [a for a in answers if a.true_class == name]) for name in CLASSES]
    return TransferSummary([*rows, row("overall", answers)], n_errors)


def transfer_report(predictions: Path, mapping: Path, target: str, out: Path) -> TransferSummary:
    """Write table, figure and `results.json` of 8-class accuracy into the folder `out`.

    Args:
        predictions: JSON lines (see `read_answers`).
        mapping: JSON `{target: {"model_<slug>_best": class}}` for all 40 categories.
        target: "ferd" or "affectnet".
        out: the folder to make; one made by this function before is replaced.

    Raises:
        EmoNetFaceError: bad input (file and line named), or `out` is not ours.
    """
    from eval_metrics.tables import write_table

    if target not in TARGETS:
        raise EmoNetFaceError(f"unknown target {target!r}; allowed are {', '.join(TARGETS)}")
    with new_folder(out, ours=lambda folder: made_by(folder, MANIFEST) == MADE_BY) as folder:
        summary = summarise(*read_answers(predictions, read_mapping(mapping, target)))
        write_table(folder / "tables" / "transfer.csv", COLUMNS, summary.rows)
        (folder / "figures").mkdir()
        figure = transfer_figure(summary, target)
        figure.savefig(folder / "figures" / "transfer.png", dpi=150)
        figure.savefig(folder / "figures" / "transfer.pdf", metadata={"CreationDate": None})
        results = {
            "made_by": MADE_BY,
            "version": __version__,
            "target": target,
            "hit_threshold": HIT_THRESHOLD,
            "n_error_lines": summary.n_errors,
            "classes": [
                {key: None if value != value else value for key, value in row.items()}
                for row in summary.rows
            ],
        }
        write_json(folder / MANIFEST, results)
    return summary


def transfer_figure(summary: TransferSummary, target: str) -> Figure:
    """Bars per class for the three rules, chance (1/8) as a line for the two single answers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.add_subplot()
    styles = {
        "hit_rate": ("any mapped category above 0.0375 (published rule)", "#DDDDDD", "..."),
        "top1": ("most probable category", "#0072B2", None),
        "class_sum": ("largest summed class", "#E69F00", "///"),
    }
    for shift, (rule, (label, colour, hatch)) in enumerate(styles.items()):
        places = [index + 0.27 * (shift - 1) for index in range(len(summary.rows))]
        heights = [row[rule] for row in summary.rows]
        axes.bar(places, heights, width=0.25, label=label, color=colour, hatch=hatch,
                 edgecolor="#333333", linewidth=0.5)  # fmt: skip
    axes.axhline(1 / len(CLASSES), color="black", linewidth=0.8, linestyle="--")
    names = [f"{row['class']}\nn = {row['n']}" for row in summary.rows]
    axes.set_xticks(range(len(names)), names, fontsize=8.5)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of images counted as right")
    axes.set_title(
        f"Transfer to the 8 classes of {TARGETS[target]} (dashed: chance of a single answer)"
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    return figure
