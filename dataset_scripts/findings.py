"""What `check` found: one finding a fault, the same fault on many rows counted after the first few.

>>> findings = Findings()
>>> findings.error("unique_id", "hq", "row 3", "image_id 'a' stands twice")
>>> [finding.rule for finding in findings.all()]
['unique_id']
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""In the order they are shown: an error breaks a promise of the repo, a warning wants a look."""

SHOWN = 20
"""Findings of one rule on one config that are listed one by one; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Attributes:
        severity: "error", "warning" or "info".
        rule: which rule found it, a stable short name.
        config: the config; "" where it concerns the repo.
        where: file, row and image id, as far as they apply.
        message: what is wrong and what is allowed.
    """

    severity: Severity
    rule: str
    config: str
    where: str
    message: str


class Findings:
    """Collects findings; memory holds at most `SHOWN` of a kind."""

    def __init__(self) -> None:
        self._kept: list[Finding] = []
        self._counts: Counter[tuple[Severity, str, str]] = Counter()

    def add(self, severity: Severity, rule: str, config: str, where: str, message: str) -> None:
        """Add one finding."""
        kind = severity, rule, config
        self._counts[kind] += 1
        if self._counts[kind] <= SHOWN:
            self._kept.append(Finding(severity, rule, config, where, message))

    def error(self, rule: str, config: str, where: str, message: str) -> None:
        """Add a finding that breaks a promise of the repo."""
        self.add("error", rule, config, where, message)

    def warning(self, rule: str, config: str, where: str, message: str) -> None:
        """Add a finding that people should look at."""
        self.add("warning", rule, config, where, message)

    def all(self) -> list[Finding]:
        """All findings, errors first, then in the order they came; the counted ones at the end."""
        more = [
            Finding(severity, rule, config, "", f"and {n - SHOWN:,} more like these")
            for (severity, rule, config), n in self._counts.items()
            if n > SHOWN
        ]
        return sorted([*self._kept, *more], key=lambda f: SEVERITIES.index(f.severity))


def counted(n: int, one: str, many: str) -> str:
    """A number with the words for it.

    >>> counted(1, "image has", "images have"), counted(2_000, "image has", "images have")
    ('1 image has', '2,000 images have')
    """
    return f"{n:,} {one if n == 1 else many}"


def examples(items: Iterable[object], total: int | None = None) -> str:
    """The first five of some items as text, and how many there are more.

    >>> examples("abc"), examples([1, 2], total=7)
    ("'a', 'b', 'c'", '1, 2 and 5 more')
    """
    shown: Sequence[object] = list(items)
    n = len(shown) if total is None else total
    head = [repr(item) for item in shown[:5]]
    rest = n - len(head)
    return ", ".join(head) + (f" and {rest:,} more" if rest > 0 else "")
