"""Load the three products as a stranger would: public APIs only, our own code out of reach.

The demo runs this file by its path in a fresh process whose working folder holds the products:

    python -I public_loads.py DATASET MODEL METRIC OUT.json

It imports none of our packages and makes sure that nothing else does: what was uploaded must work
on a machine that has only the Hub folder. The result, written to OUT.json, holds what was loaded
and the agreement of the model and of the dataset's baselines with the raters.
"""

from __future__ import annotations

import importlib.abc
import json
import math
import sys
from pathlib import Path

OUR_PACKAGES = (
    "emonet_face",
    "dataset_scripts",
    "modeling_empathicinsight",
    "eval_metrics",
    "generation",
    "cards",
)


class _Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname.partition(".")[0] in OUR_PACKAGES:
            raise ImportError(f"{fullname} is blocked: products must load without our packages")


def block_our_packages() -> None:
    """From here on, importing one of our packages in this process raises ImportError."""
    sys.meta_path.insert(0, _Blocked())


def agreement(metric: object, predictions: list, references: list) -> dict[str, object]:
    """The metric's headline numbers; NaN (undefined) becomes None.

    Args:
        metric: what `evaluate.load` returned.
        predictions: per image a row of 40 scores.
        references: per image a list of raters, each a row of 40 ratings, 0-7.
    """
    result = metric.compute(predictions=predictions, references=references)
    keys = ("weighted_kappa", "spearman", "human_kappa")
    return {
        name: _plain(result[name]) for key in keys for name in (key, f"{key}_ci")
    } | {
        "spearman_per_emotion": {
            name: {"value": _plain(row["spearman"]), "ci": _plain(row["spearman_ci"])}
            for name, row in result["per_emotion"].items()
        }
    }  # fmt: skip


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def load_all(dataset_name: str, model_name: str, metric_name: str) -> dict[str, object]:
    """Load dataset, model, pipeline and metric by name; score the model and the baselines."""
    import evaluate
    import torch
    from datasets import get_dataset_config_names, load_dataset
    from transformers import AutoModel, pipeline

    configs = {
        name: load_dataset(dataset_name, name) for name in get_dataset_config_names(dataset_name)
    }
    hq = configs["hq"]["test"]
    model = AutoModel.from_pretrained(model_name, trust_remote_code=True).eval()
    labels = [model.config.id2label[index] for index in range(40)]
    classify = pipeline(
        "image-classification", model=model_name, trust_remote_code=True, device="cpu"
    )
    metric = evaluate.load(metric_name)

    with torch.inference_mode():
        pixels = classify.image_processor(hq[0]["image"], return_tensors="pt")
        first = model(**pixels)
    default = classify(hq[0]["image"])
    scored = classify(list(hq["image"]), top_k=40, function_to_apply="none", batch_size=32)
    rows = [[{c["label"]: c["score"] for c in image}[name] for name in labels] for image in scored]
    references = [[rater["scores"] for rater in ratings] for ratings in hq["ratings"]]
    table = {model_name: agreement(metric, rows, references)}
    for name, (baseline, known) in _baselines(configs, hq, references).items():
        table[name] = agreement(metric, baseline, known)
    return {
        "loaded": {
            "dataset": {
                name: {split: len(part) for split, part in config.items()}
                for name, config in configs.items()
            },
            "model": {
                "class": type(model).__name__,
                "scores": list(first.scores.shape),
                "embedding": list(first.embedding.shape),
            },
            "pipeline": [[c["label"], c["score"]] for c in default],
            "metric": metric.name,
        },
        "blocked": list(OUR_PACKAGES),
        "agreement": table,
    }


def _baselines(configs: dict, hq: object, references: list) -> dict[str, tuple[list, list]]:
    """Annotator -> (scores, references) over the images that it scored in full."""
    if "hq_baselines" not in configs:
        return {}
    place = {image_id: index for index, image_id in enumerate(hq["image_id"])}
    found: dict[str, tuple[list, list]] = {}
    for row in configs["hq_baselines"]["test"]:
        if None not in row["scores"] and row["image_id"] in place:
            scores, known = found.setdefault(row["annotator"], ([], []))
            scores.append(row["scores"])
            known.append(references[place[row["image_id"]]])
    return found


def main(argv: list[str] | None = None) -> int:
    """See the head of the file."""
    dataset, model, metric, out = sys.argv[1:] if argv is None else argv
    block_our_packages()
    result = load_all(dataset, model, metric)
    Path(out).write_text(json.dumps(result, indent=2, allow_nan=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
