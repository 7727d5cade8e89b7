"""Who annotated a dataset, on its card and in its front matter: people, programs, both."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cards.dataset_words import ANNOTATING, ANNOTATING_SIMULATED, PROGRAMS, SOME_PROGRAMS
from emonet_face.simulated import is_simulated

PUBLISHED_RATER = re.compile(r"human-[1-8]")
BY_PEOPLE = ("hq", "binary")
"""Configs of people, or of programs in their place."""


def annotating(
    facts: Iterable[str], people: set[str], everybody: set[str], published: bool
) -> list[str]:
    """Who annotated and how; that raters are programs comes before anything they did."""
    if people and all(map(is_simulated, people)):
        return [PROGRAMS, *(ANNOTATING_SIMULATED[name] for name in facts)]
    first = [SOME_PROGRAMS] if any(map(is_simulated, everybody)) else []
    lines = [*first, *(ANNOTATING[name] for name in facts)]
    if published:
        lines.append(
            "The paper calls its raters experts. How they were chosen, trained and paid, and"
            " their age, gender and country, were not published."
        )
    elif people:
        lines.append("Of the raters nothing is known here but their names.")
    return lines


def creator(config: str, annotator: str) -> str:
    """The Hub's word for who annotates; the paper calls the raters of its files experts."""
    if config not in BY_PEOPLE or is_simulated(annotator):
        return "machine-generated"
    return "expert-generated" if PUBLISHED_RATER.fullmatch(annotator) else "other"
