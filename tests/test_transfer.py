"""`emonet-face transfer`: the published outputs, known answers, faults.

pytest tests/test_transfer.py
"""

from __future__ import annotations

import csv
import json
import math
from itertools import pairwise

import pytest

from emonet_face.cli import main
from emonet_face.ratings import resolve
from emonet_face.taxonomy import CATEGORIES, EMOTIONS, FAMILIES, INDEX, category
from eval_metrics.mappings import CLASSES, find_mapping, packs, read_pack
from eval_metrics.transfer import Answers, answer, read_answers, summarise


@pytest.fixture
def mapping(tmp_path):
    """Every category is neutral but Anger, Fear (fear), Elation and Amusement (happy)."""
    table = {f"model_{c.slug}_best": "neutral" for c in CATEGORIES}
    table |= {"model_anger_best": "anger", "model_fear_best": "fear"}
    table |= {"model_elation_best": "happy", "model_amusement_best": "happy"}
    path = tmp_path / "mapping.json"
    path.write_text(json.dumps({"ferd": table}))
    return path


def _line(image, **scores):
    values = dict.fromkeys(EMOTIONS, 0.0) | scores
    return json.dumps({"image": image, "neutral_subtracted": values})


def _run(tmp_path, lines, mapping, target="ferd"):
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    return main(
        ["transfer", "--predictions", str(tmp_path / "p.jsonl"), "--mapping", str(mapping),
         "--target", target, "--out", str(tmp_path / "out")]
    )  # fmt: skip


def _table(tmp_path):
    with (tmp_path / "out" / "tables" / "transfer.csv").open(newline="") as stream:
        return {row["class"]: row for row in csv.DictReader(stream)}


def test_the_three_rules_differ_as_they_should(mapping):
    table = find_mapping(mapping, "ferd")
    # e^3 for Anger, e^2.6 for Elation and Amusement, 1 for the other 37: shares .300, .201 twice.
    scores = [0.0] * 40
    scores[INDEX["Anger"]] = 3.0
    scores[INDEX["Elation"]] = scores[INDEX["Amusement"]] = 2.6
    neutral = 36 / (math.exp(3) + 2 * math.exp(2.6) + 37)
    happy = 2 * math.exp(2.6) / (math.exp(3) + 2 * math.exp(2.6) + 37)
    assert neutral > happy  # so the 36 neutral categories win the sum

    def right(true_class):
        return answer(scores, true_class, table).right

    assert right("anger") == {"hit_rate": True, "top1": True, "class_sum": False}
    assert right("happy") == {"hit_rate": True, "top1": False, "class_sum": False}
    assert right("neutral") == {"hit_rate": False, "top1": False, "class_sum": True}


def test_a_hit_needs_more_than_the_threshold(mapping):
    # All 40 equal: each has 1/40 = .025, below 1.5/40 = .0375, so nothing is hit.
    flat = answer([0.0] * 40, "neutral", find_mapping(mapping, "ferd"))
    assert flat.right["hit_rate"] is False


def test_large_scores_do_not_overflow(mapping):
    scores = [-2000.0] * 40
    scores[INDEX["Fear"]] = 2000.0
    assert answer(scores, "fear", find_mapping(mapping, "ferd")).right["hit_rate"] is True


def test_softmax_equals_the_published_one(published):
    lines = (published / "ferd_first80.jsonl").read_text().splitlines()
    for line in lines[:20]:
        results = json.loads(line)["results"]
        emotions = {}
        for key, value in results.items():
            if "softmax" in value and value["softmax"] is not None:
                try:
                    emotions[resolve(key)] = value
                except ValueError:
                    continue
        top = max(v["mean_subtracted"] for v in emotions.values())
        total = sum(math.exp(v["mean_subtracted"] - top) for v in emotions.values())
        for value in emotions.values():
            share = math.exp(value["mean_subtracted"] - top) / total
            assert share == pytest.approx(value["softmax"], abs=1e-6)


def test_published_outputs_run_through_the_command(published, tmp_path, capsys):
    code = main(
        ["transfer", "--predictions", str(published / "ferd_first80.jsonl"),
         "--mapping", str(published / "transfer_mapping.json"), "--target", "ferd",
         "--out", str(tmp_path / "out")]
    )  # fmt: skip
    assert code == 0
    table = _table(tmp_path)
    assert list(table) == [*CLASSES, "overall"]
    assert table["overall"]["n"] == "80"
    # The published 152 give .7829; these are its first 80, so the two may differ by a few points
    # (standard error of 80 of 152 without replacement: about .03).
    assert float(table["overall"]["hit_rate"]) == pytest.approx(0.7829, abs=0.1)
    assert sum(int(table[name]["n"]) for name in CLASSES) == 80
    mean = sum(int(table[n]["n"]) * float(table[n]["top1"]) for n in CLASSES) / 80
    assert float(table["overall"]["top1"]) == pytest.approx(mean, abs=1e-12)
    assert "overall" in capsys.readouterr().out


