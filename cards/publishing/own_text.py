"""Render the card of a staged folder, and say what of the folder's own text that leaves behind.

A card names its repo as it is called on the Hub, so it is rendered when it is staged. Whoever wrote
into the folder's README.md is told, because what they wrote is not published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from cards.render import card_of, write_card

Texts = dict[str, Counter[str]]
"""Name of a file of the card -> its lines, counted."""


def render_anew(folder: Path, org: str) -> tuple[str, ...]:
    """Write the card of a staged folder as it is on the Hub.

    What the organisation's name alone changes is no text of the folder's own: its card is also
    compared with the one that has no organisation, and the nearer of both counts.

    Args:
        folder: the staged product; its card is still the one of its source.
        org: organisation that the card names.

    Returns:
        One line for each file of the card that is not the folder's own.

    Raises:
        EmoNetFaceError: see `cards.render.card_of`.
    """
    card = card_of(folder, org)
    texts = card.texts()
    paths = {name: folder / name for name in texts}
    own = {name: _lines(path.read_bytes()) for name, path in paths.items() if path.is_file()}
    published = _counted(texts)
    lines: list[str] = []
    if any(own[name] != published[name] for name in own):
        plain = _counted(card_of(folder).texts())
        lines = list(_replaced(folder.name, own, published, plain))
    write_card(folder, card)
    return tuple(lines)


def _replaced(repo: str, own: Texts, published: Texts, plain: Texts) -> Iterator[str]:
    """The lines of `render_anew`, from the counted lines of the texts."""
    for name, mine in own.items():
        rendered = min(
            (published[name], plain[name]), key=lambda text: _total(mine - text, text - mine)
        )
        lost, gained = _total(mine - rendered), _total(rendered - mine)
        if lost:
            said = f"of the folder's own {'is' if lost == 1 else 'are'} not published"
        else:
            said = f"that the folder's lacks {'is' if gained == 1 else 'are'} published"
        if n := lost or gained:
            yield f"{repo}/{name} is rendered anew; {n:,} line{'' if n == 1 else 's'} {said}"


def _counted(texts: Mapping[str, str]) -> Texts:
    return {name: _lines(text.encode()) for name, text in texts.items()}


def _lines(data: bytes) -> Counter[str]:
    """How often each line stands there; empty ones, ends of lines and their order do not count."""
    text = data.decode("utf-8-sig", errors="replace")
    return Counter(line.rstrip() for line in text.splitlines() if line.strip())


def _total(*counts: Counter[str]) -> int:
    return sum(count.total() for count in counts)
