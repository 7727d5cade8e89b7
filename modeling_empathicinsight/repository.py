"""Model repos: written whole, loaded back.

A repo holds config.json, model.safetensors, preprocessor_config.json, the two uploaded code files
and training.json (how it came about). The card is added by `cards`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import new_folder, write_json, write_text
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS, RATING_MAX, RATING_MIN
from modeling_empathicinsight.backbone import (
    Backbone,
    load_processor,
    model_type_of,
    quiet,
)
from modeling_empathicinsight.configuration_empathicinsight import EmpathicInsightFaceConfig
from modeling_empathicinsight.modeling_empathicinsight import (
    EmpathicInsightFaceForImageClassification,
    EmpathicInsightFaceModel,
    EmpathicInsightHeads,
)

if TYPE_CHECKING:
    from transformers.image_processing_utils import BaseImageProcessor

RECORD = "training.json"
CODE = ("configuration_empathicinsight.py", "modeling_empathicinsight.py")


def is_model_repo(folder: Path) -> bool:
    """Whether a folder is a model repo of ours and may be replaced by a new one."""
    try:
        return model_type_of(folder) == EmpathicInsightFaceConfig.model_type
    except EmoNetFaceError:
        return False


def output_names(dimensions: bool) -> list[str]:
    """Names of a model's outputs: the 40 categories, then the slugs of the dimensions if asked."""
    return [*EMOTIONS, *((d.slug for d in DIMENSIONS) if dimensions else ())]


def make_config(
    backbone: Backbone,
    names: list[str],
    neutral_means: list[float],
    neutral_source: str,
    **head: Any,
) -> EmpathicInsightFaceConfig:
    """The configuration of a model on a backbone, its vocabulary and scales from the taxonomy."""
    vision = backbone.tower.config.to_dict()
    vision.pop("_name_or_path", None)  # where the tower lay on this machine is nobody's business
    return EmpathicInsightFaceConfig(
        vision_config=vision,
        output_names=names,
        neutral_means=neutral_means,
        neutral_source=neutral_source,
        score_scale=(RATING_MIN, RATING_MAX),
        dimension_scales={d.slug: [d.low, d.high] for d in DIMENSIONS if d.slug in names},
        **head,
    )


def write_model_repo(
    out: Path,
    config: EmpathicInsightFaceConfig,
    backbone: Backbone,
    heads: EmpathicInsightHeads,
    record: dict[str, Any],
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Write a complete model repo (without card), or nothing.

    Args:
        out: folder; an existing model repo there is replaced.
        config: see `make_config`.
        backbone: its tower and image processor go into the repo, in float32.
        heads: as many as `config.output_names`.
        record: what training.json is to say.
        files: more of them, place in the repo -> bytes.

    Raises:
        EmoNetFaceError: `out` exists and is not a model repo.
    """
    with new_folder(out, is_model_repo) as folder, quiet():
        parts = {"vision_model": backbone.tower, "heads": heads}
        weights = {
            f"{name}.{key}": tensor.cpu().float()
            for name, part in parts.items()
            for key, tensor in part.state_dict().items()
        }
        model = EmpathicInsightFaceForImageClassification.from_pretrained(
            None, config=config, state_dict=weights
        )
        model.save_pretrained(folder)
        backbone.processor.save_pretrained(folder)
        for name, data in (files or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        write_json(folder / RECORD, record)
        for file in folder.glob("*.safetensors"):  # written for their owner alone
            file.chmod((folder / RECORD).stat().st_mode)


def refresh_code(folder: Path) -> None:
    """Put this version's uploaded code in a model repo: an older one may not know a new field."""
    for module in CODE:
        write_text(folder / module, Path(__file__).with_name(module).read_text(encoding="utf-8"))


def _check_names(name: str | Path, found: list[str]) -> None:
    """Raise EmoNetFaceError unless outputs stand where the commands look for them."""
    expected = output_names(len(found) > len(EMOTIONS))
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        if one != other:
            raise EmoNetFaceError(
                f"{name}: config.json: output_names[{place}] is {one!r}, but the commands take the"
                f" outputs in canonical order, {other!r} here; `emonet-face taxonomy` shows it"
            )


def load_model(name: str | Path) -> tuple[EmpathicInsightFaceModel, BaseImageProcessor]:
    """A model repo, by folder or Hub id -> model in evaluation mode, image processor.

    The code is that of this package, not the repo's: nothing downloaded is run.

    Raises:
        EmoNetFaceError: not found, not a model of ours, its weights are not complete or not those
            of its configuration, its outputs are not in canonical order, or its tower takes no
            square pictures.
    """
    kind = model_type_of(name)
    if kind != EmpathicInsightFaceConfig.model_type:
        raise EmoNetFaceError(
            f"{name}: is a {kind!r}, not an EmpathicInsight-Face model"
            f" ({EmpathicInsightFaceConfig.model_type!r})"
        )
    try:
        with quiet():
            model = EmpathicInsightFaceModel.from_pretrained(str(name))
    except Exception as error:  # of a damaged repo, transformers raises many classes
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise EmoNetFaceError(f"{name}: the weights cannot be loaded ({reason})") from None
    _check_names(name, model.config.output_names)
    if model.config.naflex:
        raise EmoNetFaceError(
            f"{name}: has a NaFlex tower (model type 'siglip2'), which works through AutoModel and"
            " pipeline; the commands take fixed-resolution towers (model type 'siglip')"
        )
    return model.eval(), load_processor(name, model.config.vision_config.image_size)