def test_hit_rate_equals_an_independent_count_on_the_published_softmax(published):
    mapping = json.loads((published / "transfer_mapping.json").read_text())["ferd"]
    expected = []
    for line in (published / "ferd_first80.jsonl").read_text().splitlines():
        record = json.loads(line)
        word = record["image_path"].split("_")[-1].split(".")[0].lower()
        true = {"surprised": "surprise"}.get(word, word)
        shares = {k: v["softmax"] for k, v in record["results"].items() if k in mapping}
        hit = any(s > 0.0375 and mapping[k] == true for k, s in shares.items())
        top = mapping[max(shares, key=shares.get)] == true
        expected.append((record["image_path"], hit, top))
    table = find_mapping(published / "transfer_mapping.json", "ferd")
    found = read_answers(published / "ferd_first80.jsonl", table)
    assert (found.file.left_out(), found.n_outside) == ("", 0)
    assert [(a.image, a.right["hit_rate"], a.right["top1"]) for a in found.answers] == expected


def test_true_classes_from_names_and_labels(tmp_path, mapping):
    happy = json.loads(_line("x.png", Elation=5.0))
    lines = [
        _line("0001_Happy.jpg", Elation=5.0),
        _line("sad/0002_Surprised.png", Elation=5.0),
        _line("test/happy/0003.png", Elation=5.0),
        json.dumps(happy | {"image": "a_Anger.png", "label": 4}),
        json.dumps(happy | {"image": "b.png", "label": "Happy"}),
        json.dumps({"image": "broken.png", "error": "cannot be decoded"}),
    ]
    assert _run(tmp_path, lines, mapping) == 0
    table = _table(tmp_path)
    assert (table["happy"]["n"], table["happy"]["top1"]) == ("4", "1.0")
    assert (table["surprise"]["n"], table["surprise"]["top1"]) == ("1", "0.0")
    assert table["sad"] == {"class": "sad", "n": "0", "hit_rate": "", "top1": "", "class_sum": ""}
    assert table["overall"]["top1"] == "0.8"
    assert json.loads((tmp_path / "out" / "results.json").read_text())["n_error_lines"] == 1


def test_the_largest_face_stands_for_its_image(tmp_path, mapping, capsys):
    lines = [_with_face("a_Happy.jpg", 0, 2, Elation=5.0), _with_face("a_Happy.jpg", 1, 2),
             json.dumps({"image": "b_Happy.jpg", "face": {"n_faces": 0}})]  # fmt: skip
    assert _run(tmp_path, lines, mapping) == 0
    assert (_table(tmp_path)["happy"]["n"], _table(tmp_path)["happy"]["top1"]) == ("1", "1.0")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (results["n_images_without_face"], results["n_other_faces"]) == (1, 1)
    assert "Left out: images without a face: 1, further faces" in capsys.readouterr().out


def _with_face(image, index, n_faces, **scores):
    face = {"index": index, "n_faces": n_faces}
    return json.dumps(json.loads(_line(image, **scores)) | {"face": face})


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "holds no predictions"),
        ([_with_face("a_Happy.jpg", 1, 2)], "line 1: face 1 of image 'a_Happy.jpg' has no larger"),
        ([_with_face("a_Happy.jpg", None, 2)], "line 1: 'face' has 'index' None"),
        (
            [_line("a_Sad.jpg"), json.dumps({"image": "a_Sad.jpg", "error": "x"})],
            "line 2: image 'a_Sad.jpg' stands in line 1 already",
        ),
        ([json.dumps({"error": "x"})], "line 1: no 'image' or 'image_path'"),
        (["{"], "line 1"),
        (["[]"], "line 1: is not a JSON object"),
        ([_line("0001_Joyful.jpg")], "'0001_Joyful.jpg' names no class: the file's name must end"),
        ([_line("0001.jpg")], "line 1: '0001.jpg' names no class"),
        ([_line("faces/0001.jpg")], "'faces/0001.jpg' names no class"),
        ([json.dumps({"image": "a_Happy.jpg"})], "no 'results' or 'neutral_subtracted'"),
        ([_line("a_Happy.jpg"), _line("a_Happy.jpg")], "line 2: image 'a_Happy.jpg' stands"),
        ([json.dumps({"image": "a_Sad.jpg", "neutral_subtracted": {"Anger": 1}})], "no value for"),
        ([_line("a_Sad.jpg", Angr=1.0)], "unknown category 'Angr'"),
        ([_line("a_Sad.jpg", Anger=None)], "no value for 'Anger'"),
        ([json.dumps({"image": "a_Sad.jpg", "label": 8, "neutral_subtracted": {}})], "class 8"),
    ],
)
def test_bad_lines_are_named_and_nothing_is_written(tmp_path, capsys, mapping, lines, said):
    assert _run(tmp_path, lines, mapping) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t["ferd"].pop("model_awe_best"), "no class for 'Awe'"),
        (lambda t: t["ferd"].update(model_awe_best="joy"), "names class 'joy'"),
        (lambda t: t["ferd"].update(model_aw_best="happy"), "unknown category"),
        (lambda t: t["ferd"].update(Awe="happy"), "mapped twice"),
        (lambda t: t.pop("ferd"), "no target 'ferd'"),
    ],
)
def test_bad_mappings_are_named(tmp_path, capsys, mapping, change, said):
    table = json.loads(mapping.read_text())
    change(table)
    mapping.write_text(json.dumps(table))
    assert _run(tmp_path, [_line("a_Happy.jpg")], mapping) == 2
    assert said in capsys.readouterr().err


