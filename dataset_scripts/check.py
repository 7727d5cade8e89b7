"""Check a dataset repo: does it hold what it promises, and may people train and test on it.

    emonet-face check emonet-face
    emonet-face check emonet-face --embeddings hq.parquet --embeddings big.parquet

Looks at the front matter, the files, every row and every picture, then across the configs for
pictures that stand in two of them, and at the balance of the prompts. Writes `check.json` and,
where prompts are known, `balance.png` into the repo; changes nothing else. An unreadable shard and
a missing column are findings: everything else is looked at all the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

from dataset_scripts.balance import (
    EVEN_ENTROPY,
    FACTORS,
    Cell,
    Crossing,
    check_balance,
    crossings,
    levels_of,
)
from dataset_scripts.card_rules import Card
from dataset_scripts.embedding_blocks import EmbeddingBlocks
from dataset_scripts.findings import SEVERITIES, Finding, Findings, counted
from dataset_scripts.image_rules import ImageRules, decoding_threads
from dataset_scripts.layout_rules import Layout, check_layout
from dataset_scripts.near_duplicates import (
    LEAST_COSINE,
    Pairs,
    Prints,
    cosine_pairs,
    exact_pairs,
    near_pairs,
)
from dataset_scripts.rating_rules import BaselineRules, RatingRules
from dataset_scripts.repo_files import BALANCE_FIGURE, CHECK, MADE_BY_CHECK, made_by_check
from dataset_scripts.repository import TAG, is_tagged
from dataset_scripts.row_batches import Batch, iter_batches
from dataset_scripts.row_rules import IdRules, PromptRules, Rules, check_join
from dataset_scripts.vote_rules import VoteRules
from emonet_face import __version__
from emonet_face.embedding_file import EmbeddingFile, open_embedding_files
from emonet_face.errors import EmoNetFaceError
from emonet_face.front_matter import README, read_front_matter
from emonet_face.outputs import new_file, write_json
from emonet_face.perceptual_hash import COARSE_BITS, COARSE_LIMIT, FINE_BITS, FINE_LIMIT
from emonet_face.progress import track

IMAGE_CONFIGS = ("hq", "binary", "big")
_LIBRARIES = ("datasets", "numpy", "pillow", "pyarrow", "scipy")


@dataclass(frozen=True)
class CheckReport:
    """What `check` found.

    Attributes:
        repo: the dataset repo.
        findings: errors first.
        rows: config -> rows looked at.
        shards: config -> the digest that stands for its shards: which state was checked.
        balance: config -> its crossings.
    """

    repo: Path
    findings: list[Finding]
    rows: dict[str, int]
    shards: dict[str, str]
    balance: dict[str, list[Crossing]]

    @property
    def counts(self) -> dict[str, int]:
        """Severity -> findings."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    def as_json(self) -> dict[str, Any]:
        """What `check.json` holds."""
        return {
            "findings": [asdict(finding) for finding in self.findings],
            "made_by": MADE_BY_CHECK,
            "counts": self.counts,
            "rows": self.rows,
            "shards": self.shards,
            "balance": {
                config: [crossing.as_json() for crossing in found]
                for config, found in self.balance.items()
            },
            "thresholds": {
                "differing_bits": {
                    f"of {COARSE_BITS}": COARSE_LIMIT,
                    f"of {FINE_BITS}": FINE_LIMIT,
                },
                "least_cosine": LEAST_COSINE,
                "even_entropy": EVEN_ENTROPY,
            },
            "versions": {"emonet-face": __version__} | {name: version(name) for name in _LIBRARIES},
        }


def check(repo: Path, *, embeddings: Sequence[Path] | None = None) -> CheckReport:
    """Check a dataset repo and write `check.json` and `balance.png` into it.

    Args:
        repo: a folder made by `build`, or one of its shape.
        embeddings: files of `embed`; with them configs are also compared by cosine.

    Raises:
        EmoNetFaceError: no dataset repo, a broken front matter, an embeddings file that cannot be
            used, or a `check.json` or `balance.png` of somebody else in the way.
    """
    front, _ = read_front_matter(repo)
    if not is_tagged(front):
        raise EmoNetFaceError(f"{repo}: is no dataset repo ({README} with the tag {TAG!r})")
    for name in (CHECK, BALANCE_FIGURE):
        if (repo / name).exists() and not made_by_check(repo / name):
            raise EmoNetFaceError(f"{repo / name}: was not made by this command; move it away")
    files = open_embedding_files(embeddings or ())
    counts = sum((file.rows_per_config() for file in files), Counter())
    findings = Findings()
    layout = check_layout(repo, Card(front, findings), findings)
    prints, cells = _check_rows(repo, layout, findings)
    _check_leaks(prints, findings)
    if files:
        _check_embeddings(files, counts, prints, findings)
    levels = levels_of(cells)
    balance = {config: crossings(counts, levels) for config, counts in cells.items()}
    for config, found in balance.items():
        check_balance(config, found, findings)
    report = CheckReport(repo, findings.all(), layout.rows, layout.digests, balance)
    _write(report, cells, levels)
    return report


