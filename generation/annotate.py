"""Labels for faces: the front door of the annotators.

    from generation.annotate import ModelOptions, annotate
    annotate("run", Path("hq.csv"))                          # 4 simulated people per face
    annotate("run", Path("binary.csv"), protocol="votes")    # the cascade of yes/no votes
    annotate("faces", Path("vlm.jsonl"), annotator="openai", options=ModelOptions("gpt-4o"))

Whatever is simulated says so in its names and, in JSON lines, in a field.
"""

from __future__ import annotations

from pathlib import Path

from emonet_face.errors import EmoNetFaceError
from generation.annotators.machine import READOUT, ModelOptions, annotate_by_model
from generation.annotators.protocols import PROTOCOLS as RATING_PROTOCOLS
from generation.annotators.simulated import PROTOCOLS as SIMULATED_PROTOCOLS
from generation.annotators.simulated import simulate

PROTOCOLS: dict[str, tuple[str, ...]] = {
    "openai": tuple(RATING_PROTOCOLS),
    "transformers": (*RATING_PROTOCOLS, READOUT),
    "simulated": SIMULATED_PROTOCOLS,
}
"""Annotator -> its protocols. A readout needs all logits, which only a local model gives."""

DEFAULT_PROTOCOL = {".csv": "sliders", ".jsonl": "multi-shot"}
"""Suffix of the output -> protocol of the simulated annotators where none is named; no other suffix
is allowed. Models take "multi-shot"."""


def annotate(
    source: str | Path,
    out: Path,
    *,
    annotator: str = "simulated",
    protocol: str | None = None,
    seed: int = 0,
    options: ModelOptions | None = None,
) -> dict[str, object]:
    """Label every image of a source.

    Args:
        source: a run folder; for models also any folder of images, a dataset repo or a Hub id.
        out: `.jsonl` (all, with raw replies) or `.csv` (hq.csv form; binary.csv form for votes).
        annotator: one of PROTOCOLS.
        protocol: one of the annotator's PROTOCOLS; None for its default.
        seed: 0 or more; of simulated annotators, of a model's sampling, of the shuffled control.
        options: of a model; needed by "openai" and "transformers", and by no other.

    Returns:
        See `simulated.simulate` and `machine.annotate_by_model`.

    Raises:
        EmoNetFaceError: an unknown name, protocol or suffix, or what those two say.
    """
    protocol = _checked_protocol(out, annotator, protocol, seed)
    if annotator == "simulated":
        if options is not None:
            raise EmoNetFaceError("the simulated annotators take no --model and no control")
        return simulate(Path(source), out, protocol, seed)
    if options is None:
        raise EmoNetFaceError(f"the {annotator} annotator needs --model")
    return annotate_by_model(str(source), out, annotator, protocol, seed, options)


def _checked_protocol(out: Path, annotator: str, protocol: str | None, seed: int) -> str:
    if annotator not in PROTOCOLS:
        raise EmoNetFaceError(f"unknown annotator {annotator!r}; allowed: {', '.join(PROTOCOLS)}")
    if out.suffix not in DEFAULT_PROTOCOL:
        allowed = " or ".join(DEFAULT_PROTOCOL)
        raise EmoNetFaceError(f"{out}: labels are written to {allowed}, not {out.suffix!r}")
    if protocol is None:
        protocol = DEFAULT_PROTOCOL[out.suffix] if annotator == "simulated" else "multi-shot"
    if protocol not in PROTOCOLS[annotator]:
        raise EmoNetFaceError(
            f"the {annotator} annotator has no protocol {protocol!r}; allowed:"
            f" {', '.join(PROTOCOLS[annotator])}"
        )
    if seed < 0:
        raise EmoNetFaceError(f"seed is {seed}: must be 0 or more")
    return protocol
