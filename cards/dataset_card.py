"""The card of a dataset repo: what its front matter, its shards and its evaluation say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cards.dataset_people import BY_PEOPLE, PUBLISHED_RATER, annotating, creator
from cards.dataset_words import COLUMNS, FACES, LIMITS
from cards.evaluation import read_evaluation
from cards.shard_facts import ShardFacts, shard_facts
from cards.slices import slices_of
from cards.sourced import results, sourced
from emonet_face.config_words import HOLDS
from emonet_face.errors import EmoNetFaceError
from emonet_face.reliability import TIERS
from emonet_face.simulated import is_simulated
from emonet_face.taxonomy import CATEGORIES

TITLE = "EmoNet-Face"
SIMULATED = (
    "Simulated raters on schematic faces: made to show how the software works. Nothing here is a"
    " result on EmoNet-Face or a statement about people."
)
_SCHEMATIC = "schematic"
SLICED = {
    "whose": "Agreement of the raters with each other",
    "pairs": "two raters of an image",
    "one": "pair of raters",
}
_TIERS = tuple(name for name, _ in TIERS)
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))


def dataset_context(repo: Path, front: Mapping[str, Any]) -> dict[str, Any]:
    """What `dataset.md.j2` needs, without picture and names.

    Args:
        repo: the dataset repo.
        front: its front matter.

    Raises:
        EmoNetFaceError: a config has no or broken shards, or evaluation.json is broken.
    """
    infos = _infos(front)
    if not infos:
        raise EmoNetFaceError(f"{repo}: its front matter has no `dataset_info`; build it again")
    facts = {name: shard_facts(repo, name) for name in infos if name in HOLDS}
    people = {name for c in BY_PEOPLE if c in facts for name in facts[c].annotators}
    everybody = people | set(facts["big"].annotators if "big" in facts else ())
    simulated = any(map(is_simulated, everybody))
    published = bool(people) and all(map(PUBLISHED_RATER.fullmatch, people))
    evaluation = read_evaluation(repo)
    default = next(
        (c["config_name"] for c in front["configs"] if c.get("default")), next(iter(infos))
    )
    reliability = evaluation.get("reliability")
    return {
        "title": TITLE,
        "notice": SIMULATED if simulated else "",
        "names": list(facts),
        "summary": [f"`{name}` holds {HOLDS[name]}." for name in facts],
        "default": default,
        "default_split": infos[default]["splits"][0]["name"],
        "default_column": "votes" if default == "binary" else "ratings",
        "configs": [_config(infos[name], facts[name]) for name in facts],
        "columns": list(_columns(facts)),
        "making": _making(facts),
        "generators": [
            {"config": config, "name": name, "images": n}
            for config, fact in facts.items()
            for name, n in fact.generators.items()
        ],
        "annotating": annotating(facts, people, everybody, published),
        "annotator_unit": "images, or answers in `binary`" if "binary" in facts else "images",
        "annotators": [
            {"config": config, "name": name, "n": n}
            for config, fact in facts.items()
            for name, n in fact.annotators.items()
        ],
        "reliability": _reliability(evaluation, reliability),
        "categories": _categories(reliability),
        "votes": facts["binary"].votes if "binary" in facts else [],
        "evaluation": evaluation,
        "slices": slices_of(evaluation),
        "sliced": SLICED,
        "published": _published() if published else None,
        "ours": results("votes.json") if published else None,
        "limits": [LIMITS[name] for name in facts if name in LIMITS],
        "licences": _licences(facts),
    }


def dataset_front_matter(
    front: Mapping[str, Any],
    facts: Sequence[Mapping[str, Any]],
    annotators: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The front matter with what the Hub shows and searches; what the loaders read stays.

    Args:
        front: as the build wrote it.
        facts: the rows of "configs" in the context.
        annotators: those of "annotators".
    """
    creators = sorted({creator(row["config"], row["name"]) for row in annotators})
    total = sum(config["rows"].value for config in facts if config["faces"])
    size = next((name for least, name in _SIZES if total < least), "n>1M")
    own = {
        "pretty_name": TITLE,
        "license": "cc-by-4.0",
        "language": ["en"],
        "annotations_creators": creators,
        "source_datasets": ["original"],
        "task_categories": ["image-classification"],
        "task_ids": ["multi-label-image-classification"],
        "size_categories": [size],
    }
    kept = {key: value for key, value in front.items() if key not in own}
    return {**own, **kept}