def _check_rows(
    repo: Path, layout: Layout, findings: Findings
) -> tuple[dict[str, Prints], dict[str, Counter[Cell]]]:
    """Look at every row; what comparisons across the configs need comes back."""
    prints: dict[str, Prints] = {}
    cells: dict[str, Counter[Cell]] = {}
    ids: dict[str, set[str]] = {}
    with decoding_threads() as threads:
        for config in layout.shards:
            rules = _rules(config, findings, threads)
            for batch in _batches(repo, config, layout, findings):
                for rule in rules:
                    rule.look(batch)
            for rule in rules:
                rule.close()
                if isinstance(rule, IdRules):
                    ids[config] = rule.ids
                elif isinstance(rule, ImageRules):
                    prints[config] = rule.prints
                elif isinstance(rule, PromptRules):
                    cells[config] = rule.cells
    if "hq" in ids and "hq_baselines" in ids:
        check_join(ids["hq"], ids["hq_baselines"], findings)
    return prints, cells


def _rules(config: str, findings: Findings, threads: Executor) -> list[Rules]:
    if config == "hq_baselines":
        return [IdRules(config, findings), BaselineRules(config, findings)]
    labels = VoteRules if config == "binary" else RatingRules
    return [
        IdRules(config, findings),
        PromptRules(config, findings),
        labels(config, findings),
        ImageRules(config, findings, threads),
    ]


def _batches(repo: Path, config: str, layout: Layout, findings: Findings) -> Iterator[Batch]:
    batches = (
        batch
        for path in layout.shards[config]
        for batch in iter_batches(repo, config, path, findings)
    )
    return track(batches, f"checking {config}")


def _check_leaks(prints: dict[str, Prints], findings: Findings) -> None:
    for one, other in combinations(prints, 2):
        exact = exact_pairs(prints[one], prints[other])
        if exact.n:
            text = counted(exact.n, "picture stands", "pictures stand")
            text += f" in {other} too, byte for byte: {_named(exact)}"
            findings.error("leak_exact", one, _first(exact, other), text)
        near = near_pairs(prints[one], prints[other])
        if near.n:
            text = (
                f"{counted(near.n, 'pair of pictures looks', 'pairs of pictures look')} alike in"
                f" {one} and {other} (within {COARSE_LIMIT} of {COARSE_BITS} and {FINE_LIMIT} of"
                f" {FINE_BITS} bits of the perceptual hash): {_named(near)}"
            )
            findings.warning("leak_near", one, _first(near, other), text)


def _check_embeddings(
    files: Sequence[EmbeddingFile],
    counts: Counter[str],
    prints: dict[str, Prints],
    findings: Findings,
) -> None:
    here = {config: len(found.ids) for config, found in prints.items()}
    for config in [*here, *sorted(counts.keys() - here.keys())]:
        if counts[config] != here.get(config, 0):
            text = counted(counts[config], "embedding was", "embeddings were")
            text += f" given for {counted(here.get(config, 0), 'image', 'images')}"
            findings.warning("embeddings", config, "", text)
    for one, other in combinations([c for c in IMAGE_CONFIGS if counts[c]], 2):
        # The larger set is read once for each block of the smaller one.
        few, many = sorted((one, other), key=lambda config: counts[config])
        alike, limit = cosine_pairs(EmbeddingBlocks(files, few), EmbeddingBlocks(files, many))
        if alike.n:
            text = (
                f"{counted(alike.n, 'pair of pictures', 'pairs of pictures')} in {few} and {many}"
                f" with a cosine of {limit:.4f} or more between their embeddings: {_named(alike)}"
            )
            findings.warning("leak_embedding", few, _first(alike, many), text)


def _first(pairs: Pairs, other: str) -> str:
    left, right, _ = pairs.first[0]
    return f"image {left!r}, {other} image {right!r}"


def _named(pairs: Pairs) -> str:
    named = [f"{left} = {right} ({value:.4g})" for left, right, value in pairs.first[:5]]
    return ", ".join(named) + (f" and {pairs.n - 5:,} more" if pairs.n > 5 else "")


def _write(
    report: CheckReport, cells: dict[str, Counter[Cell]], levels: dict[str, list[Any]]
) -> None:
    figure = report.repo / BALANCE_FIGURE
    shown = {
        config: cells[config]
        for config, found in report.balance.items()
        if any(crossing.n for crossing in found[: len(FACTORS)])
    }
    if shown:
        from dataset_scripts.balance_figure import draw_balance

        with new_file(figure, ours=made_by_check) as path:
            draw_balance(shown, levels, path)
    else:
        figure.unlink(missing_ok=True)
    write_json(report.repo / CHECK, report.as_json())


BALANCE_COLUMNS = (
    "config", "prompted", "images", "cells", "empty", "entropy", "chi-square", "p", "fewest images"
)  # fmt: skip


def balance_rows(report: CheckReport) -> list[tuple[object, ...]]:
    """Rows under BALANCE_COLUMNS: the factors and the crossing of all four, per config."""
    return [
        (
            config,
            " x ".join(name.removeprefix("prompted_") for name in crossing.factors),
            crossing.n,
            crossing.n_cells,
            crossing.n_empty,
            crossing.entropy,
            crossing.chi2,
            crossing.p if math.isnan(crossing.p) else f"{crossing.p:.2g}",
            ", ".join(map(str, crossing.emptiest[0][0])) + f": {crossing.emptiest[0][1]}",
        )
        for config, found in report.balance.items()
        for crossing in found
        if crossing.n and len(crossing.factors) in (1, len(FACTORS))
    ]
