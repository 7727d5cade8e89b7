"""What prompts and file names tell of an image, and what they cannot.

pytest tests/test_provenance.py

The prompts are the published template of the Binary set, the openings known of HQ, and those of
`generate`, whose own reader is the independent reference.
"""

from __future__ import annotations

import doctest
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_sources import draw, lines, sidecar, votes_csv

from dataset_scripts import big, binary, generators, provenance
from dataset_scripts.big import build_big
from dataset_scripts.binary import build_binary
from dataset_scripts.generators import generator_of
from dataset_scripts.provenance import (
    ETHNICITIES,
    GENDERS,
    OPENINGS,
    Prompted,
    emotion_of,
    fill_from_prompt,
    parse_prompt,
)
from dataset_scripts.rejects import Reject
from emonet_face.taxonomy import CATEGORIES, EMOTIONS, INDEX, SHARED_WORDS, category
from generation import prompts

AGES = (20, 30, 40, 50, 60, 70, 80)
COLUMNS = ("prompted_emotion", "prompted_ethnicity", "prompted_age", "prompted_gender")


def binary_prompt(ethnicity, gender, age, words):
    """The whole template of the Binary set."""
    return (
        f"a focused close-up photo of a {ethnicity} {gender} of {age} years with soft smooth skin"
        f" who seems to genuinely experience {words}. Strong facial expression of {words}."
        " No wrinkles"
    )


def all_words(name):
    return ", ".join(category(name).words)


@pytest.mark.parametrize("module", [provenance, generators])
def test_documentation_examples(module):
    assert doctest.testmod(module).failed == 0


def test_every_binary_prompt_is_read_back():
    """All 40 word lists, all 14 x 7 x 3 persons, whatever the case."""
    for name in EMOTIONS:
        text = binary_prompt("Asian", "woman", 40, all_words(name))
        for spelt in (text, text.upper(), text.title()):
            assert parse_prompt(spelt) == Prompted(name, "Asian", 40, "woman")
    for ethnicity in ETHNICITIES:
        for gender in GENDERS:
            for age in AGES:
                told = parse_prompt(binary_prompt(ethnicity, gender, age, "anger, rage"))
                assert told == Prompted("Anger", ethnicity, age, gender)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "An authentic, realistic closeup image of a Hispanic or Latino woman of 70 years who"
            " seems to experience triumph, superiority. Strong facial expression of ...",
            Prompted("Triumph", "Hispanic or Latino", 70, "woman"),
        ),
        (
            "A focused close-up photo of a Black or African American man of 30 years who seems to"
            " genuinely experience lighthearted fun, amusement, ...",
            Prompted("Amusement", "Black or African American", 30, "man"),
        ),
        (
            "A closeup sharp, focused photo of a Southeast Asian woman of 40 years who seems to"
            " genuinely experience mild yearning, longing, Craving, desire, Envy, homesickness.",
            Prompted("Longing", "Southeast Asian", 40, "woman"),
        ),
        (
            "Very realistic high quality portrait DSLR photo of a White man of 20 years who seems"
            " to experience genuine subtle mirth and silliness",
            Prompted("Amusement", "White", 20, "man"),
        ),
    ],
)
def test_the_known_openings_of_hq(text, told):
    assert parse_prompt(text) == told


def test_every_prompt_of_generate_is_read_as_its_own_reader_reads_it():
    """All 11,760 combinations; the strings are the same data on both sides."""
    assert (ETHNICITIES, GENDERS) == (prompts.ETHNICITIES, prompts.GENDERS)
    assert {style.casefold() for style in prompts.STYLES} <= {o.casefold() for o in OPENINGS}
    for n in range(prompts.N_CELLS):
        text = prompts.prompt_record(n, seed=11).text
        reference = prompts.parse_prompt(text)
        names = ("emotion", "ethnicity", "age", "gender")
        assert parse_prompt(text) == Prompted(*(reference[name] for name in names))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a portrait of somebody",
        "a focused close-up photo of a dog",
        "a focused close-up photo of a White woman who seems to genuinely experience anger.",
        "a focused close-up photo of a White child of 9 years who seems to experience anger.",
        "a photo of a White woman of 40 years who seems to genuinely experience anger.",
        "On the wall hangs a focused close-up photo of a White man of 40 years who seems to"
        " experience anger.",
        "A realistic close-up photograph of a White man, forty years of age, showing anger.",
    ],
)
def test_free_text_stays_free_text(text):
    assert parse_prompt(text) is None


