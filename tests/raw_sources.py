"""Small raw sources for the tests of the dataset builds: drawn faces, ratings, votes, sidecars."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from PIL import Image

from emonet_face.taxonomy import CATEGORIES

RATINGS = [
    ("a.png", "human-1", True, {"Anger": 3, "Awe": 0.5}),
    ("a.png", "human-2", True, {}),
    ("b.png", "human-1", True, {"Pain": 7}),
]
"""For `ratings_csv`."""
VOTES = [
    ("00000", "human-1", "True", "Anger"),
    ("00000", "human-3", "False", "Contentment"),
    ("00001", "human-1", "False", "Distress"),
]
"""For `votes_csv`."""
RECORD = {"annotator": "vlm", "scores": {"Anger": 3}, "prompted_age": 40}
"""For `sidecar`, beside a face of `big`."""


def draw(path: Path, size: tuple[int, int] = (8, 6), shade: int = 0) -> bytes:
    """A flat picture of one colour; returns its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade % 256, 90, 30)).save(path)
    return path.read_bytes()


def sidecar(path: Path, **record: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record), encoding="utf-8")


def lines(path: Path, *records: dict) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ratings_csv(path: Path, *rows: tuple) -> Path:
    """Rows of (image, annotator, human, {category: rating}); keys are written as published."""
    keys = {category.name: category.key for category in CATEGORIES}
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image", "annotator", "human", "annotations"))
        for image, annotator, human, scores in rows:
            named = {keys.get(name, name): score for name, score in scores.items()}
            writer.writerow((image, annotator, human, named))
    return path


def votes_csv(path: Path, *rows: tuple) -> Path:
    """Rows of (path, annotator, value, emotion)."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "annotator", "value", "emotion"))
        writer.writerows(rows)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by relative path."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
