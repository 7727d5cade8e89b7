"""Rules on the votes of `binary`: answers that can be, and the cascade they were asked in.

The emotion of the prompt (target) is asked until the first no, up to three raters; its fixed
opposite (contrast) is asked once. What a source holds against that is kept by the build and told
here as a warning; what a build cannot have written is an error.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from dataset_scripts.binary import CASCADE_OUTCOMES
from dataset_scripts.findings import Findings, counted, examples
from dataset_scripts.row_batches import Batch
from emonet_face.errors import shown
from emonet_face.taxonomy import EMOTIONS, N_EMOTIONS, OPPOSITE


class VoteRules:
    """Looks at the columns `target_emotion`, `contrast_emotion` and `votes`."""

    def __init__(self, config: str, findings: Findings) -> None:
        self._config = config
        self._findings = findings
        self._n = 0
        self._outcomes: Counter[tuple[int, int]] = Counter()
        self._contrast_votes: Counter[int] = Counter()
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._first: dict[str, str] = {}

    def look(self, batch: Batch) -> None:
        """Check the votes of a batch; `close` tells of the cascade."""
        columns = ("target_emotion", "contrast_emotion", "votes")
        rows = zip(*(batch.rows[c].to_pylist() for c in columns), strict=True)
        for index, (target, contrast, votes) in enumerate(rows):
            self._n += 1
            if any(e is not None and not 0 <= e < N_EMOTIONS for e in (target, contrast)):
                continue  # a finding of `PromptRules`
            text = _impossible(target, contrast, votes or [])
            if text:
                self._findings.error("votes", self._config, batch.where(index), text)
            else:
                self._count(target, contrast, votes, batch.where(index))

    def close(self) -> None:
        """Say where the votes are not those of the cascade."""
        for (yes, n), images in sorted(self._outcomes.items()):
            text = counted(images, "image has", "images have")
            text += f" {yes} of {n} Yes on the target, which the cascade cannot give"
            self._warn("cascade_outcome", f"{yes}/{n}", text)
        for n, images in sorted(self._contrast_votes.items()):
            text = f"{counted(images, 'image has', 'images have')} {n} votes on the contrast"
            text += f" emotion, not 1; there are {counted(self._n, 'image', 'images')}"
            self._warn("cascade_contrast", f"contrast {n}", text)
        if self._pairs:
            named = examples(f"{a} - {b}" for a, b in self._pairs)
            text = counted(self._pairs.total(), "image has", "images have")
            text += f" a contrast that is not the opposite of the target: {named}"
            self._warn("cascade_opposite", "opposite", text)

    def _count(
        self, target: int | None, contrast: int | None, votes: list[dict[str, Any]], where: str
    ) -> None:
        answers = [vote["present"] for vote in votes if vote["emotion"] == target]
        outcome = sum(answers), len(answers)
        if answers and outcome not in CASCADE_OUTCOMES:
            self._outcomes[outcome] += 1
            self._first.setdefault(f"{outcome[0]}/{outcome[1]}", where)
        if target is None and contrast is None:
            return
        on_contrast = sum(vote["emotion"] == contrast for vote in votes)
        if on_contrast != 1:
            self._contrast_votes[on_contrast] += 1
            self._first.setdefault(f"contrast {on_contrast}", where)
        if target is not None and contrast is not None:
            pair = EMOTIONS[target], EMOTIONS[contrast]
            if OPPOSITE[pair[0]] != pair[1]:
                self._pairs[pair] += 1
                self._first.setdefault("opposite", where)

    def _warn(self, rule: str, key: str, text: str) -> None:
        self._findings.warning(rule, self._config, f"first: {self._first[key]}", text)


def _impossible(target: int | None, contrast: int | None, votes: list[dict[str, Any]]) -> str:
    """What is wrong with the votes of an image beyond the cascade; "" if nothing is."""
    if not votes:
        return "has no vote"
    asked = set()
    for vote in votes:
        emotion, present, name = vote["emotion"], vote["present"], vote["annotator"]
        if emotion is None or not 0 <= emotion < N_EMOTIONS:
            return f"a vote has the category {emotion}: must be 0..{N_EMOTIONS - 1}"
        if present is None or not name:
            return "a vote lacks its annotator or its answer"
        if (name, emotion) in asked:
            return f"{shown(name)} voted twice on {EMOTIONS[emotion]!r}"
        asked.add((name, emotion))
    emotions = {emotion for _, emotion in asked} | ({target, contrast} - {None})
    if len(emotions) > 2:
        named = ", ".join(repr(EMOTIONS[e]) for e in sorted(emotions))
        return f"concerns {named}: an image carries its target and one contrast"
    return ""