@given(st.text())
def test_any_text_is_read_or_left_alone(text):
    assert parse_prompt(text) is None
    told = parse_prompt(binary_prompt("White", "man", 40, text))
    assert told is None or told.emotion is None or told.emotion in EMOTIONS


def test_the_category_is_told_from_the_whole_list():
    for entry in CATEGORIES:
        assert emotion_of(entry.words) == entry.name
        assert emotion_of(word.upper() for word in reversed(entry.words)) == entry.name
        for word in entry.words:
            shared = word.casefold() in SHARED_WORDS
            assert emotion_of([word]) == (None if shared else entry.name)
    # Released lists share words; the first known word would be a coin toss.
    assert emotion_of(["laughter", "joy"]) == "Elation"
    assert emotion_of(["laughter", "mirth"]) == "Amusement"
    assert emotion_of(["bliss", "pleasure", "serenity"]) is None  # two of each
    assert emotion_of(["Craving", "desire", "Envy"]) == "Longing"
    assert emotion_of(["interest", "intrigue", "curiosity"]) == "Interest"  # "intrigue" is not ours
    assert emotion_of(["interest", "rapture"]) is None  # half is not most
    assert emotion_of(["unheard of"]) is None
    assert emotion_of([]) is None


@given(st.sampled_from(CATEGORIES), st.data())
def test_a_list_with_a_word_of_its_own_is_never_told_as_another_category(entry, data):
    own = [word for word in entry.words if word.casefold() not in SHARED_WORDS]
    words = data.draw(st.lists(st.sampled_from(entry.words), unique=True))
    words.append(data.draw(st.sampled_from(own)))
    assert emotion_of(words) == entry.name


def test_parts_that_cannot_be_told_are_null():
    mixed = parse_prompt(binary_prompt("White", "man", 40, "anger, awe"))
    assert mixed == Prompted(None, "White", 40, "man")
    other = (
        "a focused close-up photo of a White man of 40 years who seems to experience anger, rage."
    )
    assert parse_prompt(f"{other} Strong facial expression of awe, wonder.").emotion is None
    assert parse_prompt(f"{other} Mild facial expression of fury.").emotion == "Anger"
    assert parse_prompt(binary_prompt("Martian", "man", 40, "anger")).ethnicity is None
    assert parse_prompt(binary_prompt("White", "man", 400, "anger")).age is None


def columns(prompt, **given_values):
    return {"prompt": prompt, **dict.fromkeys(COLUMNS), **given_values}


def test_given_columns_win_and_contradictions_are_counted():
    prompt = binary_prompt("White", "non-binary person", 40, "anger, rage")
    counts = Counter()
    filled = columns(prompt)
    fill_from_prompt(filled, counts)
    assert [filled[name] for name in COLUMNS] == [
        INDEX["Anger"], "White", 40, "non-binary person"
    ]  # fmt: skip
    assert counts == {f"values of {name} told from the prompt": 1 for name in COLUMNS}
    counts.clear()
    kept = columns(prompt, prompted_emotion=INDEX["Awe"], prompted_ethnicity="white",
                   prompted_age=50, prompted_gender="non-binary")  # fmt: skip
    before = dict(kept)
    fill_from_prompt(kept, counts)
    assert kept == before
    assert counts == {
        "values of prompted_emotion that contradict the prompt, kept as given": 1,
        "values of prompted_age that contradict the prompt, kept as given": 1,
    }
    counts.clear()
    for prompt in (None, "free text", binary_prompt("Martian", "man", 40, "anger, awe")):
        fill_from_prompt(columns(prompt), counts)
    assert counts == {
        "prompts of no known template, kept as free text": 1,
        "prompts whose words fit no single category": 1,
        "prompts with an ethnicity of another spelling, not told": 1,
        "values of prompted_age told from the prompt": 1,
        "values of prompted_gender told from the prompt": 1,
    }


