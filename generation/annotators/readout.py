"""The readout: P(yes) for each category from the logits of the answer's first token.

P = mass of Yes / (mass of Yes + mass of No), in float32 over the whole vocabulary; the mean over
the wordings, times 7, is the score: a probability on the rating scale, no rating. Method of arXiv
2610.08162, which then fits it to people's ratings by quantiles. Where a model puts too little on
both answers together it has not answered, and the category gets no score.

All questions on a picture begin alike, picture included: that part is run once, and its keys and
values are shared. The first picture is also read the plain way, one whole conversation for each
question; if the two differ, all pictures are.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import ImageFile
from emonet_face.taxonomy import EMOTIONS, RATING_MAX
from generation.annotators.local_model import LocalModel, picture_of
from generation.annotators.readout_questions import ANSWERS, WORDINGS, questions

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

MIN_ANSWER_MASS = 0.5
"""Least probability on yes and no together, as in the study."""
N_CHECKED = 8
"""Questions of each wording that the self-check reads the plain way."""
TOLERANCE = {"float32": 1e-3, "half": 0.05}
"""Largest difference of a probability that the self-check lets pass; half precision rounds."""
DECIMALS = 6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Masses:
    """Probability of the two answers, each (n_questions,)."""

    yes: Floats
    no: Floats

    @property
    def answered(self) -> Floats:
        return self.yes + self.no

    @property
    def p_yes(self) -> Floats:
        """NaN where nothing at all is on either answer."""
        with np.errstate(invalid="ignore"):
            return self.yes / self.answered


class Readout:
    """Reads all questions on one picture after the other.

    Attributes:
        tokens: "yes" and "no" -> ids of the first tokens that are counted.
        shares_prefix: whether the shared part is run once; None before the first picture.
        largest_difference: of the self-check, None before it.
    """

    def __init__(
        self, model: LocalModel, *, prefill: str = "Answer:", batch_size: int = len(EMOTIONS)
    ) -> None:
        """
        Args:
            model: a local model.
            prefill: how the answer starts; may be empty.
            batch_size: questions answered together.

        Raises:
            EmoNetFaceError: the tokenizer writes yes and no with the same first tokens.
        """
        if batch_size < 1:
            raise EmoNetFaceError(f"--batch-size is {batch_size}: must be 1 or more")
        self.tokens = answer_tokens(model)
        self.shares_prefix: bool | None = None
        self.largest_difference: float | None = None
        self._model, self._prefill, self._batch_size = model, prefill, batch_size
        self._texts = [
            [model.chat(question, prefill) for question in questions(wording)]
            for wording in WORDINGS
        ]

    def label(self, image: ImageFile) -> dict[str, object]:
        """What the model says of a picture, as part of a result line.

        "scores" (0..7, null where it did not answer), "readout" (probability of Yes, least mass of
        both answers and what was counted), perhaps "warnings"; "error" where it answered nothing.
        """
        start = time.monotonic()
        picture = picture_of(image)
        if self.shares_prefix is None:
            self._check_itself(picture)
        read = self.read_shared if self.shares_prefix else self.read_plain
        found = [read(picture, texts) for texts in self._texts]
        p_yes = np.mean([masses.p_yes for masses in found], axis=0)
        mass = np.min([masses.answered for masses in found], axis=0)
        return self._line(p_yes, mass) | {"seconds": round(time.monotonic() - start, 3)}

    def read_plain(self, picture: Image, texts: list[str]) -> Masses:
        """Each conversation by itself, picture and all."""
        logits = [self._model.forward(self._model.inputs(text, picture))[0] for text in texts]
        return self._masses([row[0, -1] for row in logits])

    def read_shared(self, picture: Image, texts: list[str]) -> Masses:
        """All conversations after one pass through what they share."""
        import torch

        whole = self._model.inputs(texts[0], picture)
        rows = self._expanded(whole["input_ids"][0].tolist(), texts)
        shared = min(_n_shared(rows[0], row) for row in rows)
        shared = min(shared, *(len(row) - 1 for row in rows))  # each needs a token of its own
        length = whole["input_ids"].shape[1]
        device = whole["input_ids"].device
        by_token = {k for k, v in whole.items() if v.ndim == 2 and v.shape[1] == length}
        prefix = {k: v[:, :shared] if k in by_token else v for k, v in whole.items()}
        _, cache = self._model.forward(prefix)
        types = {k: whole[k][0, -1] for k in by_token if k not in ("input_ids", "attention_mask")}
        last: list[Any] = []
        for start in range(0, len(rows), self._batch_size):
            tails = [row[shared:] for row in rows[start : start + self._batch_size]]
            widest = max(map(len, tails))
            # Padded behind, where no token that counts can see it.
            ids = torch.tensor([t + [0] * (widest - len(t)) for t in tails], device=device)
            mask = torch.ones((len(tails), shared + widest), dtype=torch.long, device=device)
            for row, tail in enumerate(tails):
                mask[row, shared + len(tail) :] = 0
            inputs = {
                "input_ids": ids,
                "attention_mask": mask,
                "past_key_values": _repeated(cache, len(tails)),
                **{k: torch.full_like(ids, int(value)) for k, value in types.items()},
            }
            ends = [len(tail) - 1 for tail in tails]
            wanted = sorted(set(ends))
            logits, _ = self._model.forward(inputs, wanted)
            last += [logits[row, wanted.index(end)] for row, end in enumerate(ends)]
        return self._masses(last)

    def _expanded(self, whole: list[int], texts: list[str]) -> list[list[int]]:
        """Tokens of all conversations, with as many places for the picture as in the first.

        The processor puts them in, and would go through the picture again for each text.
        """
        raw = [self._model.token_ids(text) for text in texts]
        front = _n_shared(raw[0], whole)
        places = whole[front : len(whole) - (len(raw[0]) - front)]
        return [row[:front] + places + row[front:] for row in raw]

    def _masses(self, logits: list[torch.Tensor]) -> Masses:
        import torch

        probabilities = torch.softmax(torch.stack(logits), dim=-1)
        sums = {
            answer: probabilities[:, ids].sum(dim=-1).double().cpu().numpy()
            for answer, ids in self.tokens.items()
        }
        return Masses(sums["yes"], sums["no"])

    def _check_itself(self, picture: Image) -> None:
        import torch

        largest = 0.0
        try:
            for texts in self._texts:
                shared = self.read_shared(picture, texts)
                plain = self.read_plain(picture, texts[:N_CHECKED])
                for one, other in ((shared.yes, plain.yes), (shared.no, plain.no)):
                    largest = max(largest, float(np.abs(one[:N_CHECKED] - other).max()))
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError):
            largest = float("inf")  # its cache cannot be shared in this way
        kind = "float32" if self._model.model.dtype == torch.float32 else "half"
        self.largest_difference = largest
        self.shares_prefix = largest <= TOLERANCE[kind]

    def _line(self, p_yes: Floats, mass: Floats) -> dict[str, object]:
        answered = mass >= MIN_ANSWER_MASS
        details = {
            "readout": {
                "p_yes": _named(p_yes),
                "answer_mass": _named(mass),
                "tokens": self.tokens,
                "shared_prefix": self.shares_prefix,
            },
        }
        without = [name for name, fits in zip(EMOTIONS, answered, strict=True) if not fits]
        reason = (
            f"{len(without)} of {len(EMOTIONS)} categories without an answer: less than"
            f" {MIN_ANSWER_MASS} of the probability is on yes and no"
        )
        if len(without) == len(EMOTIONS):
            return {"error": reason, **details}
        scores = {
            name: round(RATING_MAX * float(p), DECIMALS) if fits else None
            for name, p, fits in zip(EMOTIONS, p_yes, answered, strict=True)
        }
        warnings = {"warnings": [f"{reason} ({', '.join(without)})"]} if without else {}
        return {"scores": scores, **warnings, **details}


def answer_tokens(model: LocalModel) -> dict[str, list[int]]:
    """The first token of each spelling of yes and no.

    One that begins spellings of both (a blank of its own, say) tells nothing and is left out.

    Raises:
        EmoNetFaceError: nothing is left of an answer.
    """
    tokenizer = model.processor.tokenizer
    first = {
        answer: {tokenizer(text, add_special_tokens=False).input_ids[0] for text in spellings}
        for answer, spellings in ANSWERS.items()
    }
    both = first["yes"] & first["no"]
    tokens = {answer: sorted(ids - both) for answer, ids in first.items()}
    for answer, ids in tokens.items():
        if not ids:
            raise EmoNetFaceError(f"the tokenizer cannot tell {answer!r} by its first token")
    return tokens


def _n_shared(one: list[int], other: list[int]) -> int:
    """How many tokens two rows begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _repeated(cache: Any, rows: int) -> Any:
    """A copy of a cache of one row for several rows: a pass adds to the cache that it is given."""
    whole = copy.deepcopy(cache)
    whole.batch_repeat_interleave(rows)
    return whole


def _named(values: Floats) -> dict[str, float | None]:
    return {
        name: None if np.isnan(value) else round(float(value), DECIMALS)
        for name, value in zip(EMOTIONS, values, strict=True)
    }