def test_classes_are_alphabetical_as_the_published_ids_are():
    assert all(a < b for a, b in pairwise(CLASSES))


# --- mapping packs ---


def test_every_pack_maps_known_categories_once_and_only_to_its_classes():
    assert len(packs()) == 10
    for name in packs():
        pack = read_pack(name)
        members = [one for names in packs()[name]["categories"].values() for one in names]
        assert len(members) == len(set(members)) == len(pack.categories)
        assert set(members) <= set(EMOTIONS)
        assert len(pack.unmapped) == 40 - len(members)
        assert set(pack.labels) <= set(CLASSES)
        assert set(pack.labels.values()) == set(pack.classes)
        assert pack.classes == tuple(sorted(pack.classes))


@pytest.mark.parametrize("size", ["basic6", "basic7", "affectnet8"])
def test_strict_packs_follow_the_rule_they_state(size):
    """Of each class only the category whose word list has the class's own noun."""
    noun = {"happy": "happiness", "sad": "sadness"}
    pack = read_pack(f"{size}-strict")
    for label in pack.classes:
        if label == "neutral":
            assert pack.members(label) == []
            continue
        holders = [e for e in EMOTIONS if noun.get(label, label) in category(e).words]
        assert pack.members(label) == holders
        assert len(holders) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("valence-strict", {"positive": "Positive", "negative": "Negative"}),
        ("arousal-strict", {"high": "High-Energy", "low": "Low-Energy"}),
    ],
)
def test_strict_valence_and_arousal_are_the_families_names(name, words):
    pack = read_pack(name)
    for label, word in words.items():
        families = [members for family, members in FAMILIES.items() if word in family]
        assert set(pack.members(label)) == {e for members in families for e in members}
    assert len(pack.unmapped) == 9


def test_an_inclusive_pack_contains_its_strict_one():
    for name in packs():
        if name.endswith("-strict"):
            strict, inclusive = read_pack(name), read_pack(name.replace("strict", "inclusive"))
            assert set(strict.categories.items()) <= set(inclusive.categories.items())
            assert set(strict.labels.items()) <= set(inclusive.labels.items())
            assert len(inclusive.unmapped) < len(strict.unmapped)


def test_unmapped_probability_answers_nothing_and_is_counted():
    # e^3 for Awe (unmapped), e^2 for Anger, 1 for the other 38.
    scores = [0.0] * 40
    scores[INDEX["Awe"]], scores[INDEX["Anger"]] = 3.0, 2.0
    total = math.exp(3) + math.exp(2) + 38
    pack = read_pack("basic6-strict")
    found = answer(scores, "anger", pack)
    assert found.right == {"hit_rate": True, "top1": False, "class_sum": True}
    assert found.masses["anger"] == pytest.approx(math.exp(2) / total)
    assert found.masses["fear"] == pytest.approx(1 / total)
    rows = {row["class"]: row for row in summarise(Answers([found]), pack).coverage}
    assert rows["unmapped"]["n_categories"] == 34
    assert rows["unmapped"]["mean_mass"] == pytest.approx((math.exp(3) + 33) / total)
    assert rows["anger"]["categories"] == "Anger"


def test_neutral_is_the_answer_below_the_threshold():
    pack = read_pack("basic7-strict")
    calm = [0.0] * 40
    calm[INDEX["Interest"]] = 4.0  # unmapped: does not count against neutral
    calm[INDEX["Anger"]] = 0.99
    assert all(answer(calm, "neutral", pack).right.values())
    calm[INDEX["Anger"]] = 1.0
    assert not any(answer(calm, "neutral", pack).right.values())
    assert answer(calm, "anger", pack).right["class_sum"]


def test_a_pack_by_name_through_the_command(tmp_path, capsys):
    lines = [
        _line("0001_Happy.jpg", Elation=5.0),
        _line("0002_Contempt.jpg", Contempt=5.0),
        _line("0003_Sad.jpg", Elation=5.0),
    ]
    assert _run(tmp_path, lines, "basic6-strict") == 0
    table = _table(tmp_path)
    assert list(table) == ["anger", "disgust", "fear", "happy", "sad", "surprise", "overall"]
    assert (table["overall"]["n"], table["overall"]["top1"]) == ("2", "0.5")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["n_images_outside"] == 1  # contempt is none of the six
    assert results["mapping"]["name"] == "basic6-strict"
    with (tmp_path / "out" / "tables" / "mapping_coverage.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[-1]["class"] == "unmapped"
    assert sum(float(row["mean_mass"]) for row in rows) == pytest.approx(1)
    assert "basic6-strict" in capsys.readouterr().out


def test_an_unknown_pack_is_named(tmp_path, capsys):
    assert _run(tmp_path, [_line("a_Happy.jpg")], "basic9") == 2
    assert "'basic9': is neither a file nor a pack; packs are basic6-strict" in (
        capsys.readouterr().err
    )
