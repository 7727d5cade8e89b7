"""Ratings and votes as they are spelt in the rows of the published dataset repos.

>>> [(name, scores.scores[31]) for name, scores in hq_ratings("[{'human-1': {'Anger': 3}}]")]
[('human-1', 3.0)]
>>> binary_votes("[{'annotator': 'human-1', 'emotion': 'Anger', 'value': True}]", "00000")
[Vote(image_id='00000', annotator='human-1', emotion='Anger', present=True, alias=None)]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dataset_scripts.prompt_records import name_value
from emonet_face.errors import EmoNetFaceError, shown
from emonet_face.literals import LITERAL_ERRORS, has_key_twice, parse_literal
from emonet_face.ratings import Scores, is_alias, parse_scores, resolve
from emonet_face.released import Vote

_VOTE_KEYS = {"annotator", "emotion", "value"}


def hq_ratings(label: object) -> list[tuple[str, Scores]]:
    """The ratings in `label` of the published HQ.

    Args:
        label: the literal of a list of {rater: {family|category: rating, 0-7}}.

    Returns:
        (annotator, what it gave), at least one, in the order of the list.

    Raises:
        EmoNetFaceError: it is something else, an unknown category, a bad rating, a category or a
            rater twice.
    """
    ratings: dict[str, Scores] = {}
    for annotator, said in _said_by_raters(_list_in(label, "label"), "label"):
        if annotator in ratings:
            raise EmoNetFaceError(f"{shown(annotator)} stands twice in 'label'; one rating each")
        try:
            ratings[annotator] = parse_scores(said, gaps="null")
        except EmoNetFaceError as error:
            raise EmoNetFaceError(f"{shown(annotator)} in 'label': {error}") from None
    if not ratings:
        raise EmoNetFaceError("'label' holds no rating")
    return list(ratings.items())


def binary_votes(annotations: object, image_id: str) -> list[Vote]:
    """The votes in `annotations` of the published Binary.

    Its card does not say how they are spelt. Two forms follow from the other published files: a
    list of {annotator, emotion, value}, the columns of `binary.csv`, and a list of
    {rater: {emotion: value}}, the form of HQ.

    Args:
        annotations: such a list, or its literal.
        image_id: the image they are on.

    Returns:
        At least one vote, in the order of the list.

    Raises:
        EmoNetFaceError: it is something else, an unknown category, a value that is no truth value,
            or two votes of one rater on one category.
    """
    votes: dict[tuple[str, str], Vote] = {}
    for rater, spelling, present in _answers(_list_in(annotations, "annotations")):
        annotator = name_value(rater, "annotator")
        if not isinstance(present, bool):
            said = f"{shown(annotator)} answers {shown(present)}"
            raise EmoNetFaceError(f"{said}: must be True or False")
        emotion = resolve(spelling)
        alias = spelling if is_alias(spelling) else None
        vote = Vote(image_id, annotator, emotion, present, alias)
        if votes.setdefault((annotator, emotion), vote) is not vote:
            raise EmoNetFaceError(f"{shown(annotator)} votes twice on {emotion!r}; one vote each")
    if not votes:
        raise EmoNetFaceError("'annotations' holds no vote")
    return list(votes.values())


def _list_in(value: object, column: str) -> list[Any]:
    found = value
    if isinstance(value, str):
        try:
            found = parse_literal(value)
        except LITERAL_ERRORS:
            found = None
    if not isinstance(found, list):
        raise EmoNetFaceError(f"{column!r} is not the literal of a list: {shown(value)}")
    if isinstance(value, str) and has_key_twice(value, found):
        raise EmoNetFaceError(f"{column!r} holds a key twice")
    return found


def _said_by_raters(entries: list[Any], column: str) -> Iterator[tuple[str, dict[Any, Any]]]:
    for entry in entries:
        for annotator, said in entry.items() if isinstance(entry, dict) else [(entry, None)]:
            if not isinstance(said, dict):
                raise EmoNetFaceError(
                    f"{column!r} holds {shown(entry)}; an entry is {{rater: {{category: value}}}}"
                )
            yield name_value(annotator, "annotator"), said


def _answers(entries: list[Any]) -> Iterator[tuple[Any, Any, Any]]:
    for entry in entries:
        if isinstance(entry, dict) and entry.keys() == _VOTE_KEYS:
            yield entry["annotator"], entry["emotion"], entry["value"]
            continue
        for annotator, said in _said_by_raters([entry], "annotations"):
            yield from ((annotator, emotion, present) for emotion, present in said.items())