def _infos(front: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Config -> its `dataset_info`, with the place of its numbers in the front matter."""
    infos = front.get("dataset_info", [])
    if isinstance(infos, dict):
        return {infos["config_name"]: sourced(infos, "README.md", "/dataset_info")}
    found = sourced(infos, "README.md", "/dataset_info")
    return {info["config_name"]: info for info in found}


def _config(info: Mapping[str, Any], fact: ShardFacts) -> dict[str, Any]:
    (split,) = info["splits"]
    if split["num_examples"].value != fact.rows.value:
        raise EmoNetFaceError(
            f"config {info['config_name']!r}: the front matter says"
            f" {split['num_examples'].value} rows, the shards hold {fact.rows.value}; build again"
        )
    name = info["config_name"]
    return {
        "name": name,
        "split": split["name"],
        "holds": HOLDS[name],
        "rows": split["num_examples"],
        "pictures": fact.pictures,
        "faces": name in FACES,
        "bytes": info["download_size"],
    }


def _columns(here: Iterable[str]) -> Iterable[dict[str, str]]:
    here = list(here)
    for names, configs, meaning in COLUMNS:
        found = [f"`{name}`" for name in here if name in configs]
        if found:
            where = "all" if len(found) == len(here) > 1 else ", ".join(found)
            yield {
                "names": ", ".join(f"`{name}`" for name in names),
                "configs": where,
                "meaning": meaning,
            }


def _making(facts: Mapping[str, ShardFacts]) -> list[str]:
    if _drawn(facts):
        lines = ["The faces are schematic: a program drew them through facial action units."]
    else:
        lines = ["The faces were made by text-to-image models; no photograph of a person is in it."]
    lines.append(
        "Each prompt names a category (by its words), an ethnicity, an age and a gender, balanced"
        " over their values."
    )
    lines.append(
        "Ratings and votes were joined to pictures by file name, checked and written as Parquet."
        " A row that could not be used was rejected with its reason, none repaired."
    )
    return lines


def _drawn(facts: Mapping[str, ShardFacts]) -> bool:
    """Whether all faces are our schematic ones."""
    return {name for fact in facts.values() for name in fact.generators} == {_SCHEMATIC}


def _reliability(
    evaluation: Mapping[str, Any], reliability: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    if reliability is None:
        return None
    return {
        "protocol": reliability["protocol"],
        "high": evaluation["tiers"]["high"],
        "moderate": evaluation["tiers"]["moderate"],
        "counts": [
            {"tier": tier, "n": n}
            for tier, n in evaluation["tier_counts"].items()
            if tier in _TIERS
        ],
    }


def _categories(reliability: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    rows = [{"name": c.name, "kind": c.kind, "family": c.family} for c in CATEGORIES]
    if reliability is None:
        return rows
    found = {row["emotion"]: row for row in reliability["rows"]}
    for row in rows:
        alpha = found[row["name"]]
        row |= {
            "alpha": alpha["alpha"],
            "interval": [alpha["ci_low"], alpha["ci_high"]],
            "tier": alpha["tier"] or "-",
        }
    return rows


def _published() -> dict[str, Any]:
    """`published.json`, with the categories of highest and lowest alpha picked out."""
    published = results("published.json")
    alphas = published["krippendorff_alpha"]["values"]
    ends = {"alpha_highest": max, "alpha_lowest": min}
    for name, end in ends.items():
        category = end(alphas, key=lambda key: alphas[key].value)
        published[name] = {"name": category, "value": alphas[category]}
    return published


def _licences(facts: Mapping[str, ShardFacts]) -> list[dict[str, str]]:
    rows = [{"part": "ratings, votes, labels, tables", "licence": "CC BY 4.0"}]
    if any(fact.pictures.value for fact in facts.values()):
        terms = "; the terms of the model that made a picture may add to it"
        licence = "CC BY 4.0" + ("" if _drawn(facts) else terms)
        rows.append({"part": "pictures", "licence": licence})
    rows.append({"part": "the software that built it", "licence": "Apache-2.0"})
    return rows
