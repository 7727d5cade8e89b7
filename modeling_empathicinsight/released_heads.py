"""The released heads: one file `model_<slug>_best.pth` per output, read without running anything.

Each file is a pickled state dictionary of one MLP, with the keys `layers.0`, `layers.3`, `layers.6`
(Small, 44 files) and `layers.9` too (Large, 40 files): linear layers with ReLU and dropout between
them. Names and shapes are those of the files of laion/Empathic-Insight-Face-Small and -Large.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import MAX_FILE_BYTES, read_bytes
from emonet_face.ratings import resolve_output
from emonet_face.taxonomy import DIMENSIONS, EMOTIONS
from modeling_empathicinsight.configuration_empathicinsight import HIDDEN_SIZES
from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightHeads

_FILE = re.compile(r"model_(.+)_best\.pth")
_LAYER_STEP = 3
"""A linear layer stands at every third place, before its ReLU and its dropout."""

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

_CALLED_FOR = re.compile(r"GLOBAL ([\w.]+\w)")


@dataclass(frozen=True)
class ReleasedHeads:
    """A complete set of head files.

    Attributes:
        names: the outputs: 40 categories in canonical order, then none or all 4 dimensions.
        size: "small" or "large", told from the shapes.
        embedding_size: width of the embedding that the heads take, e.g. 1152.
        states: per output, the layers' (weight (out, in), bias (out,)), float32.
        sha256: output -> hash of its file.
    """

    names: list[str]
    size: str
    embedding_size: int
    states: list[list[tuple[torch.Tensor, torch.Tensor]]]
    sha256: dict[str, str]

    def stacked(self, dropout: float) -> EmpathicInsightHeads:
        """All heads as one module, in evaluation mode."""
        heads = EmpathicInsightHeads(
            len(self.names), self.embedding_size, HIDDEN_SIZES[self.size], dropout
        )
        with torch.no_grad():
            for place, layer in enumerate(heads.layers):
                layer.weight.copy_(torch.stack([state[place][0].T for state in self.states]))
                layer.bias.copy_(torch.stack([state[place][1] for state in self.states]))
        return heads.eval()


def read_heads(folder: Path, size: str | None = None) -> ReleasedHeads:
    """Read and check all head files of a folder; other files in it are left alone.

    Args:
        folder: holds the `.pth` files themselves, not folders of them.
        size: "small" or "large"; None: whatever the shapes say.

    Raises:
        EmoNetFaceError: no such folder or no head in it; a `.pth` file of another name; two files
            for one output; an output without a file; a file that is unreadable, carries code, or
            holds a missing or extra key, a wrong shape or a value that is not finite; heads of
            different sizes, or of another size than asked for.
    """
    paths = _files(Path(folder))
    names = _complete(paths, folder)
    states, sizes, widths, hashes = {}, {}, {}, {}
    for name in names:
        data = read_bytes(paths[name], MAX_FILE_BYTES)  # the largest released one has 7.4 million
        hashes[name] = hashlib.sha256(data).hexdigest()
        states[name], sizes[name], widths[name] = _layers(data, paths[name])
    first = names[0]
    for what, found in (("size", sizes), ("embedding width", widths)):
        odd = next((name for name in names if found[name] != found[first]), None)
        if odd is not None:
            raise EmoNetFaceError(
                f"{paths[odd]}: the {what} is {found[odd]}, that of {paths[first].name} is"
                f" {found[first]}; all heads of a model have the same"
            )
    if size is not None and size != sizes[first]:
        raise EmoNetFaceError(
            f"{folder}: the heads are {sizes[first]} by their shapes, but --size says {size}"
        )
    return ReleasedHeads(names, sizes[first], widths[first], list(states.values()), hashes)


def _files(folder: Path) -> dict[str, Path]:
    """Output -> its file."""
    if not folder.is_dir():
        raise EmoNetFaceError(f"{folder}: no such folder of head files")
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.pth")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise EmoNetFaceError(
                f"{path}: not a head by its name; head files are called model_<slug>_best.pth"
            )
        name = resolve_output(match[1], str(path))
        if name in found:
            raise EmoNetFaceError(
                f"{folder}: {found[name].name} and {path.name} are both the head of {name!r};"
                " one is expected"
            )
        found[name] = path
    if not found:
        raise EmoNetFaceError(f"{folder}: holds no model_<slug>_best.pth")
    return found


def _complete(paths: dict[str, Path], folder: Path) -> list[str]:
    dimensions = [d.slug for d in DIMENSIONS]
    names = [*EMOTIONS, *(dimensions if any(d in paths for d in dimensions) else ())]
    missing = [name for name in names if name not in paths]
    if missing:
        raise EmoNetFaceError(
            f"{folder}: no head file for {len(missing)} of the {len(names)} outputs,"
            f" {missing[0]!r} the first; 40 categories and none or all 4 dimensions are expected"
        )
    return names


def _layers(data: bytes, path: Path) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], str, int]:
    """One file -> its layers, its size and the width of the embedding it takes."""
    state = _load(data, path)
    size = _size_by_keys(state, path)
    tensors = {key: _checked(value, f"{path}: {key}") for key, value in state.items()}
    keys = _keys(size)
    first = tensors[keys[0][0]]
    width = first.shape[1] if first.ndim == 2 else 0
    for (weight, bias), (wide, narrow) in zip(
        keys, pairwise([width, *HIDDEN_SIZES[size], 1]), strict=True
    ):
        for key, expected in ((weight, (narrow, wide)), (bias, (narrow,))):
            if tuple(tensors[key].shape) != expected or not width:
                shape = ", ".join(str(n or "width of the embedding") for n in expected)
                raise EmoNetFaceError(
                    f"{path}: {key} has the shape {tuple(tensors[key].shape)}; in a {size} head"
                    f" it is ({shape})"
                )
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise EmoNetFaceError(f"{path}: {key} holds values that are not finite in float32")
    return [(tensors[w], tensors[b]) for w, b in keys], size, width


def _load(data: bytes, path: Path) -> dict[str, Any]:
    try:
        state = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged or hostile file can fail in any step of the reading, and so in any way.
        called_for = _CALLED_FOR.search(str(error))
        if called_for is not None:
            raise EmoNetFaceError(
                f"{path}: refused, and nothing in it was run: it calls for {called_for[1]}, where a"
                " state dictionary of tensors alone is expected"
            ) from None
        # Only the first words: the rest of torch's texts advises to load such files regardless.
        reason = str(error).partition(".")[0].partition("\n")[0] or type(error).__name__
        raise EmoNetFaceError(
            f"{path}: cannot be read as a state dictionary of tensors ({reason})"
        ) from None
    if not isinstance(state, dict):
        raise EmoNetFaceError(
            f"{path}: holds a {type(state).__name__}; a state dictionary is expected"
        )
    return state


def _keys(size: str) -> list[tuple[str, str]]:
    """Names of weight and bias of each layer."""
    places = [_LAYER_STEP * place for place in range(len(HIDDEN_SIZES[size]) + 1)]
    return [(f"layers.{place}.weight", f"layers.{place}.bias") for place in places]


def _size_by_keys(state: dict[str, Any], path: Path) -> str:
    """The size whose keys these are; of a faulty set, the one that comes nearest is meant."""
    expected = {size: {key for pair in _keys(size) for key in pair} for size in HIDDEN_SIZES}
    size = min(expected, key=lambda size: len(expected[size] ^ state.keys()))
    for what, keys in (
        ("lacks the key", expected[size] - state.keys()),
        ("holds the extra key", state.keys() - expected[size]),
    ):
        if keys:
            raise EmoNetFaceError(
                f"{path}: {what} {min(keys, key=str)!r}; a {size} head has"
                f" {', '.join(weight.removesuffix('.weight') for weight, _ in _keys(size))},"
                " weight and bias each"
            )
    return size


def _checked(value: Any, where: str) -> torch.Tensor:
    plain = isinstance(value, torch.Tensor) and value.layout == torch.strided
    if not plain or value.dtype not in _FLOATS or value.is_meta:
        kind = getattr(value, "dtype", type(value).__name__)
        raise EmoNetFaceError(
            f"{where}: is a {kind}; a dense tensor of floats of 16, 32 or 64 bits is expected"
        )
    return value.detach().float()
