"""The ONNX graph of a model: what goes in, what comes out, what the file says about itself."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL.Image import Resampling
from torch import nn

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from modeling_empathicinsight import predict_onnx
from modeling_empathicinsight.backbone import fingerprint
from modeling_empathicinsight.configuration_empathicinsight import N_EMOTIONS

if TYPE_CHECKING:
    import onnx_ir
    from transformers.image_processing_utils import BaseImageProcessor

    from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightFaceModel

MADE_BY = "emonet-face export"
PRODUCER = "emonet-face"

PROCESSOR_STEPS = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "do_center_crop": False,
    "do_pad": False,
}
"""What the image processor must do, and must not, for the file's description to be the truth."""

OUTPUTS = {
    "scores": "raw, near score_scale; the n_emotions categories, then the dimensions",
    "logits": "scores of the categories less neutral_means: compare pictures by these",
    "distribution": "softmax of the logits over the categories",
    "embedding": "of the picture, L2-normalised",
}


class ExportGraph(nn.Module):
    """What is exported: 8-bit pixels -> all outputs, in the order of OUTPUTS.

    Args:
        model: its tower in the precision to export, its heads in float32.
        scale, shift: (3,) float32, so that pixel * scale + shift is what the tower takes.
    """

    def __init__(
        self, model: EmpathicInsightFaceModel, scale: torch.Tensor, shift: torch.Tensor
    ) -> None:
        super().__init__()
        self.model = model
        neutral = torch.tensor(model.config.neutral_means[:N_EMOTIONS])
        for name, values in (("scale", scale), ("shift", shift), ("neutral", neutral)):
            self.register_buffer(name, values, persistent=False)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(batch, side, side, 3) uint8 RGB -> scores, logits, distribution, embedding."""
        values = (pixels.float() * self.scale + self.shift).permute(0, 3, 1, 2)
        output = self.model(pixel_values=values.to(self.model.vision_model.dtype))
        logits = output.scores[:, :N_EMOTIONS] - self.neutral
        return output.scores, logits, logits.softmax(dim=-1), output.embedding


def describe(
    model: EmpathicInsightFaceModel, processor: BaseImageProcessor, name: str | Path
) -> dict[str, Any]:
    """What an exported file says about itself, under `predict_onnx.METADATA_KEY`.

    Raises:
        EmoNetFaceError: no neutral means, or an image processor that does more than resize to a
            square, rescale and normalise: what the file takes could not be said.
    """
    config = model.config
    if config.neutral_means is None:
        raise EmoNetFaceError(f"{name}: config.json has no neutral_means to subtract")
    if config.naflex:
        raise EmoNetFaceError(
            f"{name}: has a NaFlex tower, whose inputs are patches; only a tower of fixed"
            " resolution can be exported"
        )
    for step, wanted in PROCESSOR_STEPS.items():
        if bool(getattr(processor, step, False)) != wanted:
            raise EmoNetFaceError(
                f"{name}: preprocessor_config.json has {step} {not wanted}; must be {wanted}"
            )
    side = config.vision_config.image_size
    return {
        "format": predict_onnx.FORMAT,
        "made_by": MADE_BY,
        "version": __version__,
        "model_type": config.model_type,
        "head_size": config.head_size,
        "sha256": fingerprint(model),
        "input": {
            "pixels": f"uint8 (batch, {side}, {side}, 3): a whole upright picture resized to the"
            " square, red green blue, 0 to 255; normalisation is inside"
        },
        "image_size": side,
        "resample": int(processor.resample),
        "resample_name": Resampling(processor.resample).name.lower(),
        "rescale_factor": processor.rescale_factor,
        "image_mean": list(processor.image_mean),
        "image_std": list(processor.image_std),
        "outputs": OUTPUTS,
        "n_emotions": N_EMOTIONS,
        "output_names": config.output_names,
        "score_scale": config.score_scale,
        "dimension_scales": config.dimension_scales,
        "neutral_means": config.neutral_means,
        "neutral_source": config.neutral_source,
        "calibration": config.calibration,
    }


def write_graph(
    model: EmpathicInsightFaceModel, metadata: dict[str, Any], opset: int, path: Path
) -> None:
    """Export a model as it stands, clean the graph and write it; onnx.checker has no complaint.

    Args:
        model: in evaluation mode, the tower in the precision to export.
        metadata: see `describe`.
        opset: of ONNX.
        path: of the file to write.
    """
    import onnx
    import onnx_ir

    mean, std = (torch.tensor(metadata[f"image_{key}"]) for key in ("mean", "std"))
    graph = ExportGraph(model, metadata["rescale_factor"] / std, -mean / std).eval()
    side = metadata["image_size"]
    example = (torch.zeros(2, side, side, 3, dtype=torch.uint8),)
    batch = ({0: torch.export.Dim("batch")},)
    with torch.no_grad(), _quiet():
        # Strict tracing keeps the batch open where the model's Python asks for its length, and
        # fails where it cannot; the exporter's own tracing would write a graph for batch 2 only.
        traced = torch.export.export(graph, example, dynamic_shapes=batch, strict=True)
        program = torch.onnx.export(
            traced, dynamo=True, input_names=["pixels"], opset_version=opset, verbose=False
        )
    exported = program.model
    _clean(exported)
    exported.producer_name, exported.producer_version = PRODUCER, __version__
    exported.metadata_props[predict_onnx.METADATA_KEY] = json.dumps(metadata, ensure_ascii=False)
    onnx_ir.save(exported, path)
    onnx.checker.check_model(str(path), full_check=True)


def _clean(model: onnx_ir.Model) -> None:
    """Name outputs and batch, and take out where on this machine each node's source code lies."""
    import onnx_ir

    graph = model.graph
    values = [value for node in graph for value in node.outputs]
    for item in (model, graph, *graph, *graph.inputs, *graph.initializers.values(), *values):
        item.metadata_props.clear()
        item.doc_string = None
    for value in (*values, *graph.initializers.values()):
        if value.name in OUTPUTS:
            value.name = f"inner_{value.name}"
    for value, name in zip(graph.outputs, OUTPUTS, strict=True):
        value.name = name
    (pixels,) = graph.inputs
    traced_name = str(pixels.shape[0])  # such as "s6"
    for value in (pixels, *(v for v in values if v.shape is not None)):
        sizes = [size if isinstance(size, int) else str(size) for size in value.shape]
        value.shape = onnx_ir.Shape(
            [s if isinstance(s, int) else s.replace(traced_name, "batch") for s in sizes]
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks off the screen: the file is checked and compared instead."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
