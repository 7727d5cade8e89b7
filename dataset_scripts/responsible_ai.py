"""What a dataset repo tells of its origin, annotators, biases, limits and uses.

The responsible-AI part of `croissant.json`, in the vocabulary http://mlcommons.org/croissant/RAI/.
What is said depends on what the shards hold: which generators, which annotators, and whether the
annotators are simulated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_scripts.schema import CONFIGS, SPLITS

SIMULATED = "simulated"
"""How the names of annotators that are programs standing in for people, or for models, begin."""

USES = (
    "Permitted: research on how emotions are expressed, perceived and measured; measuring how far"
    " models agree with raters on artificial faces; training models for such research.",
    "Forbidden: inferring emotions of people at work or in education (Article 5(1)(f) of the EU AI"
    " Act bans it, medical and safety reasons excepted).",
    "Forbidden: surveillance; law enforcement, border control or asylum.",
    "Forbidden: decisions about credit, insurance or hiring.",
    "Forbidden: manipulating people or discriminating against them.",
)
_BIASES = (
    "Prompts name ethnicity by overlapping words (several for white, for the Middle East and North"
    " Africa, for South Asia): a set that is balanced over the words is not balanced over groups.",
    "How an emotion, an ethnicity, an age or a gender looks is a generator's idea of it.",
    "Ratings are the judgement of few raters; another culture may read the same face otherwise.",
)
_LIMITS = (
    "All faces are artificial: nothing here shows how well anything works on photographs.",
    "Prompted ethnicity, age, gender and emotion are words of a prompt, not observations of the"
    " picture; a picture may show something else.",
    "Raters agree well on few of the 40 categories, and no model can be measured beyond that.",
    "A face shows what others may read in it, not what somebody feels.",
    "Pain, fatigue, intoxication and sourness are physical states, concentration and confusion"
    " cognitive ones: they are in the taxonomy and are not emotions.",
)
_PROTOCOLS = {
    "hq": "hq: every rater moves 40 sliders per picture, 0 (absent), 1 (weak) to 7 (very strong);"
    " an untouched slider counts as 0.",
    "binary": "binary: a rater sees the words of one emotion and answers yes or no. The emotion of"
    " the prompt is asked until the first no, up to three raters; its fixed opposite is asked"
    " once.",
    "big": "big: a program gives up to 40 ratings per picture, 0 to 7, and perhaps arousal,"
    " valence, dominance and emotional vulnerability.",
    "hq_baselines": "hq_baselines: scores of models on the hq pictures, as the models gave them.",
}
_OWN_LIMITS = {
    "binary": "binary: a picture whose first answer was no was not asked about again, so agreement"
    " among pictures with several votes is an overestimate; the contrast answer is one vote.",
    "big": "big: the ratings were given by a program, not by people.",
}


@dataclass(frozen=True)
class Origin:
    """Where the rows of a repo come from, as its own columns tell.

    Attributes:
        rows: config -> rows, in the order of the card.
        generators: the named generators, sorted.
        annotators: config -> names, sorted.
        per_item: config -> (fewest, most) labels of a row.
    """

    rows: dict[str, int]
    generators: tuple[str, ...]
    annotators: dict[str, tuple[str, ...]]
    per_item: dict[str, tuple[int, int]]

    @property
    def simulated(self) -> bool:
        """Whether any annotator says by its name that it is simulated."""
        return any(n.startswith(SIMULATED) for names in self.annotators.values() for n in names)


def read_origin(shards: Mapping[str, Sequence[Path]]) -> Origin:
    """Read the generators and annotators of all configs; scores and pictures stay on disk.

    A damaged shard of a config that a build leaves alone must not stop that build: it adds nothing
    here, and `check` names it.
    """
    import pyarrow as pa

    rows: dict[str, int] = {}
    generators: set[str] = set()
    annotators: dict[str, tuple[str, ...]] = {}
    per_item: dict[str, tuple[int, int]] = {}
    for config in (c for c in CONFIGS if c in shards):
        names: set[str] = set()
        sizes: set[int] = set()
        rows[config] = 0
        for path in shards[config]:
            with suppress(pa.ArrowException, OSError, KeyError, UnicodeDecodeError):
                rows[config] += _read_shard(config, path, generators, names, sizes)
        annotators[config] = tuple(sorted(names))
        per_item[config] = (min(sizes, default=0), max(sizes, default=0))
    return Origin(rows, tuple(sorted(generators)), annotators, per_item)


def _read_shard(
    config: str, path: Path, generators: set[str], names: set[str], sizes: set[int]
) -> int:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if config == "hq_baselines":
        table = pq.read_table(path, columns=["annotator"])
        names.update(pc.unique(table["annotator"]).to_pylist())
        sizes.add(1)
        return table.num_rows
    labels = "votes" if config == "binary" else "ratings"
    table = pq.ParquetFile(path).read(columns=["generator", f"{labels}.list.element.annotator"])
    generators.update(pc.unique(table["generator"].drop_null()).to_pylist())
    entries = pc.list_flatten(table[labels])
    names.update(pc.unique(pc.struct_field(entries, "annotator")).drop_null().to_pylist())
    sizes.update(pc.unique(pc.fill_null(pc.list_value_length(table[labels]), 0)).to_pylist())
    return table.num_rows


def responsible_ai(origin: Origin) -> dict[str, Any]:
    """The `rai:` properties of a repo, from where its rows come from."""
    here = [config for config in CONFIGS if config in origin.rows]
    machines = sorted({n for c in ("big", "hq_baselines") for n in origin.annotators.get(c, ())})
    per_item = [
        f"{config}: {low}" if low == high else f"{config}: {low} to {high}"
        for config, (low, high) in origin.per_item.items()
        if config != "hq_baselines"
    ]
    properties = {
        "dataCollection": _collection(origin),
        "dataCollectionType": ["Synthetic pictures made from prompts, with ratings or votes"],
        "dataCollectionMissingData": (
            "A cell is null where nothing is known: no prompt record, no image given, a category"
            " that a program did not rate."
        ),
        "dataImputationProtocol": "hq: a category a rater did not touch is 0. Nothing else is"
        " filled in.",
        "dataPreprocessingProtocol": [
            "Image bytes are stored as they came, with their sha256. Rows that could not be used"
            " were rejected with a reason, none repaired.",
            "Every spelling of a category is resolved to one of 40 names in one order;"
            " Hopelessness is read as Helplessness.",
        ],
        "dataAnnotationProtocol": [_PROTOCOLS[config] for config in here],
        "annotationsPerItem": "; ".join(per_item) or "none",
        "annotatorDemographics": _annotators(origin),
        "machineAnnotationTools": machines,
        "dataBiases": list(_BIASES),
        "dataLimitations": [*_LIMITS, *(_OWN_LIMITS[c] for c in here if c in _OWN_LIMITS)],
        "dataUseCases": list(USES),
        "dataSocialImpact": (
            "Emotion recognition is a high-risk use under the EU AI Act where it is not forbidden,"
            " and people must be told about it. A score from these data must not decide about"
            " anybody."
        ),
        "personalSensitiveInformation": [
            "No picture shows a person and no photograph was used; a likeness to somebody would be"
            " chance.",
            "Ethnicity, age and gender appear as parameters of prompts only.",
            "Annotators appear under numbers or the names of programs.",
        ],
        "dataReleaseMaintenancePlan": (
            f"Splits: {', '.join(f'{c} {SPLITS[c]}' for c in here)}. A rebuild from the same"
            " sources gives the same bytes; every file is listed here with its sha256."
        ),
    }
    return {f"rai:{key}": value for key, value in properties.items() if value}


def _collection(origin: Origin) -> str:
    by = f" Named generators: {', '.join(origin.generators)}." if origin.generators else ""
    return (
        "Faces drawn by programs or made by text-to-image models from prompts that name an emotion,"
        " an ethnicity, an age and a gender. Nobody was photographed, nothing was collected from"
        f" people but ratings.{by}"
    )


def _annotators(origin: Origin) -> list[str]:
    people = {n for c in ("hq", "binary") for n in origin.annotators.get(c, ())}
    if not people:
        return ["No people: all ratings were given by programs."]
    if origin.simulated:
        return [
            "No people: annotators whose name begins with 'simulated' are programs that imitate"
            " the statistics of raters. Nothing measured on them is a statement about people."
        ]
    return [
        f"{len(people)} raters. The published ones are called experts by the paper; how they were"
        " chosen, trained and paid, and their age, gender and country, were not published."
    ]
