"""A Ray cluster to work on: the one that this process is on, or a local one started for it."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from emonet_face.errors import EmoNetFaceError

CORES_OF_ACTOR = 0.5
"""Of a core: Ray must have room beside the actors for the task that hands out their work."""


@dataclass(frozen=True)
class Cluster:
    """What work may be spread over.

    Attributes:
        data: the module `ray.data`, with its own progress bars off.
        gpus, cores: of all nodes.
    """

    data: ModuleType
    gpus: int
    cores: int


def join_cluster() -> Cluster:
    """Connect to the cluster of this process, or start a local one.

    Raises:
        EmoNetFaceError: Ray is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise EmoNetFaceError(
            "the ray engine needs Ray: pip install 'emonet-face[distributed]'"
        ) from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False  # ours shows what is done
    gpus, cores = (int(ray.cluster_resources().get(name, 0)) for name in ("GPU", "CPU"))
    return Cluster(ray.data, gpus, cores)
