"""Which text-to-image model made a published HQ image, told from its file name.

The patterns and their counts are those of the 2,500 published names (Midjourney 1,000; Flux Dev
500; Flux Pro 500; Juggernaut XL v8, a fine-tuned SDXL, 500). The names do not state the model:
the attribution is inferred from them, least certainly for Flux Pro.

>>> generator_of("mj_data_108_U2"), generator_of("00000")
('Midjourney v6', None)
"""

from __future__ import annotations

import re

NAME_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"mj_data_\d+_U[1-4]", "Midjourney v6"),
    (r"flux_dev_one_[01]-\d+_s\d+", "Flux Dev"),
    (r"flux_prompt_(9|10)-image_\d+", "Flux Pro"),
    (r"juggernaut-xl-v8-prompt-[56]-\d+_result", "Juggernaut XL v8"),
)
"""(pattern of the whole file-name stem, generator)."""


def generator_of(image_id: str) -> str | None:
    """The generator behind a published file-name stem; None for any other name."""
    for pattern, generator in NAME_PATTERNS:
        if re.fullmatch(pattern, image_id):
            return generator
    return None
