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
from transformers import PreTrainedModel, SiglipVisionModel
from transformers import initialization as init
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_empathicinsight import N_EMOTIONS, EmpathicInsightFaceConfig


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
        """Normalised embeddings (batch, in_features) -> scores (batch, n_outputs)."""
        hidden = embedding.to(self.layers[0].weight.dtype).unsqueeze(0)
        for layer in self.layers[:-1]:
            hidden = F.dropout(F.relu(layer(hidden)), self.dropout, self.training)
        return self.layers[-1](hidden).squeeze(-1).T


class EmpathicInsightFaceModel(PreTrainedModel):
    """Images, or embeddings of images -> raw scores of all outputs."""

    config_class = EmpathicInsightFaceConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _supports_sdpa = True
    _keep_in_fp32_modules_strict = ("heads",)

    def __init__(self, config: EmpathicInsightFaceConfig) -> None:
        config.check()
        super().__init__(config)
        self.vision_model = SiglipVisionModel._from_config(config.vision_config)
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
            ValueError: the file lacks weights of the model, or holds others. transformers would
                draw the missing ones at random and log a line.
        """
        model, info = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        for what in ("missing", "unexpected"):
            keys = sorted(info[f"{what}_keys"])
            if keys:
                raise ValueError(
                    f"{args[0] if args else cls.__name__}: {len(keys)} {what} weights, the first"
                    f" is {keys[0]!r}; the file must hold exactly the weights of the model"
                    " (transformers >= 5.6 is needed to read it)"
                )
        return (model, info) if output_loading_info else model

    def describe(self) -> dict[str, str]:
        """What each number of `scores` means: output name -> one sentence."""
        return self.config.describe()

    def embed(self, pixel_values: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        """Images (batch, 3, height, width), as the image processor gives them -> (batch, width).

        The tower's pooled output, L2-normalised, float32. Further arguments go to the tower.
        """
        pooled = self.vision_model(pixel_values=pixel_values, **kwargs).pooler_output
        return F.normalize(pooled.float(), dim=-1)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.FloatTensor | None = None,
        image_embeds: torch.FloatTensor | None = None,
        **kwargs: Any,
    ) -> EmpathicInsightFaceOutput:
        """Scores of images, or of embeddings that were made before.

        Args:
            pixel_values: (batch, 3, height, width), as the image processor gives them.
            image_embeds: (batch, width), pooled outputs of the same tower at any length; they are
                normalised here. Exactly one of the two is given.

        Raises:
            ValueError: both or none given, or embeddings of another width.
        """
        if (pixel_values is None) == (image_embeds is None):
            raise ValueError("give either pixel_values or image_embeds, and not both")
        if image_embeds is None:
            embedding = self.embed(pixel_values, **kwargs)
        elif image_embeds.ndim != 2 or image_embeds.shape[1] != self.config.embedding_size:
            raise ValueError(
                f"image_embeds has the shape {tuple(image_embeds.shape)}:"
                f" must be (batch, {self.config.embedding_size})"
            )
        else:
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
