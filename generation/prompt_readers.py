"""How much of a prompt the tokenizers of a text-to-image pipeline read, and which of them cut it.

Text encoders read so many tokens and no more, CLIP 77: a prompt that is longer loses its end. Of
that diffusers warns at each call; here the tokens are counted instead, prompt by prompt, and the
warnings are kept from the screen.
"""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

_TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")
_WARNING = "was truncated because"


class PromptReaders:
    """The tokenizers of a loaded pipeline.

    They are copies: the pipeline uses its own while pictures are written in another thread.
    """

    def __init__(self, pipeline: Any, options: Mapping[str, Any]) -> None:
        """
        Args:
            pipeline: of diffusers.
            options: further arguments of its call; "max_sequence_length" is of use here.
        """
        longest = inspect.signature(type(pipeline).__call__).parameters.get("max_sequence_length")
        self._readers: dict[str, tuple[int, Callable[[str], int]]] = {}
        for name in _TOKENIZERS:
            tokenizer = getattr(pipeline, name, None)
            if tokenizer is None:
                continue
            limit = tokenizer.model_max_length
            if longest is not None and not type(tokenizer).__name__.startswith("CLIP"):
                limit = options.get("max_sequence_length", longest.default)
            self._readers[name] = limit, _counter(tokenizer)
        logger = logging.getLogger(type(pipeline).__module__)
        logger.addFilter(_is_other_news)

    def cut_by(self, prompt: str) -> list[str]:
        """The tokenizers that take less than the whole prompt."""
        return [name for name, (limit, count) in self._readers.items() if count(prompt) > limit]


def _is_other_news(record: logging.LogRecord) -> bool:
    return _WARNING not in record.getMessage()


def _counter(tokenizer: Any) -> Callable[[str], int]:
    """Counts a prompt's tokens, the marks of its beginning and end included."""
    fast = copy.deepcopy(getattr(tokenizer, "backend_tokenizer", None))
    if fast is None:
        slow = copy.deepcopy(tokenizer)
        return lambda prompt: len(slow(prompt, verbose=False).input_ids)
    fast.no_truncation()
    fast.no_padding()
    # Without offsets and without what the tokenizer's own call adds: a third of its time.
    return lambda prompt: len(fast.encode_batch_fast([prompt])[0])