def test_builds_tell_columns_from_prompts_and_say_how_many(tmp_path):
    prompt = binary_prompt("Indian", "woman", 60, "anger, rage, fury")
    record = {"annotator": "vlm", "scores": {"Anger": 1}}
    for shade, name in enumerate("abc"):
        draw(tmp_path / "faces" / f"{name}.png", shade=shade)
    sidecar(tmp_path / "faces" / "a.json", prompt=prompt, **record)
    sidecar(tmp_path / "faces" / "b.json", prompt=prompt, prompted_age=20, **record)
    sidecar(tmp_path / "faces" / "c.json", prompt="somebody", **record)
    a, b, c = big.rows(tmp_path / "faces")
    told = (INDEX["Anger"], "Indian", 60, "woman")
    assert tuple(a[name] for name in COLUMNS) == told
    assert tuple(b[name] for name in COLUMNS) == (*told[:2], 20, told[3])
    assert [c[name] for name in COLUMNS] == [None] * 4
    assert c["prompt"] == "somebody"
    report = build_big(tmp_path / "faces", tmp_path / "repo")
    said = "\n".join(report.lines())
    assert "values of prompted_emotion told from the prompt: 2" in said
    assert "values of prompted_age that contradict the prompt, kept as given: 1" in said
    assert "prompts of no known template, kept as free text: 1" in said

    # In `binary` the prompt then also tells the target, which the raters' roles would not.
    votes = votes_csv(tmp_path / "v.csv", ("a", "human-4", "False", "Contentment"),
                      ("a", "human-4", "True", "Anger"))  # fmt: skip
    asked = lines(tmp_path / "prompts.jsonl", {"image_id": "a", "prompt": prompt})
    (row,) = binary.rows(votes, prompts=asked)
    assert (row["target_emotion"], row["prompted_age"]) == (INDEX["Anger"], 60)
    report = build_binary(votes, tmp_path / "repo", prompts=asked)
    assert report.counts["images with the target told from the prompt"] == 1
    assert report.counts["values of prompted_gender told from the prompt"] == 1


def test_the_generators_of_the_published_names():
    """The 2,500 names as the released file names count them: 1,000 + 500 + 500 + 500."""
    mj = [f"mj_data_{n}_U{slot}" for n in range(1, 390) for slot in (1, 2, 3, 4)]
    flux_dev = [f"flux_dev_one_{n // 250}-{n}_s{1000 + n}" for n in range(500)]
    flux_pro = [f"flux_prompt_{9 + n // 251}-image_{n:03d}" for n in range(1, 501)]
    juggernaut = [f"juggernaut-xl-v8-prompt-5-{n}_result" for n in range(1, 251)]
    juggernaut += [f"juggernaut-xl-v8-prompt-6-{n}_result" for n in range(1, 260)]
    for names, generator in (
        (mj, "Midjourney v6"),
        (flux_dev, "Flux Dev"),
        (flux_pro, "Flux Pro"),
        (juggernaut, "Juggernaut XL v8"),
    ):
        assert {generator_of(name) for name in names} == {generator}
    for name in ("00000", "mj_data_1_U5", "mj_data_1_U1_copy", "flux_dev_one_2-1_s1", "face", ""):
        assert generator_of(name) is None


def test_a_generator_in_the_record_wins_over_the_name(tmp_path):
    draw(tmp_path / "mj_data_1_U1.png")
    draw(tmp_path / "mj_data_1_U2.png", shade=1)
    record = {"annotator": "vlm", "scores": {"Anger": 1}}
    sidecar(tmp_path / "mj_data_1_U1.json", **record)
    sidecar(tmp_path / "mj_data_1_U2.json", generator="somebody else", **record)
    found = [row["generator"] for row in big.rows(tmp_path)]
    assert found == ["Midjourney v6", "somebody else"]


def test_a_bad_prompt_column_still_rejects_its_image(tmp_path):
    draw(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(
        json.dumps({"annotator": "v", "scores": {"Anger": 1}, "prompt": 3})
    )
    (reject,) = big.rows(tmp_path)
    assert isinstance(reject, Reject)
    assert "'prompt' is 3: must be a text" in reject.reason
