"""Render the card (README.md) of a product folder from a template and the product's own files.

Every number on a card comes from a file inside the product, from `results/` or from the core, and
is marked with that source until the text is written. A section without numbers is left out. An
unknown or unused name in a template is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cards.card_pictures import dataset_picture, metric_picture, model_picture
from cards.dataset_card import SIMULATED, dataset_context, dataset_front_matter
from cards.evaluation import EVALUATION, write_evaluation
from cards.hub_names import check_name
from cards.metric_card import metric_context
from cards.model_card import model_context, model_front_matter
from cards.pictures import PICTURE
from cards.printing import rendered, unmarked
from cards.sourced import read_json
from cards.space_card import RECORD as SPACE_RECORD
from cards.space_card import is_space, space_context
from emonet_face.errors import EmoNetFaceError
from emonet_face.front_matter import README, join_front_matter, read_front_matter
from emonet_face.outputs import write_text

__all__ = [
    "EVALUATION",
    "PICTURE",
    "SIMULATED",
    "SPACE_RECORD",
    "Card",
    "card_of",
    "kind_of",
    "put_results",
    "render_card",
    "write_card",
    "write_evaluation",
]

MODEL_TYPE = "empathicinsight_face"
DATASET = "emonet-face"
EVAL_FILE = "eval.yaml"
_OTHER_FORM = (LookupError, TypeError, AttributeError, ValueError)
"""What reading data of an unexpected form raises."""


class Card(NamedTuple):
    """A card before it is written.

    Attributes:
        front: its front matter.
        marked: its text with marks around the numbers, see `printing`.
        others: further files that are rendered with it, name -> marked text.
    """

    front: dict[str, Any]
    marked: str
    others: dict[str, str]

    def texts(self) -> dict[str, str]:
        """Name -> text of every file of the card, README.md last."""
        texts = {name: unmarked(text) for name, text in self.others.items()}
        return {**texts, README: join_front_matter(self.front, unmarked(self.marked))}


def kind_of(repo: Path, front: Mapping[str, Any] | None = None) -> str:
    """What a product folder is, told from its content: "dataset", "model", "metric" or "space".

    Args:
        repo: the folder.
        front: its front matter, where that is known already.

    Raises:
        EmoNetFaceError: it is none of them, or no folder at all.
    """
    if front is None:
        front = _front_matter(repo)
    config = repo / "config.json"
    if config.is_file():
        model_type = read_json(config).get("model_type")
        if model_type == MODEL_TYPE:
            return "model"
        raise EmoNetFaceError(f"{config}: model_type is {model_type!r}, not {MODEL_TYPE!r}")
    if is_space(repo):
        return "space"
    if (repo / f"{repo.resolve().name}.py").is_file():
        return "metric"
    if "configs" in front:
        return "dataset"
    raise EmoNetFaceError(
        f"{repo}: is no product folder: neither a dataset (README.md with configs), nor a model"
        " (config.json), nor a metric (a script of the folder's name), nor a page (space.json)"
    )


def render_card(repo: Path, org: str | None = None) -> Path:
    """Write the card of a product folder, and its picture; what the loaders read is kept.

    Args:
        repo: the product folder.
        org: whose repos these are to be on the Hub: snippets then name them ORG/NAME. None: by
            the folder's name alone, which works beside the folder.

    Returns:
        The path of the card.

    Raises:
        EmoNetFaceError: no product folder, or one of its files is broken.
    """
    write_card(repo, card_of(repo, org))
    return repo / README


def write_card(repo: Path, card: Card) -> None:
    """Write the files of a card into its product folder, each whole or not at all."""
    for name, text in card.texts().items():
        write_text(repo / name, text)


def put_results(
    repos: Sequence[Path],
    summaries: Mapping[str, list[dict[str, Any]]],
    results: Mapping[str, Any],
    annotator: str | None,
) -> None:
    """Put what a benchmark found into product folders, for their cards.

    Args:
        repos: datasets and models.
        summaries: protocol -> rows, see `write_evaluation`.
        results: the `results.json`.
        annotator: the model's name in it; needed where a model is among the repos.

    Raises:
        EmoNetFaceError: a folder that no benchmark says anything of, or the name is missing or
            unknown. Nothing was written then.
    """
    kinds = {repo: kind_of(repo) for repo in repos}
    for repo, kind in kinds.items():
        if kind not in ("dataset", "model"):
            raise EmoNetFaceError(f"{repo}: a benchmark has no results for a {kind}")
    names = [row["annotator"] for row in next(iter(summaries.values())) if row["kind"] == "model"]
    if annotator not in names and (annotator is not None or "model" in kinds.values()):
        raise EmoNetFaceError(f"--annotator {annotator!r}: give one of {', '.join(names)}")
    for repo, kind in kinds.items():
        write_evaluation(
            repo,
            summaries,
            level=results["confidence_level"],
            seed=results["seed"],
            results=results,
            annotator=annotator if kind == "model" else None,
        )


def card_of(repo: Path, org: str | None = None) -> Card:
    """The card of a product folder; its picture is written, nothing else.

    Raises:
        EmoNetFaceError: see `render_card`.
    """
    if org is not None:
        check_name(org, "--org")
    front = _front_matter(repo)
    make = _MAKERS[kind_of(repo, front)]
    try:
        return make(repo, front, org)
    except EmoNetFaceError:
        raise
    except _OTHER_FORM as error:  # files of a product may come from anywhere
        raise EmoNetFaceError(
            f"{repo}: no card can be made of it: its front matter or one of its JSON files lacks"
            f" something or has another form ({type(error).__name__}: {error})"
        ) from error


def _front_matter(repo: Path) -> dict[str, Any]:
    if not repo.is_dir():
        what = "is a file" if repo.exists() else "no such folder"
        raise EmoNetFaceError(f"{repo}: {what}; give a product folder")
    return read_front_matter(repo)[0]


def _names(repo: Path, org: str | None) -> dict[str, Any]:
    name = repo.resolve().name
    return {"repo_id": f"{org}/{name}" if org else name, "named": org is not None}


def _dataset(repo: Path, front: Mapping[str, Any], org: str | None) -> Card:
    context = dataset_context(repo, front)
    picture = dataset_picture(repo, context)
    names = _names(repo, org)
    others = {}
    if "hq" in context["names"]:
        task = {"repo_id": names["repo_id"], "title": context["title"]}
        others[EVAL_FILE] = rendered("eval.yaml.j2", task)
    marked = rendered("dataset.md.j2", {**context, **names, "picture": picture})
    own = dataset_front_matter(front, context["configs"], context["annotators"])
    return Card(own, marked, others)


def _model(repo: Path, front: Mapping[str, Any], org: str | None) -> Card:
    context = model_context(repo)
    picture = model_picture(repo, context)
    marked = rendered("model.md.j2", {**context, **_names(repo, org), "picture": picture})
    return Card(model_front_matter(front, repo, org, DATASET), marked, {})


def _metric(repo: Path, front: Mapping[str, Any], org: str | None) -> Card:
    names = _names(repo, org)
    context = metric_context(repo, names["repo_id"])
    context["picture"] = metric_picture(repo)
    return Card(dict(front), rendered("metric.md.j2", {**context, **names}), {})


def _space(repo: Path, front: Mapping[str, Any], org: str | None) -> Card:
    context = space_context(repo)
    own = {**front, "title": context["title"]}
    return Card(own, rendered("space.md.j2", context), {})


_MAKERS: dict[str, Callable[[Path, Mapping[str, Any], str | None], Card]] = {
    "dataset": _dataset,
    "model": _model,
    "metric": _metric,
    "space": _space,
}
