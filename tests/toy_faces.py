"""Toy faces and a toy dataset repo for the model's tests: circles whose mouth follows one number.

A face has a curvature (mouth) and an openness (eyes), both -1..1. "Elation" and its neighbours rise
with the curvature, "Sadness" and its neighbours fall with it, "Astonishment/Surprise" rises with
the openness; the other categories are always 0. Nothing here is a measurement.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from emonet_face.taxonomy import DIMENSIONS, EMOTIONS, INDEX, N_EMOTIONS, OPPOSITE

UP = ("Amusement", "Elation", "Contentment", "Pride")
DOWN = ("Sadness", "Distress", "Disappointment", "Shame")
OPEN = ("Astonishment/Surprise", "Awe", "Fear")


def draw_face(
    curvature: float, openness: float, size: int, rng: np.random.Generator
) -> Image.Image:
    """A face on a coloured ground, a little off the centre, drawn large and reduced."""
    wide = 4 * size
    image = Image.new("RGB", (wide, wide), tuple(int(v) for v in rng.integers(120, 256, 3)))
    pen = ImageDraw.Draw(image)
    x, y = wide / 2 + rng.uniform(-0.05, 0.05, 2) * wide
    r = 0.4 * wide
    pen.ellipse(
        (x - r, y - r, x + r, y + r), fill=(250, 220, 180), outline="black", width=size // 8
    )
    eye = r * (0.14 + 0.1 * openness)
    for side in (-1, 1):
        cx, cy = x + side * 0.4 * r, y - 0.25 * r
        pen.ellipse((cx - 0.12 * r, cy - eye, cx + 0.12 * r, cy + eye), fill="black")
    t = np.linspace(-1, 1, 15)
    mouth = [(x + 0.5 * r * s, y + 0.45 * r + 0.3 * r * curvature * (1 - s * s)) for s in t]
    pen.line(mouth, fill=(160, 30, 30), width=size // 4, joint="curve")
    return image.resize((size, size), Image.Resampling.LANCZOS)


def intensities(curvature: float, openness: float) -> np.ndarray:
    """(40,) 0..1 in canonical order."""
    values = np.zeros(N_EMOTIONS)
    for names, strength in ((UP, curvature), (DOWN, -curvature), (OPEN, openness)):
        for place, name in enumerate(names):
            values[INDEX[name]] = max(0.0, strength) * (1 - 0.15 * place)
    return values


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def toy_numbers(config: str, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Image id -> (curvature, openness) of the first n faces of a config."""
    rng = np.random.default_rng([seed, len(config)])
    return {f"{config}-{index:04d}": rng.uniform(-1, 1, 2) for index in range(n)}


def _rows(config: str, n: int, size: int, seed: int) -> list[dict]:
    rng = np.random.default_rng([seed, len(config), 1])
    rows = []
    for image_id, (curvature, openness) in toy_numbers(config, n, seed).items():
        latent = intensities(curvature, openness)
        row = {
            "image": {"bytes": _png(draw_face(curvature, openness, size, rng)), "path": image_id},
            "image_id": image_id,
        }
        if config == "big":
            scores = np.rint(7 * latent).tolist()
            row["ratings"] = [{"annotator": "simulated-vlm", "scores": scores}]
            row["median_scores"] = scores
            row["dimensions"] = {
                d.slug: float(np.clip(rng.normal(3 * curvature, 0.3), d.low, d.high))
                for d in DIMENSIONS
            }
        elif config == "hq":
            row["ratings"] = [
                {
                    "annotator": f"simulated-human-{person}",
                    "scores": np.rint(np.clip(7 * latent + rng.normal(0, 1, 40), 0, 7)).tolist(),
                }
                for person in (1, 2)
            ]
        else:
            row["votes"] = _votes(latent, rng)
        rows.append(row)
    return rows


def _votes(latent: np.ndarray, rng: np.random.Generator) -> list[dict]:
    """The cascade: one to three answers on a target that is on show or not, one on its opposite."""
    target = EMOTIONS[int(rng.choice([*map(INDEX.get, UP + DOWN + OPEN)]))]
    votes = []
    for person in (1, 2, 4):
        chance = 1 / (1 + np.exp(-12 * (latent[INDEX[target]] - 0.4)))
        yes = bool(rng.random() < chance)
        votes.append(
            {"annotator": f"simulated-human-{person}", "emotion": INDEX[target], "present": yes}
        )
        if not yes:
            break
    contrast = INDEX[OPPOSITE[target]]
    return [
        *votes,
        {"annotator": "simulated-human-3", "emotion": contrast, "present": latent[contrast] > 0.8},
    ]


def _features(config: str):
    from datasets import ClassLabel, Features, Image, List, Value

    common = {"image": Image(), "image_id": Value("string")}
    scores = List(Value("float32"), length=N_EMOTIONS)
    ratings = List({"annotator": Value("string"), "scores": scores})
    if config == "big":
        slugs = {d.slug: Value("float32") for d in DIMENSIONS}
        own = {"ratings": ratings, "median_scores": scores, "dimensions": slugs}
    elif config == "hq":
        own = {"ratings": ratings}
    else:
        vote = {
            "annotator": Value("string"),
            "emotion": ClassLabel(names=list(EMOTIONS)),
            "present": Value("bool"),
        }
        own = {"votes": List(vote)}
    return Features(common | own)


def write_toy_repo(
    out: Path,
    *,
    big: int = 200,
    binary: int = 80,
    hq: int = 0,
    size: int = 32,
    seed: int = 0,
    edit=None,
) -> Path:
    """A dataset repo with the configs `big`, `binary` and `hq` (none where its count is 0).

    `edit(config, rows)` may change the rows before they are written.
    """
    configs = []
    for config, n in (("big", big), ("binary", binary), ("hq", hq)):
        if not n:
            continue
        rows = _rows(config, n, size, seed)
        if edit is not None:
            edit(config, rows)
        features = _features(config)
        (out / config).mkdir(parents=True)
        table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
        pq.write_table(table, out / config / "train-00000-of-00001.parquet")
        configs.append(
            f"- config_name: {config}\n"
            f"  data_files: [{{split: train, path: {config}/train-*.parquet}}]\n"
        )
    (out / "README.md").write_text("---\nconfigs:\n" + "".join(configs) + "---\n")
    return out
