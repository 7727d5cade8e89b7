"""A model as the annotator: one source, one protocol, one results file."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emonet_face.errors import EmoNetFaceError
from emonet_face.imaging import checked_stem
from emonet_face.outputs import check_file_replaceable, new_file
from emonet_face.ratings import parse_scores
from emonet_face.released import Rating, checked_name, write_ratings
from generation.annotators.asking import Label, rating_label
from generation.annotators.campaign import Campaign, Tally
from generation.annotators.controls import constant_label, controlled
from generation.annotators.endpoint import Endpoint
from generation.annotators.pictures import pictures_of
from generation.annotators.protocols import PROTOCOLS, VERSION
from generation.annotators.readout_questions import WORDINGS
from generation.annotators.results_file import ResultsFile
from generation.annotators.spending import Pace, Spending

READOUT = "readout"
_FORMULA = ("=", "+", "-", "@")
"""How a cell begins that a spreadsheet runs."""
REPLIES_SUFFIX = ".replies.jsonl"
"""Beside a `.csv`: NAME.replies.jsonl holds everything, the table what fits its form."""


@dataclass(frozen=True)
class ModelOptions:
    """How a model is asked.

    Attributes:
        model: as the endpoint calls it; for local models a folder or a Hub id.
        name: of the annotator in the results; None: made of model, protocol and control.
        config: of a dataset repo.
        control: one of `controls.CONTROLS`, None for the pictures themselves.
        base_url, timeout_s, retries: see `endpoint.Endpoint`.
        concurrency: requests under way at once.
        requests_per_minute: see `spending.Pace`.
        price_in, price_out, max_cost, max_requests: see `spending.Spending`.
        device, dtype: of a local model: "auto", "cpu", "cuda"; "auto", "float32", "bfloat16".
        batch_size: questions of a readout that are answered together.
        prefill: start of the answer that a readout puts into the model's mouth; may be empty.
    """

    model: str
    name: str | None = None
    config: str = "hq"
    control: str | None = None
    base_url: str | None = None
    timeout_s: float = 120.0
    retries: int = 5
    concurrency: int = 50
    requests_per_minute: float | None = None
    price_in: float | None = None
    price_out: float | None = None
    max_cost: float | None = None
    max_requests: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 40
    prefill: str = "Answer:"


def annotate_by_model(
    source: str, out: Path, annotator: str, protocol: str, seed: int, options: ModelOptions
) -> dict[str, object]:
    """Ask a model about every picture that has no result yet.

    Args:
        source: see `pictures.pictures_of`.
        out: `.jsonl`, or `.csv` with everything in NAME.replies.jsonl beside it.
        annotator: "openai" or "transformers".
        protocol: one of `protocols.PROTOCOLS`, or READOUT for a local model.
        seed: sent with each request where the protocol pins the sampling; of the shuffle.
        options: how.

    Returns:
        "out", "annotator" (its name), "protocol", "simulated" (False), "images", "labels" (images
        with ratings), "failures" (reason -> images), "failure_rate" (of all that were answered),
        "unanswered", "causes" (why they are -> images), "busy", "stopped" (None, or why),
        "requests", "tokens", "cost" (None without prices; with what earlier calls paid): of the
        images of the source. "others": how many images of other sources the file has, too.

    Raises:
        EmoNetFaceError: a bad option or source, `out` is not ours or holds another plan, the key or
            the model is refused. What was answered before is kept.
    """
    pictures = pictures_of(source, options.config, decoded=annotator == "transformers")
    shown = controlled(pictures, options.control, seed)
    plan = _plan(annotator, protocol, seed, options)
    replies = out if out.suffix == ".jsonl" else out.with_suffix(REPLIES_SUFFIX)
    if replies != out:
        check_file_replaceable(out, ours=lambda _: replies.exists())
    results = ResultsFile(replies, plan)
    try:
        spending = Spending(
            price_in=options.price_in,
            price_out=options.price_out,
            max_cost=options.max_cost,
            max_requests=options.max_requests,
            spent_before=results.cost,
        )
        workers = _workers(annotator, options)
        stop = threading.Event()
        pace = Pace(options.requests_per_minute, stop)
        with _label(annotator, protocol, seed, options, spending, pace) as label:
            campaign = Campaign(
                shown, label, results, plan, workers=workers, stop=stop, control=options.control
            )
            tally = campaign.run(str(plan["annotator"]))
    finally:
        results.close()
    lines = list(results.lines())
    if replies != out:
        _write_table(out, replies, lines)
    of_source = {picture.image for picture in pictures}
    summary = _summary(out, plan, tally, [i for i in lines if i["image"] in of_source], spending)
    return summary | {"others": sum(line["image"] not in of_source for line in lines)}


def _plan(annotator: str, protocol: str, seed: int, options: ModelOptions) -> dict[str, object]:
    sampling: dict[str, object]
    if protocol == READOUT:
        suffix, prompt, sampling = READOUT, "\n".join(WORDINGS), {"prefill": options.prefill}
    else:
        rating = PROTOCOLS[protocol]
        suffix, prompt = rating.suffix, rating.prompt()
        if annotator == "openai":
            sampling = rating.sampling(seed)
        else:
            sampling = {"do_sample": False, "max_tokens": rating.max_tokens}
    name = options.name
    if name is None:
        name = f"{checked_name(Path(options.model).name, '--model')} {suffix}"
        name += "" if options.control is None else f" ({options.control} control)"
    name = checked_name(name, "--name")
    if name.lower().startswith("simulated-"):
        raise EmoNetFaceError(f"--name {name!r}: names of simulated annotators begin like that")
    if name.startswith(_FORMULA):
        raise EmoNetFaceError(f"--name {name!r}: a spreadsheet takes it for a formula")
    plan: dict[str, object] = {
        "annotator": name,
        "protocol": protocol,
        "simulated": False,
        "model": options.model,
        "prompt": f"{VERSION}-{hashlib.sha256(prompt.encode()).hexdigest()[:12]}",
        "sampling": sampling,
    }
    return plan if options.control is None else plan | {"control": options.control}


def _workers(annotator: str, options: ModelOptions) -> int:
    if options.concurrency < 1:
        raise EmoNetFaceError(f"--concurrency is {options.concurrency}: must be 1 or more")
    return options.concurrency if annotator == "openai" else 1


@contextmanager
def _label(
    annotator: str,
    protocol: str,
    seed: int,
    options: ModelOptions,
    spending: Spending,
    pace: Pace,
) -> Iterator[Label]:
    if options.control == "constant":
        dimensions = protocol != READOUT and PROTOCOLS[protocol].dimensions
        yield lambda _: constant_label(dimensions)
        return
    if annotator == "transformers":
        yield _local_label(protocol, options)
        return
    rating = PROTOCOLS[protocol]
    endpoint = Endpoint(
        options.model,
        rating.prompt(),
        rating.sampling(seed),
        None if rating.schema is None else rating.schema(),
        spending=spending,
        pace=pace,
        base_url=options.base_url,
        timeout_s=options.timeout_s,
        retries=options.retries,
    )
    try:
        yield rating_label(rating, endpoint.ask)
    finally:
        endpoint.close()


def _local_label(protocol: str, options: ModelOptions) -> Label:
    from generation.annotators.local_model import LocalModel
    from generation.annotators.readout import Readout

    model = LocalModel(options.model, device=options.device, dtype=options.dtype)
    if protocol == READOUT:
        return Readout(model, prefill=options.prefill, batch_size=options.batch_size).label
    rating = PROTOCOLS[protocol]
    prompt = rating.prompt()
    return rating_label(rating, lambda image: model.write(prompt, image, rating.max_tokens))


def _write_table(out: Path, replies: Path, lines: list[dict[str, Any]]) -> None:
    ratings = [
        Rating(
            image=line["image"],
            image_id=checked_stem(line["image"]),
            annotator=line["annotator"],
            human=False,
            scores=parse_scores(line["scores"] | line.get("dimensions", {}), gaps="null"),
        )
        for line in lines
        if "scores" in line
    ]
    if ratings:
        with new_file(out, ours=lambda _: replies.exists()) as aside:
            write_ratings(aside, ratings)


def _summary(
    out: Path,
    plan: Mapping[str, object],
    tally: Tally,
    lines: list[dict[str, Any]],
    spending: Spending,
) -> dict[str, object]:
    final = [line for line in lines if line.get("final", True)]
    failures = Counter(line["error"] for line in final if "error" in line)
    causes = Counter(str(line.get("error")) for line in lines if not line.get("final", True))
    return {
        "out": str(out),
        "annotator": plan["annotator"],
        "protocol": plan["protocol"],
        "simulated": False,
        "images": tally.images,
        "labels": sum("scores" in line for line in final),
        "failures": dict(failures.most_common()),
        "failure_rate": failures.total() / len(final) if final else None,
        "unanswered": causes.total(),
        "causes": dict(causes.most_common()),
        "busy": tally.busy,
        "stopped": tally.stopped,
        "requests": spending.requests,
        "tokens": {"prompt": spending.prompt_tokens, "completion": spending.completion_tokens},
        "cost": spending.cost,
    }
