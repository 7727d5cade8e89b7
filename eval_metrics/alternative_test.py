"""Could a model stand in for one of the people? The alternative annotator test.

Calderon, Reichart and Dror, "The Alternative Annotator Test for LLM-as-a-Judge" (ACL 2025,
arXiv:2501.10970). Each person is left out in turn. On every image that person rated, the model and
the person are both held against the remaining people; who lies closer has the advantage. The model
wins against a person if its share of advantages is not more than epsilon behind the person's, by a
one-sided paired t-test over images, the p-values of all people held together at a false discovery
rate of 0.05 (Benjamini-Yekutieli). The winning rate is the share of people it wins against; at 0.5
it passes.

An instance here is an image with its row of 40 levels, and closeness is the paper's score for
ratings, the negative root mean square error, taken over the remaining people and the categories.
The paper takes each category as an instance of its own; the 40 of a face are not independent, so
here they are not counted as 40 observations. Each category alone is tested besides.

Ratings are mostly 0, and so whoever always says 0 lies close to most people: read a winning rate
beside that of the constant baseline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval_metrics.protocols import Floats

EPSILON = 0.2
"""What a person may cost more than a model: 0.2 is the paper's value for expert annotators."""
FALSE_DISCOVERY_RATE = 0.05
PASS_RATE = 0.5
MIN_IMAGES = 30
"""A person with fewer images is left out: the t-test needs them (the paper's own bound)."""


@dataclass(frozen=True)
class AlternativeTest:
    """The result for one annotator.

    Attributes:
        n_people: people it was held against.
        advantage: mean share of images on which it is at least as close as the person left out;
            NaN without people.
        winning_rate: share of people it wins against, with EPSILON; NaN without people.
        strict_winning_rate: the same with epsilon 0: it must be better, not just nearly as good.
        passes: whether the winning rate reaches PASS_RATE; None where it is undefined.
        n_emotions_passed: categories on which it passes when each is tested alone, the
            p-values of all people and categories held together. One on which no rating of the
            people differs from another is not tested.

    Where no rating of the people differs in any category there is nothing to agree on: undefined.
    """

    n_people: int
    advantage: float
    winning_rate: float
    strict_winning_rate: float
    passes: bool | None
    n_emotions_passed: int


def alternative_annotator_test(said: Floats, ratings: Floats) -> AlternativeTest:
    """Hold one annotator against each of the people, who are left out in turn.

    Args:
        said: (N, 40) levels of the annotator, or (N, P, 40) where they differ by the person left
            out; NaN = missing. Categories and images that it lacks are not compared.
        ratings: (N, P, 40) levels of the people; NaN = not rated.
    """
    said = np.broadcast_to(said if said.ndim == 3 else said[:, None], ratings.shape)
    model, person = squared_distances(said, ratings)
    usable = ~(np.isnan(model) | np.isnan(person))
    model, person = np.where(usable, model, 0.0), np.where(usable, person, 0.0)
    whole = usable.any(axis=2)[..., None]
    over_row = model.sum(axis=2, keepdims=True), person.sum(axis=2, keepdims=True)
    ahead, p = _compare(*over_row, whole, EPSILON)
    tested = ~np.isnan(p[:, 0])
    differ = _differ(ratings)
    if not (tested.any() and differ.any()):
        return AlternativeTest(0, np.nan, np.nan, np.nan, None, 0)
    _, strict = _compare(*over_row, whole, 0.0)
    winning_rate = float(significant(p[tested, 0]).mean())
    _, alone = _compare(model, person, usable & differ, EPSILON)
    return AlternativeTest(
        int(tested.sum()),
        float(ahead[tested, 0].mean()),
        winning_rate,
        float(significant(strict[tested, 0]).mean()),
        winning_rate >= PASS_RATE,
        _n_passed(alone),
    )


def squared_distances(said: Floats, ratings: Floats) -> tuple[Floats, Floats]:
    """Squared distance of the annotator, and of the person left out, to the remaining people.

    Both summed over the remaining people and multiplied alike, so that they are whole numbers
    and compare exactly; (N, P, 40), NaN where there is nothing to compare.
    """
    given = ~np.isnan(ratings)
    values = np.where(given, ratings, 0.0)
    count = given.sum(axis=1, keepdims=True) - given
    total = values.sum(axis=1, keepdims=True) - values
    squares = (values**2).sum(axis=1, keepdims=True) - values**2

    def distance(one: Floats) -> Floats:
        return np.where(given & (count > 0), count * one**2 - 2 * one * total + squares, np.nan)

    return distance(said), distance(ratings)


def _differ(ratings: Floats) -> NDArray[np.bool_]:
    """Whether any two ratings of a category differ, (40,)."""
    low, high = (np.nan_to_num(ratings, nan=fill) for fill in (np.inf, -np.inf))
    return low.min(axis=(0, 1), initial=np.inf) < high.max(axis=(0, 1), initial=-np.inf)


def _compare(
    model: Floats, person: Floats, usable: NDArray[np.bool_], epsilon: float
) -> tuple[Floats, Floats]:
    """Share of advantages of the model, and p of "it is more than epsilon behind", (P, k)."""
    n = usable.sum(axis=0)
    model_ahead, person_ahead = (model <= person) & usable, (person <= model) & usable
    behind = person_ahead.astype(np.float64) - model_ahead
    enough = n >= MIN_IMAGES
    share = np.divide(model_ahead.sum(axis=0), n, out=np.full(n.shape, np.nan), where=enough)
    total, squares = behind.sum(axis=0), (behind**2).sum(axis=0)
    return share, np.where(enough, _p_below(n, total, squares, epsilon), np.nan)


def _p_below(n: Floats, total: Floats, squares: Floats, bound: float) -> Floats:
    """p of a one-sided t-test that a mean lies below a bound; without spread, 0 or 1."""
    from scipy.special import stdtr

    mean = total / np.maximum(n, 1)
    spread = np.maximum(squares - n * mean**2, 0.0) / np.maximum(n - 1, 1)
    error = np.sqrt(spread / np.maximum(n, 1))
    flat = error < 1e-12
    t = (mean - bound) / np.where(flat, 1.0, error)
    return np.where(flat, (mean >= bound).astype(np.float64), stdtr(np.maximum(n - 1, 1), t))


def significant(p: Floats, rate: float = FALSE_DISCOVERY_RATE) -> NDArray[np.bool_]:
    """Which hypotheses fall by the procedure of Benjamini and Yekutieli, any dependence allowed.

    >>> significant(np.array([0.001, 0.2, 0.02])).tolist()
    [True, False, False]
    """
    m = len(p)
    order = np.argsort(p)
    bounds = np.arange(1, m + 1) / m * rate / (1 / np.arange(1, m + 1)).sum()
    below = np.flatnonzero(p[order] <= bounds)
    fallen = np.zeros(m, dtype=bool)
    if len(below):
        fallen[order[: below[-1] + 1]] = True
    return fallen


def _n_passed(p: Floats) -> int:
    """Categories with a winning rate of PASS_RATE or more, p of all (person, category)."""
    tested = ~np.isnan(p)
    wins = np.zeros(p.shape, dtype=bool)
    wins[tested] = significant(p[tested])
    n = tested.sum(axis=0)
    return int(((n > 0) & (wins.sum(axis=0) >= PASS_RATE * n)).sum())
