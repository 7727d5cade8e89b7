"""The card of a model repo: what its configuration, its records and its evaluation say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cards.dataset_card import SIMULATED
from cards.evaluation import read_evaluation
from cards.model_index import by_card, model_index
from cards.slices import slices_of
from cards.sourced import Number, part, read_json, results, sourced
from cards.stages import stages_of
from emonet_face.simulated import TRAINING_RECORD, trained_on_simulated
from emonet_face.taxonomy import CATEGORIES, DIMENSIONS, EMOTIONS

TITLE = "EmpathicInsight-Face"
CONFIG = "config.json"
CURVES = "training/curves.png"
"""What `train` draws: the loss of every head by epoch."""
DEMO = " (demo)"
"""Behind the name of a model of simulated raters, which published numbers know without it."""
SLICED = {
    "whose": "Agreement of this model with the raters",
    "pairs": "an image and a rater",
    "one": "rater",
}
_SIGLIP = "google/siglip2"
_TOWER = "emonet-face tower"


def model_context(repo: Path) -> dict[str, Any]:
    """What `model.md.j2` needs, without picture and names.

    Raises:
        EmoNetFaceError: config.json, training.json or evaluation.json is broken.
    """
    config = read_json(repo / CONFIG)
    record = _record(repo)
    evaluation = read_evaluation(repo)
    size = config.get("head_size", "custom")
    simulated = trained_on_simulated(record)
    converted = record.get("made_by") == "emonet-face convert"
    extra = [name for name in config["output_names"] if name not in EMOTIONS]
    return {
        "title": f"{TITLE} {size.capitalize()}{DEMO if simulated else ''}",
        "notice": SIMULATED if simulated else "",
        "dimensions": _dimensions(extra),
        "n_outputs": Number(len(config["output_names"]), f"{CONFIG}#length(/output_names)"),
        "embedding_size": part(config, CONFIG, "vision_config", "hidden_size"),
        "neutral_source": config["neutral_source"] or "not stated",
        "parts": list(_parts(config, record)),
        "stages": stages_of(record),
        "curves": CURVES if (repo / CURVES).is_file() else None,
        "heads": _where_from(record) if converted else [],
        "evaluation": evaluation,
        "slices": slices_of(evaluation),
        "sliced": SLICED,
        "per_category": _per_category(evaluation),
        "calibration": _calibration(config),
        "published": _published(size) if converted else [],
        "limits": _limits(size, converted),
        "tower_licence": _tower_licence(record),
    }


def model_front_matter(
    front: Mapping[str, Any], repo: Path, org: str | None, dataset: str
) -> dict[str, Any]:
    """The front matter of a model repo.

    Args:
        front: as it stands: keys of others stay, `model-index` too unless a card wrote it.
        repo: the model repo.
        org: whose repos these are to be, None where that is open.
        dataset: name of the dataset repo.
    """
    record = _record(repo)
    backbone = record.get("backbone", {})
    base = backbone.get("name") if backbone.get("revision") else None
    own: dict[str, Any] = {
        "license": "cc-by-4.0",
        "language": ["en"],
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "tags": ["emonet-face", "emotion-recognition", "facial-expression", "custom_code"],
    }
    if base:
        own["base_model"] = base
    if org is not None:
        own["datasets"] = [f"{org}/{dataset}"]
    index = front.get("model-index")
    if not index or by_card(index):
        index = model_index(
            repo,
            f"{org}/{dataset}" if org else dataset,
            simulated=trained_on_simulated(record) is True,
        )
    kept = {key: value for key, value in front.items() if key not in (*own, "model-index")}
    return {**own, **kept, **({"model-index": index} if index else {})}


def _record(repo: Path) -> dict[str, Any]:
    path = repo / TRAINING_RECORD
    return read_json(path) if path.is_file() else {}


def _dimensions(slugs: list[str]) -> str:
    names = [d.name.lower() for d in DIMENSIONS if d.slug in slugs]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _parts(config: Mapping[str, Any], record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    tower = _tower(record)
    if tower:
        yield {"part": "vision tower", "sizes": [], "text": tower}
    image = part(config, CONFIG, "vision_config", "image_size")
    if image is not None:
        yield {"part": "picture side", "sizes": [image], "text": " pixels"}
    sizes = [part(config, CONFIG, "vision_config", "hidden_size")]
    sizes += sourced(config["head_hidden_sizes"], CONFIG, "/head_hidden_sizes")
    yield {"part": "each regressor", "sizes": sizes, "text": " → one score"}


def _tower(record: Mapping[str, Any]) -> str:
    """Which tower it is, "" where the record names none."""
    backbone = record.get("backbone", {})
    if backbone.get("made_by") == _TOWER:
        return "small demonstration tower, trained here"
    name = backbone.get("name")
    if name and not backbone.get("revision"):
        return f"`{name}`, a folder; where it came from is not recorded"
    return f"`{name}`, revision `{backbone['revision']}`" if name else ""


def _where_from(record: Mapping[str, Any]) -> list[str]:
    return [
        "The heads are the published ones, loose pickled files, read without running anything in"
        " them and stacked into one safetensors file; `training.json` lists the hash of each.",
        "How they were trained was not published: loss, schedule, validation and how votes became"
        " ratings are unknown. By the paper they were trained on machine labels, then fine-tuned on"
        " votes.",
        f"Dropout: {record.get('head_dropout_source', 'not stated')}.",
    ]


def _per_category(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "categories" not in evaluation:
        return []
    tiers = {row["emotion"]: row["tier"] for row in evaluation["reliability"]["rows"]}
    kinds = {entry.name: entry.kind for entry in CATEGORIES}
    return [
        {**row, "tier": tiers[row["emotion"]] or "-", "kind": kinds[row["emotion"]]}
        for row in evaluation["categories"]
    ]


def _calibration(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The calibration in config.json without its curves; None where there is none."""
    found = config.get("calibration")
    if not found:
        return None
    place = "/calibration"
    shown = {key: value for key, value in found.items() if key != "categories"}
    rows = [
        {
            "name": name,
            "tier": entry["tier"],
            **{
                short: part(config, CONFIG, "calibration", "categories", name, key)
                for short, key in (
                    ("alpha", "alpha"),
                    ("coverage", "held_out_coverage"),
                    ("width", "held_out_width"),
                )
            },
        }
        for name, entry in found["categories"].items()
    ]
    return {**sourced(shown, CONFIG, place), "rows": rows}


