"""Vision towers: loaded from a tower, a full SigLIP(2) checkpoint or a model repo of ours.

Which weights a tower has is told by a fingerprint, so that embeddings of different towers are never
mixed, whatever folder or id they came from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL.Image import Resampling
from torch.nn import functional as F
from transformers import AutoImageProcessor, PreTrainedConfig, SiglipVisionModel
from transformers.utils import cached_file, logging

from emonet_face.errors import EmoNetFaceError
from modeling_empathicinsight.configuration_empathicinsight import EmpathicInsightFaceConfig
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightFaceModel

if TYPE_CHECKING:
    from PIL import Image
    from transformers.image_processing_utils import BaseImageProcessor

TOWER_TYPES = ("siglip_vision_model", "siglip")
"""Model types of transformers that hold a fixed-resolution SigLIP or SigLIP2 vision tower."""


@dataclass(frozen=True)
class Backbone:
    """A vision tower that is ready to embed.

    Attributes:
        tower: in evaluation mode, on `device`.
        processor: turns RGB pictures into `pixel_values` of the tower's size.
        name: the folder or Hub id as it was given.
        revision: the Hub commit; None for a folder.
        sha256: fingerprint of the tower's weights as stored (see `fingerprint`).
        device: "cuda" where there is one, else "cpu".
    """

    tower: SiglipVisionModel
    processor: BaseImageProcessor
    name: str
    revision: str | None
    sha256: str
    device: str

    @property
    def normalisation(self) -> dict[str, Any]:
        """How a picture's numbers are prepared: mean, std, rescale_factor, resample.

        Part of what an embedding is: the same weights see other numbers with another mean.
        """
        return {
            "mean": list(self.processor.image_mean),
            "std": list(self.processor.image_std),
            "rescale_factor": self.processor.rescale_factor,
            "resample": Resampling(self.processor.resample).name.lower(),
        }

    @torch.inference_mode()
    def embed(self, images: list[Image.Image]) -> torch.Tensor:
        """RGB pictures -> (n, width) pooled outputs, L2-normalised, float32, on the CPU."""
        pixels = self.processor(images=images, return_tensors="pt")["pixel_values"]
        pooled = self.tower(pixels.to(self.device, self.tower.dtype)).pooler_output
        return F.normalize(pooled.float(), dim=-1).cpu()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' bars and loading reports off the screen; what matters is checked."""
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def model_type_of(name: str | Path) -> str:
    """The `model_type` in the config.json of a folder or Hub id.

    Raises:
        EmoNetFaceError: neither such a folder nor such a model on the Hub, or no usable config.
    """
    if Path(name).is_dir():
        path = Path(name) / "config.json"
        config = _read_config(path)
    else:
        path = f"{name}: config.json"
        try:
            with quiet():
                config, _ = PreTrainedConfig.get_config_dict(str(name))
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise EmoNetFaceError(
                f"{name}: no model folder and no model on the Hub ({reason})"
            ) from None
    if not isinstance(config.get("model_type"), str):
        raise EmoNetFaceError(f"{path}: names no model_type, so it is not a model's")
    return config["model_type"]


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EmoNetFaceError(f"{path.parent}: no model folder (it has no config.json)") from None
    except OSError as error:
        raise EmoNetFaceError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise EmoNetFaceError(f"{path}: is not valid JSON ({error})") from None
    if not isinstance(config, dict):
        raise EmoNetFaceError(f"{path}: is not a JSON object with the settings of a model")
    return config


def load_backbone(name: str | Path, dtype: str = "float32") -> Backbone:
    """Load a vision tower with its image processor.

    Args:
        name: folder or Hub id of a SigLIP(2) vision tower, of a full SigLIP(2) checkpoint (its text
            side is left out) or of an EmpathicInsight-Face model.
        dtype: of the tower's weights while it runs: "float32", "bfloat16" or "float16".

    Raises:
        EmoNetFaceError: not found, another kind of model, incomplete weights, no image processor,
            or a processor whose picture size is not the tower's.
    """
    if dtype not in ("float32", "bfloat16", "float16"):
        raise EmoNetFaceError(f"dtype is {dtype!r}: must be float32, bfloat16 or float16")
    kind = model_type_of(name)
    with quiet():
        if kind == EmpathicInsightFaceConfig.model_type:
            tower = EmpathicInsightFaceModel.from_pretrained(str(name)).vision_model
        elif kind in TOWER_TYPES:
            tower, info = SiglipVisionModel.from_pretrained(str(name), output_loading_info=True)
            if info["missing_keys"]:
                raise EmoNetFaceError(
                    f"{name}: the weights lack {len(info['missing_keys'])} of the vision tower's,"
                    f" the first is {min(info['missing_keys'])!r}"
                )
        else:
            raise EmoNetFaceError(
                f"{name}: is a {kind!r}; a fixed-resolution SigLIP or SigLIP2 is needed (model type"
                f" {' or '.join(TOWER_TYPES)}), e.g. google/siglip2-so400m-patch16-384"
            )
        processor = load_processor(name, tower.config.image_size)
    if not tower.config.vision_use_head:
        raise EmoNetFaceError(f"{name}: the tower has no pooling head, so no pooled embedding")
    sha256 = fingerprint(tower)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tower = tower.to(device, getattr(torch, dtype)).eval()
    return Backbone(tower, processor, str(name), _commit(name), sha256, device)


def load_processor(name: str | Path, image_size: int) -> BaseImageProcessor:
    """The image processor saved with a model, always with the PIL backend: one source of pixels.

    Raises:
        EmoNetFaceError: there is none, or its size is not `image_size` (pixels).
    """
    try:
        processor = AutoImageProcessor.from_pretrained(str(name), backend="pil")
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EmoNetFaceError(f"{name}: no image processor ({reason})") from None
    size = (processor.size["height"], processor.size["width"])
    if size != (image_size, image_size):
        raise EmoNetFaceError(
            f"{name}: preprocessor_config.json makes {size[0]} x {size[1]} pixels,"
            f" the tower takes {image_size} x {image_size}"
        )
    return processor


def fingerprint(tower: SiglipVisionModel) -> str:
    """SHA-256 over names and float32 bytes of all weights, in name order: 64 hex digits.

    The same for a tower by itself, inside a full checkpoint or inside a model repo.
    """
    digest = hashlib.sha256()
    for key, tensor in sorted(tower.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy())
    return digest.hexdigest()


def _commit(name: str | Path) -> str | None:
    """The commit of a model in the Hub's cache (.../snapshots/<commit>/config.json)."""
    if Path(name).is_dir():
        return None
    path = Path(cached_file(str(name), "config.json"))
    return path.parent.name if path.parent.parent.name == "snapshots" else None
