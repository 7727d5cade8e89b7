"""How evenly prompts are spread over emotion, ethnicity, age and gender.

These are parameters of prompts: nothing here says what a picture shows. Images without one of the
values are left out where it is needed.

>>> even = Counter({(0, "White", 20, "man"): 2, (1, "White", 20, "woman"): 2})
>>> levels = {"prompted_emotion": [0, 1]}
>>> crossing(even, ("prompted_emotion",), levels).entropy
1.0
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import Any

from dataset_scripts.findings import Findings
from emonet_face.taxonomy import EMOTIONS

FACTORS = ("prompted_emotion", "prompted_ethnicity", "prompted_age", "prompted_gender")

Cell = tuple[int | None, str | None, int | None, str | None]
"""The values of `FACTORS`; None where a value is not known."""

LEAST_EXPECTED = 5
"""Images in an even cell below which chi-square has no p: the approximation does not hold."""

EVEN_ENTROPY, CHANCE = 0.95, 0.01
"""A factor is called uneven if chance gives such counts with p below CHANCE, and its normalised
entropy is below EVEN_ENTROPY or a value has no image at all."""

_SHOWN = 5


@dataclass(frozen=True)
class Crossing:
    """The counts over all combinations of some factors, beside an even spread.

    Attributes:
        factors: which factors.
        n: images with all of them known.
        n_cells, n_empty: combinations, and those without an image.
        entropy: of the counts, divided by its largest value: 1 is even; NaN for less than two
            cells or no image.
        chi2: Pearson's statistic against equal counts; NaN as above.
        p: its p-value with n_cells - 1 degrees of freedom; NaN also where an even cell would have
            less than LEAST_EXPECTED images.
        emptiest: the cells with the fewest images, at most 5, as (values, count).
    """

    factors: tuple[str, ...]
    n: int
    n_cells: int
    n_empty: int
    entropy: float
    chi2: float
    p: float
    emptiest: tuple[tuple[tuple[Any, ...], int], ...]

    def as_json(self) -> dict[str, Any]:
        """As plain data; NaN is None."""
        record = dict(vars(self))
        record |= {"emptiest": [{"cell": list(cell), "n": n} for cell, n in self.emptiest]}
        nan = {k for k, v in record.items() if isinstance(v, float) and math.isnan(v)}
        return {key: None if key in nan else value for key, value in record.items()}


def levels_of(cells: Mapping[str, Counter[Cell]]) -> dict[str, list[Any]]:
    """Factor -> its values: all 40 emotions; of the others those that any config has, sorted."""
    found: dict[str, set[Any]] = {factor: set() for factor in FACTORS}
    for counts in cells.values():
        for cell in counts:
            for factor, value in zip(FACTORS, cell, strict=True):
                found[factor].add(value)
    levels = {factor: sorted(values - {None}) for factor, values in found.items()}
    return levels | {"prompted_emotion": list(range(len(EMOTIONS)))}


def crossings(cells: Counter[Cell], levels: Mapping[str, Sequence[Any]]) -> list[Crossing]:
    """All 15 crossings of one config: the four factors, their pairs and triples, and all four."""
    return [
        crossing(cells, factors, levels)
        for size in range(1, len(FACTORS) + 1)
        for factors in combinations(FACTORS, size)
    ]


def crossing(
    cells: Counter[Cell], factors: tuple[str, ...], levels: Mapping[str, Sequence[Any]]
) -> Crossing:
    """One crossing.

    Args:
        cells: images of each combination of `FACTORS`.
        factors: the factors to cross; the others are summed over.
        levels: factor -> all its values.
    """
    counts = margin(cells, factors)
    n, n_cells = counts.total(), math.prod(len(levels[factor]) for factor in factors)
    shares = [count / n for count in counts.values()]
    entropy = chi2 = p = math.nan
    if n and n_cells > 1:
        entropy = min(1.0, abs(sum(s * math.log(s) for s in shares)) / math.log(n_cells))
        chi2 = (n_cells * sum(k * k for k in counts.values()) - n * n) / n
        p = _p_value(chi2, n_cells - 1) if n / n_cells >= LEAST_EXPECTED else math.nan
    return Crossing(
        factors,
        n,
        n_cells,
        n_cells - len(counts),
        entropy,
        chi2,
        p,
        _emptiest(counts, factors, levels),
    )


def margin(cells: Counter[Cell], factors: Sequence[str]) -> Counter[tuple[Any, ...]]:
    """Images per combination of some factors, of those with all of them known."""
    places = [FACTORS.index(factor) for factor in factors]
    counts: Counter[tuple[Any, ...]] = Counter()
    for cell, n in cells.items():
        values = tuple(cell[place] for place in places)
        if None not in values:
            counts[values] += n
    return counts


def _p_value(chi2: float, degrees: int) -> float:
    from scipy.special import chdtrc  # the upper tail; `scipy.stats` takes seconds to import

    return float(chdtrc(degrees, chi2))


def _emptiest(
    counts: Counter[tuple[Any, ...]], factors: Sequence[str], levels: Mapping[str, Sequence[Any]]
) -> tuple[tuple[tuple[Any, ...], int], ...]:
    # Only as many cells without an image as are shown are looked for: there may be millions.
    every = product(*(levels[factor] for factor in factors))
    empty = [(cell, 0) for cell in islice((c for c in every if c not in counts), _SHOWN)]
    fewest = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    named = [
        (tuple(_named(f, v) for f, v in zip(factors, cell, strict=True)), n)
        for cell, n in [*empty, *fewest[:_SHOWN]][:_SHOWN]
    ]
    return tuple(named)


def _named(factor: str, value: Any) -> Any:
    return EMOTIONS[value] if factor == "prompted_emotion" else value


def check_balance(config: str, found: Sequence[Crossing], findings: Findings) -> None:
    """A warning for each factor of a config that is uneven, by more than chance."""
    single = [crossing for crossing in found if len(crossing.factors) == 1]
    if not any(crossing.n for crossing in single):
        text = "no image says what it was prompted for"
        findings.add("info", "balance", config, "", text)
        return
    for uneven in single:
        if uneven.p < CHANCE and (uneven.n_empty or uneven.entropy < EVEN_ENTROPY):
            cells = ", ".join(f"{cell[0]} {n}" for cell, n in uneven.emptiest)
            text = (
                f"{uneven.n:,} images on {uneven.n_cells} values: normalised entropy"
                f" {uneven.entropy:.3f}, chi-square {uneven.chi2:.1f}, p {uneven.p:.2g};"
                f" emptiest: {cells}"
            )
            findings.warning("balance", config, uneven.factors[0], text)
