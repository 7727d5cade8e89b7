"""How each annotator uses the scale, leans, agrees and how fast it works."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from emonet_face.taxonomy import RATING_MAX
from eval_metrics.emonet_face_agreement.agreement import (
    LEVELS,
    nan_mean,
    pairwise_kappa,
    round_to_levels,
)
from generation.annotators.said import Annotator, Floats


@dataclass(frozen=True)
class Habits:
    """One annotator's habits.

    Attributes:
        n_images: with ratings.
        failure_rate: share of its answers that did not fit; None without answers.
        n_distinct: different answers among its images.
        marked_mean, marked_sd: categories at level 1 or more per image, and their deviation over
            images (ddof 1, NaN for one image).
        strength: mean rating of those.
        level_shares: (8,) share of each level among all its ratings.
        bias: its rating less the mean of the others who rated the same, mean over images and then
            over categories; controls are not among the others. NaN where nobody else did.
        category_bias: (40,) the same by category.
        kappa_people, kappa_rest: mean quadratic kappa with each person, and with everybody else
            who is no control; NaN where undefined.
        seconds: median for one image; NaN where not recorded.
    """

    n_images: int
    failure_rate: float | None
    n_distinct: int
    marked_mean: float
    marked_sd: float
    strength: float
    level_shares: Floats
    bias: float
    category_bias: Floats
    kappa_people: float
    kappa_rest: float
    seconds: float

    @property
    def images_per_hour(self) -> float:
        """One after the other, at the median pace; NaN where it was not recorded."""
        return 3600 / self.seconds if self.seconds > 0 else float("nan")


def habits_of(annotators: Sequence[Annotator], scores: Floats) -> list[Habits]:
    """Describe each annotator.

    Args:
        annotators: of `said.read_annotators`.
        scores: (n_images, n_annotators, 40) of `said.stacked`, in their order.
    """
    levels = round_to_levels(scores)
    kappas = nan_mean(pairwise_kappa(levels))
    people = np.array([annotator.human for annotator in annotators])
    counted = np.array([annotator.control is None for annotator in annotators])
    found = []
    for place, annotator in enumerate(annotators):
        others = counted.copy()
        others[place] = False
        lean = scores[:, place] - nan_mean(scores[:, others], axis=1)
        found.append(
            _habits(
                annotator,
                levels[:, place],
                category_bias=nan_mean(lean, axis=0),
                kappa_people=float(nan_mean(kappas[place, others & people])),
                kappa_rest=float(nan_mean(kappas[place, others])),
            )
        )
    return found


def _habits(
    annotator: Annotator,
    levels: Floats,
    *,
    category_bias: Floats,
    kappa_people: float,
    kappa_rest: float,
) -> Habits:
    rated = levels[~np.isnan(levels).all(axis=1)]
    given = rated[~np.isnan(rated)]
    marked = (rated > 0).sum(axis=1)
    n_answers = len(annotator.scores) + annotator.failures.total()
    return Habits(
        n_images=len(rated),
        failure_rate=annotator.failures.total() / n_answers if n_answers else None,
        n_distinct=len({row.tobytes() for row in annotator.scores.values()}),
        marked_mean=float(marked.mean()) if len(rated) else float("nan"),
        marked_sd=float(marked.std(ddof=1)) if len(rated) > 1 else float("nan"),
        strength=float(given[given > 0].mean()) if (given > 0).any() else float("nan"),
        level_shares=np.array([(given == level).mean() for level in range(LEVELS)])
        if len(given)
        else np.full(RATING_MAX + 1, np.nan),
        bias=float(nan_mean(category_bias)),
        category_bias=category_bias,
        kappa_people=kappa_people,
        kappa_rest=kappa_rest,
        seconds=median(annotator.seconds) if annotator.seconds else float("nan"),
    )
