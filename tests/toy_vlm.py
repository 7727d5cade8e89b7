"""Tiny local image-text models in the form of LLaVA, made in code: one to be read, one that writes.

Both have a byte-level tokenizer without merges, a chat template and a picture of 30 x 30 patches.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AddedToken,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'] | upper }}: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>{{ '\\n' }}{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
HIDDEN = 64


def _processor(pieces, patches):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(alphabet)}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in pieces])
    side = 8 * patches
    return LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        ),
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )


def _model(tokenizer, patches, layers):
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            image_size=8 * patches, patch_size=8, projection_dim=32,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=HIDDEN, intermediate_size=128,
            num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=40_000, initializer_range=0.15,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=patches * patches,
    )  # fmt: skip
    config.text_config.eos_token_id = tokenizer.eos_token_id
    return LlavaForConditionalGeneration(config).eval()


def make_reader(out: Path, *, answers: bool = True, patches: int = 30) -> Path:
    """A model with drawn weights whose next token is nearly always the start of yes or no.

    Args:
        out: folder to write.
        answers: False: it has no such liking, and puts nearly nothing on either.
        patches: of a side of the picture.
    """
    processor = _processor([], patches)
    model = _model(processor.tokenizer, patches, layers=2)
    with torch.no_grad():
        # One number of every token's embedding is large and passes through to the end, where the
        # first letters of both answers look for it; the others make them differ a little.
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        embedding[:, 0] = 6
        head[:, 0] = 0
        if answers:
            head[processor.tokenizer.convert_tokens_to_ids(list("yYnN")), 0] = 6
    model.save_pretrained(out)
    processor.save_pretrained(out)
    return out


def make_writer(out: Path, reply: str, known: tuple[str, ...] = ()) -> Path:
    """A model that writes one reply to everything: each token has one that follows it.

    Args:
        out: folder to write.
        reply: cut into pieces that are tokens of their own.
        known: long texts that are one token each, to be read quickly.
    """
    pieces = [reply[: len(reply) // 2], reply[len(reply) // 2 :]]
    processor = _processor([*pieces, *known], patches=2)
    tokenizer = processor.tokenizer
    model = _model(tokenizer, patches=2, layers=1)
    chain = [
        tokenizer.convert_tokens_to_ids(":"),
        *(tokenizer.convert_tokens_to_ids(piece) for piece in pieces),
        tokenizer.eos_token_id,
    ]
    with torch.no_grad():
        for name, weight in model.model.language_model.named_parameters():
            if "o_proj" in name or "down_proj" in name:
                weight.zero_()  # what goes in comes out
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        head.zero_()
        for place, (before, after) in enumerate(itertools.pairwise(chain)):
            embedding[before] = 0
            embedding[before, place] = 1
            head[after] = embedding[before]
    model.save_pretrained(out)
    processor.save_pretrained(out)
    return out
