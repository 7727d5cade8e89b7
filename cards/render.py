"""Render the card (README.md) of a product folder from a template and the product's own files.

Every number on a card comes from a file inside the product: the front matter and the Parquet shards
of a dataset, `config.json` and `training.json` of a model, and `evaluation.json` of either, which
holds rows of a benchmark. A section without numbers is left out. An unknown name in a template is
an error.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.front_matter import read_front_matter, write_front_matter
from emonet_face.outputs import write_json
from emonet_face.taxonomy import EMOTIONS

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
EVALUATION = "evaluation.json"
MODEL_TYPE = "empathicinsight_face"
SIMULATED = (
    "Simulated raters on schematic faces: made to show how the software works. Nothing here is a"
    " result on EmoNet-Face or a statement about people."
)
TITLES = {"dataset": "EmoNet-Face", "model": "EmpathicInsight-Face"}


def kind_of(repo: Path) -> str:
    """What a product folder is, told from its content: "dataset", "model" or "metric".

    Raises:
        EmoNetFaceError: it is none of the three.
    """
    config = repo / "config.json"
    if config.is_file():
        model_type = _read_json(config).get("model_type")
        if model_type == MODEL_TYPE:
            return "model"
        raise EmoNetFaceError(f"{config}: model_type is {model_type!r}, not {MODEL_TYPE!r}")
    if (repo / f"{repo.resolve().name}.py").is_file():
        return "metric"
    if "configs" in read_front_matter(repo)[0]:
        return "dataset"
    raise EmoNetFaceError(
        f"{repo}: is no product folder: neither a dataset (README.md with configs), nor a model"
        " (config.json), nor a metric (a script of the folder's name)"
    )


def render_card(repo: Path) -> Path:
    """Write the card of a product folder; what the loaders read in its front matter is kept.

    The metric's card is part of the metric and holds no numbers: it is left as it is.

    Returns:
        The path of the card.

    Raises:
        EmoNetFaceError: no product folder, or one of its files is broken.
    """
    kind = kind_of(repo)
    if kind == "metric":
        return repo / "README.md"
    front, _ = read_front_matter(repo)
    context = _dataset(repo, front) if kind == "dataset" else _model(repo)
    front = {**front, **(_model_front_matter() if kind == "model" else {})}
    text = _environment().get_template(f"{kind}.md.j2").render(**context, **_evaluation(repo))
    write_front_matter(repo, front, text.rstrip() + "\n")
    return repo / "README.md"


def write_evaluation(
    repo: Path, protocols: Mapping[str, list[dict[str, Any]]], *, level: float, seed: int
) -> None:
    """Put benchmark rows into a product folder, for its card.

    Args:
        repo: dataset or model folder.
        protocols: protocol -> rows with `annotator`, `weighted_kappa`, `weighted_kappa_ci`,
            `spearman`, `spearman_ci` (None where undefined).
        level: confidence level of the intervals, e.g. 0.95.
        seed: of the benchmark.
    """
    record = {
        "made_by": "emonet-face benchmark",
        "confidence_level": level,
        "seed": seed,
        "protocols": {name: list(rows) for name, rows in protocols.items()},
    }
    write_json(repo / EVALUATION, record)


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters |= {"number": _number, "interval": _interval}
    return environment


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _interval(pair: list[float | None] | None) -> str:
    if pair is None or any(value is None or math.isnan(value) for value in pair):
        return "-"
    return f"[{pair[0]:.3f}, {pair[1]:.3f}]"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EmoNetFaceError(f"{path}: is not a readable JSON file ({error})") from None
    if not isinstance(value, dict):
        raise EmoNetFaceError(f"{path}: holds a {type(value).__name__}, not an object")
    return value


def _evaluation(repo: Path) -> dict[str, Any]:
    path = repo / EVALUATION
    if not path.is_file():
        return {"protocols": {}, "level": ""}
    record = _read_json(path)
    try:
        return {
            "protocols": record["protocols"],
            "level": f"{100 * record['confidence_level']:g} %",
        }
    except KeyError as error:
        raise EmoNetFaceError(f"{path}: has no {error}") from None


def _dataset(repo: Path, front: Mapping[str, Any]) -> dict[str, Any]:
    infos = front.get("dataset_info", [])
    infos = infos if isinstance(infos, list) else [infos]
    configs = {info["config_name"]: info for info in infos}
    for name in configs:
        if not any((repo / name).glob("*.parquet")):
            raise EmoNetFaceError(f"{repo}: config {name!r} has no Parquet files; build it again")
    defaults = [c["config_name"] for c in front["configs"] if c.get("default")]
    annotators = Counter(_annotators(repo, "hq"))
    everybody = set(annotators) | set(_annotators(repo, "big")) | set(_annotators(repo, "binary"))
    return {
        "title": TITLES["dataset"],
        "notice": SIMULATED if any(map(_is_simulated, everybody)) else "",
        "repo_id": repo.resolve().name,
        "default": defaults[0] if defaults else next(iter(configs)),
        "configs": configs,
        "annotators": dict(sorted(annotators.items())),
        "emotions": EMOTIONS,
        "limits": _dataset_limits(configs),
    }


def _dataset_limits(configs: Mapping[str, Any]) -> list[str]:
    lines = []
    if "binary" in configs:
        lines.append(
            "Votes follow a cascade: an image whose first answer was no was not asked about again,"
            " so agreement among images with several votes is an overestimate. The contrast answer"
            " is a single vote."
        )
    if "big" in configs:
        lines.append("The ratings of `big` were given by a program, not by people.")
    return lines


def _is_simulated(annotator: str) -> bool:
    return annotator.startswith("simulated")


def _annotators(repo: Path, config: str) -> list[str]:
    """Every annotator entry of a config, one per image and annotator (or vote)."""
    import pyarrow.parquet as parquet

    column = "votes" if config == "binary" else "ratings"
    names: list[str] = []
    for shard in sorted((repo / config).glob("*.parquet")):
        try:
            # One leaf of the nested column: the scores and the pictures stay on disk.
            table = parquet.ParquetFile(shard).read(columns=[f"{column}.list.element.annotator"])
            for chunk in table.column(0).chunks:
                names += chunk.flatten().field("annotator").to_pylist()
        except (OSError, ValueError, KeyError, IndexError) as error:
            reason = str(error).partition("\n")[0]
            raise EmoNetFaceError(f"{shard}: cannot be read ({reason})") from None
    return names


def _model(repo: Path) -> dict[str, Any]:
    config = _read_json(repo / "config.json")
    training = repo / "training.json"
    record = _read_json(training) if training.is_file() else {}
    stages = record.get("stages", {}).values()
    annotators = [name for stage in stages for name in stage.get("annotators", [])]
    outputs = config["output_names"]
    size = config.get("head_size", "custom").capitalize()
    return {
        "title": f"{TITLES['model']} {size}",
        "notice": SIMULATED if any(map(_is_simulated, annotators)) else "",
        "repo_id": repo.resolve().name,
        "dimensions": outputs[len(EMOTIONS) :],
        "n_outputs": len(outputs),
        "head_sizes": " -> ".join(map(str, [*config["head_hidden_sizes"], 1])),
        "embedding_size": config["vision_config"]["hidden_size"],
        "neutral_source": config["neutral_source"] or "not stated",
        "stages": _stage_lines(record),
    }


def _stage_lines(record: Mapping[str, Any]) -> list[str]:
    """One line per training stage that was run, from training.json."""
    lines = []
    for name, stage in record.get("stages", {}).items():
        if stage.get("run"):
            images = stage["images"]
            measures = ", ".join(f"{key} {value:.3f}" for key, value in stage["held_out"].items())
            lines.append(
                f"Stage `{name}`: {images['training']:,} images, {images['held_out']:,} more held"
                f" out; labels by {', '.join(stage['annotators'])}. On the held-out images:"
                f" {measures}."
            )
        else:
            lines.append(f"Stage `{name}`: not run.")
    return lines


def _model_front_matter() -> dict[str, Any]:
    return {
        "license": "cc-by-4.0",
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": ["emonet-face", "emotion-recognition", "facial-expression", "custom_code"],
    }
