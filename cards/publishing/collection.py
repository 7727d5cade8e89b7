"""The collection that shows all repos of a release on one page of the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cards.collection import collection_text
from cards.publishing.hub_access import one_line
from cards.publishing.plan import RepoPlan

if TYPE_CHECKING:
    from huggingface_hub import Collection, HfApi


def find_collection(api: HfApi, org: str) -> Collection | None:
    """The organisation's collection of this title, with all its items; None where it has none."""
    title = collection_text().title
    with one_line(api, f"reading the collections of {org}"):
        for found in api.list_collections(owner=org):
            if found.title == title:
                return api.get_collection(found.slug)
    return None


def missing_items(collection: Collection | None, plans: Sequence[RepoPlan]) -> list[RepoPlan]:
    """The repos that are not in the collection yet."""
    items = collection.items if collection is not None else []
    there = {(item.item_type, item.item_id) for item in items}
    return [plan for plan in plans if (plan.staged.repo_type, plan.repo_id) not in there]


def complete_collection(
    api: HfApi, org: str, plans: Sequence[RepoPlan], *, private: bool
) -> str | None:
    """Make the collection where it is missing and add the repos that it lacks.

    Returns:
        Its address; None where nothing was to be done.
    """
    collection = find_collection(api, org)
    missing = missing_items(collection, plans)
    if not missing:
        return None
    text = collection_text()
    with one_line(api, f"completing the collection {text.title} of {org}"):
        if collection is None:
            collection = api.create_collection(
                text.title,
                namespace=org,
                description=text.description,
                private=private,
                exists_ok=True,
            )
        for plan in missing:
            collection = api.add_collection_item(
                collection.slug,
                plan.repo_id,
                plan.staged.repo_type,
                note=text.notes[plan.staged.kind],
                exists_ok=True,
            )
    return f"{api.endpoint}/collections/{collection.slug}"
