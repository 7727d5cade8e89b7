"""The benchmark as an inspect_ai task: the questions of `annotate`, asked by that harness.

    inspect eval emonet_face/hq --model openai/NAME -T dataset=ORG/emonet-face
    inspect eval emonet_face/hq --model openai/NAME -T dataset=DIR -T protocol=zero-shot

Prompts, sampling and answer schema are those of `annotators.protocols`; a reply is read by the same
reader and counted as a failure for the same reasons. The metrics are the benchmark's own maths on
all answered images at once, since no mean over images is a kappa. Needs the extra `inspect`; the
harness finds the task through `emonet_face.inspect_tasks`, scorer and solver through this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    ResponseSchema,
)
from inspect_ai.scorer import (
    Metric,
    SampleScore,
    Score,
    Scorer,
    Target,
    mean,
    metric,
    scorer,
)
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver
from inspect_ai.util import JSONSchema

from emonet_face.errors import EmoNetFaceError
from emonet_face.taxonomy import EMOTIONS
from eval_metrics.emonet_face_agreement.agreement import (
    human_kappa,
    nan_mean,
    nan_median,
    percentile_interval,
    pooled_kappa,
    resample_weights,
    round_to_levels,
    spearman,
)
from generation.annotators.acceptance import accept
from generation.annotators.endpoint import data_url
from generation.annotators.pictures import pictures_of
from generation.annotators.protocols import PROTOCOLS, Protocol
from generation.annotators.reply_reader import read_answer

N_RESAMPLES = 1000
LEVEL = 0.95
SEED = 42
"""Of the intervals: the same as the metric's defaults."""


def face_ratings(dataset: str, config: str, protocol: str, seed: int) -> Task:
    """The task: rate the faces of a dataset repo, compare with its raters.

    Args:
        dataset: Hub id ("ORG/emonet-face") or folder of a dataset repo.
        config: with the columns `image` and `ratings`.
        protocol: "multi-shot", "zero-shot" or "zero-shot-25".
        seed: sent with each request where the protocol pins the sampling.

    Raises:
        EmoNetFaceError: an unknown protocol, the repo cannot be loaded, or nobody rated an image.
    """
    if protocol not in PROTOCOLS:
        raise EmoNetFaceError(f"no protocol {protocol!r}; allowed: {', '.join(PROTOCOLS)}")
    asked = PROTOCOLS[protocol]
    return Task(
        dataset=MemoryDataset(list(_samples(dataset, config)), name="emonet-face"),
        solver=[show_picture(dataset, config, asked.prompt()), generate()],
        scorer=ratings(protocol),
        config=_generate_config(asked, seed),
        version=1,
        metadata={"protocol": protocol, "config": config},
    )


def _generate_config(protocol: Protocol, seed: int) -> GenerateConfig:
    schema = None
    if protocol.schema is not None:
        json_schema = JSONSchema.model_validate(protocol.schema())
        schema = ResponseSchema(name="ratings", json_schema=json_schema, strict=True)
    return GenerateConfig(**protocol.sampling(seed), response_schema=schema)


def _samples(dataset: str, config: str) -> Iterator[Sample]:
    """One sample for each rated image, with its raters' rows; the picture is read when asked."""
    from datasets import concatenate_datasets, load_dataset

    rows = concatenate_datasets(list(load_dataset(dataset, config).values()))
    rated = rows.select_columns(["image_id", "ratings"])
    for index, row in enumerate(rated):
        raters = [rater["scores"] for rater in row["ratings"]]
        if not raters:
            raise EmoNetFaceError(f"{dataset}: config {config!r}: nobody rated {row['image_id']!r}")
        yield Sample(
            id=row["image_id"],
            input="the face in the picture",
            metadata={"row": index, "raters": raters},
        )


@solver
def show_picture(dataset: str, config: str, prompt: str) -> Solver:
    """Put the picture and the prompt into the one message of a sample."""
    pictures = pictures_of(dataset, config)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        image = pictures[state.metadata["row"]].read()
        content = [ContentImage(image=data_url(image.data)), ContentText(text=prompt)]
        state.messages = [ChatMessageUser(content=content)]
        return state

    return solve


@metric
def agreement() -> Metric:
    """Weighted kappa and Spearman's rho on the answered images, with intervals and human anchor.

    The values of the metric `emonet_face_agreement` on the same rows, NaN where undefined.
    """

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        answered = [score for score in scores if score.score.value]
        if not answered:
            return {f"{name}{end}": np.nan for name in _NAMES for end in ("", "_low", "_high")}
        said = [score.score.metadata["scores"] for score in answered]
        raters = [score.sample_metadata["raters"] for score in answered]
        return _agreement(np.array(said, dtype=np.float64), _table(raters))

    return compute


_NAMES = ("weighted_kappa", "spearman", "human_kappa")


def _table(raters: Sequence[Sequence[Sequence[float]]]) -> np.ndarray:
    """Ragged raters -> (n_images, most raters, 40), NaN where an image has fewer."""
    table = np.full((len(raters), max(map(len, raters)), len(EMOTIONS)), np.nan)
    for row, given in zip(table, raters, strict=True):
        row[: len(given)] = given
    return table


def _agreement(scores: np.ndarray, raters: np.ndarray) -> dict[str, float]:
    """Point values and intervals of `_NAMES` as nan-means over the categories."""
    levels, rated = round_to_levels(scores), round_to_levels(raters)
    middle = nan_median(raters, axis=1)

    def all_three(weights: np.ndarray | None) -> Iterator[np.ndarray]:
        yield pooled_kappa(levels, rated, image_weights=weights)
        yield spearman(scores, middle, image_weights=weights)
        yield human_kappa(rated, image_weights=weights)

    weights = resample_weights(len(scores), N_RESAMPLES, SEED)
    found = {}
    for name, point, drawn in zip(_NAMES, all_three(None), all_three(weights), strict=True):
        low, high = percentile_interval(nan_mean(drawn), LEVEL)
        found |= {
            name: float(nan_mean(point)), f"{name}_low": float(low), f"{name}_high": float(high)
        }  # fmt: skip
    return found


@scorer(metrics=[mean(), agreement()])
def ratings(protocol: str) -> Scorer:
    """1 for a reply that holds ratings as the protocol asks for them, else 0 with the reason.

    The mean is therefore the share of answered images, which belongs beside every agreement.
    """
    asked = PROTOCOLS[protocol]

    async def score(state: TaskState, target: Target) -> Score:
        reply = state.output.completion
        try:
            accepted = accept(read_answer(reply), asked)
        except EmoNetFaceError as error:
            return Score(value=0, answer=reply, explanation=str(error))
        return Score(value=1, answer=_named(accepted.scores.scores), metadata=_kept(accepted))

    return score


def _kept(accepted: Any) -> dict[str, Any]:
    return {
        "scores": accepted.scores.scores,
        "dimensions": accepted.scores.dimensions,
        "warnings": list(accepted.warnings),
    }


def _named(scores: Sequence[float | None]) -> str:
    """The categories above 0 with their ratings, for people who read the log."""
    pairs = zip(EMOTIONS, scores, strict=True)
    return ", ".join(f"{name} {value:g}" for name, value in pairs if value) or "nothing above 0"
