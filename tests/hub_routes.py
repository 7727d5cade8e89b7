"""Repos, uploads and files of the tests' Hub: one function a request, in ROUTES with its form.

Answers hold what the clients read of them and little more.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from base64 import b64decode
from pathlib import Path
from urllib.parse import parse_qs

from hub_store import MAIN, Entry, Refused, front_matter_faults, front_matter_of

WHEN = "2026-01-01T00:00:00.000Z"
BLOCK = 1 << 20
ID = r"(?P<repo_id>[^/]+/[^/]+)"
TYPE = r"(?P<kind>model|dataset|space)"
API = rf"/api/{TYPE}s/{ID}"
REV = r"(?P<rev>[^/]+)"
PAGE = rf"/(?P<kind>datasets/|spaces/)?{ID}"
KINDS = {None: "model", "datasets/": "dataset", "spaces/": "space"}


def whoami(ask, store):
    if ask.user is None:
        raise Refused(401, "Invalid credentials in Authorization header")
    orgs = [{"name": name, "roleInOrg": role} for name, role in ask.user.orgs.items()]
    token = {"displayName": "tests", "role": ask.user.role}
    ask.answer(
        {"type": "user", "name": ask.user.name, "orgs": orgs, "auth": {"accessToken": token}}
    )


def create(ask, store):
    wanted, user = ask.body(), ask.user
    if user is None:
        raise Refused(401, "Invalid username or password.")
    kind = wanted.get("type", "model")
    repo_id = f"{wanted.get('organization') or user.name}/{wanted['name']}"
    private = wanted.get("visibility") == "private"
    store.create(user, kind, repo_id, private, wanted.get("sdk"))
    ask.answer({"url": f"{ask.server.hub.url}/{_prefix(kind)}{repo_id}"})


def _prefix(kind):
    return "" if kind == "model" else f"{kind}s/"


def settings(ask, store, kind, repo_id):
    wanted = ask.body()
    repo = store.repo(kind, repo_id, ask.user, write=True)
    repo.private = wanted.get("visibility") == "private"
    ask.answer({"private": repo.private})


def validate(ask, store):
    faults = front_matter_faults(ask.body()["content"])
    errors = [{"message": fault} for fault in faults]
    ask.answer({"errors": errors, "warnings": []}, 400 if errors else 200)


def info(ask, store, kind, repo_id, rev=MAIN):
    repo = store.repo(kind, repo_id, ask.user)
    commit = repo.find(rev)
    card = store.read(kind, repo_id, "README.md", rev) if "README.md" in commit.tree else b""
    front = front_matter_of(card.decode())
    ask.answer(
        {
            "_id": "1", "id": repo_id, "sha": commit.oid, "private": repo.private, "gated": False,
            "disabled": False, "downloads": 0, "likes": 0, "tags": front.get("tags", []),
            "cardData": front, "createdAt": WHEN, "lastModified": WHEN, "sdk": repo.sdk,
            "author": repo_id.partition("/")[0], "pipeline_tag": front.get("pipeline_tag"),
            "siblings": [{"rfilename": path} for path in sorted(commit.tree)],
        }
    )  # fmt: skip


def refs(ask, store, kind, repo_id):
    repo = store.repo(kind, repo_id, ask.user)

    def shown(names, prefix):
        return [
            {"name": name, "ref": prefix + name, "targetCommit": oid} for name, oid in names.items()
        ]

    branches = {n: o for n, o in repo.heads.items() if not n.startswith("refs/")}
    requests = {n: o for n, o in repo.heads.items() if n.startswith("refs/")}
    answer = {"branches": shown(branches, "refs/heads/"), "tags": shown(repo.tags, "refs/tags/")}
    if "include_prs" in ask.query:
        answer["pullRequests"] = shown(requests, "")
    ask.answer({**answer, "converts": []})


def commits(ask, store, kind, repo_id, rev):
    repo = store.repo(kind, repo_id, ask.user)
    ask.answer(
        [
            {"id": c.oid, "title": c.title, "message": "", "authors": [], "date": WHEN}
            for c in repo.history(rev)
        ]
    )


def _shown(path, entry):
    shown = {"type": "file", "path": path, "size": entry.size, "oid": entry.oid[:40]}
    if entry.lfs:
        shown["lfs"] = {"oid": entry.oid, "size": entry.size, "pointerSize": 134}
    return shown


def tree(ask, store, kind, repo_id, rev, folder=None):
    commit = store.repo(kind, repo_id, ask.user).find(rev)
    start = f"{folder}/" if folder else ""
    inside = {p: e for p, e in commit.tree.items() if p.startswith(start)}
    if folder and not inside:
        headers = {"X-Repo-Commit": commit.oid}
        raise Refused(404, f"{folder} does not exist", "EntryNotFound", headers)
    files, folders = [], set()
    for path, entry in sorted(inside.items()):
        parents = path[len(start) :].split("/")[:-1]
        folders |= {start + "/".join(parents[: n + 1]) for n in range(len(parents))}
        files.append(_shown(path, entry))
    if ask.query.get("recursive", "").lower() not in ("true", "1"):
        files = [file for file in files if "/" not in file["path"][len(start) :]]
        folders = {name for name in folders if "/" not in name[len(start) :]}
    ask.answer([*({"type": "directory", "path": f, "oid": "0" * 40} for f in folders), *files])


def paths_info(ask, store, kind, repo_id, rev):
    wanted = ask.body()
    wanted = parse_qs(wanted.decode()) if isinstance(wanted, bytes) else wanted
    commit = store.repo(kind, repo_id, ask.user).find(rev)
    ask.answer([_shown(p, commit.tree[p]) for p in wanted["paths"] if p in commit.tree])


def preupload(ask, store, kind, repo_id, rev):
    wanted = ask.body()["files"]
    now = store.repo(kind, repo_id, ask.user, write=True).find(rev).tree
    ask.answer(
        {
            "files": [
                {
                    "path": file["path"],
                    "uploadMode": store.mode(file["path"], b64decode(file["sample"]), file["size"]),
                    "shouldIgnore": False,
                    "oid": now[file["path"]].oid if file["path"] in now else None,
                }
                for file in wanted
            ]
        }
    )


def lfs_batch(ask, store, kind, repo_id):
    objects = ask.body()
    objects = json.loads(objects) if isinstance(objects, bytes) else objects
    kind = KINDS[kind]
    repo = store.repo(kind, repo_id, ask.user, write=True)
    here = f"{ask.server.hub.url}/lfs/{kind}/{repo_id}"
    shown = []
    for item in objects["objects"]:
        answer = {"oid": item["oid"], "size": item["size"]}
        if item["oid"] not in repo.large:
            upload = {"href": f"{here}/{item['oid']}", "header": {}}
            answer["actions"] = {"upload": upload, "verify": {"href": f"{here}/verify"}}
        shown.append(answer)
    ask.answer({"transfer": "basic", "objects": shown})


def put_object(ask, store, kind, repo_id, oid):
    """A large file: kept where it is whole and has the right hash; its address is the secret."""
    _receive(ask, store, oid)
    with store.lock:
        store.repos[kind, repo_id].large.add(oid)
    ask.answer({})


def put_plain(ask, store, oid):
    """The same bytes over plain HTTP, for the benchmark."""
    _receive(ask, store, oid)
    ask.answer({})


def _receive(ask, store, oid):
    digest = hashlib.sha256()
    handle, aside = tempfile.mkstemp(dir=store.root)
    try:
        with os.fdopen(handle, "wb", buffering=0) as stream:
            for block in ask.blocks():
                digest.update(block)
                stream.write(block)
        if digest.hexdigest() != oid:
            raise Refused(400, "the content has another sha256")
        path = store.path(oid)
        path.parent.mkdir(exist_ok=True)
        os.replace(aside, path)
    finally:
        Path(aside).unlink(missing_ok=True)


def verify(ask, store, kind, repo_id):
    wanted = ask.body()
    path = store.path(wanted["oid"])
    if not path.exists() or path.stat().st_size != wanted["size"]:
        raise Refused(404, "the object is not there")
    ask.answer({})


def commit(ask, store, kind, repo_id, rev):
    header, operations = {}, []
    for line in ask.body().splitlines():
        item = json.loads(line)
        if item["key"] == "header":
            header = item["value"]
            continue
        if item["key"] == "file":
            item["value"]["content"] = b64decode(item["value"]["content"])
        operations.append((item["key"], item["value"]))
    repo = store.repo(kind, repo_id, ask.user, write=True)
    with store.lock:
        oid = store.apply(repo, rev, header, operations)
    url = f"{ask.server.hub.url}/{_prefix(kind)}{repo_id}/commit/{oid}"
    ask.answer({"success": True, "commitOid": oid, "commitUrl": url})


def tag(ask, store, kind, repo_id, rev):
    name = ask.body()["tag"]
    repo = store.repo(kind, repo_id, ask.user, write=True)
    if name in repo.tags:
        raise Refused(409, f"Tag {name} already exists")
    repo.tags[name] = repo.find(rev).oid
    ask.answer({})


def untag(ask, store, kind, repo_id, rev):
    repo = store.repo(kind, repo_id, ask.user, write=True)
    if repo.tags.pop(rev, None) is None:
        raise Refused(404, f"Invalid rev id: {rev}", "RevisionNotFound")
    ask.answer({})


def resolve(ask, store, kind, repo_id, rev, path):
    """A file by revision; headers say which commit, and of a large file its hash and size."""
    found = store.repo(KINDS[kind], repo_id, ask.user).find(rev)
    headers = {"X-Repo-Commit": found.oid, "Accept-Ranges": "bytes"}
    entry = found.tree.get(path)
    if entry is None:
        raise Refused(404, f"{path} does not exist", "EntryNotFound", headers)
    headers["ETag"] = f'"{entry.oid}"'
    if entry.lfs:
        headers |= {"X-Linked-Etag": f'"{entry.oid}"', "X-Linked-Size": str(entry.size)}
    _send(ask, store.path(entry.oid), entry, headers)


def _send(ask, path, entry: Entry, headers):
    start, end, status = 0, entry.size, 200
    wanted = ask.headers.get("Range", "")
    if wanted.startswith("bytes=") and entry.size:
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else entry.size - int(last)
        end = min(int(last) + 1, entry.size) if first and last else entry.size
        if start >= entry.size:
            raise Refused(416, "beyond the end", None, {"Content-Range": f"bytes */{entry.size}"})
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
    ask.head(status, {"Content-Type": "application/octet-stream", **headers}, end - start)
    if ask.command == "HEAD":
        return
    with path.open("rb") as stream:
        stream.seek(start)
        left = end - start
        while left and (block := stream.read(min(left, BLOCK))):
            ask.wfile.write(block)
            left -= len(block)


LFS = rf"/lfs/{TYPE}/{ID}"
ROUTES = [
    (r"GET /api/whoami-v2", whoami),
    (r"POST /api/repos/create", create),
    (r"POST /api/validate-yaml", validate),
    (rf"PUT {API}/settings", settings),
    (rf"GET {API}/refs", refs),
    (rf"GET {API}/commits/{REV}", commits),
    (rf"GET {API}/tree/{REV}(?:/(?P<folder>.*))?", tree),
    (rf"POST {API}/paths-info/{REV}", paths_info),
    (rf"POST {API}/preupload/{REV}", preupload),
    (rf"POST {API}/commit/{REV}", commit),
    (rf"POST {API}/tag/{REV}", tag),
    (rf"DELETE {API}/tag/{REV}", untag),
    (rf"GET {API}(?:/revision/{REV})?", lambda ask, store, kind, repo_id, rev: info(
        ask, store, kind, repo_id, rev or MAIN)),
    (rf"POST {PAGE}\.git/info/lfs/objects/batch", lfs_batch),
    (rf"POST {LFS}/verify", verify),
    (rf"PUT {LFS}/(?P<oid>[0-9a-f]{{64}})", put_object),
    (r"PUT /plain/(?P<oid>[0-9a-f]{64})", put_plain),
    (rf"(?:GET|HEAD) {PAGE}/resolve/{REV}/(?P<path>.+)", resolve),
]  # fmt: skip
