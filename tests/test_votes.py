"""`emonet-face votes`: known answers, the published figure, faults. pytest tests/test_votes.py"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import pytest

from emonet_face.cli import main
from emonet_face.released import Vote, write_votes
from emonet_face.taxonomy import EMOTIONS
from eval_metrics.figure_style import NOTICE
from eval_metrics.votes import read_votes, summarise, votes_figure

HEADER = "path,annotator,value,emotion\n"

# share 3/3 | 2/3 | 1/2 and n: the published stacked-bar figure of the Binary set.
PUBLISHED = {
    "Elation": (0.987, 0.007, 0.007, 456),
    "Contempt": (0.935, 0.029, 0.036, 443),
    "Astonishment/Surprise": (0.844, 0.042, 0.114, 404),
    "Helplessness": (0.343, 0.206, 0.451, 359),
    "Anger": (0.150, 0.140, 0.710, 107),
    "Malevolence/Malice": (0.129, 0.094, 0.777, 256),
    "Sexual Lust": (0.011, 0.117, 0.872, 94),
}


def _table(path):
    with path.open(newline="") as stream:
        return {row["emotion"]: row for row in csv.DictReader(stream)}


def _votes(image, emotion, *answers):
    return [Vote(image, f"r{i}", emotion, present) for i, present in enumerate(answers)]


def test_outcomes_are_counted_by_hand():
    # Anger: 3/3, 2/3, 1/2, 1/2 and one single yes -> n = 4, n_all = 5.
    votes = [
        *_votes("a", "Anger", True, True, True),
        *_votes("b", "Anger", True, False, True),
        *_votes("c", "Anger", True, False),
        *_votes("d", "Anger", False, True),
        *_votes("e", "Anger", True),
    ]
    summary = summarise(votes)
    row = next(r for r in summary.rows if r["emotion"] == "Anger")
    assert row == {
        "emotion": "Anger",
        "n": 4,
        "agreement": 0.25,
        "partial": 0.25,
        "disagreement": 0.5,
        "pct_two_votes": 50.0,
        "pct_three_votes": 50.0,
        "n_all": 5,
        "pct_one_vote": 20.0,
    }
    assert (summary.n_votes, summary.n_images) == (11, 5)


def test_no_votes_give_forty_undefined_rows():
    summary = summarise([])
    assert [row["emotion"] for row in summary.rows] == list(EMOTIONS)
    assert all(row["n"] == 0 and math.isnan(row["agreement"]) for row in summary.rows)


def test_one_yes_of_three_is_reported_and_stays_in_n():
    summary = summarise(_votes("a", "Awe", True, False, False))
    row = next(r for r in summary.rows if r["emotion"] == "Awe")
    assert row["n"] == 1
    assert row["agreement"] == row["partial"] == row["disagreement"] == 0.0
    assert summary.unclassified == {(1, 3): 1}


def test_any_unanimity_is_agreement_as_in_the_published_code():
    summary = summarise([*_votes("a", "Awe", False, False), *_votes("b", "Awe", True, True)])
    assert next(r for r in summary.rows if r["emotion"] == "Awe")["agreement"] == 1.0
    assert summary.unclassified == {}


def test_real_votes_give_the_published_table(published, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["votes", "--votes", str(published / "binary.csv"), "--out", str(out)]) == 0
    table = _table(out / "tables" / "binary_votes.csv")
    assert list(table) == list(EMOTIONS)
    for emotion, (agreement, partial, disagreement, n) in PUBLISHED.items():
        row = table[emotion]
        assert int(row["n"]) == n
        assert float(row["agreement"]) == pytest.approx(agreement, abs=5.1e-4)
        assert float(row["partial"]) == pytest.approx(partial, abs=5.1e-4)
        assert float(row["disagreement"]) == pytest.approx(disagreement, abs=5.1e-4)
    assert round(float(table["Anger"]["pct_two_votes"]), 2) == 71.03
    assert round(float(table["Anger"]["pct_three_votes"]), 2) == 28.97
    # Each image is asked about two categories, so the pairs are twice the images.
    everything = _table(out / "tables" / "binary_votes_all.csv")
    assert sum(int(row["n_all"]) for row in everything.values()) == 2 * 19_999
    # 9,075 pairs with 3/3, 1,943 with 2/3 and 3,652 with 1/2 have more than one vote.
    assert sum(int(row["n"]) for row in everything.values()) == 9_075 + 1_943 + 3_652
    results = json.loads((out / "results.json").read_text())
    assert results["n_votes"] == 65_686
    assert results["aliases"] == {"Hopelessness": 1556}
    assert results["unclassified"] == []
    assert {p.name for p in (out / "figures").iterdir()} == {"binary_votes.png", "binary_votes.pdf"}
    assert "Hopelessness: 1556 votes" in capsys.readouterr().out


def test_simulated_voters_are_named_wherever_the_result_stands(tmp_path, capsys):
    votes = [replace(vote, annotator="simulated-human-1") for vote in _votes("a", "Anger", True)]
    write_votes(tmp_path / "v.csv", [*votes, *_votes("a", "Anger", True)])
    summary = summarise(read_votes(tmp_path / "v.csv"))
    assert summary.simulated_annotators == ["simulated-human-1"]
    assert votes_figure(summary).get_supxlabel() == NOTICE
    assert votes_figure(summarise(_votes("a", "Anger", True, True))).get_supxlabel() == ""
    assert main(["votes", "--votes", str(tmp_path / "v.csv"), "--out", str(tmp_path / "o")]) == 0
    assert "Simulated, no people: simulated-human-1" in capsys.readouterr().out
    results = json.loads((tmp_path / "o" / "results.json").read_text())
    assert results["simulated_annotators"] == ["simulated-human-1"]


def test_a_second_run_replaces_the_first(tmp_path):
    write_votes(tmp_path / "v.csv", _votes("a", "Anger", True, False))
    for _ in range(2):
        assert (
            main(["votes", "--votes", str(tmp_path / "v.csv"), "--out", str(tmp_path / "o")]) == 0
        )
    assert _table(tmp_path / "o" / "tables" / "binary_votes.csv")["Anger"]["n"] == "1"
    assert _table(tmp_path / "o" / "tables" / "binary_votes.csv")["Awe"]["agreement"] == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (HEADER, "no rows"),
        ("path,annotator,emotion\n1,a,Anger\n", "no column 'value'"),
        (HEADER + "1,a,True,Anger\n2,a,yes,Anger\n", "row 2 (line 3): 'value' is 'yes'"),
        (HEADER + "1,a,True,Angst\n", "row 1 (line 2): unknown category 'Angst'"),
        (HEADER + "1,a,True,Anger\n1,a,True,Anger\n", "row 2 (line 3): 'a' already voted"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, capsys, text, said):
    (tmp_path / "v.csv").write_text(text)
    code = main(["votes", "--votes", str(tmp_path / "v.csv"), "--out", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["v.csv"]


def test_a_foreign_output_folder_is_refused(tmp_path, capsys):
    write_votes(tmp_path / "v.csv", _votes("a", "Anger", True, False))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    assert main(["votes", "--votes", str(tmp_path / "v.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "was not made by this command" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"
