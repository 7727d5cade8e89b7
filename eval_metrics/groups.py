"""Groups of annotators, told by their names as in the published analysis.

Published groups (released `statistics/analysis-hq.ipynb`): humans, our models, multi-shot and
zero-shot vision-language models, proprietary models, random baseline. Names that none of the rules
knows, which the published analysis leaves out, get a group here; whatever is simulated says so.
"""

from __future__ import annotations

from emonet_face.simulated import is_simulated

GROUPS = (
    "Humans",
    "Simulated Humans",
    "Our Models",
    "Proprietary Models",
    "VLMs Multi-Shot",
    "VLMs Zero-Shot",
    "Simulated Models",
    "Other Models",
    "Random Baseline",
    "Other Baselines",
)
"""All groups in the order of tables and figures."""

HUMAN_GROUPS = frozenset({"Humans", "Simulated Humans"})


PEOPLE_NAME = "raters with each other"
"""What the tables call the people's agreement with each other, the human anchor."""

BASELINE_PREFIX = "trivial "
"""What the names of the baselines begin with that the benchmark adds itself."""


def is_reserved(annotator: str) -> bool:
    """Whether the tables use the name, or one like it, for something that is no annotator.

    >>> is_reserved("trivial random baseline"), is_reserved("human raters with each other")
    (True, True)
    """
    folded = annotator.strip().casefold()
    return folded.startswith(BASELINE_PREFIX) or folded.endswith(PEOPLE_NAME)


def group_of(annotator: str, human: bool) -> str:
    """The group of an annotator, one of `GROUPS`.

    >>> group_of("Empathic Insight Face Large", False), group_of("Gemini 2.5 Flash MS", False)
    ('Our Models', 'VLMs Multi-Shot')
    >>> group_of("simulated-human-3", True), group_of("my-model", False)
    ('Simulated Humans', 'Other Models')
    """
    if human:
        return "Simulated Humans" if is_simulated(annotator) else "Humans"
    if is_simulated(annotator):
        return "Simulated Models"
    folded = annotator.casefold().replace("-", "").replace("_", "").replace(" ", "")
    if "empathicinsight" in folded:
        return "Our Models"
    if "Hume Face" in annotator:
        return "Proprietary Models"
    if "randombaseline" in folded:
        return "Random Baseline"
    if "baseline" in folded:
        return "Other Baselines"
    if annotator.endswith(" MS"):
        return "VLMs Multi-Shot"
    if annotator.endswith(" ZS"):
        return "VLMs Zero-Shot"
    return "Other Models"


def figure_name(group: str) -> str:
    """A group as the figures name it; tables and `results.json` keep the published names.

    In a figure by itself "Our Models" would be taken for those of whoever made the figure.

    >>> figure_name("Our Models"), figure_name("VLMs Zero-Shot")
    ('Empathic Insight Models', 'VLMs Zero-Shot')
    """
    return "Empathic Insight Models" if group == "Our Models" else group


def members(annotators: tuple[str, ...], human: list[bool]) -> dict[str, list[int]]:
    """Group -> positions of its annotators, in the order of `GROUPS`; empty groups are left out."""
    found: dict[str, list[int]] = {name: [] for name in GROUPS}
    for position, (annotator, flag) in enumerate(zip(annotators, human, strict=True)):
        found[group_of(annotator, flag)].append(position)
    return {name: positions for name, positions in found.items() if positions}
