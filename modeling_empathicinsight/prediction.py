"""Scores of image files, or of the faces in them, in input order.

    emonet-face predict --model ID_OR_DIR faces/ "more/*.jpg" --out predictions.jsonl
    emonet-face predict --model ID_OR_DIR photos/ --faces --out faces.csv

Pictures are read, cut and resized in threads while the model works on those before them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.look_ahead import look_ahead
from emonet_face.progress import track
from emonet_face.resumable_file import ResumableFile, resumable_file
from modeling_empathicinsight.configuration_empathicinsight import N_EMOTIONS
from modeling_empathicinsight.face_crops import MARGIN, Detector, crop, crop_box, find_faces
from modeling_empathicinsight.prediction_inputs import Input, find_inputs, fingerprint
from modeling_empathicinsight.prediction_lines import JsonLines, Record, Table, scored
from modeling_empathicinsight.preprocessing import FastPreprocessor
from modeling_empathicinsight.repository import load_model
from modeling_empathicinsight.source import batches

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "bfloat16", "float16")
MAX_BATCH = 4096

_MOST_AHEAD = 64
"""Inputs that may wait, resized, for the model: more would take memory and save no time."""


@dataclass(frozen=True)
class Summary:
    """What `predict` did: lines written, and how many of them are errors.

    Attributes:
        n, n_errors: all lines, and those among them that hold an error.
        n_without_face: lines that say that a picture shows no face.
        n_resumed: images whose lines an earlier call had written.
    """

    n: int
    n_errors: int
    n_without_face: int = 0
    n_resumed: int = 0


@dataclass(frozen=True)
class _Piece:
    """A line to be.

    Attributes:
        start: its first keys.
        pixels: what is to be scored; None: the line is complete.
        is_last: whether it is the last line of its input.
    """

    start: Record
    pixels: torch.Tensor | None = None
    is_last: bool = True


def predict(
    model: str | Path,
    paths: Sequence[str | Path],
    out: Path | None = None,
    *,
    batch_size: int = 16,
    top_k: int = 5,
    faces: bool = False,
    face_detector: Path | None = None,
    device: str = "auto",
    dtype: str = "float32",
    calibrated: bool = False,
) -> Summary:
    """Score images with a model repo.

    Pictures are turned upright, transparency is laid over white and 16 bits are scaled to 8, as in
    predict_onnx.py and on the page. The pipeline, and the image processor saved with the model, do
    what `convert("RGB")` does: they drop transparency and clip 16-bit grey. Pictures of at least
    twice the model's size are resized in a faster way, within one grey level of that processor.

    Each line is {"image", "scores": {40 names}, "dimensions": {4 slugs} or null,
    "neutral_subtracted": {40}, "distribution": {40}, "top": [[name, probability], ...]}: raw scores
    near the rating scale 0-7; these less the model's neutral means; and the softmax of the latter.
    A path that leads to no image, or an image that cannot be read, gives {"image", "error"} in its
    place, and the rest go on.

    With `faces` there is a line for each face, the largest first, with "face": {"index", "n_faces",
    "box": [left, top, right, bottom], "score", "crop": the part that was scored, "margin",
    "detector"} after "image". A picture without a face gives {"image", "face": {"n_faces": 0,
    "detector"}} and no scores.

    Args:
        model: folder or Hub id.
        paths: image files, folders (searched recursively) and globs, in any mixture. A file that
            is named more than once is scored once, where it comes first.
        out: JSON lines, or a table if it ends in .csv (see `prediction_lines.Table`). It appears
            when it is complete; a call that ended early is taken up by an equal one. None: JSON
            lines on standard output.
        batch_size: images or faces at a time, 1..MAX_BATCH.
        top_k: length of "top", 1..40.
        faces: score the faces in each image, cut out with the margin of `face_crops`, and not the
            whole image.
        face_detector: file of a better detector (see `face_crops.Detector`); implies `faces`.
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        dtype: of the tower while it runs: "float32", "bfloat16" or "float16". The heads stay in
            float32.
        calibrated: add "calibrated": {category: {"rating", "low", "high", "tier"}}, the expected
            rating with its interval and how reliable the category is (see `calibration`).

    Raises:
        EmoNetFaceError: nothing matched, the model or the detector cannot be used, the model has no
            neutral means, or no calibration where it is asked for, there is no such device, its
            memory is too small for a batch, or `out` exists and holds something else.
    """
    if not 1 <= top_k <= N_EMOTIONS or not 1 <= batch_size <= MAX_BATCH:
        raise EmoNetFaceError(
            f"top_k is {top_k}, must lie in 1..{N_EMOTIONS}; batch_size is {batch_size},"
            f" must lie in 1..{MAX_BATCH}"
        )
    inputs = find_inputs(paths)
    detector = _detector(face_detector) if faces or face_detector else None
    score = _Scorer(model, _device(device), dtype, top_k, calibrated)
    table = out is not None and Path(out).suffix.lower() == ".csv"
    names = score.model.config.output_names
    form = Table(names, detector is not None, calibrated) if table else JsonLines()
    cut = _Cutter(score.preprocessor, detector)
    if out is None:
        return _write(_Screen(), form, inputs, cut, score, batch_size)
    plan = {
        "made_by": "emonet-face predict",
        "version": __version__,
        "model": score.identity,
        "inputs": fingerprint(inputs),
        "top_k": top_k,
        "dtype": dtype,
        "calibrated": calibrated,
        "faces": detector and [str(face_detector), detector.name, MARGIN],
        "header": form.header,
    }
    with resumable_file(Path(out), form.is_ours, plan) as file:
        return _write(file, form, inputs, cut, score, batch_size)


def _write(
    file: ResumableFile | _Screen,
    form: JsonLines | Table,
    inputs: list[Input],
    cut: _Cutter,
    score: _Scorer,
    batch_size: int,
) -> Summary:
    """Write the lines of all inputs that the file does not hold yet."""
    counts = {"n": 0, "n_errors": 0, "n_without_face": 0, **file.state}
    n_done = n_resumed = counts.pop("inputs", 0)
    if not n_resumed:
        file.write(form.header)
    ready = look_ahead(cut, inputs[n_resumed:], ahead=min(batch_size, _MOST_AHEAD))
    pieces = chain.from_iterable(track(ready, "scoring", len(inputs) - n_resumed))
    for batch, scores in _one_behind(batches(pieces, batch_size), score.start):
        for record in score.records(batch, scores):
            file.write(form.line(record))
            counts["n"] += 1
            counts["n_errors"] += "error" in record
            counts["n_without_face"] += "face" in record and not record["face"]["n_faces"]
        n_done += sum(piece.is_last for piece in batch)
        if batch[-1].is_last:
            file.keep({"inputs": n_done, **counts})
    return Summary(**counts, n_resumed=n_resumed)


def _one_behind(
    batches_of_pieces: Iterator[list[_Piece]],
    start: Callable[[list[_Piece]], torch.Tensor | None],
) -> Iterator[tuple[list[_Piece], torch.Tensor | None]]:
    """Each batch and what `start` gave for it, when the next one is started: a GPU goes on working
    while lines are written."""
    before = None
    for batch in batches_of_pieces:
        now = batch, start(batch)
        if before is not None:
            yield before
        before = now
    if before is not None:
        yield before


class _Screen:
    """Standard output, in the shape of a `ResumableFile`."""

    state: dict[str, Any] = {}  # noqa: RUF012 - never written to

    def write(self, text: str) -> None:
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))

    def keep(self, state: dict[str, Any]) -> None:
        sys.stdout.flush()


class _Cutter:
    """Input -> the pieces of it that are to be scored. Threads may call one at once."""

    def __init__(self, preprocessor: FastPreprocessor, detector: Detector | None) -> None:
        self.preprocessor = preprocessor
        self.detector = detector

    def __call__(self, entry: Input) -> list[_Piece]:
        start = {"image": entry.name}
        try:
            picture = entry.picture()
        except EmoNetFaceError as error:
            return [_Piece({**start, "error": str(error)})]
        if self.detector is None:
            return [_Piece(start, self.preprocessor.pixels(picture))]
        faces = find_faces(picture, self.detector)
        told = {"n_faces": len(faces), "detector": self.detector.name}
        if not faces:
            return [_Piece({**start, "face": told})]
        pieces = []
        for index, face in enumerate(faces):
            about = {
                "index": index,
                **told,
                "box": list(face.box),
                "score": face.score,
                "crop": list(crop_box(picture.size, face)),
                "margin": MARGIN,
            }
            pixels = self.preprocessor.pixels(crop(picture, face))
            pieces.append(_Piece({**start, "face": about}, pixels, index == len(faces) - 1))
        return pieces


class _Scorer:
    """A loaded model that turns a batch of pieces into records."""

    def __init__(
        self, name: str | Path, device: str, dtype: str, top_k: int, calibrated: bool
    ) -> None:
        if dtype not in DTYPES:
            raise EmoNetFaceError(f"dtype is {dtype!r}: must be one of {', '.join(DTYPES)}")
        self.model, processor = load_model(name)
        if self.model.config.neutral_means is None:
            raise EmoNetFaceError(f"{name}: config.json has no neutral_means to subtract")
        if calibrated and self.model.config.calibration is None:
            raise EmoNetFaceError(
                f"{name}: is not calibrated; `emonet-face calibrate` does it, on raters' data"
            )
        self.preprocessor = FastPreprocessor(processor, name)
        self.identity = _identity(name, self.model.config)
        self.device = device
        self.dtype = getattr(torch, dtype)
        self.top_k = top_k
        self.calibrated = calibrated
        self.model.to(device)
        self.model.vision_model.to(self.dtype)

    @torch.inference_mode()
    def start(self, batch: list[_Piece]) -> torch.Tensor | None:
        """Raw scores (n, n_outputs) of the pieces with pixels, None if there are none. On a GPU
        they need not be there yet."""
        pixels = [piece.pixels for piece in batch if piece.pixels is not None]
        if not pixels:
            return None
        try:
            values = self.preprocessor.normalise(torch.stack(pixels), self.device, self.dtype)
            return self.model(pixel_values=values).scores
        except torch.OutOfMemoryError:
            raise EmoNetFaceError(
                f"{len(pixels)} images at a time do not fit into the memory of {self.device};"
                " lower --batch-size"
            ) from None

    def records(self, batch: list[_Piece], scores: torch.Tensor | None) -> Iterator[Record]:
        """The lines of a batch, with what `start` gave for it."""
        rows = iter(() if scores is None else scores.double().cpu().numpy())
        config = self.model.config
        for piece in batch:
            if piece.pixels is None:
                yield piece.start
            else:
                yield scored(piece.start, next(rows), config, self.top_k, self.calibrated)


def _device(name: str) -> str:
    if name not in DEVICES:
        raise EmoNetFaceError(f"device is {name!r}: must be one of {', '.join(DEVICES)}")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise EmoNetFaceError(
            f"device is 'cuda', but torch {torch.__version__} finds no CUDA device here;"
            " use cpu or auto"
        )
    return ("cuda" if there else "cpu") if name == "auto" else name


def _detector(path: Path | None) -> Detector:
    try:
        return Detector(path)
    except (ValueError, ModuleNotFoundError) as error:
        raise EmoNetFaceError(str(error)) from None


def _identity(name: str | Path, config: Any) -> list[Any]:
    """What tells a model from another: its commit, or sizes and times of its files."""
    if not Path(name).is_dir():
        return [str(name), getattr(config, "_commit_hash", None)]
    files = sorted(p for p in Path(name).iterdir() if p.suffix in (".json", ".safetensors"))
    return [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]
