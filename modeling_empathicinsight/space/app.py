"""The page of EmpathicInsight-Face: drop a picture of a face, see how 40 categories share it out.

    EMPATHICINSIGHT_MODEL=ID_OR_DIR python app.py

This file is uploaded as a Space, with the files that `emonet-face page --out` puts beside it. It
needs gradio, torch and transformers, and dlib-bin for cutting out faces. The page loads nothing
from anywhere but its own server.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Read by gradio when it is imported: no usage statistics, no question for newer versions.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
import numpy as np
import torch
from bars import Scores, problem, render, waiting
from face_crops import crop, find_faces
from huggingface_hub import hf_hub_download
from predict_onnx import read_picture
from transformers import AutoImageProcessor, AutoModelForImageClassification

if TYPE_CHECKING:
    from PIL import Image

HERE = Path(__file__).parent
HOUR = 3600
TRAINING_RECORD = "training.json"
UNKNOWN = "No record of this model says whose ratings it was trained on."
LOW_TIER = "low"
"""The reliability tier, in the model's calibration, of what raters hardly agree on."""

THEME = gr.themes.Base(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    # The theme's own are too pale to be read by everybody (2.6 to 1; these are over 5 to 1).
    body_text_color_subdued="#57606a",
    body_text_color_subdued_dark="#a8b3c0",
    block_info_text_color="#57606a",
    block_info_text_color_dark="#a8b3c0",
    block_label_text_color="#57606a",
    block_label_text_color_dark="#a8b3c0",
)


class Picture(gr.Image):
    """An image component that hands the uploaded file on as it is.

    gradio's own opens it first, and what it cannot open ends in an error without a reason.
    """

    def get_block_name(self) -> str:
        return "image"

    def preprocess(self, payload: Any) -> str | None:
        return None if payload is None else payload.path


class Scorer:
    """The model, ready for pictures.

    Args:
        name: Hub id or folder of an EmpathicInsight-Face model.
        taxonomy: what `emonet-face taxonomy --json` prints.

    Raises:
        ValueError: the model's categories are not those of the taxonomy.
    """

    def __init__(self, name: str, taxonomy: dict[str, Any]) -> None:
        self.taxonomy = taxonomy
        self.model = AutoModelForImageClassification.from_pretrained(name, trust_remote_code=True)
        self.processor = AutoImageProcessor.from_pretrained(name, backend="pil")
        self.model.eval()
        labels = self.model.config.id2label
        self.names = [labels[index] for index in sorted(labels)]
        if self.names != [category["name"] for category in taxonomy["categories"]]:
            raise ValueError(f"{name}: its categories are not the 40 of the taxonomy")

    @torch.inference_mode()
    def __call__(self, image: Image.Image) -> Scores:
        """What the model says of one RGB picture."""
        pixels = self.processor(images=image, return_tensors="pt")["pixel_values"]
        output = self.model(pixel_values=pixels.to(self.model.dtype))
        config, n = self.model.config, len(self.names)
        logits = output.logits[0].double()
        scores = output.scores.float()
        calibrated = {}
        if config.calibration:
            found = config.calibrate(scores.numpy())
            values = np.stack([found[key][0] for key in ("rating", "low", "high")], axis=1)
            tiers = config.tiers()
            calibrated = {
                "ratings": dict(zip(self.names, map(tuple, values.tolist()), strict=True)),
                "rating_note": config.calibration["statement"],
                "weak": frozenset(name for name in self.names if tiers[name] == LOW_TIER),
            }
        return Scores(
            families=self.taxonomy["families"],
            share=dict(zip(self.names, logits.softmax(0).tolist(), strict=True)),
            above_neutral=dict(zip(self.names, logits.tolist(), strict=True)),
            neutral_source=config.neutral_source or "not said",
            dimensions=dict(zip(config.output_names[n:], scores[0, n:].tolist(), strict=True)),
            dimension_notes=self.taxonomy["dimensions"],
            **calibrated,
        )

    def page(self, path: str | None, cut: bool) -> str:
        """An uploaded file -> the result, or in one line why there is none, as HTML."""
        if path is None:
            return waiting()
        name = Path(path).name
        try:
            image = read_picture(path, name)
        except ValueError as error:
            return problem(str(error))
        if not cut:
            return render(self(image), "The whole picture was scored.")
        faces = find_faces(image)
        if not faces:
            return problem(f"{name}: no face was found; without the crop it is scored whole")
        face = crop(image, faces[0])
        said = (
            "One face was found; this part was scored."
            if len(faces) == 1
            else f"{len(faces)} faces were found; the largest was scored, with this part around it."
        )
        return render(self(face), said, face)


