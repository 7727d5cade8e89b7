"""What each config of the dataset repo holds, in the words of its front matter and its card."""

from __future__ import annotations

HOLDS = {
    "hq": "slider ratings, for evaluation",
    "binary": "yes/no votes, for fine-tuning",
    "big": "machine labels, for pre-training",
    "hq_baselines": "scores of models on the `hq` images",
}
