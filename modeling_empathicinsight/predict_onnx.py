"""Scores of pictures with an exported EmpathicInsight-Face model, without torch or transformers.

    python predict_onnx.py model.onnx faces/ "more/*.jpg" > predictions.jsonl

In Python:

    from predict_onnx import EmpathicInsightFaceOnnx
    model = EmpathicInsightFaceOnnx("model.onnx")
    model(["face.jpg"])["distribution"]  # (1, 40), in the order of model.names

Pictures are read as `emonet-face predict` reads them: whole, upright, RGB, transparency over white.
The pixels handed to the model are, to the bit, those of transformers' SiglipImageProcessorPil; they
are normalised inside the graph.

This file is uploaded with the weights. It needs onnxruntime, numpy and Pillow and nothing else.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import stat
import sys
import warnings
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageOps import exif_transpose

METADATA_KEY = "emonet_face"
"""Under this key an exported file says, as JSON, what goes in and what comes out."""

_NEEDED = (
    "output_names",
    "n_emotions",
    "neutral_means",
    "image_size",
    "resample",
    "score_scale",
    "calibration",
)

FORMAT = 1
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_FILE_BYTES = 200_000_000
MAX_PIXELS = 64_000_000
MAX_BATCH = 4096


class EmpathicInsightFaceOnnx:
    """An exported model. Threads may share one.

    Args:
        path: the .onnx file.
        providers: of onnxruntime; None: CUDA where this onnxruntime has it, else the CPU.

    Attributes:
        metadata: what the file says about itself.
        names: the 40 categories, in the order of every vector.
        dimensions: names of the further outputs of `scores`, none or 4.
        neutral_means: (40,) what `logits` are the scores less of.

    Raises:
        ValueError: no such file, no ONNX file, or one of another model.
        ModuleNotFoundError: onnxruntime is not installed.
    """

    def __init__(self, path: str | Path, providers: list[str] | None = None) -> None:
        import onnxruntime

        if not Path(path).is_file():
            raise ValueError(f"{path}: no such file")
        if providers is None:
            wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
            have = onnxruntime.get_available_providers()
            providers = [name for name in wanted if name in have]
        onnxruntime.set_default_logger_severity(3)  # errors; it warns of every fp16 operator
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=providers)
        except Exception as error:  # its classes are all direct children of Exception
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"{path}: is not an ONNX file that can be run ({reason})") from None
        self.metadata = _metadata(self._session, path)
        names, n = self.metadata["output_names"], self.metadata["n_emotions"]
        self.names, self.dimensions = names[:n], names[n:]
        self.neutral_means = np.array(self.metadata["neutral_means"][:n])

    def pixels(self, images: Sequence[Image.Image]) -> np.ndarray:
        """RGB pictures of any size -> (n, side, side, 3) uint8, what the graph takes."""
        side, filter_ = self.metadata["image_size"], self.metadata["resample"]
        pixels = np.empty((len(images), side, side, 3), np.uint8)
        for place, image in enumerate(images):
            pixels[place] = np.asarray(image.convert("RGB").resize((side, side), filter_))
        return pixels

    def __call__(self, images: Sequence[Image.Image | str | Path]) -> dict[str, np.ndarray]:
        """Pictures, or paths of image files -> every output of the graph, by name.

        `scores` (n, 40 or 44), raw, near the rating scale; `logits` (n, 40), less the neutral
        means; `distribution` (n, 40), softmax of the logits; `embedding` (n, width), normalised.

        Raises:
            ValueError: an image file that cannot be read.
        """
        pictures = [i if isinstance(i, Image.Image) else read_picture(i) for i in images]
        names = [output.name for output in self._session.get_outputs()]
        values = self._session.run(names, {"pixels": self.pixels(pictures)})
        return dict(zip(names, values, strict=True))

    def calibrate(self, scores: np.ndarray) -> dict[str, dict[str, Any]]:
        """Raw scores of one picture, (40 or 44,) -> expected ratings with intervals.

        Returns:
            Category -> {"rating", "low", "high", "tier"}, on the rating scale. What an interval
            holds, and how often, says `metadata["calibration"]["statement"]`.

        Raises:
            ValueError: the model was exported without a calibration.
        """
        calibration = self.metadata["calibration"]
        if calibration is None:
            raise ValueError("this file holds no calibration: `emonet-face calibrate`, then export")
        bottom, top = self.metadata["score_scale"]
        ratings = {}
        for name, score in zip(self.names, scores[: len(self.names)].tolist(), strict=True):
            entry = calibration["categories"][name]
            rating, half = (
                float(np.interp(score, entry["scores"], entry[key]))
                for key in ("ratings", "half_widths")
            )
            low, high = max(rating - half, bottom), min(rating + half, top)
            ratings[name] = {"rating": rating, "low": low, "high": high, "tier": entry["tier"]}
        return ratings

    def line(
        self, image: str, scores: np.ndarray, top_k: int = 5, calibrated: bool = False
    ) -> dict[str, Any]:
        """The scores of one picture, (40 or 44,), in the form of `emonet-face predict`."""
        if not np.isfinite(scores).all():
            return {"image": image, "error": "the model gives scores that are not finite"}
        scores = scores.astype(np.float64)
        emotions, n = scores[: len(self.names)], len(self.names)
        subtracted = emotions - self.neutral_means
        powers = np.exp(subtracted - subtracted.max())
        distribution = _named(self.names, powers / powers.sum())
        ranked = sorted(distribution.items(), key=lambda item: -item[1])
        return {
            "image": image,
            "scores": _named(self.names, emotions),
            "dimensions": _named(self.dimensions, scores[n:]) or None,
            "neutral_subtracted": _named(self.names, subtracted),
            "distribution": distribution,
            "top": [[name, probability] for name, probability in ranked[:top_k]],
            **({"calibrated": self.calibrate(scores)} if calibrated else {}),
        }


def _metadata(session: Any, path: str | Path) -> dict[str, Any]:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    try:
        metadata = json.loads(text or "null")
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        takes = ", ".join(f"{i.name} {i.type}" for i in session.get_inputs())
        raise ValueError(
            f"{path}: is the ONNX file of another model: its metadata have no entry"
            f" {METADATA_KEY!r} of format {FORMAT} (it takes {takes});"
            " give a file that `emonet-face export` wrote"
        )
    missing = [key for key in _NEEDED if key not in metadata]
    if missing:
        raise ValueError(f"{path}: its metadata {METADATA_KEY!r} lack {missing[0]!r}; export again")
    return metadata


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def read_picture(path: str | Path, where: str | None = None) -> Image.Image:
    """An image file -> RGB picture, upright.

    Args:
        path: of a PNG, JPEG or WebP file.
        where: what to call the image in an error; None: its path.

    Raises:
        ValueError: not there, a pipe or a device, not an image, cut off, animated, or larger than
            MAX_FILE_BYTES or MAX_PIXELS.
    """
    where = where or str(path)
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe waits, a device may never end
            raise ValueError(f"{where}: is no regular file")
        if status.st_size > MAX_FILE_BYTES:
            raise ValueError(
                f"{where}: has {status.st_size:,} bytes; at most {MAX_FILE_BYTES:,} are allowed"
            )
        data = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{where}: cannot be read ({error.strerror})") from None
    picture = decode(data, where)
    if not _is_whole(data):
        raise ValueError(f"{where}: is damaged or cut off, though a picture comes out of it")
    return picture


def _is_whole(data: bytes) -> bool:
    """What a decoder passes over: the end mark, which it does not need, and a PNG's checksums."""
    if data.startswith(b"\xff\xd8"):
        # A thumbnail inside has an end of its own, so it must follow the start of the last scan.
        return data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda")
    place, kind = 8, b""
    while data.startswith(b"\x89PNG") and kind != b"IEND":
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        kind = data[place + 4 : place + 8]
        checksum = int.from_bytes(data[end : end + 4], "big")
        if len(data) < end + 4 or zlib.crc32(memoryview(data)[place + 4 : end]) != checksum:
            return False
        place = end + 4
    return True


