"""Results of a benchmark for a model repo: `model-index` in its card, `.eval_results/*.yaml`.

    python -m eval_metrics.model_index results.json --annotator my-model --repo hub/my-model

Without --dataset-id the results are those of the dataset on the Hub that the benchmark was given,
or, where it was given a ratings file by people, of the published one, laion/emonet-face-hq.

Both come from `results.json` alone. `.eval_results` feeds leaderboards but has no field for an
interval, so interval and human anchor stand in the notes; `model-index`, which the Hub's client
calls legacy, keeps them as arguments of the metric.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.front_matter import read_front_matter, write_front_matter
from emonet_face.outputs import write_text

MADE_BY = "emonet-face benchmark"
FOLDER = ".eval_results"
TASK = "image-classification"
MEASURES = {
    "weighted_kappa": "quadratic weighted kappa with single raters, mean over categories",
    "spearman_median": "Spearman's rho with the raters' median, mean over categories",
}
"""Task id -> what is measured, for the notes."""


PUBLISHED_DATASET = "laion/emonet-face-hq"
"""Where the published ratings stand."""
SIMULATED = "simulated raters: a demonstration, no result on EmoNet-Face"


def read_results(path: Path) -> dict[str, Any]:
    """The `results.json` of a benchmark.

    Raises:
        EmoNetFaceError: it cannot be read, or was not made by `emonet-face benchmark`.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EmoNetFaceError(f"{path}: is not a readable JSON file ({error})") from None
    if not isinstance(results, dict) or results.get("made_by") != MADE_BY:
        raise EmoNetFaceError(f"{path}: was not made by {MADE_BY!r}")
    return results


def dataset_of(results: Mapping[str, Any]) -> str:
    """The dataset on the Hub that a benchmark's ratings are of, as far as its results tell.

    Returns:
        The dataset that was benchmarked, where that is an id on the Hub; for a ratings file the
        published one, unless its raters are simulated.

    Raises:
        EmoNetFaceError: a dataset folder, or a file of simulated ratings: only the user knows.
    """
    source = results["source"]
    if "/" in source.get("dataset", ""):
        return source["dataset"]
    if "ratings" in source and not _simulated_raters(results):
        return PUBLISHED_DATASET
    what = f"the folder {source['dataset']!r}" if "dataset" in source else "simulated raters"
    raise EmoNetFaceError(
        f"the results are those of {what}: say with --dataset-id ORG/NAME which dataset on the Hub"
        " they are about"
    )


def checked_id(dataset_id: str) -> str:
    """A dataset's id.

    Raises:
        EmoNetFaceError: it is not of the form "org/name" that the Hub allows.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(dataset_id)
        good = "/" in dataset_id
    except HFValidationError:
        good = False
    if not good:
        raise EmoNetFaceError(f"{dataset_id!r} is no id of a dataset on the Hub: give org/name")
    return dataset_id


def _simulated_raters(results: Mapping[str, Any]) -> bool:
    return any("human" in name for name in results["simulated_annotators"])


def eval_results(
    results: Mapping[str, Any], annotator: str, dataset_id: str, protocol: str
) -> list[dict[str, Any]]:
    """The entries of an `.eval_results` file: plain data, one for each measure with a value.

    Args:
        results: of a benchmark.
        annotator: a model among its annotators.
        dataset_id: the dataset on the Hub, "org/name".
        protocol: "official" or "corrected".

    Raises:
        EmoNetFaceError: unknown protocol or model, nothing is defined for it, or `dataset_id` is
            no such id.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    dataset_id = checked_id(dataset_id)
    entries = [
        EvalResultEntry(
            dataset_id=dataset_id,
            task_id=measure,
            value=row["mean"],
            notes=_note(results, row, measure, protocol),
        )
        for measure, row in _rows(results, annotator, protocol).items()
    ]
    return eval_result_entries_to_yaml(entries)


