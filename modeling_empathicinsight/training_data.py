"""Everything a training run learns from: the examples of both stages, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS, N_EMOTIONS
from modeling_empathicinsight.embeddings import Embeddings
from modeling_empathicinsight.targets import (
    Examples,
    Ratings,
    Votes,
    join,
    read_ratings,
    read_votes,
)


@dataclass(frozen=True)
class TrainingData:
    """The examples of a run.

    Attributes:
        rated, voted: the examples of stage 1 and 2; None where the stage is skipped.
        annotators: stage -> who labelled.
        skipped: stage -> why it is skipped.
    """

    rated: Examples | None
    voted: Examples | None
    annotators: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls, vectors: Embeddings, labels: str | Path, max_unmatched: float, seed: int
    ) -> TrainingData:
        """Join the labels of a dataset repo with embeddings, config by config (see `join`).

        Raises:
            EmoNetFaceError: no stage has both, labels and embeddings do not match, or a category
                has no labels.
        """
        annotators: dict[str, list[str]] = {}
        skipped: dict[str, str] = {}

        def stage(name: str, config: str, found: Ratings | Votes | None) -> Examples | None:
            if found is None:
                skipped[name] = f"the dataset has no config {config}"
            elif not found.image_ids:
                skipped[name] = f"config {config} has no labels"
            elif not vectors.ids(config):
                given = ", ".join(sorted({given for given, _ in vectors.row_of}))
                skipped[name] = f"no embeddings of config {config} were given (they are of {given})"
            else:
                annotators[name] = found.annotators
                return join(found, vectors, max_unmatched=max_unmatched, seed=seed)
            return None

        rated = stage("ratings", Ratings.config, read_ratings(labels))
        voted = stage("votes", Votes.config, read_votes(labels))
        if rated is None and voted is None:
            raise EmoNetFaceError(f"{labels}: nothing to train on: {'; '.join(skipped.values())}")
        data = cls(rated, voted, annotators, skipped)
        data._check_categories(labels)
        return data

    def has_dimensions(self) -> bool:
        """Whether every dimension is rated on some training image."""
        return self.rated is not None and bool(
            (~np.isnan(self.rated.values[~self.rated.held_out, N_EMOTIONS:])).any(axis=0).all()
        )

    def _check_categories(self, labels: str | Path) -> None:
        """Every head needs labels in the first stage that runs: it sets what a score means."""
        if self.rated is not None:
            values = self.rated.values[~self.rated.held_out, :N_EMOTIONS]
            known, what = (~np.isnan(values)).any(axis=0), "ratings"
        else:
            values = self.voted.values[~self.voted.held_out]
            known, what = (values > 0).any(axis=(0, 2)), "votes"
        if not known.all():
            name = EMOTIONS[int(np.argmin(known))]
            raise EmoNetFaceError(
                f"{labels}: {int((~known).sum())} of the {N_EMOTIONS} categories have no {what} on"
                f" training images, e.g. {name!r}; each head needs some"
            )
