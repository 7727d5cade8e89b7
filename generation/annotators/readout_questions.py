"""The questions of the readout: one for each category, in three wordings, to be answered yes or no.

The readout of arXiv 2610.08162 asks whether a face expresses a category and takes the probability
of Yes where other protocols take a rating. Each wording here puts the category last, so that all
that stands before it is the same for the 40.
"""

from __future__ import annotations

from emonet_face.taxonomy import EMOTIONS

ANSWERS: dict[str, tuple[str, ...]] = {
    "yes": ("yes", "Yes", "YES", " yes", " Yes", " YES"),
    "no": ("no", "No", "NO", " no", " No", " NO"),
}
"""Spellings of the two answers that are counted."""

WORDINGS: tuple[str, ...] = (
    "Look at the face in the picture and reply with yes or no. Is this shown by the face: {}?",
    "Reply with yes or no. Judging by the facial expression alone, can you see signs of: {}?",
    "Reply with one word, yes or no. Does this person's face express the following: {}?",
)


def questions(wording: str) -> list[str]:
    """The 40 questions of a wording, in canonical order."""
    return [wording.format(name) for name in EMOTIONS]
