"""What heads are trained on: ratings of config `big`, yes/no votes of config `binary`.

Labels and embeddings are joined on (config, image id); what does not match is counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emonet_face.embedding_file import BLOCK
from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import DIMENSIONS, N_EMOTIONS, RATING_MAX, RATING_MIN
from modeling_empathicinsight.embeddings import Embeddings
from modeling_empathicinsight.source import config_names, iter_rows
from modeling_empathicinsight.standardisation import Standardisation

HELD_OUT = 0.1
"""Share of the images of a config that no head is trained on."""

MIN_IMAGES = 20


@dataclass(frozen=True)
class Ratings:
    """Labels of stage 1.

    Attributes:
        image_ids: n ids.
        values: (n, 44) float32, the median scores of the 40 categories (0-7) and the 4 dimensions
            (each on its own scale); NaN = not rated.
        annotators: who rated, sorted; simulated ones say so in their names.
    """

    image_ids: list[str]
    values: np.ndarray
    annotators: list[str]

    config = "big"


@dataclass(frozen=True)
class Votes:
    """Labels of stage 2.

    Attributes:
        image_ids: n ids.
        values: (n, 40, 2) float32, numbers of No and of Yes answers; 0, 0 = not asked.
        annotators: who answered, sorted.
    """

    image_ids: list[str]
    values: np.ndarray
    annotators: list[str]

    config = "binary"


@dataclass(frozen=True)
class Examples:
    """Embeddings with their labels, split by image.

    Attributes:
        image_ids: n ids, sorted.
        vectors: embeddings (any number, width), float32 or float16, perhaps of a mapped file.
        values: (n, ...) as in `Ratings` or `Votes`.
        held_out: (n,) bool.
        counts: numbers of labelled, embedded, matched, training and held-out images.
        rows: (n,) each image's row of `vectors`; None: they stand in the same order.
        scale: applied to the embeddings that are taken; None: they are taken as they are.
    """

    image_ids: list[str]
    vectors: np.ndarray
    values: np.ndarray
    held_out: np.ndarray
    counts: dict[str, int]
    rows: np.ndarray | None = None
    scale: Standardisation | None = None

    def features(self, which: np.ndarray) -> np.ndarray:
        """(len(which), width) float32: what heads are given for these images, in new memory."""
        rows = which if self.rows is None else self.rows[which]
        taken = np.take(self.vectors, rows, axis=0).astype(np.float32, copy=False)
        return taken if self.scale is None else self.scale.apply_(taken)

    def blocks(self, which: np.ndarray) -> Iterator[np.ndarray]:
        """`features` of many images, some at a time."""
        for start in range(0, len(which), BLOCK):
            yield self.features(which[start : start + BLOCK])

    def fingerprint(self) -> str:
        """SHA-256 over the ids and the labels: 64 hex digits."""
        digest = hashlib.sha256("\n".join(self.image_ids).encode())
        digest.update(np.ascontiguousarray(self.values))
        return digest.hexdigest()


def read_ratings(labels: str | Path, config: str = Ratings.config) -> Ratings | None:
    """The ratings of config `big` or another of its columns; None where there is no such config.

    Rows without any rating are left out.

    Raises:
        EmoNetFaceError: a score outside 0..7, or a repo that cannot be read.
    """
    if config not in config_names(labels):
        return None
    ids, values = [], []
    annotators: set[str] = set()
    for row in iter_rows(labels, config, ["image_id", "ratings", "median_scores", "dimensions"]):
        annotators.update(rating["annotator"] for rating in row["ratings"] or ())
        scores = row["median_scores"] or [None] * N_EMOTIONS
        dimensions = row["dimensions"] or {}
        line = [*scores, *(dimensions.get(d.slug) for d in DIMENSIONS)]
        ids.append(row["image_id"])
        values.append([np.nan if value is None else value for value in line])
    table = np.array(values, dtype=np.float32).reshape(len(ids), N_EMOTIONS + len(DIMENSIONS))
    scores = table[:, :N_EMOTIONS]
    outside = np.argwhere((scores < RATING_MIN) | (scores > RATING_MAX))
    if outside.size:
        row, column = outside[0]
        raise EmoNetFaceError(
            f"{labels}, config {config}, image {ids[row]!r}: median_scores[{column}] is"
            f" {scores[row, column]:g}; must lie in {RATING_MIN}..{RATING_MAX}"
        )
    rated = ~np.isnan(table).all(axis=1)
    kept = [image_id for image_id, keep in zip(ids, rated, strict=True) if keep]
    return Ratings(kept, table[rated], sorted(annotators))


def read_votes(labels: str | Path) -> Votes | None:
    """The votes of config `binary`; None where the repo has no such config.

    Rows without any vote are left out.

    Raises:
        EmoNetFaceError: a repo that cannot be read.
    """
    if Votes.config not in config_names(labels):
        return None
    ids, values = [], []
    annotators: set[str] = set()
    for row in iter_rows(labels, Votes.config, ["image_id", "votes"]):
        if not row["votes"]:
            continue
        counts = np.zeros((N_EMOTIONS, 2), dtype=np.float32)
        for vote in row["votes"]:
            counts[vote["emotion"], int(vote["present"])] += 1
            annotators.add(vote["annotator"])
        ids.append(row["image_id"])
        values.append(counts)
    table = np.array(values, dtype=np.float32).reshape(-1, N_EMOTIONS, 2)
    return Votes(ids, table, sorted(annotators))


def join(
    labels: Ratings | Votes, embeddings: Embeddings, *, max_unmatched: float, seed: int
) -> Examples:
    """Labels and embeddings of the same images, in the order of their ids.

    Args:
        labels: of one config.
        embeddings: of any configs; only those of the labels' config are taken.
        max_unmatched: largest share of labelled images without an embedding, and of embeddings
            without labels, that is put up with.
        seed: of the split into training and held-out images.

    Raises:
        EmoNetFaceError: more than that do not match, or fewer than MIN_IMAGES do.
    """
    config = labels.config
    label_row = {image_id: row for row, image_id in enumerate(labels.image_ids)}
    embedded = set(embeddings.ids(config))
    both = sorted(label_row.keys() & embedded)
    for ids, others, what in (
        (label_row.keys(), embedded, "labelled images have no embedding"),
        (embedded, label_row.keys(), "embedded images have no labels"),
    ):
        alone = sorted(ids - others)
        if len(alone) > max_unmatched * len(ids):
            raise EmoNetFaceError(
                f"config {config}: {len(alone)} of {len(ids)} {what}, e.g. {alone[0]!r};"
                f" at most {max_unmatched:.0%} may be left over"
            )
    if len(both) < MIN_IMAGES:
        raise EmoNetFaceError(
            f"config {config}: {len(both)} images have labels and embeddings;"
            f" at least {MIN_IMAGES} are needed"
        )
    held_out = split(both, seed)
    counts = {
        "labelled": len(label_row),
        "embedded": len(embedded),
        "matched": len(both),
        "training": int((~held_out).sum()),
        "held_out": int(held_out.sum()),
    }
    rows = np.array([embeddings.row_of[config, image_id] for image_id in both])
    values = labels.values[[label_row[image_id] for image_id in both]]
    return Examples(both, embeddings.vectors, values, held_out, counts, rows)


def split(image_ids: list[str], seed: int) -> np.ndarray:
    """(n,) bool: which images are held out, a share of HELD_OUT rounded up.

    The choice depends on the set of ids and the seed, not on their order.
    """
    order = sorted(
        range(len(image_ids)),
        key=lambda i: hashlib.sha256(f"{seed} {image_ids[i]}".encode()).digest(),
    )
    held_out = np.zeros(len(image_ids), dtype=bool)
    held_out[order[: -int(-HELD_OUT * len(image_ids) // 1)]] = True
    return held_out
