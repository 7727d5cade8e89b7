"""Configuration of EmpathicInsight-Face: a SigLIP2 vision tower and one small regressor per output.

This file is uploaded with the weights. It needs numpy and transformers >= 5.6, nothing of ours.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from transformers import AutoConfig, PreTrainedConfig, Siglip2VisionConfig, SiglipVisionConfig

N_EMOTIONS = 40

HIDDEN_SIZES = {"small": [128, 32], "large": [1024, 512, 256]}
"""Hidden widths of one head in the released Small and Large weights."""

SO400M_PATCH16_384 = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 384,
    "patch_size": 16,
}
"""The tower of google/siglip2-so400m-patch16-384. The class defaults of transformers are those of
the base model, so the numbers are written out."""

TOWER_CONFIGS = {config.model_type: config for config in (SiglipVisionConfig, Siglip2VisionConfig)}
"""The towers: fixed resolution (SigLIP and SigLIP2), and NaFlex (SigLIP2, any aspect ratio)."""

LOW_TIER = "low"
"""Reliability tier of a category on which people hardly agree (see `calibration`)."""

AUTO_MAP = {
    "AutoConfig": "configuration_empathicinsight.EmpathicInsightFaceConfig",
    "AutoModel": "modeling_empathicinsight.EmpathicInsightFaceModel",
    "AutoModelForImageClassification": (
        "modeling_empathicinsight.EmpathicInsightFaceForImageClassification"
    ),
}


class EmpathicInsightFaceConfig(PreTrainedConfig):
    """Settings of an EmpathicInsight-Face model.

    Args:
        vision_config: the tower, a `SiglipVisionConfig` or its fields as a dictionary; or the same
            of a `Siglip2VisionConfig`. None: the tower of google/siglip2-so400m-patch16-384.
            Fixed-resolution SigLIP2 checkpoints are of the type "siglip" in transformers; "siglip2"
            there means NaFlex, whose inputs are patches with a mask and a shape for each image.
        head_size: "small" (hidden widths 128, 32) or "large" (1024, 512, 256).
        head_hidden_sizes: hidden widths of every head, instead of `head_size`.
        head_dropout: after each hidden layer, in training only. Small was released with 0.1; the
            value of Large is not known.
        output_names: names of all outputs: 40 categories in canonical order, then none or 4
            dimensions. None: the labels of `id2label`, else "emotion_0" and so on.
        neutral_means: per output, what the model gives on average for neutral faces. None: not
            known; the classification class then refuses to be built.
        neutral_source: where `neutral_means` come from, in words.
        score_scale: [low, high] of the rating scale of the 40 scores.
        dimension_scales: name -> [low, high] of the outputs beyond the 40.
        calibration: how scores become expected ratings with intervals, as `emonet-face calibrate`
            measures it, or None: under "categories", for each of the 40 names, the knots `scores`
            (increasing), `ratings` (not decreasing) and `half_widths`, further `alpha` and `tier`,
            the people's agreement; beside it "statement", "target_coverage" and where it is from.
        id2label, label2id: names of the 40 categories; they follow from `output_names`.

    Raises:
        ValueError: a field of another type, wrong number of names or means, labels that differ from
            the output names, an unknown head size, another kind of tower or one that cannot be
            built, a calibration that is not complete.

    >>> config = EmpathicInsightFaceConfig(head_size="large")
    >>> config.head_hidden_sizes, config.embedding_size, config.num_labels
    ([1024, 512, 256], 1152, 40)
    """

    model_type = "empathicinsight_face"
    sub_configs = {"vision_config": AutoConfig}  # noqa: RUF012 - the name is transformers'

    def __init__(
        self,
        vision_config: SiglipVisionConfig | Siglip2VisionConfig | dict[str, Any] | None = None,
        head_size: str | None = None,
        head_hidden_sizes: list[int] | None = None,
        head_dropout: float = 0.1,
        output_names: list[str] | None = None,
        neutral_means: list[float] | None = None,
        neutral_source: str | None = None,
        score_scale: tuple[float, float] = (0, 7),
        dimension_scales: dict[str, list[float]] | None = None,
        calibration: dict[str, Any] | None = None,
        id2label: dict[int | str, str] | None = None,
        label2id: dict[str, int] | None = None,
        num_labels: int | None = None,
        **kwargs: Any,
    ) -> None:
        given = locals()
        _check_types({name: given[name] for name in _TYPES})
        self.vision_config = _tower_config(vision_config)
        self.head_size, self.head_hidden_sizes = _head_sizes(head_size, head_hidden_sizes)
        self.head_dropout = head_dropout
        labels = None if id2label is None else {int(i): name for i, name in id2label.items()}
        if output_names is None:
            names = labels or {i: f"emotion_{i}" for i in range(N_EMOTIONS)}
            output_names = [names[index] for index in sorted(names)]
        self.output_names = list(output_names)
        self.neutral_means = neutral_means
        self.neutral_source = neutral_source
        self.score_scale = list(score_scale)
        self.dimension_scales = dict(dimension_scales or {})
        self.calibration = calibration
        if labels is None:
            labels = dict(enumerate(self.output_names[:N_EMOTIONS]))
        if num_labels is not None and num_labels != N_EMOTIONS:
            raise ValueError(f"num_labels is {num_labels}: the model has exactly {N_EMOTIONS}")
        kwargs["auto_map"] = {**AUTO_MAP, **(kwargs.get("auto_map") or {})}
        super().__init__(
            id2label=labels,
            label2id=label2id or {name: index for index, name in labels.items()},
            **kwargs,
        )
        self.check()

    @property
    def embedding_size(self) -> int:
        """Width of the pooled embedding, e.g. 1152."""
        return self.vision_config.hidden_size

    @property
    def naflex(self) -> bool:
        """Whether the tower takes patches with a mask and shapes in place of square images."""
        return self.vision_config.model_type == Siglip2VisionConfig.model_type

    def check(self) -> None:
        """Make sure that the fields agree with each other.

        The model calls this again when it is built, for fields can be set at any time.

        Raises:
            ValueError: see the class.
        """
        _check_types({name: getattr(self, name) for name in _TYPES})
        names = self.output_names
        if len(names) not in (N_EMOTIONS, N_EMOTIONS + 4) or len(set(names)) != len(names):
            raise ValueError(
                f"output_names holds {len(names)} names, {len(set(names))} of them different:"
                f" {N_EMOTIONS} categories, then none or 4 dimensions, are expected"
            )
        labels = dict(enumerate(names[:N_EMOTIONS]))
        if self.id2label != labels or self.label2id != {n: i for i, n in labels.items()}:
            raise ValueError(
                f"id2label and label2id must name exactly the first {N_EMOTIONS} output_names,"
                f" in order; id2label has {len(self.id2label or {})} names"
            )
        means = self.neutral_means
        if means is not None and (len(means) != len(names) or not all(map(math.isfinite, means))):
            raise ValueError(
                f"neutral_means holds {len(means)} values for {len(names)} outputs:"
                " one finite number per output is expected"
            )
        if set(self.dimension_scales) - set(names[N_EMOTIONS:]):
            raise ValueError(
                f"dimension_scales names {sorted(self.dimension_scales)},"
                f" but the dimensions are {names[N_EMOTIONS:]}"
            )
        # Older releases (5.6) have this field only where the JSON sets it.
        if not getattr(self.vision_config, "vision_use_head", True):
            raise ValueError("vision_config.vision_use_head is False: the pooled output is needed")
        if self.calibration is not None:
            _check_calibration(self.calibration, names[:N_EMOTIONS], self.score_scale)

    def describe(self) -> dict[str, str]:
        """What each number of `scores` means: output name -> one sentence."""
        low, high = self.score_scale
        sentences = {}
        for index, name in enumerate(self.output_names):
            if index < N_EMOTIONS:
                text = (
                    f"{name}: how strongly people would say the face shows it, a regression score"
                    f" near the rating scale {low:g} (absent) to {high:g} (very strong), not"
                    " clipped, and no statement about what anybody feels"
                )
            else:
                scale = self.dimension_scales.get(name)
                span = f" near its scale {scale[0]:g} to {scale[1]:g}" if scale else ""
                text = f"{name}: a dimension of the expression, a regression score{span}"
            if self.neutral_means is not None:
                text += f"; neutral faces get {self.neutral_means[index]:.2f} on average"
            if self.tiers().get(name) == LOW_TIER:
                alpha = self.calibration["categories"][name].get("alpha")
                known = "" if alpha is None else f" (alpha {alpha:.2f})"
                text += f"; LOW RELIABILITY, for people hardly agree on it{known}"
            sentences[name] = f"{text}."
        return sentences

    def tiers(self) -> dict[str, str | None]:
        """Category -> reliability tier, "high", "moderate", "low" or None (not known).

        By how far the raters of the calibration's data agree; empty without `calibration`.
        """
        categories = (self.calibration or {}).get("categories", {})
        return {name: entry.get("tier") for name, entry in categories.items()}

    def calibrate(self, scores: Any) -> dict[str, np.ndarray]:
        """Raw scores -> expected ratings with intervals.

        `calibration["statement"]` says what the intervals hold, and how often. Beyond the scores
        that were seen, the rating and the width at the nearest of them are taken.

        Args:
            scores: (batch, 40 or more) raw scores as the model gives them, not neutral-subtracted;
                what stands beyond the 40 is passed over.

        Returns:
            `rating`, `low`, `high`: (batch, 40) float64 on the rating scale, low <= rating <= high;
            NaN where the score is NaN.

        Raises:
            ValueError: there is no `calibration`, or scores of another shape.
        """
        if self.calibration is None:
            raise ValueError("config.calibration is missing: `emonet-face calibrate` makes it")
        scores = np.asarray(scores, dtype=np.float64)
        if scores.ndim != 2 or scores.shape[1] < N_EMOTIONS:
            raise ValueError(
                f"scores has the shape {scores.shape}: must be (batch, {N_EMOTIONS} or more)"
            )
        rating, half = np.empty((2, len(scores), N_EMOTIONS))
        for index, name in enumerate(self.output_names[:N_EMOTIONS]):
            entry = self.calibration["categories"][name]
            for values, key in ((rating, "ratings"), (half, "half_widths")):
                values[:, index] = np.interp(scores[:, index], entry["scores"], entry[key])
        low, high = np.clip((rating - half, rating + half), *self.score_scale)
        return {"rating": rating, "low": low, "high": high}


def _tower_config(given: Any) -> SiglipVisionConfig | Siglip2VisionConfig:
    fields = SO400M_PATCH16_384 if given is None else given
    kind = (
        fields.get("model_type", SiglipVisionConfig.model_type)
        if isinstance(fields, dict)
        else getattr(fields, "model_type", type(fields).__name__)
    )
    if kind not in TOWER_CONFIGS:
        raise ValueError(f"vision_config is a {kind!r}: must be one of {', '.join(TOWER_CONFIGS)}")
    if not isinstance(fields, dict):
        return fields
    try:
        return TOWER_CONFIGS[kind](**fields)
    except Exception as error:  # transformers' own checks raise no common class
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"vision_config cannot be used ({reason})") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_list(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and all(map(fits, value))


def _is_scale(value: Any) -> bool:
    fits = _is_list(value, _is_number) and len(value) == 2
    return fits and -math.inf < value[0] < value[1] < math.inf


def _is_name(value: Any) -> bool:
    return isinstance(value, str)


def _is_index(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.isdecimal())


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "head_hidden_sizes": (
        "a list of whole numbers above 0",
        lambda v: _is_list(v, lambda size: isinstance(size, int) and size > 0) and len(v) > 0,
    ),
    "head_dropout": ("a number from 0 to below 1", lambda v: _is_number(v) and 0 <= v < 1),
    "output_names": ("a list of strings", lambda v: _is_list(v, _is_name)),
    "neutral_means": ("a list of numbers", lambda v: _is_list(v, _is_number)),
    "score_scale": ("[low, high], two numbers", _is_scale),
    "dimension_scales": (
        "a dictionary of name -> [low, high]",
        lambda v: isinstance(v, dict) and _is_list([*v.values()], _is_scale),
    ),
    "id2label": (
        "a dictionary of number -> name",
        lambda v: (
            isinstance(v, dict) and _is_list([*v], _is_index) and _is_list([*v.values()], _is_name)
        ),
    ),
    "label2id": (
        "a dictionary of name -> number",
        lambda v: isinstance(v, dict) and _is_list([*v.values()], _is_index),
    ),
}
"""Field -> what it must be, in words and as a test. None is allowed where it is a default."""

_NEVER_NONE = ("head_dropout", "score_scale")


def _check_types(fields: dict[str, Any]) -> None:
    """Raise ValueError at the first of `_TYPES` that is something else."""
    for name, value in fields.items():
        kind, fits = _TYPES[name]
        if not (value is None and name not in _NEVER_NONE) and not fits(value):
            raise ValueError(f"{name} is {reprlib.repr(value)}: must be {kind}")


def _check_calibration(calibration: Any, names: list[str], scale: list[float]) -> None:
    """Raise ValueError unless every category has knots that `calibrate` can use."""
    categories = calibration.get("categories") if isinstance(calibration, dict) else None
    if not isinstance(categories, dict) or set(categories) != set(names):
        raise ValueError(f'calibration["categories"] must hold exactly the {len(names)} categories')
    for name, entry in categories.items():
        if not _has_knots(entry, scale):
            raise ValueError(
                f"calibration of {name!r}: `scores` must increase, `ratings` must not decrease and"
                f" lie in {scale[0]:g}..{scale[1]:g}, `half_widths` must not be negative; all of"
                " one length; `alpha` must be a number and `tier` a name, or None"
            )


_NOTES = {"alpha": _is_number, "tier": _is_name}
"""What a category's calibration may say beside its knots."""


