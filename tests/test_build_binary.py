"""Config `binary`: one row per image, target and contrast told apart, faults rejected by name.

    pytest tests/test_build_binary.py

The numbers of the published votes file are those of its own table (65,686 votes, 19,999 images).
"""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from raw_sources import draw, lines, read_lines, sidecar, votes_csv

from dataset_scripts.binary import build_binary, rows, tell_roles
from dataset_scripts.rejects import Reject
from emonet_face.errors import EmoNetFaceError
from emonet_face.released import Vote
from emonet_face.taxonomy import EMOTIONS, INDEX

ANGER, CALM = "Anger", "Contentment"


def vote(annotator, emotion, present=True):
    return Vote("00000", annotator, emotion, present)


def test_roles_from_the_prompt_win_over_everything():
    # Two votes on Contentment would make it the target; the prompt says otherwise.
    votes = [vote("human-1", CALM), vote("human-2", CALM), vote("human-3", ANGER)]
    assert tell_roles(votes, ANGER) == (ANGER, CALM, "the prompt")
    assert tell_roles(votes) == (CALM, ANGER, "more than one vote")


@pytest.mark.parametrize(
    ("on_anger", "on_calm", "expected"),
    [
        ("human-1", "human-3", (ANGER, CALM)),
        ("human-5", "human-6", (CALM, ANGER)),
        ("human-4", "human-7", (ANGER, CALM)),  # 7 asks contrasts only, so 4 asked the target
        ("human-2", "human-4", (ANGER, CALM)),  # 2 asks targets only
        ("human-4", "human-4", (None, None)),  # 4 has both roles
        ("human-1", "human-2", (None, None)),  # two target raters: the roles contradict
        ("someone", "human-3", (None, None)),  # no published role
    ],
)
def test_roles_of_single_votes(on_anger, on_calm, expected):
    assert tell_roles([vote(on_anger, ANGER), vote(on_calm, CALM)])[:2] == expected


def test_roles_where_one_emotion_was_asked_or_both_were_asked_twice():
    assert tell_roles([vote("human-1", ANGER)])[:2] == (ANGER, None)
    assert tell_roles([vote("human-3", ANGER)])[:2] == (None, ANGER)
    assert tell_roles([vote("human-4", ANGER)])[:2] == (None, None)
    both = [vote(f"human-{i}", e) for i, e in ((1, ANGER), (2, ANGER), (3, CALM), (5, CALM))]
    assert tell_roles(both)[:2] == (ANGER, CALM)
    third = [vote("human-1", ANGER), vote("human-2", "Awe"), vote("human-3", CALM)]
    with pytest.raises(EmoNetFaceError, match="'Anger', 'Awe', 'Contentment'"):
        tell_roles(third)
    with pytest.raises(EmoNetFaceError, match="prompted for 'Awe'"):
        tell_roles([vote("human-1", ANGER), vote("human-3", CALM)], "Awe")


def test_rows_of_images_with_prompts_and_sidecars(tmp_path):
    faces = tmp_path / "faces"
    data = draw(faces / "deep" / "a.png", (8, 6))
    draw(faces / "b.jpg", (5, 7))
    draw(faces / "unused.png")
    sidecar(faces / "deep" / "a.json", prompted_emotion=CALM, prompt="sidecar")
    sidecar(faces / "b.json", prompted_emotion="anger", generator="schematic", seed=3)
    prompts = lines(
        tmp_path / "prompts.jsonl",
        {"image_id": "a", "prompt": "file", "prompted_age": 30, "prompted_gender": "woman"},
        {"image_id": "elsewhere", "prompt": "x"},
    )
    source = votes_csv(
        tmp_path / "votes.csv",
        ("set/b.jpg", "human-4", "True", ANGER),
        ("a", "human-1", "False", ANGER),
        ("b", "human-4", "false", CALM),
    )
    counts = Counter()
    b, a = rows(source, images=faces, prompts=prompts, counts=counts)
    assert a["image"] == {"bytes": data, "path": "a.png"}
    assert a["sha256"] == hashlib.sha256(data).hexdigest()
    assert (a["width"], a["height"], b["width"], b["height"]) == (8, 6, 5, 7)
    # The line of the prompts file stands for the sidecar, it is not mixed with it.
    assert (a["prompt"], a["prompted_emotion"], a["prompted_age"]) == ("file", None, 30)
    assert (b["prompted_emotion"], b["generator"]) == (INDEX[ANGER], "schematic")
    assert (b["target_emotion"], b["contrast_emotion"]) == (INDEX[ANGER], INDEX[CALM])
    assert b["votes"][1] == {"annotator": "human-4", "emotion": INDEX[CALM], "present": False}
    assert counts["images without labels"] == counts["prompt lines without labels"] == 1