def model_index(
    results: Mapping[str, Any], annotator: str, dataset_id: str, model_name: str
) -> list[dict[str, Any]]:
    """The value of `model-index` in a card's front matter: plain data, all protocols that were run.

    Raises:
        EmoNetFaceError: see `eval_results`.
    """
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    dataset_id = checked_id(dataset_id)
    notice = f"; {SIMULATED}" if _simulated_raters(results) else ""
    entries = [
        EvalResult(
            task_type=TASK,
            dataset_type=dataset_id,
            dataset_name="simulated ratings" if notice else "EmoNet-Face HQ",
            dataset_config="hq",
            dataset_split="test",
            metric_type=measure,
            metric_name=f"{MEASURES[measure]} ({protocol} protocol{notice})",
            metric_value=row["mean"],
            metric_args={
                "protocol": protocol,
                "interval": [row["ci_low"], row["ci_high"]],
                "confidence_level": results["confidence_level"],
                "n_images": row["n_images"],
                "n_emotions": row["n_emotions"],
            }
            | _anchor(results, measure, protocol),
        )
        for protocol in results["protocols"]
        for measure, row in _rows(results, annotator, protocol).items()
    ]
    return eval_results_to_model_index(model_name, entries)


def write_model_results(
    repo: Path, results: Mapping[str, Any], annotator: str, dataset_id: str
) -> list[Path]:
    """Put a model's results into its repo: `model-index` and one `.eval_results` file a protocol.

    Args:
        repo: folder of the model; other keys of its card and its text stay as they are.
        results, annotator, dataset_id: see `eval_results`.

    Returns:
        The files that were written.

    Raises:
        EmoNetFaceError: see `eval_results`; nothing was written then. Or `repo` is no folder.
    """
    import yaml

    if not repo.is_dir():
        raise EmoNetFaceError(f"{repo}: is not a folder")
    index = model_index(results, annotator, dataset_id, repo.resolve().name)
    files = {
        repo / FOLDER / f"emonet-face_{protocol}.yaml": yaml.safe_dump(
            eval_results(results, annotator, dataset_id, protocol), sort_keys=False
        )
        for protocol in results["protocols"]
    }
    front, body = read_front_matter(repo)
    write_front_matter(repo, {**front, "model-index": index}, body)
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        write_text(path, text)
    return [repo / "README.md", *files]


def _rows(results: Mapping[str, Any], annotator: str, protocol: str) -> dict[str, dict[str, Any]]:
    """Measure -> the model's row of its table, where the mean is defined."""
    if protocol not in results["protocols"]:
        found = ", ".join(results["protocols"])
        raise EmoNetFaceError(f"protocol {protocol!r} was not run; found {found}")
    tables = results["protocols"][protocol]
    models = [row["annotator"] for row in tables["weighted_kappa"] if not row["human"]]
    if annotator not in models:
        raise EmoNetFaceError(f"no model {annotator!r} in the results; found {', '.join(models)}")
    rows = {
        measure: next(row for row in tables[measure] if row["annotator"] == annotator)
        for measure in MEASURES
    }
    n_images = rows["weighted_kappa"]["n_images"]
    rows = {measure: row | {"n_images": n_images} for measure, row in rows.items()}
    defined = {measure: row for measure, row in rows.items() if row["mean"] is not None}
    if not defined:
        raise EmoNetFaceError(f"{annotator!r}: no result is defined in protocol {protocol!r}")
    return defined


def _anchor(results: Mapping[str, Any], measure: str, protocol: str) -> dict[str, float]:
    """Raters' kappa with each other, where there is one; of a correlation there is none."""
    value = results["protocols"][protocol]["human_anchor"]["mean"]
    return {} if measure != "weighted_kappa" or value is None else {"human_anchor": value}


def _note(results: Mapping[str, Any], row: Mapping[str, Any], measure: str, protocol: str) -> str:
    text = f"{MEASURES[measure]}; {protocol} protocol; {row['n_images']} images"
    text += f", {row['n_emotions']} categories"
    if row["ci_low"] is not None:
        level = f"{results['confidence_level']:.0%}"
        text += f"; {level} interval {row['ci_low']:.3f} to {row['ci_high']:.3f}"
    for value in _anchor(results, measure, protocol).values():
        text += f"; raters with each other {value:.3f}"
    return f"{text}; {SIMULATED}" if _simulated_raters(results) else text


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path, help="results.json of a benchmark")
    parser.add_argument("--annotator", required=True, help="the model's name in the results")
    parser.add_argument(
        "--dataset-id",
        help="the dataset on the Hub, org/name; without it the one that was benchmarked, or"
        f" {PUBLISHED_DATASET} for a file of ratings by people",
    )
    parser.add_argument("--repo", type=Path, required=True, help="folder of the model repo")
    options = parser.parse_args(argv)
    try:
        results = read_results(options.results)
        dataset_id = options.dataset_id or dataset_of(results)
        files = write_model_results(options.repo, results, options.annotator, dataset_id)
    except EmoNetFaceError as error:
        print(error, file=sys.stderr)
        return 2
    for path in files:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
