"""Yes/no votes by the cascade that the published `binary.csv` shows in its counts.

The target (prompted) emotion is asked of one person; No ends it. After a Yes a second person is
asked; No ends it. After two Yes a third person decides between 3 of 3 and 2 of 3. A share of first
Yes answers is never followed up. One more person, of another group, is asked once about the
contrast emotion (`taxonomy.OPPOSITE`). So 2 of 2, 0 of 2, 1 of 3 and 0 of 3 cannot occur.

Here everyone is simulated (`raters`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emonet_face.released import Vote
from emonet_face.taxonomy import OPPOSITE
from generation.raters import RATERS, SimulatedRater, generator, says_yes

_BY_NUMBER: dict[int, SimulatedRater] = dict(enumerate(RATERS, start=1))

TARGET_RATERS: tuple[SimulatedRater, ...] = tuple(_BY_NUMBER[n] for n in (1, 2, 4, 6))
"""Who answers target questions: the published numbers."""

CONTRAST_RATERS: tuple[SimulatedRater, ...] = tuple(_BY_NUMBER[n] for n in (3, 5, 7))
"""Who answers contrast questions. In the published file human-4 has both roles, and where one
person answered both questions of an image the target cannot be told; here the roles stay apart."""

FIRST_ASKED_SHARE = 0.8
"""Share of images whose first question goes to the first of the target people: published is about
16,000 of 19,999 for human-1, who says Yes most readily."""

UNFOLLOWED = 0.116
"""Share of first Yes answers never followed up: about 1,925 of 16,600 published ones."""


def cast_votes(image_id: str, target: str, intensities: Sequence[float], seed: int) -> list[Vote]:
    """All votes on one image: those on the target in the order asked, then the contrast vote.

    Args:
        image_id: with the seed it fixes every answer.
        target: the prompted emotion, a category name.
        intensities: (40,) latent, 0..1, canonical order.
        seed: 0 or more.

    Returns:
        2 to 4 votes: 1 of 1, 0 of 1, 1 of 2, 2 of 3 or 3 of 3 Yes on the target, and one vote on
        its contrast. No person votes twice.
    """
    rng = generator(seed, image_id, "votes")

    def ask(rater: SimulatedRater, emotion: str) -> Vote:
        return Vote(image_id, rater.name, emotion, says_yes(intensities, emotion, rater, rng))

    first, second, third = _asked(rng)
    contrast_rater = CONTRAST_RATERS[rng.integers(len(CONTRAST_RATERS))]
    followed = rng.random() >= UNFOLLOWED
    votes = [ask(first, target)]
    if votes[-1].present and followed:
        votes.append(ask(second, target))
        if votes[-1].present:
            votes.append(ask(third, target))
    return [*votes, ask(contrast_rater, OPPOSITE[target])]


def _asked(rng: np.random.Generator) -> tuple[SimulatedRater, SimulatedRater, SimulatedRater]:
    """Three different target people in the order in which they would be asked."""
    order = rng.permutation(len(TARGET_RATERS)).tolist()
    if rng.random() < FIRST_ASKED_SHARE:
        order.sort(key=lambda i: i != 0)
    first, second, third = (TARGET_RATERS[i] for i in order[:3])
    return first, second, third