def test_bad_rows_go_to_the_rejects_and_the_rest_is_built(tmp_path):
    faces, out = tmp_path / "faces", tmp_path / "repo"
    for name in "abc":
        draw(faces / f"{name}.png")
    (faces / "b.png").write_bytes(b"not a picture")
    sidecar(faces / "c.json", prompted_emotion="Joy")
    source = votes_csv(
        tmp_path / "votes.csv",
        ("a", "human-1", "True", ANGER),
        ("a", "human-3", "maybe", CALM),
        ("a", "human-1", "False", ANGER),
        ("b", "human-1", "True", ANGER),
        ("c", "human-1", "True", ANGER),
        ("d", "human-1", "True", ANGER),
    )
    report = build_binary(source, out, images=faces)
    assert (report.rows, report.n_rejected) == ({"binary": 1}, 5)
    rejects = read_lines(tmp_path / "repo.rejects-binary.jsonl")
    assert [list(reject) for reject in rejects] == [["file", "row", "reason", "record"]] * 5
    # Faults of the table come while it is read, faults of images afterwards.
    expected = [
        (2, "must be True or False"),
        (3, "already voted"),
        (4, "b.png: is not a PNG"),
        (5, "unknown category 'Joy'"),
        (6, "no image 'd'"),
    ]
    for reject, (row, reason) in zip(rejects, expected, strict=True):
        assert reject["row"] == row
        assert reason in reject["reason"]
    assert rejects[0]["record"]["value"] == "maybe"
    assert rejects[4]["record"]["votes"][0]["annotator"] == "human-1"
    assert sum(report.reasons.values()) == 5
    assert any("5 rejected" in line for line in report.lines())

    # A clean build takes the old file of rejects away.
    clean = build_binary(votes_csv(source, ("a", "human-1", "True", ANGER)), out, images=faces)
    assert clean.rejects is None
    assert not (tmp_path / "repo.rejects-binary.jsonl").exists()


def test_strict_and_nothing_left_write_nothing(tmp_path):
    out = tmp_path / "repo"
    source = votes_csv(
        tmp_path / "v.csv", ("a", "human-1", "True", ANGER), ("a", "human-2", "True", "Joy")
    )
    with pytest.raises(EmoNetFaceError, match=r"row 2: unknown category 'Joy'.*nothing was"):
        build_binary(source, out, strict=True)
    with pytest.raises(EmoNetFaceError, match=r"no row is left, 1 rejected.*'Joy'"):
        build_binary(votes_csv(source, ("a", "human-2", "True", "Joy")), out)
    assert [path.name for path in tmp_path.iterdir()] == ["v.csv"]


def test_a_foreign_file_of_rejects_is_not_overwritten(tmp_path):
    source = votes_csv(tmp_path / "v.csv", ("a", "human-1", "True", ANGER))
    mine = tmp_path / "repo.rejects-binary.jsonl"
    mine.write_text("my notes\n")
    with pytest.raises(EmoNetFaceError, match="not made by this command"):
        build_binary(source, tmp_path / "repo")
    assert mine.read_text() == "my notes\n"
    assert not (tmp_path / "repo").exists()