def _published(size: str) -> list[dict[str, Any]]:
    """The published values of this model, with the file and the source of each."""
    published = results("published.json")
    name = f"Empathic Insight Face {size.capitalize()}"
    rho, kappa = published["spearman_median"], published["kappa_all_40"]
    rows = []
    if name in rho["values"]:
        rows.append(
            {"what": "Spearman with the median rating", **rho["values"][name], **_said(rho)}
        )
    if name in kappa["values"]:
        what = "weighted kappa after quantile calibration"
        rows.append({"what": what, "value": kappa["values"][name], "ci": None, **_said(kappa)})
    return rows


def _said(entry: Mapping[str, Any]) -> dict[str, str]:
    return {key: entry[key] for key in ("source", "confidence")}


def _limits(size: str, converted: bool) -> list[str]:
    if not converted:
        return []
    lines = [
        "The published files do not say how the embedding is normalised; outputs of users who fed"
        " it as it was are about ten times too large, so it is L2-normalised inside here.",
        "Several sets of neutral means are in circulation, and each belongs to one set of weights.",
    ]
    if size == "large":
        lines.append(
            "Raw scores of Large lie far below 0: only the neutral-subtracted scores mean anything."
        )
    return lines


def _tower_licence(record: Mapping[str, Any]) -> str:
    backbone = record.get("backbone", {})
    if backbone.get("made_by") == _TOWER:
        return "CC BY 4.0, as the heads"
    if str(backbone.get("name", "")).startswith(_SIGLIP):
        return "Apache-2.0 (SigLIP 2, Google)"
    return "that of its source" + ("" if backbone.get("revision") else ", which is not recorded")
