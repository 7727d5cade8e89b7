"""Entry point for inspect_ai: what `inspect eval emonet_face/hq` finds.

That harness calls a task by the package its function stands in; the work is generation's.
"""

from __future__ import annotations

from inspect_ai import Task, task


@task
def hq(
    dataset: str = "emonet-face", config: str = "hq", protocol: str = "multi-shot", seed: int = 0
) -> Task:
    """Rate the faces of config `hq` and compare with its raters: see `inspect_task.face_ratings`.

    Args:
        dataset: Hub id ("ORG/emonet-face") or folder of a dataset repo.
        config: with the columns `image` and `ratings`.
        protocol: "multi-shot", "zero-shot" or "zero-shot-25".
        seed: sent with each request where the protocol pins the sampling.
    """
    from generation.inspect_task import face_ratings

    return face_ratings(dataset, config, protocol, seed)
