"""Yes/no votes in the form of the published `binary.csv` -> config `binary`.

    emonet-face build binary --votes binary.csv --out emonet-face

An image was asked about two emotions: the one it was prompted for (target), by a cascade that
stops at the first No, and one fixed opposite (contrast), once. The published file stores neither
role; `_roles` tells them apart where that is possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dataset_scripts.faces import Faces
from dataset_scripts.rejects import Reject
from dataset_scripts.repository import BuildReport, build_configs
from dataset_scripts.schema import Row
from dataset_scripts.shards import IMAGE_GROUP_ROWS, LABEL_GROUP_ROWS
from emonet_face.errors import EmoNetFaceError
from emonet_face.released import BadRow, Vote, iter_votes
from emonet_face.taxonomy import EMOTIONS, INDEX

TARGET_RATERS = frozenset({"human-1", "human-2", "human-4", "human-6"})
CONTRAST_RATERS = frozenset({"human-3", "human-4", "human-5", "human-7"})
"""Who answered which question in the published file; human-4 answered both."""

CASCADE_OUTCOMES = frozenset({(0, 1), (1, 1), (1, 2), (2, 3), (3, 3)})
"""(Yes, votes) that the cascade on the target can end with. A single Yes was not followed up."""

Roles = tuple[str | None, str | None, str]
"""(target, contrast, how it was told)."""


def build_binary(
    votes: Path,
    out: Path,
    *,
    images: Path | None = None,
    prompts: Path | None = None,
    strict: bool = False,
) -> BuildReport:
    """Write or replace the config `binary` of a dataset repo.

    Args:
        votes: CSV with path, annotator, value, emotion.
        out: the dataset repo.
        images: folder searched for the images by stem; None leaves the image column null.
        prompts: JSON lines of prompt records by `image_id`; None uses sidecars alone.
        strict: the first rejected row is an error.

    Raises:
        EmoNetFaceError: a file or folder cannot be used, `out` is not ours, no image is left, or
            `strict`. Nothing was written then.
    """
    counts: Counter[str] = Counter()
    return build_configs(
        out,
        {"binary": rows(votes, images=images, prompts=prompts, counts=counts)},
        source=votes,
        strict=strict,
        counts=counts,
        group_rows=LABEL_GROUP_ROWS if images is None else IMAGE_GROUP_ROWS,
    )


def rows(
    votes: Path,
    *,
    images: Path | None = None,
    prompts: Path | None = None,
    counts: Counter[str] | None = None,
) -> Iterator[Row | Reject]:
    """The rows of config `binary`: images in the order of their first vote, votes in file order.

    Votes that the cascade cannot give (2 of 2 Yes, ...) are counted and kept as they are.

    Args:
        votes, images, prompts: as in `build_binary`.
        counts: filled with what the report says beside rows and rejects.

    Raises:
        EmoNetFaceError: a file or folder as a whole cannot be used.
    """
    counts = Counter() if counts is None else counts
    faces = Faces(images, prompts)
    yield from faces.rejects
    cast: dict[str, list[tuple[int, Vote]]] = {}
    for row, vote in enumerate(iter_votes(votes), start=1):
        if isinstance(vote, BadRow):
            yield Reject.of(vote, votes)
            continue
        cast.setdefault(vote.image_id, []).append((row, vote))
        count_vote(vote, counts)
    for image_id, face in faces.columns(cast):
        answers = [vote for _, vote in cast[image_id]]
        try:
            if isinstance(face, EmoNetFaceError):
                raise face
            row = face | vote_columns(answers, face["prompted_emotion"], counts)
        except EmoNetFaceError as error:
            record = {"image_id": image_id, "votes": [_answer(vote) for vote in answers]}
            yield Reject(str(votes), cast[image_id][0][0], str(error), record)
            continue
        yield row
    faces.count_unused(set(cast), counts)


def vote_columns(votes: Sequence[Vote], prompted: int | None, counts: Counter[str]) -> Row:
    """The columns of an image's votes and of their roles, and what to count.

    Args:
        votes: all votes on one image, at least one, in the order to be kept.
        prompted: index of the emotion it was prompted for, where that is known.
        counts: of the report.

    Raises:
        EmoNetFaceError: as `tell_roles`.
    """
    roles = tell_roles(votes, None if prompted is None else EMOTIONS[prompted])
    target, contrast, _ = roles
    _count(votes, roles, counts)
    return {
        "target_emotion": None if target is None else INDEX[target],
        "contrast_emotion": None if contrast is None else INDEX[contrast],
        "votes": [_answer(vote) | {"emotion": INDEX[vote.emotion]} for vote in votes],
    }


def tell_roles(votes: Sequence[Vote], prompted: str | None = None) -> Roles:
    """Which emotion of an image's votes is the target and which the contrast.

    In this order: the prompted emotion is the target; the only emotion with more than one vote is
    the target; the assignment that the published roles of the raters allow, if it is the only one.

    Args:
        votes: all votes on one image, at least one.
        prompted: the emotion it was prompted for, where that is known.

    Returns:
        (target, contrast, how); None for what cannot be told or was not asked.

    Raises:
        EmoNetFaceError: more than two emotions, the prompted one included.
    """
    asked: dict[str, list[str]] = {}
    for vote in votes:
        asked.setdefault(vote.emotion, []).append(vote.annotator)
    emotions = list(dict.fromkeys([*([prompted] if prompted else []), *asked]))
    if len(emotions) > 2:
        also = f" and was prompted for {prompted!r}" if prompted else ""
        raise EmoNetFaceError(
            f"has votes on {', '.join(map(repr, asked))}{also}:"
            " an image carries its target and one contrast"
        )
    if prompted:
        return prompted, _other(prompted, emotions), "the prompt"
    repeated = [emotion for emotion, raters in asked.items() if len(raters) > 1]
    if len(repeated) == 1:
        return repeated[0], _other(repeated[0], emotions), "more than one vote"
    return _roles_of_raters(asked)


def _roles_of_raters(asked: dict[str, list[str]]) -> Roles:
    emotions: list[str | None] = [*asked, *([None] if len(asked) == 1 else [])]
    fitting = [
        (target, contrast)
        for target, contrast in (emotions, emotions[::-1])
        if (target is None or TARGET_RATERS.issuperset(asked[target]))
        and (contrast is None or CONTRAST_RATERS.issuperset(asked[contrast]))
    ]
    if len(fitting) != 1:
        return None, None, ""
    return *fitting[0], "the raters' roles"


def _other(emotion: str, emotions: Sequence[str]) -> str | None:
    return next((other for other in emotions if other != emotion), None)


def count_vote(vote: Vote, counts: Counter[str]) -> None:
    """Count a vote that was read, and its spelling where that was an alias."""
    counts["votes"] += 1
    if vote.alias:
        counts[f"votes on {vote.alias!r} read as {vote.emotion!r}"] += 1


def _count(votes: Sequence[Vote], roles: Roles, counts: Counter[str]) -> None:
    target, _, how = roles
    told = f"images with the target told from {how}" if how else "images whose target is not known"
    counts[told] += 1
    counts[f"images with {len(votes)} votes"] += 1
    answers = [vote.present for vote in votes if vote.emotion == target]
    if answers:
        outcome = sum(answers), len(answers)
        possible = "" if outcome in CASCADE_OUTCOMES else ", impossible in the cascade"
        counts[f"images with {outcome[0]} of {outcome[1]} Yes on the target{possible}"] += 1


def _answer(vote: Vote) -> dict[str, Any]:
    return {"annotator": vote.annotator, "emotion": vote.emotion, "present": vote.present}
