"""Pictures of two sets that are the same or nearly so: by sha256, perceptual hash or embedding.

Every picture of one set is compared with every one of the other, in blocks: memory does not grow
with the number of pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emonet_face.perceptual_hash import Hashes, near

LEAST_COSINE = 0.98
"""Embeddings below this cosine are never called near duplicates; see `cosine_limit`."""

KEPT = 10


@dataclass
class Prints:
    """The pictures of one config, by what they are compared with. Some 250 bytes a picture.

    Attributes:
        ids: image ids.
        digests: sha256 of each picture's bytes; None where there is none.
        blocks: perceptual hashes, block by block as they were read.
    """

    ids: list[str] = field(default_factory=list)
    digests: list[bytes | None] = field(default_factory=list)
    blocks: list[Hashes] = field(default_factory=list)

    def hashes(self) -> Hashes:
        """(n_images, 5)."""
        return np.concatenate(self.blocks) if self.blocks else np.zeros((0, 5), np.uint64)

    def digest_words(self) -> NDArray[np.uint64]:
        """The first 64 bits of each digest, 0 where there is none."""
        heads = b"".join((digest or b"")[:8].ljust(8, b"\0") for digest in self.digests)
        return np.frombuffer(heads, np.uint64)


@dataclass
class Pairs:
    """Pairs that were found: how many, and the first few.

    Attributes:
        n: how many.
        first: (id in one set, id in the other, distance or cosine), at most `KEPT`.
    """

    n: int = 0
    first: list[tuple[str, str, float]] = field(default_factory=list)

    def add(self, left: Iterable[str], right: Iterable[str], values: NDArray) -> None:
        """Count pairs and keep what still fits."""
        self.n += len(values)
        room = KEPT - len(self.first)
        found = zip(left, right, values[:room].tolist(), strict=False)
        self.first += list(found)[:room]


def exact_pairs(one: Prints, other: Prints) -> Pairs:
    """Pictures of two sets with the same bytes."""
    known = {digest: i for i, digest in enumerate(other.digests) if digest is not None}
    shared = [(i, known[digest]) for i, digest in enumerate(one.digests) if digest in known]
    pairs = Pairs()
    pairs.add(
        (one.ids[i] for i, _ in shared), (other.ids[j] for _, j in shared), np.zeros(len(shared))
    )
    return pairs


def near_pairs(one: Prints, other: Prints) -> Pairs:
    """Pictures of two sets that look alike but have different bytes.

    Those of `perceptual_hash.near`. A picture without structure is like nothing.
    """
    a, b = one.hashes(), other.hashes()
    a_digest, b_digest = one.digest_words(), other.digest_words()
    pairs = Pairs()
    for rows, columns, distance in near(a, b):
        other_bytes = a_digest[rows] != b_digest[columns]
        rows, columns = rows[other_bytes], columns[other_bytes]
        left, right = (one.ids[i] for i in rows), (other.ids[j] for j in columns)
        pairs.add(left, right, distance[other_bytes])
    return pairs


Vectors = tuple[list[str], NDArray[np.float32]]
"""Image ids and their embeddings (n_images, dim), L2-normalised."""


def cosine_limit(vectors: NDArray[np.float32]) -> float:
    """The cosine from which on pictures of two sets count as near duplicates.

    How alike different faces are depends on the model that embedded them, so the set itself says
    it: a copy must be twice as close to its original as 99 % of the pictures of one set are to
    their nearest neighbour in that set, and at least `LEAST_COSINE`.

    Args:
        vectors: (n_images, dim), L2-normalised, of one set. A single one gives `LEAST_COSINE`.
    """
    if len(vectors) < 2:
        return LEAST_COSINE
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1.0)
    nearest = float(np.quantile(cosines.max(axis=1), 0.99))
    return max(LEAST_COSINE, 1 - (1 - nearest) / 2)


def cosine_pairs(one: Iterable[Vectors], other: Iterable[Vectors]) -> tuple[Pairs, float]:
    """Pictures of two sets whose embeddings are nearly the same.

    Args:
        one: blocks of embeddings, read once; the first block sets the limit.
        other: blocks of embeddings, read again for each block of `one`.

    Returns:
        The pairs, and the limit they reach.
    """
    pairs, limit = Pairs(), LEAST_COSINE
    for number, (left_ids, left) in enumerate(one):
        limit = cosine_limit(left) if number == 0 else limit
        for right_ids, right in other:
            cosines = left @ right.T
            rows, columns = np.nonzero(cosines >= limit)
            lefts, rights = (left_ids[i] for i in rows), (right_ids[j] for j in columns)
            pairs.add(lefts, rights, cosines[rows, columns])
    return pairs, limit
