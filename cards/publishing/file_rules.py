"""What may lie in a repo that is published: no strays, no empty or too large files, no scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from cards.publishing.staged_files import StagedRepo

LARGEST = 50 * 10**9
"""Bytes of one file that the Hub takes."""

MOST_IN_A_FOLDER = 10_000
"""Entries of a folder that the Hub takes."""

ALLOWED = {
    "dataset": (".csv", ".json", ".jsonl", ".md", ".parquet", ".png", ".jpg", ".svg", ".yaml"),
    "model": (".json", ".md", ".onnx", ".data", ".png", ".jpg", ".svg", ".py", ".safetensors",
              ".txt", ".yaml"),
    "metric": (".csv", ".json", ".md", ".png", ".py", ".svg", ".txt"),
    "space": (".css", ".json", ".md", ".png", ".jpg", ".py", ".svg", ".txt"),
}  # fmt: skip
"""Endings of the files of each kind. Pickled weights (.bin, .pt, .pth) are none of them."""

ALLOWED_WITHIN = {("model", "training"): (".csv",)}
"""(kind, folder) -> further endings there: `train` keeps its curves and tables as CSV."""

NAMES = ("LICENSE", ".gitattributes")
HIDDEN_FOLDERS = (".eval_results",)


def file_faults(repo: StagedRepo) -> Iterator[tuple[str, str]]:
    """(path in the repo, what is wrong with it) for every file that must not be published so."""
    names = {file.name for file in repo.files}
    if "README.md" not in names:
        yield "README.md", f"is missing; make the card: emonet-face card {repo.name}"
    for file in repo.files:
        if fault := _stray(repo.kind, PurePosixPath(file.name)):
            yield file.name, fault
        elif not file.size:
            yield file.name, "is empty"
        elif file.size > LARGEST:
            yield file.name, f"has {file.size:,} bytes; the Hub takes {LARGEST:,} in one file"
    crowded = Counter(PurePosixPath(name).parent for name in names)
    for folder, count in crowded.items():
        if count > MOST_IN_A_FOLDER:
            yield f"{folder}/", f"holds {count:,} files; the Hub takes {MOST_IN_A_FOLDER:,}"


def _stray(kind: str, name: PurePosixPath) -> str:
    if any(part.startswith(".") and part not in HIDDEN_FOLDERS for part in name.parts[:-1]):
        return "lies in a hidden folder"
    if name.name in NAMES:
        return ""
    if name.name.startswith("."):
        return "is a hidden file"
    allowed = ALLOWED[kind] + ALLOWED_WITHIN.get((kind, f"{name.parent}"), ())
    if "__pycache__" in name.parts or name.suffix not in allowed:
        return f"is no part of a {kind} (allowed: {', '.join(allowed)})"
    return ""
