"""Rules that all configs share: ids that stand once, categories and ages that exist."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

import numpy as np

from dataset_scripts.balance import FACTORS, Cell
from dataset_scripts.findings import Findings, counted, examples
from dataset_scripts.prompt_records import MAX_AGE
from dataset_scripts.rating_rules import in_range
from dataset_scripts.row_batches import Batch
from dataset_scripts.schema import features
from emonet_face.errors import shown
from emonet_face.taxonomy import N_EMOTIONS


class Rules(Protocol):
    """Rules on the rows of one config, which may remember what they saw."""

    def look(self, batch: Batch) -> None:
        """Look at some rows."""

    def close(self) -> None:
        """Say what can only be said after all rows."""


class IdRules:
    """Every row has its own id: the image, in `hq_baselines` the image and the annotator.

    Attributes:
        ids: image ids seen. Memory grows with them, some 150 bytes each.
    """

    def __init__(self, config: str, findings: Findings) -> None:
        self.ids: set[str] = set()
        self._config = config
        self._findings = findings
        self._keys: set[object] = set()

    def look(self, batch: Batch) -> None:
        """Check the ids of a batch."""
        keys: list[object] = list(batch.ids)
        if self._config == "hq_baselines":
            names = batch.rows["annotator"].to_pylist()
            keys = list(zip(batch.ids, names, strict=True))
        for index, (image_id, key) in enumerate(zip(batch.ids, keys, strict=True)):
            if not image_id:
                self._error("image_id", batch.where(index), "has no image_id")
            elif key in self._keys:
                self._error("unique_id", batch.where(index), f"{shown(key)} stands more than once")
            else:
                self._keys.add(key)
                self.ids.add(image_id)

    def close(self) -> None:
        """Nothing is left to say."""

    def _error(self, rule: str, where: str, text: str) -> None:
        self._findings.error(rule, self._config, where, text)


class PromptRules:
    """Looks at the categories and the prompted age.

    Attributes:
        cells: how many images were prompted for each combination of `FACTORS`.
    """

    def __init__(self, config: str, findings: Findings) -> None:
        self.cells: Counter[Cell] = Counter()
        self._config = config
        self._findings = findings
        emotions = [c for c in features(config) if c.endswith("_emotion")]
        self._limits = dict.fromkeys(emotions, N_EMOTIONS - 1) | {"prompted_age": MAX_AGE}

    def look(self, batch: Batch) -> None:
        """Check a batch."""
        for column, high in self._limits.items():
            values = batch.rows[column].to_numpy(zero_copy_only=False).astype(np.float64)
            for row in np.flatnonzero(~np.isnan(values) & ~in_range(values, 0, high)):
                text = f"{column} is {values[row]:g}: must lie in 0..{high}"
                self._findings.error("label_range", self._config, batch.where(row), text)
        emotions, *others = (batch.rows[factor].to_pylist() for factor in FACTORS)
        known = [e if e is not None and 0 <= e < N_EMOTIONS else None for e in emotions]
        self.cells.update(zip(known, *others, strict=True))

    def close(self) -> None:
        """Nothing is left to say."""


def check_join(hq: set[str], baselines: set[str], findings: Findings) -> None:
    """Scores of `hq_baselines` on images that `hq` does not hold cannot be used."""
    lost = sorted(baselines - hq)
    if lost:
        n = counted(len(lost), "image", "images")
        text = f"{n} with scores of models, but not in hq: {examples(lost)}"
        findings.warning("join", "hq_baselines", "", text)
