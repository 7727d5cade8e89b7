"""Every number in the README stands in a file of results/, and its tour can be walked.

pytest tests/test_readme.py
pytest tests/test_readme.py -m slow      # the tour, on few small faces: about a minute
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from emonet_face.cli import main
from modeling_empathicinsight.tower import make_tower

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _results(name):
    return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))


def _table(first_column):
    """Rows of the Markdown table whose header starts with a column."""
    lines = README.split(f"| {first_column} |")[1].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def _interval(pair):
    return "-" if None in pair else f"[{pair[0]:.3f}, {pair[1]:.3f}]"


def test_the_vote_table_is_that_of_the_real_file():
    found = {row["emotion"]: row for row in _results("votes")["emotions"]}
    rows = _table("category")
    assert len(rows) >= 5
    for emotion, n, *shares in rows:
        row = found[emotion]
        assert int(n) == row["n"]
        expected = [f"{row[k]:.3f}" for k in ("agreement", "partial", "disagreement")]
        assert shares == expected


def test_the_transfer_row_is_that_of_the_real_file():
    (row,) = _table("class")
    overall = _results("transfer_ferd_first80")["classes"][-1]
    expected = [f"{overall[k]:.3f}" for k in ("hit_rate", "top1", "class_sum")]
    assert row == ["overall", str(overall["n"]), *expected]


def test_the_demo_table_is_that_of_a_demo():
    demo = _results("demo")
    expected = [
        [
            name,
            f"{row['weighted_kappa']:.3f}",
            _interval(row["weighted_kappa_ci"]),
            "-" if row["spearman"] is None else f"{row['spearman']:.3f}",
            _interval(row["spearman_ci"]),
        ]
        for name, row in demo["agreement"].items()
    ]
    rows = [
        [cell.removesuffix(" (demo)").strip("`") for cell in row] for row in _table("annotator")
    ]
    assert rows[:-1] == expected
    anchor = next(iter(demo["agreement"].values()))
    assert rows[-1][1:3] == [f"{anchor['human_kappa']:.3f}", _interval(anchor["human_kappa_ci"])]


def test_the_outputs_of_the_snippets_are_those_of_a_demo():
    demo = _results("demo")
    first, second = demo["public_loads"]["pipeline"][:2]
    shown = [f"{{'label': '{name}', 'score': {share:.4f}}}" for name, share in (first, second)]
    assert f"# [{', '.join(shown)}]" in README
    row = demo["agreement"]["empathicinsight-face-small"]
    numbers = f"{row['weighted_kappa']:.3f}, {_interval(row['weighted_kappa_ci'])}"
    assert f"# {numbers}, {row['human_kappa']:.3f} " in README


def test_the_published_systems_are_those_of_the_file():
    published = _results("published")
    systems = published["spearman_median"]["values"]
    expected = [[name, f"{x['value']:.3f}", _interval(x["ci"])] for name, x in systems.items()]
    assert _table("published system") == expected
    raters = published["human_anchor"]["values"]
    best = raters["reliable_5"]
    said = f"{raters['all_40']['value']:.3f} over all 40 categories, {best['value']:.3f}"
    assert f"{said} {_interval(best['ci'])}" in " ".join(README.split())


def test_the_calibration_table_is_that_of_a_demo():
    found = _results("demo_calibration")
    rows = _table("calibrated category")
    assert len(rows) >= 4
    for name, tier, alpha, *held_out in rows[:-1]:
        row = found["categories"][name]
        assert (tier, alpha) == (row["tier"], f"{row['alpha']:.3f}")
        assert held_out == [f"{row['held_out_coverage']:.3f}", f"{row['held_out_width']:.2f}"]
    means = [f"{found['held_out_coverage']:.3f}", f"{found['held_out_width']:.2f}"]
    assert rows[-1] == ["all 40", "-", "-", *means]


def test_counts_in_the_text_are_those_of_the_files():
    votes = _results("votes")
    assert f"{votes['n_votes']:,} answers on {votes['n_images']:,} images" in README
    faces = sum(_results("demo")["faces"].values())
    assert f"draws {faces:,} schematic faces" in README
    alpha = _results("published")["krippendorff_alpha"]["values"]
    printed = re.search(r"alpha: (\S+) for Elation,\s+(\S+) for\s+Interest", README)
    assert [float(value) for value in printed.groups()] == [
        round(alpha[name], 2) for name in ("Elation", "Interest")
    ]


def test_published_values_are_complete_and_apart_from_ours():
    published = _results("published")
    for name, entry in published.items():
        if name != "note":
            assert set(entry) == {"source", "confidence", "values"}
    assert len(published["krippendorff_alpha"]["values"]) == 40
    pairs = published["mean_kappa_human_pairs"]["values"]
    assert len(pairs) == 17
    # The mean of the 17 printed pairs, as the field quotes it.
    assert round(sum(pairs.values()) / 17, 3) == 0.184


@pytest.mark.slow
def test_the_tour_can_be_walked(tmp_path, monkeypatch, capsys):
    """Every command as printed, but for fewer faces and a tower made here."""
    monkeypatch.chdir(tmp_path)
    make_tower(tmp_path / "tower", image_size=32, patch_size=16, hidden=32, layers=1, heads=2)
    block = README.split("## A short tour")[1].split("```bash\n")[1].split("```")[0]
    first, _, block = block.partition("\n")
    assert first == "mkdir tour && cd tour && TOWER=../demo-out/work/tower"
    fewer = {"--n 400": "--n 80 --size 96", "--n 200": "--n 40 --size 96", "$TOWER": "tower"}
    for shown, used in fewer.items():
        assert shown in block
        block = block.replace(shown, used)
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(commands) >= 12
    for program, *arguments in commands:
        assert program == "emonet-face"
        assert main(arguments) == 0, arguments
    assert "A dry run: nothing was sent." in capsys.readouterr().out
    results = json.loads((tmp_path / "found" / "results.json").read_text(encoding="utf-8"))
    assert "mine" in json.dumps(results)
    assert (tmp_path / "hub" / "my-model" / "README.md").is_file()
