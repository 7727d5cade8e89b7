"""Pull requests and collections of the tests' Hub: one function a request, listed in ROUTES."""

from __future__ import annotations

from hub_routes import API, WHEN
from hub_store import MAIN, Refused


def discussions(ask, store, kind, repo_id):
    found = list(store.repo(kind, repo_id, ask.user).discussions.values())
    state = ask.query.get("status")
    found = [d for d in found if state is None or (d["status"] == "closed") == (state == "closed")]
    ask.answer({"discussions": found, "count": len(found), "start": 0})


def open_request(ask, store, kind, repo_id):
    wanted = ask.body()
    repo = store.repo(kind, repo_id, ask.user, write=True)
    num = len(repo.discussions) + 1
    repo.heads[f"refs/pr/{num}"] = repo.heads[MAIN]
    repo.discussions[num] = {
        "num": num, "title": wanted["title"], "status": "draft", "isPullRequest": True,
        "author": {"name": ask.user.name}, "createdAt": WHEN, "events": [],
        "repo": {"name": repo_id, "type": kind}, "changes": {"base": "refs/heads/main"},
        "filesWithConflicts": [],
    }  # fmt: skip
    ask.answer({"num": num})


def discussion(ask, store, kind, repo_id, num):
    ask.answer(store.repo(kind, repo_id, ask.user).discussions[int(num)])


def set_status(ask, store, kind, repo_id, num):
    status = ask.body()["status"]
    store.repo(kind, repo_id, ask.user, write=True).discussions[int(num)]["status"] = status
    event = {"id": "1", "type": "status-change", "createdAt": WHEN, "data": {"status": status}}
    ask.answer({"newStatus": event})


def merge(ask, store, kind, repo_id, num):
    """One commit on main with the tree of the request, where main has not moved since."""
    repo = store.repo(kind, repo_id, ask.user, write=True)
    wanted, head = repo.discussions[int(num)], f"refs/pr/{num}"
    if wanted["status"] != "open":
        raise Refused(409, f"the pull request is {wanted['status']}, not open")
    with store.lock:
        if repo.heads[MAIN] not in [c.oid for c in repo.history(head)]:
            raise Refused(409, "main has moved since")
        repo.commit(MAIN, f"{wanted['title']} (#{num})", repo.find(head).tree)
        wanted["status"] = "merged"
    ask.answer({})


def _owner(store, slug):
    return store.collections[slug]["owner"]["name"] if slug in store.collections else None


def collections(ask, store):
    user, owner = ask.user, ask.query.get("owner")
    ask.answer(
        [
            {name: value for name, value in c.items() if name != "position"}
            for slug, c in store.collections.items()
            if owner in (None, _owner(store, slug))
            and (not c["private"] or (user and user.can_read(_owner(store, slug))))
        ]
    )


def create_collection(ask, store):
    wanted, user = ask.body(), ask.user
    owner = wanted["namespace"]
    if user is None or not user.can_write(owner):
        raise Refused(403, "you cannot write there")
    if len(wanted.get("description", "")) > 150:
        raise Refused(400, "a description has at most 150 characters")
    slug = f"{owner}/{wanted['title'].lower().replace(' ', '-')}-{len(store.collections):024x}"
    store.collections[slug] = {
        "slug": slug, "title": wanted["title"], "owner": {"name": owner, "type": "org"},
        "items": [], "private": wanted["private"], "description": wanted.get("description"),
        "lastUpdated": WHEN, "position": 0, "theme": "blue", "upvotes": 0,
    }  # fmt: skip
    ask.answer(store.collections[slug])


def _collection(ask, store, slug, *, write=False):
    found = store.collections.get(slug)
    if found is None:
        raise Refused(404, "Collection not found")
    if write and (ask.user is None or not ask.user.can_write(_owner(store, slug))):
        raise Refused(403, "you cannot write there")
    return found


def collection(ask, store, slug):
    ask.answer(_collection(ask, store, slug))


def change_collection(ask, store, slug):
    wanted = {name: value for name, value in ask.body().items() if value is not None}
    found = _collection(ask, store, slug, write=True)
    found |= wanted
    ask.answer({"data": found})


def add_item(ask, store, slug):
    wanted = ask.body()
    found = _collection(ask, store, slug, write=True)
    item = wanted["item"]
    store.repo(item["type"], item["id"], ask.user)
    if any((i["id"], i["type"]) == (item["id"], item["type"]) for i in found["items"]):
        raise Refused(409, "the item is in the collection")
    note = {"note": {"text": wanted["note"]}} if wanted.get("note") else {}
    place = len(found["items"])
    found["items"].append({"_id": f"{place:024x}", "position": place, **item, **note})
    ask.answer(found)


COLLECTION = r"/api/collections/(?P<slug>[^/]+/[^/]+)"
DISCUSSION = rf"{API}/discussions/(?P<num>\d+)"
ROUTES = [
    (rf"GET {API}/discussions", discussions),
    (rf"POST {API}/discussions", open_request),
    (rf"GET {DISCUSSION}", discussion),
    (rf"POST {DISCUSSION}/status", set_status),
    (rf"POST {DISCUSSION}/merge", merge),
    (r"GET /api/collections", collections),
    (r"POST /api/collections", create_collection),
    (rf"POST {COLLECTION}/items", add_item),
    (rf"PATCH {COLLECTION}", change_collection),
    (rf"GET {COLLECTION}", collection),
]
