"""A local image-text model of transformers: prompts with a picture, replies, first-token logits."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import ImageFile, decode
from generation.annotators.asking import Reply

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

MAX_PIXELS = 1024 * 1024
"""Larger pictures are scaled down to this area, as in the readout study."""
DTYPES = ("auto", "float32", "bfloat16", "float16")


class LocalModel:
    """A model with its processor.

    Attributes:
        model: of `AutoModelForImageTextToText`, in evaluation mode.
        processor: of `AutoProcessor`, with a chat template.
    """

    def __init__(self, model: str, *, device: str = "auto", dtype: str = "auto") -> None:
        """
        Args:
            model: folder or Hub id. Code of the repo is never run.
            device: "auto", "cpu" or "cuda".
            dtype: one of DTYPES; "auto" is as stored.

        Raises:
            EmoNetFaceError: it cannot be loaded, has no chat template, or a bad option.
        """
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        if dtype not in DTYPES:
            raise EmoNetFaceError(f"--dtype is {dtype!r}; allowed: {', '.join(DTYPES)}")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.processor = AutoProcessor.from_pretrained(model)
            loaded = AutoModelForImageTextToText.from_pretrained(model, dtype=dtype)
            self.model = loaded.to(device).eval()
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            reason = " ".join(str(error).split())[:200]
            raise EmoNetFaceError(f"{model}: is no image-text model to load ({reason})") from None
        if not getattr(self.processor, "chat_template", None):
            raise EmoNetFaceError(f"{model}: its processor has no chat template")
        self._keeps_logits = "logits_to_keep" in inspect.signature(self.model.forward).parameters

    def chat(self, prompt: str, prefill: str = "") -> str:
        """The text of a conversation: a picture with a prompt, and how the answer starts."""
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        # A template that knows no thinking would be warned about if it were told not to.
        quiet = {"enable_thinking": False} if "enable_thinking" in self._template() else {}
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=False,
            **quiet,
        )
        return text + prefill

    def _template(self) -> str:
        return str(self.processor.chat_template)

    def inputs(self, text: str, picture: Image) -> dict[str, torch.Tensor]:
        """What the model takes for one conversation, on its device."""
        batch = self.processor(
            text=[text],
            images=[picture],
            add_special_tokens=self._adds_special_tokens(text),
            return_tensors="pt",
        )
        return dict(batch.to(self.model.device, dtype=self.model.dtype))

    def token_ids(self, text: str) -> list[int]:
        """The tokens of a conversation, with the picture's placeholder as it stands in the text."""
        return self.processor.tokenizer(
            text, add_special_tokens=self._adds_special_tokens(text)
        ).input_ids

    def forward(
        self, inputs: Mapping[str, Any], positions: list[int] | None = None
    ) -> tuple[torch.Tensor, Any]:
        """Logits and cache of one pass.

        Args:
            inputs: of the model.
            positions: where logits are wanted; None for the last place.

        Returns:
            (rows, number of positions, vocabulary) float32, and the key-value cache.
        """
        import torch

        kept: dict[str, object] = {}
        if self._keeps_logits:
            device = self.model.device
            kept["logits_to_keep"] = (
                1 if positions is None else torch.tensor(positions, device=device)
            )
        with torch.inference_mode():
            output = self.model(**inputs, **kept, use_cache=True)
            logits = output.logits
            if not self._keeps_logits:
                logits = logits[:, [-1] if positions is None else positions]
        return logits.float(), output.past_key_values

    def write(self, prompt: str, image: ImageFile, max_tokens: int) -> Reply:
        """The model's reply to a prompt with a picture: the most probable token each time."""
        import torch

        start = time.monotonic()
        inputs = self.inputs(self.chat(prompt), picture_of(image))
        n_prompt = inputs["input_ids"].shape[1]
        with torch.inference_mode():
            written = self.model.generate(**inputs, do_sample=False, max_new_tokens=max_tokens)
        new = written[0, n_prompt:]
        text = self.processor.tokenizer.decode(new, skip_special_tokens=True)
        details: dict[str, object] = {
            "tokens": {"prompt": n_prompt, "completion": len(new)},
            "seconds": round(time.monotonic() - start, 3),
        }
        if len(new) >= max_tokens:
            details["finish_reason"] = "length"
        return Reply(text, None, details)

    def _adds_special_tokens(self, text: str) -> bool:
        """A template that writes the first token itself must not get it twice."""
        first = self.processor.tokenizer.bos_token
        return not (first and text.startswith(first))


def picture_of(image: ImageFile) -> Image:
    """The picture as the model sees it: RGB, upright, of at most MAX_PIXELS."""
    picture = decode(image.data, "the picture")
    if picture.width * picture.height > MAX_PIXELS:
        scale = (MAX_PIXELS / (picture.width * picture.height)) ** 0.5
        size = max(int(picture.width * scale), 1), max(int(picture.height * scale), 1)
        picture = picture.resize(size)
    return picture