def warning(name: str) -> str:
    """What has to be known of a model before its numbers, by its own training record; or "".

    Args:
        name: Hub id or folder.

    Raises:
        ValueError: the record is no JSON.
    """
    own = Path(name) / TRAINING_RECORD
    try:
        path = own if Path(name).is_dir() else Path(hf_hub_download(name, TRAINING_RECORD))
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError:  # of the Hub's client too: not there, or not to be reached
        return UNKNOWN
    stages = record.get("stages", {}).values()
    names = [name for stage in stages for name in stage.get("annotators", [])]
    if any(name.casefold().startswith("simulated") for name in names):
        return (HERE / "demonstration.md").read_text(encoding="utf-8")
    return "" if names or record.get("made_by") == "emonet-face convert" else UNKNOWN


def build(score: Scorer, name: str, before: str) -> gr.Blocks:
    """The page around a loaded model.

    Args:
        score: the model.
        name: what it is called there.
        before: what stands above everything else, see `warning`; may be empty.
    """
    can_cut = importlib.util.find_spec("dlib") is not None
    with gr.Blocks(
        title="EmpathicInsight-Face", analytics_enabled=False, delete_cache=(HOUR, HOUR)
    ) as page:
        gr.Markdown(
            "# EmpathicInsight-Face\n\nWhich of 40 emotion categories people would see in a face",
            elem_id="title",
        )
        if before:
            gr.Markdown(before, elem_id="demonstration")
        gr.Markdown((HERE / "notice.md").read_text(encoding="utf-8"), elem_id="notice")
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                gr.Markdown("Picture of one face: PNG, JPEG or WebP", elem_id="wanted")
                picture = Picture(
                    show_label=False,  # it would lie over the picture
                    sources=["upload", "clipboard"],
                    type="filepath",
                    height=320,
                    buttons=[],
                    alt_text="The picture as it was given",
                    elem_id="picture",
                )
                cut = gr.Checkbox(
                    label="Find the face and crop to it first",
                    info="For pictures that are not portraits."
                    if can_cut
                    else "Needs dlib: pip install dlib-bin",
                    interactive=can_cut,
                    elem_id="cut",
                )
                gr.Markdown(
                    f"Model `{name}`. Uploaded pictures are deleted after an hour.",
                    elem_id="small",
                )
            with gr.Column(scale=3, min_width=320):
                result = gr.HTML(waiting(), elem_id="result")
        for event in (picture.change, cut.change):
            event(
                score.page,
                [picture, cut],
                result,
                show_progress="minimal",
                api_visibility="private",
            )
    return page


def main() -> int:
    """Load the model and serve the page; returns 2 where the model or the ports cannot be used."""
    space = json.loads((HERE / "space.json").read_text(encoding="utf-8"))
    name = os.environ.get("EMPATHICINSIGHT_MODEL") or space["model"]
    try:
        score = Scorer(name, space["taxonomy"])
        shown = Path(name).name if Path(name).is_dir() else name
        page = build(score, shown, warning(name))
        _, address, _ = page.launch(
            theme=THEME,
            css_paths=HERE / "page.css",
            footer_links=[],
            ssr_mode=False,
            share=False,
            max_file_size="50mb",
            quiet=True,  # no advice on sharing
            prevent_thread_lock=True,
        )
    except (OSError, ValueError) as error:
        print(f"app: {name}: {str(error).strip().splitlines()[0]}", file=sys.stderr)
        return 2
    print(f"The page: {address}  (Ctrl-C stops it)", flush=True)
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(HOUR)
    page.close(verbose=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