def _has_knots(entry: Any, scale: list[float]) -> bool:
    try:
        knots, ratings, widths = (entry[key] for key in ("scores", "ratings", "half_widths"))
        return (
            len(knots) == len(ratings) == len(widths) > 0
            and all(map(math.isfinite, [*knots, *ratings, *widths]))
            and all(a < b for a, b in pairwise(knots))
            and all(a <= b for a, b in pairwise([scale[0], *ratings, scale[1]]))
            and min(widths) >= 0
            and all(entry.get(key) is None or fits(entry[key]) for key, fits in _NOTES.items())
        )
    except (TypeError, KeyError):  # not a dictionary, a key missing, or no lists of numbers
        return False


def _head_sizes(name: str | None, sizes: list[int] | None) -> tuple[str, list[int]]:
    if sizes is None:
        name = name or "small"
        if name not in HIDDEN_SIZES:
            raise ValueError(f"head_size is {name!r}: must be one of {', '.join(HIDDEN_SIZES)}")
        return name, list(HIDDEN_SIZES[name])
    sizes = list(sizes)
    known = next((key for key, value in HIDDEN_SIZES.items() if value == sizes), "custom")
    if name not in (None, known):
        raise ValueError(f"head_size is {name!r}, but head_hidden_sizes {sizes} are {known!r}")
    return known, sizes


EmpathicInsightFaceConfig.register_for_auto_class()
