"""Training in several processes, on several GPUs or machines: each takes a part of every batch.

    accelerate launch --num_processes 2 -m emonet_face.cli train ...   # GPUs
    torchrun --nproc_per_node 2 -m emonet_face.cli train ...           # processors

On processors `accelerate launch` starts one process unless it is given `--mpirun_hostfile`.
Accelerate connects the processes; the loop stays plain PyTorch. All hold the same weights and add
up their gradients, so that they compute what one process would: to rounding, and but for dropout,
whose masks are each process' own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from emonet_face.errors import EmoNetFaceError


@dataclass(frozen=True)
class Workers:
    """The processes of a run; alone by default.

    Attributes:
        rank: of this process, from 0.
        number: of processes.
        device: of this process; None: where the heads are.
    """

    rank: int = 0
    number: int = 1
    device: torch.device | None = None

    @classmethod
    def join(cls) -> Workers:
        """Those that `accelerate launch` or `torchrun` started; alone where none was.

        Raises:
            EmoNetFaceError: several processes, but accelerate is not installed.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        try:
            from accelerate import PartialState
        except ImportError:
            raise EmoNetFaceError(
                "training in several processes needs accelerate: pip install 'emonet-face[train]'"
            ) from None
        state = PartialState(cpu=not torch.cuda.is_available())
        return cls(state.process_index, state.num_processes, state.device)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    def part(self, rows: torch.Tensor) -> torch.Tensor:
        """This process' part of a batch; the parts differ in length by at most one."""
        return rows[self.rank :: self.number]

    def add_up_(self, numbers: torch.Tensor) -> torch.Tensor:
        """Sum over the processes, in place and in all of them."""
        if self.number > 1:
            torch.distributed.all_reduce(numbers)
        return numbers

    def wait(self) -> None:
        """Until all processes are here."""
        if self.number > 1:
            torch.distributed.barrier()
