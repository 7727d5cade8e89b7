"""The commands of labels by models and simulated people: annotate, annotate-report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from emonet_face.commands.options import (
    Out,
    PictureSource,
    RepoConfig,
    Resamples,
    Seed,
    refuse,
    values,
)
from emonet_face.screen_table import print_table

OF_A_MODEL = ("name", "config", "control")
OF_AN_ENDPOINT = (
    "base_url",
    "timeout_s",
    "retries",
    "concurrency",
    "requests_per_minute",
    "price_in",
    "price_out",
    "max_cost",
    "max_requests",
)
OF_A_LOCAL_MODEL = ("device", "dtype")
OF_A_READOUT = ("batch_size", "prefill")
MODEL_OPTIONS = (*OF_A_MODEL, *OF_AN_ENDPOINT, *OF_A_LOCAL_MODEL, *OF_A_READOUT)
"""Options that `generation.annotate.ModelOptions` takes by these names."""

LabelsFile = Annotated[Path, typer.Option(help=".jsonl (all) or .csv (hq.csv or binary.csv form).")]
Annotator = Annotated[
    str, typer.Option(help="simulated, openai (any such endpoint) or transformers (local).")
]
LabelProtocol = Annotated[
    str | None,
    typer.Option(
        help="Simulated: sliders, votes or multi-shot. Models: multi-shot, zero-shot, "
        "zero-shot-25 (the published form), readout (transformers only)."
    ),
]
Model = Annotated[
    str | None, typer.Option(help="As the endpoint calls it, or a local folder or Hub id.")
]
Name = Annotated[
    str | None, typer.Option(help="Annotator's name in the results; else made of the model's.")
]
Control = Annotated[
    str | None,
    typer.Option(help="Ask about no face: grey, shuffled or constant; for annotate-report."),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(help="E.g. http://localhost:8000/v1. The key: $OPENAI_API_KEY, only there."),
]
Concurrency = Annotated[int, typer.Option(help="Requests under way at once.")]
RequestsPerMinute = Annotated[float | None, typer.Option(help="Most to send.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds for one request.")]
Retries = Annotated[
    int, typer.Option(help="After HTTP 429, 500, 502, 503, 504, a timeout, a broken line.")
]
PriceIn = Annotated[float | None, typer.Option(help="Per million prompt tokens.")]
PriceOut = Annotated[float | None, typer.Option(help="Per million reply tokens.")]
MaxCost = Annotated[
    float | None, typer.Option(help="Stop before it; counts earlier calls on this file.")
]
MaxRequests = Annotated[int | None, typer.Option(help="Of this call, with retries.")]
Device = Annotated[str, typer.Option(help="Of a local model: auto, cpu or cuda.")]
Dtype = Annotated[str, typer.Option(help="Of a local model: auto, float32, bfloat16 or float16.")]
BatchSize = Annotated[int, typer.Option(help="Questions of a readout at once.")]
Prefill = Annotated[
    str, typer.Option(help="Start of a readout's answer, put before the model's; may be empty.")
]


def annotate(
    context: typer.Context,
    source: PictureSource,
    out: LabelsFile,
    annotator: Annotator = "simulated",
    protocol: LabelProtocol = None,
    seed: Seed = 0,
    model: Model = None,
    name: Name = None,
    config: RepoConfig = "hq",
    control: Control = None,
    base_url: BaseUrl = None,
    concurrency: Concurrency = 50,
    requests_per_minute: RequestsPerMinute = None,
    timeout_s: Timeout = 120.0,
    retries: Retries = 5,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    max_cost: MaxCost = None,
    max_requests: MaxRequests = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch_size: BatchSize = 40,
    prefill: Prefill = "Answer:",
) -> None:
    """Label images, by a model or by simulated annotators, who say so in every name they write.

    Every picture is asked about once and every raw reply is kept; one that does not fit its
    protocol is a recorded failure. Killed, the same call goes on; several may share an --out.
    Exit code 1 where pictures are left without an answer: the same call asks again.
    """
    from generation.annotate import ModelOptions
    from generation.annotate import annotate as run

    _refuse_what_does_not_apply(context, annotator, protocol, model)
    options = None
    if model is not None:
        options = ModelOptions(model, **values(context, MODEL_OPTIONS))
    summary = run(source, out, annotator=annotator, protocol=protocol, seed=seed, options=options)
    if options is None:
        print(", ".join(f"{key}: {value}" for key, value in summary.items()))
        return
    _print_annotation(summary)
    if summary["stopped"] or summary["unanswered"] or summary["busy"] or not summary["labels"]:
        raise typer.Exit(1)


def _refuse_what_does_not_apply(
    context: typer.Context, annotator: str, protocol: str | None, model: str | None
) -> None:
    """Who labels decides which options mean something; names that are wrong are said later."""
    if model is None:
        refuse(context, MODEL_OPTIONS, "is about a model: give --model too")
    elif annotator == "openai":
        others = (*OF_A_LOCAL_MODEL, *OF_A_READOUT)
        refuse(
            context, others, f"is about a local model: leave it out with --annotator {annotator}"
        )
    elif annotator == "transformers":
        why = f"is about an endpoint: leave it out with --annotator {annotator}"
        refuse(context, OF_AN_ENDPOINT, why)
        if protocol != "readout":
            refuse(context, OF_A_READOUT, "is about a readout: give --protocol readout too")


def _print_annotation(summary: dict[str, object]) -> None:
    rate = summary["failure_rate"]
    share = "" if rate is None else f" ({rate:.1%} of the answers)"
    failed = sum(summary["failures"].values())
    print(
        f"{summary['out']}: {summary['annotator']}, {summary['protocol']}: {summary['labels']} of"
        f" {summary['images']} images labelled, {failed} replies do not fit{share}"
    )
    _print_reasons(summary["failures"])
    tokens = summary["tokens"]
    if summary["requests"]:
        spent = (
            f"{summary['requests']} requests, {tokens['prompt']} + {tokens['completion']} tokens"
        )
        cost = summary["cost"]
        print(spent if cost is None else f"{spent}; cost so far {cost:.4f}")
    if summary["unanswered"]:
        print(f"{summary['unanswered']} images got no answer; the same call asks again")
        _print_reasons(summary["causes"])
    if summary["others"]:
        print(f"{summary['out']} also has results for {summary['others']} images of other sources")
    if summary["busy"]:
        print(f"{summary['busy']} images are being labelled by another process")
    if summary["stopped"]:
        print(f"Stopped: {summary['stopped']}")


def _print_reasons(counts: Mapping[str, int]) -> None:
    for reason, n in list(counts.items())[:5]:
        print(f"  {n} x {reason}")


def annotate_report(
    files: Annotated[
        list[Path], typer.Argument(help=".jsonl of `annotate`, or .csv in the form of hq.csv.")
    ],
    out: Out,
    resamples: Resamples = 1000,
    seed: Seed = 42,
) -> None:
    """Annotators beside each other: failures, scale use, bias, agreement, pace; and their controls.

    Give the runs with --control along with the annotator's own, and ratings by people where there
    are any. Without a control, a model's own answers dealt out to other images stand for one.
    """
    from generation.annotators.report import SHOWN, annotator_report

    report = annotator_report(files, out, n_resamples=resamples, seed=seed)
    print_table("Annotators", SHOWN, report.rows())
    for statement in report.statements():
        print(statement)
    print(f"Tables and report.json are in {out}")
