"""EmpathicInsight-Face: how strongly a face shows each of 40 emotion categories.

A SigLIP2 vision tower gives one embedding per image; it is L2-normalised; every output has a small
regressor (MLP) of its own on it. All regressors are evaluated together by batched products.

This file is uploaded with the weights. It needs torch, transformers >= 5.6 and its sibling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel, Siglip2VisionModel, SiglipVisionModel
from transformers import initialization as init
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_empathicinsight import N_EMOTIONS, EmpathicInsightFaceConfig

_TOWER_KEYWORDS = (
    "interpolate_pos_encoding",
    "pixel_attention_mask",
    "spatial_shapes",
    "output_attentions",
    "output_hidden_states",
)
"""What `forward` hands on to the tower. Anything else it was given would be passed over in silence,
`labels` too: there is no loss here."""

_NARROW = 256
"""Widths of first layers up to which heads are interleaved: Small's 128, not Large's 1024."""


@dataclass
class EmpathicInsightFaceOutput(ModelOutput):
    """What `EmpathicInsightFaceModel` returns.

    Attributes:
        scores: (batch, 40 or 44), raw, near the rating scale 0-7; the first 40 are the categories
            in the order of `config.id2label`, the others are named in `config.output_names`.
        embedding: (batch, width), L2-normalised, float32.
    """

    scores: torch.FloatTensor | None = None
    embedding: torch.FloatTensor | None = None


@dataclass
class EmpathicInsightFaceClassifierOutput(ModelOutput):
    """What `EmpathicInsightFaceForImageClassification` returns.

    Attributes:
        logits: (batch, 40), scores minus `config.neutral_means`. Their softmax is the distribution
            over the categories.
        scores, embedding: as in `EmpathicInsightFaceOutput`.
    """

    logits: torch.FloatTensor | None = None
    scores: torch.FloatTensor | None = None
    embedding: torch.FloatTensor | None = None


class StackedLinear(nn.Module):
    """The same layer of all heads: `n_heads` independent linear maps in one batched product.

    Attributes:
        weight: (n_heads, in_features, out_features).
        bias: (n_heads, out_features).
    """

    def __init__(self, n_heads: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_heads, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(n_heads, out_features))

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weight and bias as `nn.Linear` draws them, for each head by itself."""
        bound = 1 / math.sqrt(self.weight.shape[1])
        init.uniform_(self.weight, -bound, bound, generator=generator)
        init.uniform_(self.bias, -bound, bound, generator=generator)

    def interleave_(self) -> None:
        """Keep the weight in memory as (in_features, n_heads, out_features); its shape stays.

        A single row of features then reads all heads in one stream (see `of_one`). That pays for
        narrow heads only: wide ones stream by themselves, and larger batches get a little slower.
        """
        if self.weight.shape[2] <= _NARROW:
            self.weight.data = self.weight.data.transpose(0, 1).contiguous().transpose(0, 1)

    def of_one(self, features: torch.Tensor) -> torch.Tensor | None:
        """`forward` for features (1, in_features) that all heads share; None if not interleaved."""
        inputs = self.weight.transpose(0, 1)
        if not inputs.is_contiguous():
            return None
        width, n_heads, out_features = inputs.shape
        # A product with one row runs in one thread; cut into parts it runs in up to four.
        parts = math.gcd(width, 4)
        products = torch.bmm(
            features.view(parts, 1, -1), inputs.view(parts, width // parts, n_heads * out_features)
        )
        return (products.sum(0).view(n_heads, out_features) + self.bias).unsqueeze(1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n_heads or 1, batch, in_features) -> (n_heads, batch, out_features)."""
        features = features.expand(self.weight.shape[0], -1, -1)
        return torch.baddbmm(self.bias.unsqueeze(1), features, self.weight)


class EmpathicInsightHeads(nn.Module):
    """One MLP per output, all with the same widths: linear, ReLU, dropout, ..., linear.

    Args:
        n_outputs: number of heads.
        in_features: width of the embedding.
        hidden_sizes: widths of the hidden layers.
        dropout: after each hidden layer, in training only.
    """

    def __init__(
        self, n_outputs: int, in_features: int, hidden_sizes: list[int], dropout: float
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.layers = nn.ModuleList(
            StackedLinear(n_outputs, wide, narrow)
            for wide, narrow in pairwise([in_features, *hidden_sizes, 1])
        )

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Normalised embeddings (batch, in_features) -> scores (batch, n_outputs).

        In the weights' own precision, inside `torch.autocast` too: it is what makes small
        differences between scores, and the products are small ones.
        """
        device = embedding.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self(embedding)
        first, *others = self.layers
        embedding = embedding.to(first.weight.dtype)
        hidden = None
        # Asking a graph that is being made for its batch would tie it to the answer.
        if not torch.compiler.is_compiling() and len(embedding) == 1:
            hidden = first.of_one(embedding)
        if hidden is None:
            hidden = first(embedding.unsqueeze(0))
        for layer in others:
            hidden = F.dropout(F.relu(hidden, inplace=True), self.dropout, self.training)
            hidden = layer(hidden)
        return hidden.squeeze(-1).T


def _check_tensor(values: Any, name: str, made_by: str) -> None:
    if not isinstance(values, torch.Tensor):
        raise ValueError(
            f"{name} is a {type(values).__name__}: give the tensor that {made_by} makes"
        )


def _check_finite(values: torch.Tensor, name: str) -> None:
    """Raise ValueError naming the first row with NaN or an infinity, where a look is possible.

    A look waits for the device, and a compiled, traced or recorded graph cannot branch on a value.
    """
    recorded = values.is_cuda and torch.cuda.is_current_stream_capturing()
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or recorded or values.is_meta:
        return
    finite = values.isfinite().flatten(1).all(dim=1)
    if not finite.all():
        raise ValueError(
            f"{name}[{int(finite.int().argmin())}] holds values that are not finite"
            f" ({int((~finite).sum())} of {len(finite)} do)"
        )


class EmpathicInsightFaceModel(PreTrainedModel):
    """Images, or embeddings of images -> raw scores of all outputs.

    The heads stay in float32 when the model is loaded with `dtype=` or runs inside
    `torch.autocast`; `model.half()`, `model.bfloat16()` and `model.to(dtype)` round them as well.

    The image processor saved with the model is the stock one: it takes pictures as
    `convert("RGB")` gives them, so transparency is dropped and 16-bit grey is clipped. The commands
    (`emonet-face predict`, predict_onnx.py, the page) lay transparency over white, scale 16 bits to
    8 and turn a picture upright; `emonet-face predict` also resizes large pictures by a kernel of
    its own, which is off by up to one grey level. Of an opaque, upright 8-bit picture all give
    the same but for that.
    """

    config_class = EmpathicInsightFaceConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _supports_sdpa = True
    _keep_in_fp32_modules_strict = ("heads",)

    def __init__(self, config: EmpathicInsightFaceConfig) -> None:
        config.check()
        super().__init__(config)
        tower = Siglip2VisionModel if config.naflex else SiglipVisionModel
        self.vision_model = tower._from_config(config.vision_config)
        self.heads = EmpathicInsightHeads(
            len(config.output_names),
            config.embedding_size,
            config.head_hidden_sizes,
            config.head_dropout,
        )
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, StackedLinear):
            module.reset_parameters()

    @classmethod
    def from_pretrained(
        cls,
        *args: Any,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> EmpathicInsightFaceModel:
        """Load weights as every model of transformers does, but never incompletely.

        Raises:
            ValueError: the file lacks weights of the model, holds others, or holds them for another
                number of outputs or other sizes than the configuration says. transformers would
                draw them at random and log a line.
        """
        name = args[0] if args else cls.__name__
        # Asked to go on, transformers names the sizes; otherwise it refers to its log.
        kwargs["ignore_mismatched_sizes"] = True
        model, info = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        for key, found, expected in sorted(info["mismatched_keys"]):
            raise ValueError(
                f"{name}: {key!r} has the shape {tuple(found)} in the file, but by config.json it"
                f" is {tuple(expected)}: they belong to different models"
            )
        for what in ("missing", "unexpected"):
            keys = sorted(info[f"{what}_keys"])
            if keys:
                raise ValueError(
                    f"{name}: {len(keys)} {what} weights, the first is {keys[0]!r}; the file must"
                    " hold exactly the weights of the model (transformers >= 5.6 is needed to read"
                    " it)"
                )
        model.heads.layers[0].interleave_()
        return (model, info) if output_loading_info else model

    def describe(self) -> dict[str, str]:
        """What each number of `scores` means: output name -> one sentence."""
        return self.config.describe()

    def calibrate(self, scores: torch.Tensor) -> dict[str, torch.Tensor]:
        """Raw `scores` of this model -> expected ratings with intervals.

        Args:
            scores: (batch, 40 or 44), not neutral-subtracted.

        Returns:
            `rating`, `low`, `high`: (batch, 40) float32 on the scores' device. What an interval
            holds, and how often, says `config.calibration["statement"]`.

        Raises:
            ValueError: `config.calibration` is missing, or scores of another shape.
        """
        found = self.config.calibrate(scores.detach().float().cpu().numpy())
        return {
            name: torch.from_numpy(values).to(scores.device, torch.float32)
            for name, values in found.items()
        }

    def embed(self, pixel_values: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """Images, as the image processor gives them -> (batch, width).

        The tower's pooled output, L2-normalised, float32. No image: (0, width).

        Args:
            pixel_values: (batch, 3, size, size) floats; of a NaFlex tower (batch, patches, values).
            kwargs: go to the tower; with `interpolate_pos_encoding=True` any size is taken. A
                NaFlex tower needs `pixel_attention_mask` and `spatial_shapes`.

        Raises:
            ValueError: no tensor, another shape, whole numbers, or pixels that are not finite (see
                `forward`).
        """
        self._check_pixels(pixel_values, kwargs.get("interpolate_pos_encoding", False))
        if len(pixel_values) == 0:
            width = self.config.embedding_size
            return pixel_values.new_zeros((0, width), dtype=torch.float32)
        missing = {"pixel_attention_mask", "spatial_shapes"} - kwargs.keys()
        if self.config.naflex and missing:
            raise ValueError(
                f"{min(missing)} is missing: a NaFlex tower needs all its image processor gives"
            )
        pooled = self.vision_model(pixel_values=pixel_values, **kwargs).pooler_output
        return F.normalize(pooled.float(), dim=-1)

    def _check_pixels(self, pixels: torch.Tensor, any_size: bool) -> None:
        _check_tensor(pixels, "pixel_values", "the image processor")
        tower = self.config.vision_config
        if self.config.naflex:
            expected = ("batch", "patches", tower.num_channels * tower.patch_size**2)
        elif any_size:
            expected = ("batch", tower.num_channels, "height", "width")
        else:
            expected = ("batch", tower.num_channels, tower.image_size, tower.image_size)
        shape = tuple(pixels.shape)
        if len(shape) != len(expected) or any(
            isinstance(wanted, int) and size != wanted
            for size, wanted in zip(shape, expected, strict=True)
        ):
            raise ValueError(
                f"pixel_values has the shape {shape}: must be ({', '.join(map(str, expected))}),"
                " as the image processor of this model gives it"
            )
        if not pixels.is_floating_point():
            raise ValueError(
                f"pixel_values is {pixels.dtype}: must be floats, normalised by the image processor"
            )
        _check_finite(pixels, "pixel_values")

    def _check_embeddings(self, embeddings: torch.Tensor) -> None:
        _check_tensor(embeddings, "image_embeds", "`embed`")
        shape, width = tuple(embeddings.shape), self.config.embedding_size
        if len(shape) != 2 or shape[1] != width:
            raise ValueError(f"image_embeds has the shape {shape}: must be (batch, {width})")
        _check_finite(embeddings, "image_embeds")

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.FloatTensor | None = None,
        image_embeds: torch.FloatTensor | None = None,
        **kwargs: Any,
    ) -> EmpathicInsightFaceOutput:
        """Scores of images, or of embeddings that were made before.

        Args:
            pixel_values: (batch, 3, size, size), as the image processor gives them; 0 images give
                (0, 40 or 44) scores.
            image_embeds: (batch, width), pooled outputs of the same tower at any length; they are
                normalised here. Exactly one of the two is given.
            kwargs: go to the tower (see `embed`).

        Raises:
            ValueError: both or none given, a keyword that is not the tower's (`labels` is one: the
                heads are fitted by `emonet-face train`, and no loss is computed here), no tensor,
                another shape, whole numbers, or values that are not finite, the image named. That
                last look is not taken inside torch.compile, an export or a CUDA graph: there such
                an image gets NaN throughout, the others are unharmed.
        """
        if (pixel_values is None) == (image_embeds is None):
            raise ValueError("give either pixel_values or image_embeds, and not both")
        unknown = [name for name in kwargs if name not in _TOWER_KEYWORDS]
        if unknown:
            raise ValueError(
                f"{unknown[0]!r} is no argument of the model, which computes no loss; beside"
                f" pixel_values or image_embeds it takes {', '.join(_TOWER_KEYWORDS)}"
            )
        if image_embeds is None:
            embedding = self.embed(pixel_values, **kwargs)
        else:
            self._check_embeddings(image_embeds)
            embedding = F.normalize(image_embeds.float(), dim=-1)
        return EmpathicInsightFaceOutput(scores=self.heads(embedding), embedding=embedding)


class EmpathicInsightFaceForImageClassification(EmpathicInsightFaceModel):
    """Images, or embeddings of images -> neutral-subtracted scores of the 40 categories.

    The weights are those of `EmpathicInsightFaceModel`, under the same names.

    Raises:
        ValueError: the configuration has no `neutral_means`.
    """

    def __init__(self, config: EmpathicInsightFaceConfig) -> None:
        if config.neutral_means is None:
            raise ValueError(
                "config.neutral_means is missing: without it scores cannot be made comparable"
                " between categories; the raw scores are available from AutoModel"
            )
        super().__init__(config)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.FloatTensor | None = None,
        image_embeds: torch.FloatTensor | None = None,
        **kwargs: Any,
    ) -> EmpathicInsightFaceClassifierOutput:
        """As in `EmpathicInsightFaceModel`, with `logits` (batch, 40) beside the raw scores."""
        output = super().forward(pixel_values, image_embeds, return_dict=True, **kwargs)
        neutral = output.scores.new_tensor(self.config.neutral_means[:N_EMOTIONS])
        return EmpathicInsightFaceClassifierOutput(
            logits=output.scores[:, :N_EMOTIONS] - neutral,
            scores=output.scores,
            embedding=output.embedding,
        )


EmpathicInsightFaceModel.register_for_auto_class("AutoModel")
EmpathicInsightFaceForImageClassification.register_for_auto_class("AutoModelForImageClassification")
