"""The metric's page: give predictions and ratings as CSV or JSON, see the agreement as a table.

python app.py

CSV of predictions: a column `image`, then one column per emotion. CSV of ratings: `image`, `rater`,
then the same emotion columns, one row per image and rater. JSON is what `compute` takes: a list of
rows, and a list of lists of rows. Works offline; the metric is the script beside this file.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import evaluate
import gradio as gr

SCRIPT = Path(__file__).parent / "emonet_face_agreement.py"
STATISTICS = {
    "weighted_kappa": "Weighted kappa with single raters",
    "human_kappa": "Weighted kappa of raters with each other (human anchor)",
    "spearman": "Spearman with the median rating",
    "krippendorff_alpha": "Krippendorff's alpha of the raters",
}
HEADER = ["emotion", *(part for key in STATISTICS for part in (key, f"{key} interval"))]
EXAMPLE_PREDICTIONS = "image,Elation,Sadness\na,0.2,5.1\nb,3.4,0.0\nc,6.8,1.2\n"
EXAMPLE_RATINGS = (
    "image,rater,Elation,Sadness\n"
    "a,human-1,0,6\na,human-2,0,5\nb,human-1,4,0\nb,human-2,2,1\n"
    "c,human-1,7,0\nc,human-2,7,2\nc,human-3,6,1\n"
)


def agreement(
    predictions: str, ratings: str, per_rater: bool, n_resamples: float | None
) -> tuple[str, list[list[str]]]:
    """The agreement as (summary in Markdown, table rows under `HEADER`).

    Args:
        predictions, ratings: CSV or JSON text.
        per_rater: one kappa for each rater, then their mean, instead of one over all pairs;
            needs CSV, which names the raters.
        n_resamples: for the intervals, a whole number; 0 leaves them undefined.

    Raises:
        ValueError: bad input; the message names the place and what is allowed.
    """
    if n_resamples is None or n_resamples < 0 or n_resamples != int(n_resamples):
        given = "nothing" if n_resamples is None else f"{n_resamples:g}"
        raise ValueError(f"resamples: {given} is given, a whole number from 0 is needed")
    arguments = read_inputs(predictions, ratings)
    if not per_rater:
        arguments.pop("rater_ids", None)
    elif "rater_ids" not in arguments:
        raise ValueError("one kappa for each rater needs CSV, where column 'rater' names them")
    metric = evaluate.load(str(SCRIPT), keep_in_memory=True)
    result = metric.compute(n_resamples=int(n_resamples), **arguments)
    lines = [
        f"- {title}: **{_number(result[key])}** {_interval(result[f'{key}_ci'])}"
        for key, title in STATISTICS.items()
    ]
    rows = [
        [name, *(text for key in STATISTICS for text in _cells(entry, key))]
        for name, entry in result["per_emotion"].items()
    ]
    n_images = len(arguments["predictions"])
    return "\n".join([f"{n_images} images, means over {len(rows)} emotions:", *lines]), rows


def read_inputs(predictions: str, ratings: str) -> dict[str, object]:
    """CSV or JSON text -> the arguments of the metric.

    Returns:
        `predictions`, `references` and, from CSV, `emotions` and `rater_ids`.

    Raises:
        ValueError: text that is neither, columns that do not fit, an image without its other half.
    """
    texts = {"predictions": predictions, "ratings": ratings}
    for name, text in texts.items():
        if not (text or "").strip():
            raise ValueError(f"{name}: nothing is given; paste or upload CSV or JSON")
    as_json = [text.lstrip().startswith("[") for text in texts.values()]
    if all(as_json):
        return {"predictions": _json(predictions, "predictions"),
                "references": _json(ratings, "ratings")}  # fmt: skip
    if any(as_json):
        raise ValueError("one of the two is JSON and the other CSV: give both in one form")
    emotions, scores = _table(predictions, "predictions", ["image"])
    rated_emotions, rows = _table(ratings, "ratings", ["image", "rater"])
    if emotions != rated_emotions:
        raise ValueError(f"ratings: the emotion columns are not those of predictions: {emotions}")
    of_image: dict[str, dict[str, list[float]]] = {}
    for (image, rater), values in rows.items():
        of_image.setdefault(image, {})[rater] = values
    images = [image for (image,) in scores]
    for name, here, there in (("ratings", images, of_image), ("predictions", of_image, images)):
        missing = [image for image in here if image not in there]
        if missing:
            raise ValueError(f"{name}: image {missing[0]!r} is missing")
    return {
        "predictions": list(scores.values()),
        "references": [list(of_image[image].values()) for image in images],
        "rater_ids": [list(of_image[image]) for image in images],
        "emotions": emotions,
    }


def _json(text: str, name: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name}: is not JSON ({error})") from None


def _table(text: str, name: str, keys: list[str]) -> tuple[list[str], dict[tuple, list[float]]]:
    """(emotion columns, values by key columns) of a CSV."""
    lines = list(csv.reader(io.StringIO(text.strip())))
    header = [cell.strip() for cell in lines[0]]
    if header[: len(keys)] != keys or len(header) == len(keys):
        raise ValueError(f"{name}: the header must be {', '.join(keys)} and then the emotions")
    found: dict[tuple, list[float]] = {}
    for number, cells in enumerate(lines[1:], start=1):
        if not cells:
            continue
        if len(cells) != len(header):
            raise ValueError(f"{name}, row {number}: {len(cells)} cells instead of {len(header)}")
        key = tuple(cell.strip() for cell in cells[: len(keys)])
        if key in found:
            raise ValueError(f"{name}, row {number}: {' and '.join(key)} stand there twice")
        try:
            found[key] = [float(cell) for cell in cells[len(keys) :]]
        except ValueError:
            raise ValueError(f"{name}, row {number}: holds a cell that is no number") from None
    if not found:
        raise ValueError(f"{name}: has a header but no rows")
    return header[len(keys) :], found


def _number(value: float) -> str:
    return "undefined" if value != value else f"{value:.3f}"


def _interval(pair: list[float]) -> str:
    return "" if any(value != value for value in pair) else f"[{pair[0]:.3f}, {pair[1]:.3f}]"


def _cells(entry: dict, key: str) -> list[str]:
    return [_number(entry[key]), _interval(entry[f"{key}_ci"])]


def _shown(
    predictions: str, ratings: str, per_rater: bool, n_resamples: float | None
) -> tuple[str, list[list[str]]]:
    try:
        return agreement(predictions, ratings, per_rater, n_resamples)
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from None


def _text(path: str | None) -> str:
    return Path(path).read_text(encoding="utf-8-sig") if path else ""


def build() -> gr.Blocks:
    """The page, not launched."""
    with gr.Blocks(title="EmoNet-Face agreement") as page:
        gr.Markdown(
            "# EmoNet-Face agreement\nHow well scores for facial emotions agree with several"
            " raters, beside how well the raters agree with each other. Nothing is stored."
        )
        with gr.Row():
            boxes = []
            for name, example in (("predictions", EXAMPLE_PREDICTIONS),
                                  ("ratings", EXAMPLE_RATINGS)):  # fmt: skip
                with gr.Column():
                    file = gr.File(label=f"{name}: CSV or JSON", file_types=[".csv", ".json"])
                    box = gr.Textbox(value=example, lines=8, label=name)
                    file.change(_text, file, box)
                    boxes.append(box)
        per_rater = gr.Checkbox(label="one kappa for each rater, then their mean (CSV only)")
        resamples = gr.Number(value=1000, minimum=0, label="resamples of the images")
        button = gr.Button("Compute", variant="primary")
        summary = gr.Markdown()
        table = gr.Dataframe(headers=HEADER, wrap=True)
        button.click(_shown, [*boxes, per_rater, resamples], [summary, table])
    return page


if __name__ == "__main__":
    build().launch()
