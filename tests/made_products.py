"""One product of every kind, small, with everything that a card can show."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from toy_model import make_model
from toy_repo import make_repo

from cards.render import write_evaluation
from emonet_face.demographics import ETHNICITIES
from emonet_face.taxonomy import EMOTIONS
from modeling_empathicinsight.space_staging import stage_space

METRIC = Path(__file__).resolve().parents[1] / "eval_metrics" / "emonet_face_agreement"

PRODUCTS = (
    "emonet-face",
    "empathicinsight-face-small",
    "empathicinsight-face-large",
    "emonet_face_agreement",
    "page",
)

SLICES = (
    ("age", "20", True),
    ("age", "30", False),
    ("age", "70", True),
    ("ethnicity", ETHNICITIES[0], True),
    ("ethnicity", ETHNICITIES[1], False),
    ("generator", "schematic", True),
)
"""Attribute, value, whether it has images enough; values that the numbers below follow rise."""


def results_of(repo_rows=3):
    """A small results.json in the form of `benchmark`: every number different, some undefined."""
    drawn = iter(0.001 * n for n in range(11, 5000))
    names = ["a model", "another model"]

    def measured(name, **more):
        return {"annotator": name, **{e: next(drawn) for e in EMOTIONS}, **more}

    def tables():
        alphas = [
            {
                "emotion": e,
                "alpha": next(drawn),
                "ci_low": next(drawn),
                "ci_high": next(drawn),
                "tier": ("high", "moderate", "low")[i % 3],
            }
            for i, e in enumerate(EMOTIONS)
        ]
        slices = [
            {
                "annotator": name,
                "attribute": attribute,
                "value": value,
                "n_images": repo_rows,
                "weighted_kappa": next(drawn) if whole else None,
                "difference": next(drawn) if whole else None,
                "ci_low": next(drawn) if whole else None,
                "ci_high": next(drawn) if whole else None,
                "note": None if whole else "fewer than 20 images",
            }
            for name in ("raters with each other", *names)
            for attribute, value, whole in SLICES
        ]
        differences = {(r["annotator"], r["value"]): r["difference"] for r in slices}
        gaps = [
            {
                "annotator": name,
                "attribute": "age",
                "n_slices": 2,
                "highest": "70",
                "lowest": "20",
                "gap": differences[name, "70"] - differences[name, "20"],
                "ci_low": next(drawn),
                "ci_high": next(drawn),
                "p_adjusted": next(drawn),
            }
            for name in ("raters with each other", *names)
        ]
        gaps += [
            {**gap, "attribute": attribute, "n_slices": 1, "gap": None}
            for gap in gaps
            for attribute in ("ethnicity", "generator")
        ]
        return {
            "weighted_kappa": [measured(name, human=False) for name in names],
            "spearman_median": [measured(name) for name in names],
            "krippendorff_alpha": alphas,
            "slices": slices,
            "slice_gaps": gaps,
        }

    run = {"official": tables(), "corrected": tables()}
    summaries = {
        protocol: [
            {
                "annotator": name,
                "kind": "model",
                "weighted_kappa": next(drawn),
                "weighted_kappa_ci": [next(drawn), next(drawn)],
                "spearman": None if name == names[1] else next(drawn),
                "spearman_ci": [None, None],
            }
            for name in names
        ]
        for protocol in run
    }
    whole = {
        "protocols": run,
        "confidence_level": 0.9,
        "seed": 42,
        "reliability_tiers": {"high": 0.3, "moderate": 0.1},
    }
    return whole, summaries


def put(repo, annotator=None):
    results, summaries = results_of()
    write_evaluation(repo, summaries, level=0.9, seed=42, results=results, annotator=annotator)


def calibration():
    entry = {"scores": [0.1], "ratings": [1.0], "half_widths": [0.7], "alpha": None, "tier": None}
    return {
        "statement": "An interval holds the rating of one more rater 9 times in 10.",
        "target_coverage": 0.9,
        "dataset": "emonet-face",
        "config": "hq",
        "images": {"fit": 211, "conformal": 107, "held_out": 109},
        "held_out_coverage": 0.9131,
        "held_out_width": 1.7957,
        "categories": {
            name: entry | {"held_out_coverage": 0.8 + i / 1000, "held_out_width": 1 + i / 100}
            for i, name in enumerate(EMOTIONS)
        },
    }


def make_products(hub):
    """One folder of every kind below `hub`, with everything that a card can show: name -> path."""
    dataset = make_repo(hub / "emonet-face")
    put(dataset)
    model = make_model(hub / "empathicinsight-face-small")
    shutil.rmtree(hub / "empathicinsight-face-small-tower", ignore_errors=True)
    put(model, annotator="a model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"calibration": calibration()}))
    stages = {
        "ratings": {
            "run": True,
            "annotators": ["human-1", "simulated-vlm"],
            "images": {"training": 1080, "held_out": 123},
            "held_out": {"mae": 0.358956, "mae_of_mean": 0.617488, "spearman": 0.42017},
        },
        "votes": {
            "run": True,
            "annotators": [f"simulated-human-{n}" for n in range(1, 8)],
            "images": {"training": 359, "held_out": 41},
            "held_out": {"log_loss_before": 0.5775, "log_loss": 0.53598},
        },
    }
    (model / "training.json").write_text(json.dumps({"stages": stages}))
    large = hub / "empathicinsight-face-large"
    shutil.copytree(model, large)
    config = json.loads((large / "config.json").read_text()) | {"head_size": "large"}
    (large / "config.json").write_text(json.dumps(config))
    backbone = {"name": "google/siglip2-so400m-patch16-384", "revision": "e8a487298228"}
    record = {"made_by": "emonet-face convert", "backbone": backbone, "head_dropout_source": "-"}
    (large / "training.json").write_text(json.dumps(record))
    shutil.copytree(METRIC, hub / METRIC.name, ignore=shutil.ignore_patterns("__pycache__"))
    stage_space(hub / "page", "some-org/empathicinsight-face-small")
    return {path.name: path for path in hub.iterdir()}
