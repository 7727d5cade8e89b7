"""What the page shows of a picture's scores, as HTML: bars grouped by family, then every number.

Nothing here knows gradio or the model; colours and sizes are in page.css. This file is uploaded
with the page. It needs Pillow and nothing else.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

N_TOP = 8
THUMBNAIL = 112
"""Categories among the bars; pixels of the picture's copy beside them."""

RATING = "Rating [interval]"
_WIDE = ' class="wide"'
"""A column for screens wide enough; elsewhere the rating stands below the name."""


@dataclass(frozen=True)
class Scores:
    """What a model says of one picture.

    Attributes:
        families: family -> its categories, in the order to show.
        share: category -> its part of the distribution, 0..1, in canonical order.
        above_neutral: category -> score less that of neutral faces, in rating steps.
        neutral_source: how the scores of neutral faces were found, in words.
        dimensions: slug -> raw score of each further output; empty where there is none.
        dimension_notes: {"slug", "name", "range", "anchors"} of each dimension known.
        ratings: category -> (expected rating, low, high); empty where the model is not calibrated.
        rating_note: what those intervals hold, and how often.
        weak: categories on which raters hardly agree.
    """

    families: dict[str, list[str]]
    share: dict[str, float]
    above_neutral: dict[str, float]
    neutral_source: str
    dimensions: dict[str, float] = field(default_factory=dict)
    dimension_notes: list[dict[str, Any]] = field(default_factory=list)
    ratings: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    rating_note: str = ""
    weak: frozenset[str] = frozenset()


def waiting() -> str:
    """What stands in the place of a result before there is a picture."""
    return '<p class="waiting">The result appears here as soon as there is a picture.</p>'


def problem(text: str) -> str:
    """Why there is no result, in one line."""
    return f'<p class="problem" role="alert">{escape(" ".join(text.split()))}</p>'


def render(scores: Scores, said: str, part: Image.Image | None = None) -> str:
    """The result of one picture.

    Args:
        scores: of all categories.
        said: what of the upload was scored, in a sentence.
        part: that part, where it is not the whole.
    """
    top = sorted(scores.share, key=lambda name: -scores.share[name])[:N_TOP]
    groups = {
        family: [name for name in top if name in names] for family, names in scores.families.items()
    }
    strongest = sorted(
        (family for family in groups if groups[family]),
        key=lambda family: -scores.share[groups[family][0]],
    )
    even = 1 / len(scores.share)
    note = (
        f"Shares of all {len(scores.share)} categories add up to 100%; an even split would give"
        f" each {even:.1%}."
    )
    if scores.ratings:
        note += " Under each name: the expected rating, 0 to 7, and its calibrated interval."
    thumbnail = f'<img src="{_data_uri(part)}" alt="The part that was scored">' if part else ""
    return (
        f'<div class="scored">{thumbnail}<div><h2>Most probable categories</h2>'
        f"<p>{escape(said)} {note}</p></div></div>"
        f"{_table(scores, [(f, groups[f]) for f in strongest], 'The most probable categories')}"
        f"{_dimensions(scores)}"
        f"<details><summary>All {len(scores.share)} categories</summary>"
        "<p>Above neutral: the score less what neutral faces get, in steps of the rating scale"
        " from 0 to 7. It makes categories and pictures comparable."
        f" Neutral here: {escape(scores.neutral_source)}. {escape(scores.rating_note)}</p>"
        f"{_table(scores, scores.families.items(), 'All categories by family', whole=True)}"
        "</details>"
    )


def _table(
    scores: Scores,
    groups: Iterable[tuple[str, list[str]]],
    caption: str,
    whole: bool = False,
) -> str:
    """Categories under their families: name, bar, share; in the whole table all other numbers."""
    largest = max(scores.share.values())
    colours = {family: f"family-{place}" for place, family in enumerate(scores.families, start=1)}
    heads = ["Category", "", "Share"]
    if whole:
        heads += ["Above neutral", *([RATING] if scores.ratings else [])]
    body = []
    for family, names in groups:
        rows = [_row(scores, name, largest, whole) for name in names]
        share = _percent(sum(scores.share[name] for name in scores.families[family]))
        cells = (
            f'<th scope="rowgroup" colspan="2">{_breakable(family)}</th>'
            f'<td class="quiet">{share}</td>{"<td></td>" * (len(heads) - 3)}'
            if whole
            else f'<th scope="rowgroup">{_breakable(family)}</th>'
            f'<td class="quiet" colspan="2">whole family {share}</td>'
        )
        body.append(
            f'<tbody class="{colours[family]}"><tr class="family">{cells}</tr>{"".join(rows)}'
            "</tbody>"
        )
    columns = "".join(
        f'<th scope="col"{_WIDE if head == RATING else ""}>{head}</th>'
        if head
        else '<td class="bar"></td>'
        for head in heads
    )
    kind = "whole" if whole else "top"
    return (
        f'<div class="bars {kind}"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead>{''.join(body)}</table></div>"
    )


def _row(scores: Scores, name: str, largest: float, whole: bool) -> str:
    share = scores.share[name]
    rating = ""
    if name in scores.ratings:
        middle, low, high = scores.ratings[name]
        rating = f"{middle:z.1f} [{low:z.1f}, {high:z.1f}]"
    mark = ' <span class="weak">raters hardly agree</span>' if name in scores.weak else ""
    below = f'<span class="quiet below">rating {rating}</span>' if rating else ""
    cells = [
        f'<th scope="row">{_breakable(name)}{mark}{below}</th>',
        f'<td class="bar" aria-hidden="true"><i style="width:{share / largest:.1%}"></i></td>',
        f"<td>{_percent(share)}</td>",
    ]
    if whole:
        cells.append(f"<td>{_signed(scores.above_neutral[name])}</td>")
        cells += [f"<td{_WIDE}>{rating or '-'}</td>"] if scores.ratings else []
    return f"<tr>{''.join(cells)}</tr>"


def _dimensions(scores: Scores) -> str:
    """The further outputs on their scales; no output, no table."""
    rows = []
    for note in scores.dimension_notes:
        if note["slug"] not in scores.dimensions:
            continue
        low, high = note["range"]
        value = scores.dimensions[note["slug"]]
        place = min(max((value - low) / (high - low), 0), 1)
        ends = [
            f"<span>{_minus(f'{bound}')} {note['anchors'][i]}</span>"
            for i, bound in ((0, low), (-1, high))
        ]
        rows.append(
            f'<tr><th scope="row">{escape(note["name"])}</th><td class="scale"><i'
            f' style="left:{place:.1%}"></i><div class="ends">{"".join(ends)}</div></td>'
            f"<td>{_signed(value) if low else f'{value:z.2f}'}</td></tr>"
        )
    if not rows:
        return ""
    return (
        '<div class="bars dimensions"><h2>Dimensions</h2><table><caption>Dimensions of the'
        f" expression</caption><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _breakable(name: str) -> str:
    return escape(name).replace("/", "/<wbr>")


def _percent(share: float) -> str:
    return "under 0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def _signed(value: float) -> str:
    return _minus(f"{value:+z.2f}")


def _minus(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


def _data_uri(image: Image.Image) -> str:
    """A small copy of a picture that the page can show without asking for it."""
    small = image.copy()
    small.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL))
    stream = BytesIO()
    small.save(stream, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
