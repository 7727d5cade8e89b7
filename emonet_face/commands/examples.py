"""One call of each command that can be taken over, shown under its `--help`."""

from __future__ import annotations

EXAMPLES = {
    "demo": "emonet-face demo --out demo-out",
    "taxonomy": "emonet-face taxonomy --json > taxonomy.json",
    "fetch": "emonet-face fetch ratings votes --out published",
    "check": "emonet-face check hub/emonet-face",
    "build hq": "emonet-face build hq --ratings hq.csv --images faces --out hub/emonet-face",
    "build binary": "emonet-face build binary --votes binary.csv --out hub/emonet-face",
    "build big": (
        "emonet-face build big --source run/images --labels big.jsonl --out hub/emonet-face"
    ),
    "generate": "emonet-face generate --n 400 --size 256 --out run",
    "annotate": "emonet-face annotate run --protocol multi-shot --out big.jsonl",
    "annotate-report": "emonet-face annotate-report big.jsonl --out report",
    "annotate-page": "emonet-face annotate-page run --task sliders --store answers.sqlite",
    "annotate-export": "emonet-face annotate-export answers.sqlite --out hq.csv",
    "embed": (
        "emonet-face embed --dataset hub/emonet-face --config big --backbone TOWER"
        " --out big.parquet"
    ),
    "train": (
        "emonet-face train --embeddings big.parquet --labels hub/emonet-face --out hub/my-model"
    ),
    "ablate": (
        "emonet-face ablate --embeddings big.parquet --embeddings hq.parquet"
        " --labels hub/emonet-face --out ablations.json"
    ),
    "convert": "emonet-face convert --heads released --backbone TOWER --out hub/my-model",
    "calibrate": "emonet-face calibrate --model hub/my-model --dataset hub/emonet-face",
    "predict": "emonet-face predict --model hub/my-model photos --out scores.jsonl",
    "export": "emonet-face export --model hub/my-model",
    "page": "emonet-face page --model hub/my-model",
    "benchmark": (
        "emonet-face benchmark --ratings hq.csv --predictions mine=scores.jsonl --out found"
    ),
    "votes": "emonet-face votes --votes binary.csv --out found",
    "transfer": (
        "emonet-face transfer --predictions ferd.jsonl --mapping basic7-strict --target ferd"
        " --out found"
    ),
    "card": "emonet-face card hub/emonet-face hub/my-model --results found/results.json",
    "publish": "emonet-face publish hub --org face-lab",
}


def example(command: str) -> str:
    """The example of a command as the last line of its help."""
    return f"Example: `{EXAMPLES[command]}`"
