"""The taxonomy against the published guide and its own rules: pytest tests/test_taxonomy.py"""

from __future__ import annotations

import doctest
import json

from emonet_face import taxonomy
from emonet_face.taxonomy import (
    CATEGORIES,
    DIMENSIONS,
    EMOTIONS,
    FAMILIES,
    OPPOSITE,
    OPPOSITES,
    SHARED_WORDS,
    slug_of,
)


def test_docstring_examples_run():
    assert doctest.testmod(taxonomy).failed == 0
    assert doctest.testmod(taxonomy).attempted > 3


def test_equal_to_the_published_guide(published):
    guide = json.loads((published / "taxonomy_guide.json").read_text())["options"]
    assert list(EMOTIONS) == list(guide["labels"])
    assert {f: list(n) for f, n in FAMILIES.items()} == guide["buttons"]
    assert list(FAMILIES) == list(guide["buttons"])
    for category in CATEGORIES:
        released = [word.casefold() for word in guide["labels"][category.name]]
        assert [word.casefold() for word in category.words] == list(dict.fromkeys(released))


def test_families_partition_the_categories():
    members = [name for names in FAMILIES.values() for name in names]
    assert len(members) == len(set(members)) == 40
    assert set(members) == set(EMOTIONS)
    assert [len(names) for names in FAMILIES.values()] == [9, 6, 6, 10, 2, 4, 3]


def test_slugs_equal_the_published_head_names(published):
    mapping = json.loads((published / "transfer_mapping.json").read_text())
    for target in mapping.values():
        assert {f"model_{slug_of(name)}_best" for name in EMOTIONS} == set(target)
    first = json.loads((published / "ferd_first80.jsonl").open().readline())
    extras = {f"model_{d.slug}_best" for d in DIMENSIONS}
    assert set(first["results"]) == {f"model_{slug_of(n)}_best" for n in EMOTIONS} | extras


def test_repeated_words_are_gone_and_shared_ones_listed():
    for category in CATEGORIES:
        folded = [word.casefold() for word in category.words]
        assert len(folded) == len(set(folded))
    # The published guide says serenity twice (Contentment) and weariness/Weariness (Fatigue).
    assert taxonomy.category("Contentment").words.count("serenity") == 1
    assert "Weariness" not in taxonomy.category("Fatigue/Exhaustion").words
    assert set(SHARED_WORDS) == {
        "laughter",
        "bliss",
        "self-consciousness",
        "pessimism",
        "disorientation",
        "loathing",
        "malicious envy",
    }
    assert SHARED_WORDS["loathing"] == ("Contempt", "Disgust")


def test_every_category_has_one_opposite():
    assert len(OPPOSITES) == 20
    assert set(OPPOSITE) == set(EMOTIONS)
    assert all(OPPOSITE[OPPOSITE[name]] == name for name in EMOTIONS)


def test_opposites_are_those_of_the_published_votes(published):
    from emonet_face.released import iter_votes

    asked: dict[str, set[str]] = {}
    for vote in iter_votes(published / "binary.csv"):
        asked.setdefault(vote.image_id, set()).add(vote.emotion)
    pairs = {frozenset(emotions) for emotions in asked.values()}
    assert pairs == {frozenset(pair) for pair in OPPOSITES}


def test_dimensions_name_every_step_of_their_scale():
    assert [(d.name, d.low, d.high) for d in DIMENSIONS] == [
        ("Arousal", 0, 7),
        ("Valence", -3, 3),
        ("Dominance", -3, 3),
        ("Emotional Vulnerability", 0, 5),
    ]
    assert all(len(d.anchors) == d.high - d.low + 1 for d in DIMENSIONS)
    assert DIMENSIONS[1].anchors[3] == "neutral"


def test_kinds_tell_states_from_emotions():
    kinds = {category.name: category.kind for category in CATEGORIES}
    assert kinds["Pain"] == kinds["Fatigue/Exhaustion"] == "physical state"
    assert kinds["Confusion"] == "cognitive state"
    assert sum(kind == "emotion" for kind in kinds.values()) == 34


def test_json_form_is_complete():
    plain = json.loads(json.dumps(taxonomy.as_json()))
    assert [c["name"] for c in plain["categories"]] == list(EMOTIONS)
    assert plain["aliases"] == {"Hopelessness": "Helplessness"}
    assert plain["scale"] == [0, 7]
