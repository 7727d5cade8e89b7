"""A model repo -> an ONNX file with everything inside, a parity report and a script beside it.

emonet-face export --model DIR

The graph takes 8-bit RGB pixels and does the rest itself: pixels are normalised, the embedding is
normalised, the neutral means are subtracted. An input of another type or shape is refused by
onnxruntime; what no graph can tell is blue in the place of red.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from emonet_face.errors import EmoNetFaceError
from emonet_face.outputs import first_line_has, made_by, new_file, write_json
from modeling_empathicinsight import predict_onnx
from modeling_empathicinsight.export_graph import MADE_BY, PRODUCER, describe, write_graph
from modeling_empathicinsight.export_parity import Parity, Pictures, compare, reference_outputs
from modeling_empathicinsight.repository import load_model

if TYPE_CHECKING:
    from modeling_empathicinsight.modeling_empathicinsight import EmpathicInsightFaceModel

DTYPES = ("fp32", "fp16")
OPSET = 18
OPSETS = range(18, 24)

MAX_BYTES = 2**31 - 2**24
"""An ONNX file is one protobuf message, which ends at 2 GiB; some room is left for the graph. At
the size of so400m Small (1.74 GB in fp32) and Large (2.01 GB) fit, and hardly anything larger."""


@dataclass(frozen=True)
class Exported:
    """A written file and how near it comes to the model."""

    path: Path
    dtype: str
    n_bytes: int
    parity: Parity


def export(
    model: str | Path,
    out: Path | None = None,
    *,
    dtypes: Sequence[str] = ("fp32",),
    opset: int = OPSET,
    images: Path | None = None,
) -> list[Exported]:
    """Write ONNX files of a model repo, each with FILE.parity.json, and `predict_onnx.py` beside.

    Args:
        model: folder or Hub id.
        out: the .onnx file; an earlier export there is replaced. None: onnx/model.onnx or
            onnx/model_fp16.onnx in the model's folder. With both dtypes, the name of the fp32 file;
            the other ends in _fp16.onnx.
        dtypes: of the tower's weights: "fp32", "fp16" or both. Heads and normalisations are fp32.
        opset: of ONNX, 18..23.
        images: folder of pictures for the parity report, the first 32 of which are taken; None:
            drawn noise, gradients and discs.

    Raises:
        EmoNetFaceError: the model cannot be used or is too large for one file, a file gives other
            values than the model (see `export_parity.TOLERANCE`), or `out` exists and is something
            else. Nothing is written then.
    """
    _check_arguments(dtypes, opset)
    paths = _paths(model, out, dtypes)
    loaded, processor = load_model(model)
    loaded.float()
    metadata = describe(loaded, processor, model)
    samples = Pictures.of(images)
    reference = reference_outputs(loaded, processor, samples)
    done = []
    with ExitStack() as files:  # all of them come to their places, or none
        for dtype, path in paths.items():
            report = files.enter_context(new_file(_report_of(path), _is_our_report))
            aside = files.enter_context(new_file(path, _is_our_model))
            loaded.vision_model.to(torch.float16 if dtype == "fp16" else torch.float32)
            _check_size(loaded, model)
            write_graph(loaded, metadata | {"dtype": dtype}, opset, aside)
            parity = compare(aside, dtype, reference, samples)
            record = {"made_by": MADE_BY, "file": path.name, "sha256": metadata["sha256"]}
            write_json(report, record | {"opset": opset} | parity.as_json())
            done.append(Exported(path, dtype, aside.stat().st_size, parity))
        script = Path(predict_onnx.__file__)
        beside = files.enter_context(new_file(done[0].path.with_name(script.name), _is_our_script))
        beside.write_bytes(script.read_bytes())
    return done


def _check_arguments(dtypes: Sequence[str], opset: int) -> None:
    if not dtypes or set(dtypes) - set(DTYPES) or opset not in OPSETS:
        raise EmoNetFaceError(
            f"dtypes are {', '.join(dtypes) or 'none'}, must be of {', '.join(DTYPES)};"
            f" opset is {opset}, must lie in {OPSETS[0]}..{OPSETS[-1]}"
        )
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if missing:
        raise EmoNetFaceError(
            f"export needs {', '.join(missing)}: pip install 'emonet-face[export]'"
        )


def _paths(model: str | Path, out: Path | None, dtypes: Sequence[str]) -> dict[str, Path]:
    """Dtype -> file to write, fp32 first: making it fp16 changes the model."""
    wanted = [dtype for dtype in DTYPES if dtype in dtypes]
    if out is None and not Path(model).is_dir():
        raise EmoNetFaceError(f"{model}: is no folder to write into; give --out FILE.onnx")
    if out is not None and out.suffix != ".onnx":
        raise EmoNetFaceError(f"{out}: must end in .onnx")
    first = out or Path(model) / "onnx" / "model.onnx"
    half = first.with_name(f"{first.stem}_fp16.onnx")
    if wanted == ["fp16"] and out is not None:
        half = first
    return {dtype: {"fp32": first, "fp16": half}[dtype] for dtype in wanted}


def _report_of(path: Path) -> Path:
    return path.with_suffix(".parity.json")


def _is_our_model(path: Path) -> bool:
    with path.open("rb") as stream:  # the producer is among the first fields of the message
        return PRODUCER.encode() in stream.read(64)


def _is_our_report(path: Path) -> bool:
    return made_by(path.parent, path.name) == MADE_BY


def _is_our_script(path: Path) -> bool:
    return first_line_has(predict_onnx.__doc__.partition("\n")[0])(path)


def _check_size(model: EmpathicInsightFaceModel, name: str | Path) -> None:
    n_bytes = sum(p.numel() * p.element_size() for p in model.parameters())
    if n_bytes > MAX_BYTES:
        raise EmoNetFaceError(
            f"{name}: {n_bytes / 1e9:.2f} GB of weights; one ONNX file holds at most"
            f" {MAX_BYTES / 1e9:.2f} GB, and weights beside it are not written; try --dtype fp16"
        )
