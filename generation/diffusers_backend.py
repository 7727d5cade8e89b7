"""The backend that holds a text-to-image pipeline of diffusers: FLUX, SD3.5, SDXL or another.

Which pipeline class it is, the model's own `model_index.json` says. Weights are read from
safetensors files only. Every picture has a random generator of its own, on the CPU, so that its
noise is the same in any batch and on any device; what the network makes of it may still differ in
the last digits with batch size, device and versions, all of which the sidecar records.

The sidecar of a prompt that was too long for a text encoder names the tokenizers that cut it
(`prompt_readers`), as "prompt_cut_by" in "generation"; at the end of the run it is said how many.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emonet_face.errors import EmoNetFaceError
from generation.backends import OutOfMemory, Picture, Request
from generation.diffusers_models import INDEX, find_model, first_line, is_text_to_image
from generation.marking import TRAINED
from generation.prompt_readers import PromptReaders

DTYPES = ("auto", "float32", "bfloat16", "float16")
"""auto: bfloat16 on an accelerator, float32 on a CPU."""

_OURS = {"prompt", "height", "width", "num_inference_steps", "guidance_scale", "generator"}
_OURS |= {"output_type", "return_dict", "num_images_per_prompt"}
"""Arguments of a pipeline that are set from options of their own or fixed."""


class DiffusersBackend:
    """See `backends.Backend`. The model is looked up when it is made and loaded by `load`."""

    name = "diffusers"
    source_type = TRAINED
    batch_matters = True
    one_core = False

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        dtype: str = "auto",
        device: str = "auto",
        scheduler: str | None = None,
        batch_size: int = 1,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Args:
            model: Hub id or folder of a diffusers pipeline.
            revision: of a Hub id: branch, tag or commit; what it stands for now is recorded.
            steps, guidance: None: the pipeline's own defaults, which are recorded.
            dtype: one of DTYPES.
            device: "auto", "cpu", "cuda", "cuda:1", "mps" ...
            scheduler: name of a scheduler class that goes with the pipeline; None: its own.
            batch_size: pictures at once.
            options: further arguments of the pipeline's call, e.g. {"negative_prompt": "blurred"}.

        Raises:
            EmoNetFaceError: no such model, not a text-to-image pipeline of diffusers, an argument
                that it does not take, or a value out of range.
        """
        if dtype not in DTYPES:
            raise EmoNetFaceError(f"unknown dtype {dtype!r}; allowed: {', '.join(DTYPES)}")
        if steps is not None and steps < 1:
            raise EmoNetFaceError(f"steps is {steps}: must be 1 or more")
        _check_device(device)
        self.batch_size, self._device = batch_size, device
        self._model, self._folder, self._revision = model, *find_model(model, revision)
        self._generator = self._folder.name if Path(model).is_dir() else model
        self._options = dict(options or {})
        self._call = _defaults(self._pipeline_class) | _given(steps, guidance)
        self._scheduler, self._dtype = scheduler, _dtype_name(dtype, device)
        self._pipeline: Any = None
        self._readers: Any = None
        self._check_arguments()

    @property
    def overlap(self) -> bool:
        return not _place(self._device).startswith("cpu")

    @cached_property
    def _index(self) -> dict[str, Any]:
        return json.loads((self._folder / INDEX).read_text(encoding="utf-8"))

    @property
    def _pipeline_class(self) -> type:
        import diffusers

        name = self._index.get("_class_name")
        found = getattr(diffusers, name, None) if isinstance(name, str) else None
        if found is None:
            raise EmoNetFaceError(
                f"{self._model}: its pipeline class {name!r} is not one of diffusers"
                f" {diffusers.__version__}"
            )
        return found

    def _check_arguments(self) -> None:
        known = inspect.signature(self._pipeline_class.__call__).parameters
        if not is_text_to_image(self._pipeline_class):
            raise EmoNetFaceError(
                f"{self._model}: its pipeline class {self._pipeline_class.__name__} is no"
                " text-to-image pipeline"
            )
        for name in self._options:
            if name not in known or name in _OURS:
                raise EmoNetFaceError(
                    f"{self._model}: its pipeline takes no option {name!r}; allowed:"
                    f" {', '.join(sorted(set(known) - _OURS - {'self'}))}"
                )
        for name, option in (("num_inference_steps", "steps"), ("guidance_scale", "guidance")):
            if name in self._call and name not in known:
                raise EmoNetFaceError(f"{self._model}: its pipeline takes no {option}")

    def generator(self) -> str:
        """The model's id, or the name of its folder."""
        return self._generator

    def recipe(self) -> dict[str, Any]:
        own = self._index.get("scheduler", [None, None])[1]
        return {
            "model": self.generator(),
            "revision": self._revision,
            "pipeline": self._index["_class_name"],
            "scheduler": self._scheduler or own,
            "steps": self._call.get("num_inference_steps"),
            "guidance": self._call.get("guidance_scale"),
            "dtype": self._dtype,
            "options": self._options,
        }

    def circumstances(self, request: Request) -> dict[str, Any]:
        cut = self._readers.cut_by(request.record.text)
        return ({"prompt_cut_by": cut} if cut else {}) | self._place_and_versions

    @cached_property  # looking up versions takes as long as a tiny pipeline's picture
    def _place_and_versions(self) -> dict[str, Any]:
        import torch

        names = ("torch", "diffusers", "transformers", "numpy", "pillow")
        place = torch.device(_place(self._device))
        device = torch.cuda.get_device_name(place) if place.type == "cuda" else ""
        return {
            "device": f"{place} {device}".strip(),
            "versions": {name: version(name) for name in names},
        }

    def load(self) -> None:
        """Load the pipeline onto its device.

        Raises:
            EmoNetFaceError: its files are not complete or not safetensors, the scheduler does not
                go with it, or there is no such device.
        """
        if self._pipeline is not None:
            return
        import torch

        place = _place(self._device)
        try:
            torch.empty(0, device=place)
        except (RuntimeError, AssertionError) as error:  # the latter where torch has no CUDA at all
            raise EmoNetFaceError(
                f"device {place!r} cannot be used ({first_line(error)})"
            ) from None
        try:
            pipeline = self._pipeline_class.from_pretrained(
                self._folder, dtype=getattr(torch, self._dtype), use_safetensors=True
            )
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise EmoNetFaceError(f"{self._model}: cannot be loaded ({reason})") from None
        if self._scheduler is not None:
            pipeline.scheduler = _scheduler(pipeline.scheduler, self._scheduler)
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline = pipeline.to(place)
        self._readers = PromptReaders(pipeline, self._options)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pipeline": None, "_readers": None}

    def make(self, requests: Sequence[Request], size: int) -> list[Picture]:
        import torch

        generators = [torch.Generator("cpu").manual_seed(request.seed) for request in requests]
        try:
            made = self._pipeline(
                prompt=[request.record.text for request in requests],
                generator=generators,
                height=size,
                width=size,
                output_type="np",
                **self._call,
                **self._per_prompt(len(requests)),
            )
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            _free_memory()
            raise OutOfMemory(first_line(error)) from None
        except (ValueError, TypeError) as error:  # what no further attempt will change
            raise EmoNetFaceError(f"{self._model}: {first_line(error)}") from None
        values = np.asarray(made.images)
        if values.shape[1:3] != (size, size):
            raise EmoNetFaceError(
                f"{self._model}: makes {values.shape[2]} x {values.shape[1]} pixels where {size} x"
                f" {size} are asked for; sizes must be multiples of what the model works in"
            )
        flags = getattr(made, "nsfw_content_detected", None) or [None] * len(requests)
        return [_picture(array, flag) for array, flag in zip(values, flags, strict=True)]

    def _per_prompt(self, n: int) -> dict[str, Any]:
        """The options; a negative prompt is given once for each prompt."""
        negative = {k: v for k, v in self._options.items() if k.startswith("negative_prompt")}
        return self._options | {k: [v] * n for k, v in negative.items() if isinstance(v, str)}


