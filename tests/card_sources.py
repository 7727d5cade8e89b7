"""Where a number on a card comes from, looked up without the code of the cards.

`faults` says which numbers of a card with marks (see `cards.printing`) no file bears out.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from cards.printing import traces, without_numbers
from emonet_face.taxonomy import EMOTIONS

ROOT = Path(__file__).resolve().parents[1]


def _plus(text):
    """What is rounded to zero has no sign."""
    return text.lstrip("-") if not text.strip("-0.") else text


SHOWN = {
    "number": lambda v: _plus(f"{v:.3f}"),
    "short": lambda v: _plus(f"{v:.2f}"),
    "count": lambda v: format(round(v), ","),
    "plain": lambda v: str(int(v)) if v == int(v) else repr(v),
    "percent": lambda v: f"{v * 100:.1f}\xa0%",
    "share": lambda v: f"{v * 100:g}\xa0%",
    "size": lambda v: f"{v / 1e6:,.1f} MB" if v >= 1e5 else f"{v / 1e3:,.1f} kB",
}

WORDS = {
    "40": "categories (taxonomy)",
    "0": "lowest rating (taxonomy), or undefined against zero in a definition",
    "7": "highest rating (taxonomy); families (taxonomy)",
    "3": "bounds of valence and dominance (taxonomy); transformers' 5.6 has its own entry",
    "5": "bound of emotional vulnerability (taxonomy); labels that the pipeline shows",
    "18": "recital of the AI Act",
    "16": "bits of a picture",
    "8": "bits of a picture; levels 0 to 7 make an 8 x 8 table",
    "1": "Article 5(1)(f), Annex III 1(c); highest value of the statistics",
    "2": "Article 50(2); squared difference; rater in an error message",
    "50": "Article 50",
    "5.6": "oldest transformers the uploaded code promises (checked by `make compat`)",
    "0.5": "rounding in a definition",
    "9.0": "a value in an example of an error message",
    "4.0": "CC BY 4.0",
    "2.0": "Apache-2.0",
    "-1": "lowest value of the statistics",
    "-3": "lowest value of valence and dominance (taxonomy)",
    "-7": "the scale written as 0-7",
}
"""Digits that templates say by themselves, and what they are: no measured number is among them."""


def _pointed(data, pointer):
    for key in pointer.split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        data = data[int(key)] if isinstance(data, list) else data[key]
    return data


@cache
def _frame(repo, config):
    """A config's rows without pictures; shards do not change in these tests."""
    columns = ["annotator"] if config == "hq_baselines" else ["sha256", "generator"]
    labels = {"binary": "votes", "hq": "ratings", "big": "ratings"}.get(config)
    columns += [labels] if labels else []
    paths = sorted((repo / config).glob("*.parquet"))
    frame = pd.concat(pd.read_parquet(path, columns=columns) for path in paths)
    return frame, [entry for row in frame.get(labels, ()) for entry in row]


@cache
def _answers(repo):
    """Category -> the answers about it, one list for each image that was asked about it."""
    found = {name: [] for name in EMOTIONS}
    for row in _frame(repo, "binary")[0]["votes"]:
        asked = {}
        for entry in row:
            asked.setdefault(EMOTIONS[entry["emotion"]], []).append(entry["present"])
        for name, answers in asked.items():
            found[name].append(answers)
    return found


def _counted(repo, config, what):
    """What a card says it counted in shards, counted again with pandas."""
    frame, entries = _frame(repo, config)
    kind, _, rest = what.partition("/")
    if kind == "rows":
        return len(frame)
    if kind == "pictures":
        return int(frame["sha256"].notna().sum())
    if kind == "generators":
        return int((frame["generator"].fillna("not recorded") == rest).sum())
    if kind == "annotators" and config == "hq_baselines":
        return int((frame["annotator"] == rest).sum())
    if kind == "votes":
        return len(entries)
    if kind == "annotators":
        return sum(entry["annotator"] == rest for entry in entries)
    assert kind == "agreement"
    emotion, _, measure = rest.replace("~1", "\0").partition("/")
    asked = _answers(repo)[emotion.replace("\0", "/")]
    several = [answers for answers in asked if len(answers) > 1]
    return {
        "n_all": len(asked),
        "n": len(several),
        "agreement": sum(len(set(a)) == 1 for a in several) / max(len(several), 1),
        "partial": sum((sum(a), len(a)) == (2, 3) for a in several) / max(len(several), 1),
        "disagreement": sum((sum(a), len(a)) == (1, 2) for a in several) / max(len(several), 1),
    }[measure]


def looked_up(repo, source):
    """The number behind a source, read without the code of the cards."""
    file, _, pointer = source.partition("#")
    if file.endswith("/*.parquet"):
        return _counted(repo, file.removesuffix("/*.parquet"), pointer)
    path = (ROOT if file.startswith("results/") else repo) / file
    text = path.read_text(encoding="utf-8")
    if file.endswith(".py"):
        (compute,) = (n for n in ast.walk(ast.parse(text)) if getattr(n, "name", "") == "compute")
        names = [argument.arg for argument in compute.args.kwonlyargs]
        return ast.literal_eval(compute.args.kw_defaults[names.index(pointer.split("/")[-1])])
    data = _parsed(text)
    if pointer.startswith("length("):
        return len(_pointed(data, pointer[len("length(") : -1]))
    return _pointed(data, pointer)


@cache
def _parsed(text):
    """JSON, or the front matter of a README."""
    return yaml.safe_load(text.split("---\n")[1]) if text.startswith("---") else json.loads(text)


def _texts(value):
    """All text in plain data, keys too."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def _known_words(repo):
    """Words with digits that the products' own files hold: names, sources, statements."""
    found = set(EMOTIONS) | {repo.name}
    for path in [*repo.glob("*.json"), *(ROOT / "results").glob("*.json")]:
        found |= set(_texts(_parsed(path.read_text(encoding="utf-8"))))
    for config in {path.parent.name for path in repo.glob("*/*.parquet")}:
        frame, entries = _frame(repo, config)
        found |= {entry["annotator"] for entry in entries} | set(frame.get("annotator", ()))
    digits = (word for word in found if re.search(r"\d", word) and not word.isdigit())
    return sorted(digits, key=len, reverse=True)


def _values_of_slices(repo):
    path = repo / "evaluation.json"
    record = json.loads(path.read_text()) if path.is_file() else {}
    rows = [*record.get("slices", ()), *record.get("slice_gaps", ())]
    return {row[key] for row in rows for key in ("value", "highest", "lowest") if key in row}


NUMBER = re.compile(r"(?<![\w.])-?\d+(?:[.,]\d+)*(?![\w])")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINKS = re.compile(r"\]\([^)]*\)")


def faults(repo, marked):
    """Numbers of a marked text that no file bears out."""
    wrong = [
        f"{trace.text} is not {trace.source}"
        for trace in traces(marked)
        if SHOWN[trace.shape](looked_up(repo, trace.source)) != trace.text
    ]
    left = LINKS.sub("", CODE.sub("", without_numbers(marked)))
    for word in _known_words(repo):
        left = left.replace(word, "")
    for value in _values_of_slices(repo):  # ages are text there: whole cells of a table
        left = left.replace(f"| {value} |", "| |")
    return wrong + [n for n in NUMBER.findall(left) if n not in WORDS]
