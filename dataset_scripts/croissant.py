"""`croissant.json`: the dataset repo described in Croissant 1.1, for programs.

One record set per config and split with every column, one file object per shard with its sha256,
and the responsible-AI properties. It follows from the shards alone, so the same repo gives the same
bytes; a build writes it anew each time, before the README.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset_scripts.repo_files import CROISSANT
from dataset_scripts.responsible_ai import SIMULATED, Origin, read_origin, responsible_ai
from dataset_scripts.schema import CONFIGS, SPLITS, features, shard_pattern
from dataset_scripts.shards import sha256_of
from emonet_face.outputs import write_json
from emonet_face.taxonomy import CATEGORIES

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
_VERSION = "1.0.0"
_PAPER = (
    "Schuhmann et al.: EmoNet-Face: An Expert-Annotated Benchmark for Synthetic Emotion"
    " Recognition. NeurIPS 2025, arXiv:2505.20033."
)
_NOTICE = (
    f" In this copy annotators are simulated (their names begin with '{SIMULATED}'): it shows how"
    " the software works and is no result on EmoNet-Face."
)
_PARQUET = "application/x-parquet"
_TERMS = re.findall(
    r"\w+",
    "arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty"
    " fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet"
    " references regex repeated replace samplingRate separator source subField transform",
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS},
}
"""Names used below -> the vocabularies they belong to."""

_TYPES = {"string": "sc:Text", "int32": "sc:Integer", "float32": "sc:Float", "bool": "sc:Boolean"}
_EMOTIONS = "emotions"
_MEANING = {
    "image": "the picture, bytes unchanged; null where only labels were given",
    "image_id": "file-name stem, unique within a config; joins hq and hq_baselines",
    "sha256": "hex digest of the image bytes",
    "width": "pixels, upright",
    "height": "pixels, upright",
    "generator": "text-to-image model or program, where known",
    "prompt": "the text the picture was made from",
    "prompted_emotion": f"asked for in the prompt; index in the record set {_EMOTIONS!r}",
    "prompted_ethnicity": "asked for in the prompt, not an observation",
    "prompted_age": "years, asked for in the prompt, not an observation",
    "prompted_gender": "asked for in the prompt, not an observation",
    "ratings": "one entry per annotator",
    "annotator": "name of a rater or a program",
    "scores": f"40 ratings, 0 absent to 7 very strong, in the order of {_EMOTIONS!r}; null for a"
    " category without a value; a model's scores may leave the scale",
    "median_scores": f"median over the annotators, in the order of {_EMOTIONS!r}",
    "dimensions": "median over the annotators who gave one",
    "target_emotion": f"what the picture was made to show; index in {_EMOTIONS!r}",
    "contrast_emotion": f"its fixed opposite; index in {_EMOTIONS!r}",
    "votes": "one entry per answer",
    "emotion": f"asked about; index in {_EMOTIONS!r}",
    "present": "whether the rater saw it",
}


def write_croissant(repo: Path, hashes: Mapping[Path, str] | None = None) -> None:
    """Write `repo`/croissant.json from the shards that are there; `hashes` as in `croissant`."""
    write_json(repo / CROISSANT, croissant(repo, hashes))


def croissant(repo: Path, hashes: Mapping[Path, str] | None = None) -> dict[str, Any]:
    """The Croissant description of a repo, as plain JSON-LD data.

    Args:
        repo: a folder with the shards of at least one config.
        hashes: shard -> sha256, where that is known already.
    """
    found = {config: sorted(repo.glob(shard_pattern(config))) for config in CONFIGS}
    shards = {config: paths for config, paths in found.items() if paths}
    origin = read_origin(shards)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": "EmoNet-Face",
        "description": _description(origin),
        "version": _VERSION,
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "citeAs": _PAPER,
        "keywords": ["emotion recognition", "facial expressions", "synthetic images"],
        "isLiveDataset": False,
        **responsible_ai(origin),
        "distribution": [
            part
            for config, paths in shards.items()
            for part in _files(repo, config, paths, hashes or {})
        ],
        "recordSet": [
            _emotions(),
            *(_record_set(config, paths, repo) for config, paths in shards.items()),
        ],
    }


def file_hashes(description: Mapping[str, Any]) -> dict[str, str]:
    """Path in the repo -> sha256, of the file objects in a Croissant description."""
    parts = description.get("distribution", [])
    return {part["contentUrl"]: part["sha256"] for part in parts if "sha256" in part}


def _description(origin: Origin) -> str:
    sizes = ", ".join(f"{config} {n:,} rows" for config, n in origin.rows.items())
    return (
        f"Artificial faces judged on 40 emotion categories: {sizes}."
        f"{_NOTICE if origin.simulated else ''}"
    )


def _files(
    repo: Path, config: str, paths: Sequence[Path], hashes: Mapping[Path, str]
) -> Iterable[dict[str, Any]]:
    for path in paths:
        name = path.relative_to(repo).as_posix()
        yield {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{path.stat().st_size} B",
            "encodingFormat": _PARQUET,
            "sha256": hashes.get(path) or sha256_of(path),
        }
    if len(paths) > 1:
        yield {
            "@type": "cr:FileSet",
            "@id": shard_pattern(config),
            "name": shard_pattern(config),
            "encodingFormat": _PARQUET,
            "includes": shard_pattern(config),
        }


def _record_set(config: str, paths: Sequence[Path], repo: Path) -> dict[str, Any]:
    # A single shard is read through its file object, whose sha256 readers then check.
    source = (
        {"fileObject": {"@id": paths[0].relative_to(repo).as_posix()}}
        if len(paths) == 1
        else {"fileSet": {"@id": shard_pattern(config)}}
    )
    name = f"{config}/{SPLITS[config]}"
    keys = ["image_id", "annotator"] if config == "hq_baselines" else ["image_id"]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"Config {config!r}, split {SPLITS[config]!r}.",
        "key": [{"@id": f"{name}/{key}"} for key in keys],
        "field": [
            _field(f"{name}/{column}", column, kind, source | {"extract": {"column": column}})
            for column, kind in features(config).items()
        ],
    }


def _field(uid: str, column: str, kind: Any, source: dict[str, Any]) -> dict[str, Any]:
    """One field of a record set; lists of records and records get sub-fields."""
    from datasets import ClassLabel, Image, List

    field: dict[str, Any] = {"@type": "cr:Field", "@id": uid, "name": uid}
    if column in _MEANING:
        field["description"] = _MEANING[column]
    if isinstance(kind, List):
        shape = str(kind.length)
        inner = _field(uid, column, kind.feature, source)
        return {**inner, **field, "isArray": True, "arrayShape": shape}
    if isinstance(kind, dict):
        field["subField"] = [
            _field(f"{uid}/{name}", name, part, source | {"transform": {"jsonPath": name}})
            for name, part in kind.items()
        ]
        return field
    if isinstance(kind, Image):
        return field | {
            "dataType": "sc:ImageObject",
            "source": source | {"transform": {"jsonPath": "bytes"}},
        }
    data_type = "sc:Integer" if isinstance(kind, ClassLabel) else _TYPES[kind.dtype]
    return field | {"dataType": data_type, "source": source}


def _emotions() -> dict[str, Any]:
    columns = {"index": "sc:Integer", "name": "sc:Text", "family": "sc:Text", "kind": "sc:Text"}
    return {
        "@type": "cr:RecordSet",
        "@id": _EMOTIONS,
        "name": _EMOTIONS,
        "description": "The 40 categories: the order of every vector of scores.",
        "dataType": "sc:Enumeration",
        "key": {"@id": f"{_EMOTIONS}/index"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{_EMOTIONS}/{column}",
                "name": f"{_EMOTIONS}/{column}",
                "dataType": data_type,
            }
            for column, data_type in columns.items()
        ],
        "data": [
            {f"{_EMOTIONS}/{column}": getattr(entry, column) for column in columns}
            for entry in CATEGORIES
        ],
    }