def _picture(values: np.ndarray, flag: bool | None) -> Picture:
    """(size, size, 3) in 0..1 -> a picture, with what is wrong with it."""
    if not np.isfinite(values).all():
        return Picture(None, fault="pixel values that are no numbers", flagged=flag)
    image = Image.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8))
    fault = "replaced by the pipeline's safety filter" if flag else None
    return Picture(image, fault=fault, flagged=None if flag is None else bool(flag))


def _defaults(pipeline: type) -> dict[str, Any]:
    """The pipeline's own number of steps and guidance."""
    known = inspect.signature(pipeline.__call__).parameters
    names = ("num_inference_steps", "guidance_scale")
    return {name: known[name].default for name in names if name in known}


def _given(steps: int | None, guidance: float | None) -> dict[str, Any]:
    given = {"num_inference_steps": steps, "guidance_scale": guidance}
    return {name: value for name, value in given.items() if value is not None}


def _check_device(device: str) -> None:
    """Raise EmoNetFaceError where it is no name of a device, whether this machine has it or not."""
    import torch

    try:
        torch.device(_place(device))
    except RuntimeError:
        raise EmoNetFaceError(
            f"unknown device {device!r}; allowed: auto, cpu, cuda, cuda:1, mps and so on"
        ) from None


def _place(device: str) -> str:
    """A device by its name; "auto" is an accelerator where there is one."""
    import torch

    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _dtype_name(dtype: str, device: str) -> str:
    if dtype != "auto":
        return dtype
    return "float32" if _place(device) == "cpu" else "bfloat16"


def _scheduler(own: Any, name: str) -> Any:
    """The pipeline's scheduler as another class with the same settings."""
    fitting = {kind.__name__: kind for kind in (type(own), *own.compatibles)}
    if name not in fitting:
        raise EmoNetFaceError(
            f"no scheduler {name!r} goes with this pipeline; allowed: {', '.join(sorted(fitting))}"
        )
    return fitting[name].from_config(own.config)


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    text = str(error).lower()
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "out of memory" in text or "can't allocate memory" in text


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
