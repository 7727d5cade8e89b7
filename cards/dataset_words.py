"""Words of the dataset card: what its configs and columns hold, how they came about, limits."""

from __future__ import annotations

from emonet_face.config_words import HOLDS

FACES = ("hq", "binary", "big")
"""Configs with a row for each face."""

COLUMNS: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (("image",), FACES, "the picture as it was made, bytes unchanged; null without a picture"),
    (("image_id",), tuple(HOLDS), "file-name stem, unique within a config"),
    (("sha256", "width", "height"), FACES, "of the image file"),
    (("generator",), FACES, "the text-to-image model or program, where known"),
    (("prompt",), FACES, "the text the picture was made from, where known"),
    (
        ("prompted_emotion", "prompted_ethnicity", "prompted_age", "prompted_gender"),
        FACES,
        "what the prompt asked for: parameters of generation, **not** observations of anybody",
    ),
    (
        ("ratings",),
        ("hq", "big"),
        "one entry per annotator: `annotator`, and `scores`, 40 numbers from 0 (absent) to 7 (very"
        " strong); null for a category that was not rated",
    ),
    (("median_scores",), ("hq", "big"), "per category the median over the annotators"),
    (
        ("target_emotion", "contrast_emotion"),
        ("binary",),
        "the category the picture was prompted with, and its fixed opposite; null where the votes"
        " cannot tell",
    ),
    (("votes",), ("binary",), "one entry per answer: `annotator`, `emotion`, `present`"),
    (
        ("dimensions",),
        ("big",),
        "arousal (0 to 7), valence and dominance (-3 to 3), emotional vulnerability (0 to 5),"
        " where given",
    ),
    (("annotator",), ("hq_baselines",), "the model"),
    (("scores",), ("hq_baselines",), "its 40 numbers; null where it does not offer the category"),
)
ANNOTATING = {
    "hq": "`hq`: each rater moved a slider from 0 to 7 for every category that the face shows;"
    " an untouched slider is a 0.",
    "binary": "`binary`: one rater was asked whether the prompted category shows; a yes went on to"
    " a second and a third rater, a no ended it. Another rater was asked once about the fixed"
    " opposite.",
    "big": "`big`: labelled by a program, not by people.",
    "hq_baselines": "`hq_baselines`: models asked for the same 40 ratings.",
}
ANNOTATING_SIMULATED = ANNOTATING | {
    "hq": "`hq`: each simulated rater gives every category that the face shows a value from 0 to 7,"
    " as on a slider; a slider that it leaves alone is a 0.",
    "binary": "`binary`: one simulated rater is asked whether the prompted category shows; a yes"
    " goes on to a second and a third, a no ends it. Another is asked once about the fixed"
    " opposite.",
}
PROGRAMS = (
    "The raters are programs that imitate the statistics of raters; no person rated anything here."
)
SOME_PROGRAMS = (
    "Annotators whose name begins with `simulated` are programs that imitate raters; no person gave"
    " what stands under such a name."
)
LIMITS = {
    "binary": "Votes follow a cascade: an image whose first answer was no was not asked about"
    " again, so agreement among images with several votes is an overestimate. The contrast answer"
    " is a single vote.",
    "big": "The ratings of `big` were given by a program: a model trained on them learns its"
    " habits.",
    "hq": "With few raters per image the median is 0 wherever only a minority saw a category:"
    " ties at 0 dominate rank correlations of rare categories.",
}
