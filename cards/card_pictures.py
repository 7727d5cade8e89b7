"""Which picture a card gets, and the words that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cards.pictures import PICTURE, Bar, draw_bars, draw_faces, sample_faces
from cards.printing import SHAPES
from cards.sourced import results
from emonet_face.reliability import TIERS

LEAST_FACES = 4
Picture = dict[str, str]


def dataset_picture(repo: Path, context: Mapping[str, Any]) -> Picture | None:
    """Faces where the repo has some, else how the votes agree, else the raters' alpha, else None.

    The picture is written into the repo.
    """
    out = repo / PICTURE
    for config in ("hq", "binary", "big"):
        if config in context["names"]:
            faces = sample_faces(repo, config)
            if len(faces) >= LEAST_FACES:
                draw_faces(faces, out)
                caption = (
                    f"Rows of `{config}`, each with the category that its prompt named. That is no"
                    " label: a face may show other categories too, and raters may see another one."
                )
                return _picture("Faces of the dataset with the prompted category", caption)
    if context["votes"]:
        rows = sorted(context["votes"], key=lambda row: -row["agreement"].value)
        bars = [Bar(row["emotion"], row["agreement"].value) for row in rows]
        note = f"Images of binary with several votes on the category.{_who(context)}"
        draw_bars("Share of images on which all votes agree", bars, out, note)
        caption = (
            "How often the votes on a category are unanimous, among images with several votes."
        )
        return _picture("Bars: agreement of the votes by category", caption)
    if context["reliability"]:
        rows = [row for row in context["categories"] if row["alpha"] is not None]
        bars = [_bar(row["name"], row["alpha"], row["interval"], row["tier"]) for row in rows]
        note = f"Raters of hq, {_settings(context['evaluation'])}s.{_who(context)}"
        draw_bars("Krippendorff's alpha of the raters", _sorted(bars), out, note)
        return _picture("Bars: alpha of the raters by category", "Reliability of the ratings.")
    return None


def model_picture(repo: Path, context: Mapping[str, Any]) -> Picture | None:
    """The model's rank correlation with the raters by category; None without an evaluation.

    The mean over the categories comes first: it alone has an interval.
    """
    rows = [row for row in context["per_category"] if row["spearman"] is not None]
    if not rows:
        return None
    bars = [_bar(row["emotion"], row["spearman"], None, row["tier"]) for row in rows]
    evaluation = context["evaluation"]
    note = (
        f"Raters of hq, {_settings(evaluation)} of the mean. Grey: raters hardly agree."
        f"{_who(context)}"
    )
    title = f"{context['title']}: Spearman correlation with the raters' median"
    draw_bars(title, [*_mean(evaluation), *_sorted(bars)], repo / PICTURE, note)
    caption = (
        "Agreement with the raters by category. Grey: categories of reliability tier `low`, where"
        " the raters themselves hardly agree."
    )
    return _picture("Bars: Spearman correlation by category", caption)


def metric_picture(repo: Path) -> Picture:
    """What the metric measures, on the published systems: their correlation with the raters."""
    values = results("published.json")["spearman_median"]["values"]
    bars = [
        Bar(name, entry["value"].value, *(end.value for end in entry["ci"]))
        for name, entry in values.items()
    ]
    title = "Published systems: Spearman correlation with the raters' median"
    note = "Read off Figure 4 of the paper, with the intervals drawn there; not measured here."
    draw_bars(title, _sorted(bars), repo / PICTURE, note)
    caption = (
        "The published systems on the published images, read off the paper's figure, with their"
        " intervals: what a system of yours stands beside."
    )
    return _picture("Bars: Spearman correlation of the published systems", caption)


def _mean(evaluation: Mapping[str, Any]) -> list[Bar]:
    """The model's mean over the categories, in the protocol that its categories are of."""
    rows = evaluation["protocols"].get(evaluation["reliability"]["protocol"], [])
    return [
        _bar("mean of the categories", row["spearman"], row["spearman_ci"], "")
        for row in rows
        if row["annotator"] == evaluation["annotator"] and row["spearman"] is not None
    ]


def _settings(evaluation: Mapping[str, Any]) -> str:
    level = SHAPES["share"](evaluation["confidence_level"].value)
    return f"protocol {evaluation['reliability']['protocol']}, {level} interval"


def _who(context: Mapping[str, Any]) -> str:
    return " Simulated raters: a demonstration." if context["notice"] else ""


def _bar(name: str, value: Any, interval: Any, tier: str) -> Bar:
    low, high = (None, None) if not interval or None in interval else (i.value for i in interval)
    return Bar(name, value.value, low, high, strong=tier != TIERS[-1][0])


def _sorted(bars: list[Bar]) -> list[Bar]:
    return sorted(bars, key=lambda bar: -(bar.value or 0.0))


def _picture(alt: str, caption: str) -> Picture:
    return {"file": PICTURE, "alt": alt, "caption": caption}
