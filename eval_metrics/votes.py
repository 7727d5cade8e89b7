"""Agreement of the binary votes: how often raters who were asked the same question agree.

Input is the published `binary.csv` or a file in its form. An (image, emotion) pair with more than
one vote counts as agreement (all the same), partial agreement (two of three say yes) or
disagreement (one of two says yes). Pairs with one vote never got a second opinion: images that the
first rater rejected are left out by the published rule, so the shares overstate agreement;
`binary_votes_all.csv` says how many such pairs there are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from emonet_face import __version__
from emonet_face.outputs import made_by, new_folder, write_json
from emonet_face.progress import track
from emonet_face.released import BadRow, Vote, iter_votes
from emonet_face.simulated import is_simulated
from emonet_face.taxonomy import EMOTIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MADE_BY = "emonet-face votes"
MANIFEST = "results.json"
COLUMNS = (
    "emotion",
    "n",
    "agreement",
    "partial",
    "disagreement",
    "pct_two_votes",
    "pct_three_votes",
)
ALL_COLUMNS = (*COLUMNS, "n_all", "pct_one_vote")

Outcome = tuple[int, int]
"""(number of yes, number of votes) of one (image, emotion) pair."""


@dataclass(frozen=True)
class VoteSummary:
    """What a votes file holds.

    Attributes:
        rows: one per category in canonical order, keys `ALL_COLUMNS`; shares in 0..1, `pct_`
            columns in 0..100, NaN where no pair has the votes for it.
        n_votes, n_images: counts over the file.
        aliases: spelling -> votes that used it.
        unclassified: (yes, votes) -> pairs that fit none of the three published outcomes, such as
            one yes of three; they stay in `n`.
        simulated_annotators: those who voted, sorted.
    """

    rows: list[dict[str, object]]
    n_votes: int
    n_images: int
    aliases: dict[str, int] = field(default_factory=dict)
    unclassified: dict[Outcome, int] = field(default_factory=dict)
    simulated_annotators: list[str] = field(default_factory=list)


def read_votes(path: Path) -> list[Vote]:
    """All votes of a file.

    Raises:
        EmoNetFaceError: the file cannot be used, or its first bad row, named.
    """
    votes = []
    for vote in track(iter_votes(path), "Reading votes"):
        if isinstance(vote, BadRow):
            raise vote.error
        votes.append(vote)
    return votes


def summarise(votes: Iterable[Vote]) -> VoteSummary:
    """Count the outcomes per category; no votes give 40 rows with n = 0 and NaN shares."""
    answers: dict[tuple[str, str], list[bool]] = {}
    aliases: Counter[str] = Counter()
    annotators: set[str] = set()
    n_votes = 0
    for vote in votes:
        answers.setdefault((vote.emotion, vote.image_id), []).append(vote.present)
        aliases.update([vote.alias] if vote.alias else [])
        annotators.add(vote.annotator)
        n_votes += 1
    outcomes: dict[str, Counter[Outcome]] = {emotion: Counter() for emotion in EMOTIONS}
    for (emotion, _), given in answers.items():
        outcomes[emotion][sum(given), len(given)] += 1
    unclassified: Counter[Outcome] = Counter()
    for counts in outcomes.values():
        unclassified.update({o: n for o, n in counts.items() if _kind(o) == "unclassified"})
    return VoteSummary(
        rows=[_row(emotion, outcomes[emotion]) for emotion in EMOTIONS],
        n_votes=n_votes,
        n_images=len({image for _, image in answers}),
        aliases=dict(aliases),
        unclassified=dict(sorted(unclassified.items())),
        simulated_annotators=sorted(filter(is_simulated, annotators)),
    )


def _kind(outcome: Outcome) -> str:
    yes, votes = outcome
    if votes == 1:
        return "single"
    if yes in (0, votes):
        return "agreement"
    return {(2, 3): "partial", (1, 2): "disagreement"}.get(outcome, "unclassified")


def _row(emotion: str, counts: Counter[Outcome]) -> dict[str, object]:
    kinds: Counter[str] = Counter()
    sizes: Counter[int] = Counter()
    for outcome, pairs in counts.items():
        kinds[_kind(outcome)] += pairs
        sizes[outcome[1]] += pairs
    n_all = sum(sizes.values())
    n = n_all - sizes[1]
    shares = {
        kind: kinds[kind] / n if n else math.nan
        for kind in ("agreement", "partial", "disagreement")
    }
    return {
        "emotion": emotion,
        "n": n,
        **shares,
        "pct_two_votes": 100 * sizes[2] / n if n else math.nan,
        "pct_three_votes": 100 * sizes[3] / n if n else math.nan,
        "n_all": n_all,
        "pct_one_vote": 100 * sizes[1] / n_all if n_all else math.nan,
    }


def votes_report(votes: Path, out: Path) -> VoteSummary:
    """Write the tables, the figure and `results.json` of a votes file into the folder `out`.

    Args:
        votes: a CSV in the form of the published `binary.csv`.
        out: the folder to make; one made by this function before is replaced.

    Raises:
        EmoNetFaceError: bad input (file, row and reason named), or `out` is not ours.
    """
    from eval_metrics.tables import write_table

    with new_folder(out, ours=lambda folder: made_by(folder, MANIFEST) == MADE_BY) as folder:
        summary = summarise(read_votes(votes))
        write_table(folder / "tables" / "binary_votes.csv", COLUMNS, summary.rows)
        write_table(folder / "tables" / "binary_votes_all.csv", ALL_COLUMNS, summary.rows)
        _save(votes_figure(summary), folder / "figures")
        write_json(folder / MANIFEST, _results(summary, votes.name))
    return summary


def _results(summary: VoteSummary, source: str) -> dict[str, object]:
    def plain(value: object) -> object:
        return None if isinstance(value, float) and math.isnan(value) else value

    return {
        "made_by": MADE_BY,
        "version": __version__,
        "source": source,
        "n_votes": summary.n_votes,
        "n_images": summary.n_images,
        "aliases": summary.aliases,
        "unclassified": [
            {"yes": yes, "votes": votes, "pairs": pairs}
            for (yes, votes), pairs in summary.unclassified.items()
        ],
        "simulated_annotators": summary.simulated_annotators,
        "emotions": [{key: plain(value) for key, value in row.items()} for row in summary.rows],
    }


def votes_figure(summary: VoteSummary) -> Figure:
    """Stacked bars per category, most agreement first; n and the vote counts stand at the right."""
    from matplotlib.figure import Figure

    from eval_metrics.figure_style import NOTICE

    rows = sorted((row for row in summary.rows if row["n"]), key=lambda row: row["agreement"])
    figure = Figure(figsize=(9, 0.26 * max(len(rows), 4) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    left = [0.0] * len(rows)
    styles = (
        ("agreement", "all the same", "#0072B2", None),
        ("partial", "two of three yes", "#E69F00", "///"),
        ("disagreement", "one of two yes", "#DDDDDD", "..."),
    )
    for key, label, colour, hatch in styles:
        widths = [row[key] for row in rows]
        axes.barh(
            range(len(rows)), widths, left=left, color=colour, hatch=hatch, label=label,
            edgecolor="white", linewidth=0.6, height=0.82,
        )  # fmt: skip
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(rows)), [row["emotion"] for row in rows], fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.6, len(rows) + 0.6)
    axes.set_xlabel("share of images with more than one vote on the category")
    columns = ((1.05, "n", "n", "{:.0f}"), (1.12, "two\nvotes", "pct_two_votes", "{:.0f}%"),
               (1.2, "three\nvotes", "pct_three_votes", "{:.0f}%"))  # fmt: skip
    for x, title, key, pattern in columns:
        axes.text(x, len(rows) + 0.1, title, ha="center", va="center", fontsize=7.5, weight="bold")
        for y, row in enumerate(rows):
            axes.text(x, y, pattern.format(row[key]), ha="center", va="center", fontsize=7.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07 if len(rows) > 10 else -0.3),
                ncols=3, frameon=False)  # fmt: skip
    axes.set_title("Agreement of binary votes")
    if summary.simulated_annotators:
        figure.supxlabel(NOTICE, fontsize=8.5, style="italic", x=0.01, ha="left")
    return figure


def _save(figure: Figure, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "binary_votes.png", dpi=150, bbox_inches="tight")
    figure.savefig(
        folder / "binary_votes.pdf", bbox_inches="tight", metadata={"CreationDate": None}
    )