def decode(data: bytes, where: str) -> Image.Image:
    """Bytes of a PNG, JPEG or WebP file -> RGB picture, upright.

    EXIF orientation is applied; transparency is laid over white; grey, palette and 16-bit pictures
    become 8-bit RGB.

    Args:
        data: the file's bytes.
        where: what to call the image in an error.

    Raises:
        ValueError: see `read_picture`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
        refusal = _refusal(image)
        if refusal is None:
            image.load()
            return _to_rgb(exif_transpose(image))
    except UnidentifiedImageError:
        refusal = "is not a PNG, JPEG or WebP image"
    except Image.DecompressionBombError:
        refusal = f"more than {MAX_PIXELS:,} pixels"
    except Exception as error:  # Pillow's decoders raise many classes on damaged files
        refusal = f"cannot be decoded ({error})"
    raise ValueError(f"{where}: {refusal}")


def _refusal(image: Image.Image) -> str | None:
    if image.width * image.height > MAX_PIXELS:
        return f"{image.width} x {image.height} pixels; at most {MAX_PIXELS:,} allowed"
    # Cameras put a small or a second view behind a JPEG ("MPO"): the first picture is meant.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        return "is animated; one still picture is expected"
    return None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        # Pillow's own conversion clips 16-bit values instead of scaling them.
        image = image.convert("F").point(lambda value: value / 257.0).convert("L")
    if "A" in image.getbands() or "transparency" in image.info:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return image.convert("RGB")


def find_pictures(paths: Sequence[str]) -> dict[str, str | None]:
    """Files, folders (recursively) and globs -> name of each image file, or of a path that leads
    to none, and in that case why. In input order; a file named twice stands once."""
    found: dict[str, tuple[str, str | None]] = {}  # by absolute path: a.png and ./a.png are one
    for path in paths:
        names, error = _expand(path)
        for name in names:
            found.setdefault(os.path.abspath(name), (name, None))
        if error:
            found.setdefault(os.path.abspath(path), (path, error))
    return dict(found.values())


def _expand(path: str) -> tuple[list[str], str | None]:
    if Path(path).is_dir():
        inside = [name for name in sorted(Path(path).rglob("*")) if _is_image(name, Path(path))]
        return [str(name) for name in inside], None if inside else "the folder holds no image"
    if Path(path).exists():
        return [path], None
    if not glob.has_magic(path):
        return [], "no such file or folder"
    matches = [_expand(match)[0] for match in sorted(glob.glob(path, recursive=True))]
    names = [name for match in matches for name in match]
    return names, None if names else "the pattern matches no image"


def _is_image(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not hidden


def score_files(
    model: EmpathicInsightFaceOnnx,
    paths: Sequence[str],
    batch_size: int = 16,
    top_k: int = 5,
    calibrated: bool = False,
) -> Iterator[dict[str, Any]]:
    """One line for each picture, or {"image", "error"} where there is none, in input order."""
    waiting = list(find_pictures(paths).items())
    for start in range(0, len(waiting), batch_size):
        pictures: dict[str, Image.Image] = {}
        errors: dict[str, str] = {}
        batch = waiting[start : start + batch_size]
        for name, error in batch:
            try:
                if error:
                    raise ValueError(error)
                pictures[name] = read_picture(name)
            except ValueError as reason:
                errors[name] = str(reason)
        rows = model(list(pictures.values()))["scores"] if pictures else ()
        scores = dict(zip(pictures, rows, strict=True))
        for name, _ in batch:
            if name in errors:
                yield {"image": name, "error": errors[name]}
            else:
                yield model.line(name, scores[name], top_k, calibrated)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 0 done, 1 some images unreadable, 2 nothing done."""
    parser = argparse.ArgumentParser(description="Scores of pictures: one JSON object a line.")
    parser.add_argument("model", help="the .onnx file")
    parser.add_argument("paths", nargs="+", help="images, folders (recursive) or globs")
    parser.add_argument("--top-k", type=int, default=5, choices=range(1, 41), metavar="1..40")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N")
    parser.add_argument("--calibrated", action="store_true", help="add ratings with intervals")
    given = parser.parse_args(argv)
    n = n_errors = 0
    try:
        if not 1 <= given.batch_size <= MAX_BATCH:
            raise ValueError(f"--batch-size is {given.batch_size}: must lie in 1..{MAX_BATCH}")
        model = EmpathicInsightFaceOnnx(given.model)
        if given.calibrated:
            model.calibrate(model.neutral_means)  # raises before anything is read, if it must
        found = find_pictures(given.paths)
        if all(found.values()):
            reasons = "; ".join(f"{name}: {error}" for name, error in found.items())
            raise ValueError(f"no images to score ({reasons})")
        options = given.batch_size, given.top_k, given.calibrated
        for line in score_files(model, given.paths, *options):
            print(json.dumps(line, ensure_ascii=False, allow_nan=False), flush=True)
            n, n_errors = n + 1, n_errors + ("error" in line)
    except BrokenPipeError:  # whoever reads the lines has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, ModuleNotFoundError) as error:
        print(f"predict_onnx: {error}", file=sys.stderr)
        return 2
    print(f"{n} images, {n_errors} unreadable", file=sys.stderr)
    return 1 if n_errors else 0


if __name__ == "__main__":
    sys.exit(main())