def test_broken_prompt_lines_are_rejects(tmp_path):
    source = votes_csv(tmp_path / "v.csv", ("a", "human-1", "True", ANGER))
    prompts = tmp_path / "p.jsonl"
    prompts.write_text(
        '{"image_id": "a", "prompt": "first"}\n'
        "\n"
        '{"image_id": "a", "prompt": "second"}\n'
        '{"prompt": "nobody"}\n'
        '{"image_id": "b", "image_id": "c"}\n'
        '{"image_id": "d", "prompted_age": NaN}\n'
        "[]\n"
    )
    found = list(rows(source, prompts=prompts))
    rejects = [row for row in found if isinstance(row, Reject)]
    assert [reject.row for reject in rejects] == [3, 4, 5, 6, 7]
    assert [row["prompt"] for row in found if isinstance(row, dict)] == ["first"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("prompted_age", "30", "whole number of years"),
        ("prompted_age", True, "whole number of years"),
        ("prompted_age", 30.0, "whole number of years"),
        ("prompted_age", 300, "0..120"),
        ("prompt", 7, "must be a text"),
        ("prompt", " ", "must be a text"),
        ("prompt", "\ud800", "not valid Unicode"),
        ("prompted_emotion", "joy", "unknown category 'joy'"),
        ("prompted_emotoin", ANGER, "unknown key 'prompted_emotoin'"),
        ("sha256", "0" * 64, "the record says sha256"),
        ("image_id", "b", "the record says image_id 'b'"),
        ("width", 9, "the record says width 9, the image has 8"),
    ],
)
def test_bad_sidecars_reject_the_row(tmp_path, field, value, message):
    draw(tmp_path / "faces" / "a.png", (8, 6))
    sidecar(tmp_path / "faces" / "a.json", **{field: value})
    source = votes_csv(tmp_path / "v.csv", ("a", "human-1", "True", ANGER))
    (reject,) = rows(source, images=tmp_path / "faces")
    assert isinstance(reject, Reject)
    assert message in reject.reason
    assert "a.json" in reject.reason


def test_impossible_outcomes_are_counted_and_kept(tmp_path):
    def target(image, *answers):
        return [(image, f"human-{i}", str(a), ANGER) for i, a in enumerate(answers, 1)]

    source = votes_csv(
        tmp_path / "v.csv",
        *target("two", True, True),
        *target("none", False, False),
        *target("one", True, False, False),
        *target("fine", True, True, True),
    )
    counts = Counter()
    assert len(list(rows(source, counts=counts))) == 4
    impossible = {what: n for what, n in counts.items() if "impossible" in what}
    assert impossible == {
        "images with 2 of 2 Yes on the target, impossible in the cascade": 1,
        "images with 0 of 2 Yes on the target, impossible in the cascade": 1,
        "images with 1 of 3 Yes on the target, impossible in the cascade": 1,
    }
    assert counts["images with 3 of 3 Yes on the target"] == 1


def test_the_published_votes(published, tmp_path):
    counts = Counter()
    table = list(rows(published / "binary.csv", counts=counts))
    assert not any(isinstance(row, Reject) for row in table)
    assert [row["image_id"] for row in table] == [f"{i:05d}" for i in range(19_999)]
    assert sum(len(row["votes"]) for row in table) == counts["votes"] == 65_686
    assert counts["votes on 'Hopelessness' read as 'Helplessness'"] == 1_556
    assert Counter(len(row["votes"]) for row in table) == {4: 11_018, 2: 5_329, 3: 3_652}
    assert sum(row["target_emotion"] is None for row in table) == 417
    assert counts["images whose target is not known"] == 417
    assert not any("impossible" in what for what in counts)
    outcomes = {f"{yes} of {n}": counts[f"images with {yes} of {n} Yes on the target"]
                for yes, n in ((3, 3), (2, 3), (1, 2), (1, 1))}  # fmt: skip
    # 1,896 to 1,954 single Yes: the 58 between them are among the 417.
    assert outcomes == {"3 of 3": 9_075, "2 of 3": 1_943, "1 of 2": 3_652, "1 of 1": 1_896}
    assert all(row["image"] is None and row["sha256"] is None for row in table)

    target_of_contrast = {}
    contrast_yes = Counter()
    for row in table:
        if row["target_emotion"] is None:
            continue
        contrast = [v for v in row["votes"] if v["emotion"] == row["contrast_emotion"]]
        assert len(contrast) == 1  # never repeated
        assert contrast[0]["annotator"] in {"human-3", "human-4", "human-5", "human-7"}
        contrast_yes[contrast[0]["present"]] += 1
        partner = target_of_contrast.setdefault(row["contrast_emotion"], row["target_emotion"])
        assert partner == row["target_emotion"]
    assert contrast_yes[True] == 1_083
    # 20 symmetric pairs: every emotion is the contrast of exactly one other.
    assert len(target_of_contrast) == len(EMOTIONS)
    assert all(target_of_contrast[b] == a for a, b in target_of_contrast.items())
