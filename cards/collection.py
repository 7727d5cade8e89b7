"""The text of the collection on the Hub: title, description, and a note for each kind of item."""

from __future__ import annotations

from dataclasses import dataclass

from cards.printing import rendered
from emonet_face.errors import EmoNetFaceError

TEMPLATE = "collection.yaml.j2"
LIMITS = {"title": 60, "description": 150, "note": 500}
"""Most characters of each that the Hub takes."""
KINDS = ("dataset", "model", "metric", "space")
"""Of products, in the order in which they are published."""


@dataclass(frozen=True)
class CollectionText:
    """What a collection says.

    Attributes:
        title: its name.
        description: plain text, at most 150 characters.
        notes: kind of product, see KINDS -> the note beside it.
    """

    title: str
    description: str
    notes: dict[str, str]


def collection_text() -> CollectionText:
    """The text of the collection, which holds no numbers of any release.

    Raises:
        EmoNetFaceError: the template lacks something, or a text is longer than the Hub takes.
    """
    import yaml

    data = yaml.safe_load(rendered(TEMPLATE, {}))
    if set(data) != {"title", "description", "notes"} or set(data["notes"]) != set(KINDS):
        raise EmoNetFaceError(f"{TEMPLATE}: needs title, description and notes on {KINDS}")
    texts = [("title", data["title"]), ("description", data["description"])]
    texts += [("note", note) for note in data["notes"].values()]
    for what, text in texts:
        if len(text) > LIMITS[what]:
            raise EmoNetFaceError(
                f"{TEMPLATE}: the {what} has {len(text)} characters; {LIMITS[what]} are allowed"
            )
    return CollectionText(data["title"], data["description"], dict(data["notes"]))
