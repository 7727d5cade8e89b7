"""The whole release on the Hub with one command: staged, verified, uploaded, read back, tagged.

    emonet-face publish demo-out/hub --org my-org              # a dry run: the plan
    emonet-face publish demo-out/hub --org my-org --upload

What happens, in this order: stage every folder; find all faults; compare with the Hub and show the
plan; check the token's rights; upload each repo by one commit (new repos are private so far); read
everything back; make the new repos public; tag the version; complete the collection. A run that
breaks off at any point is finished by the same command, and one after that does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cards.hub_names import check_name
from cards.publishing.collection import complete_collection
from cards.publishing.hub_access import check_rights, connect, known_token, one_line
from cards.publishing.plan import PLAN_COLUMNS, RepoPlan, check_permitted, make_plan, size_text
from cards.publishing.read_back import read_back
from cards.publishing.staged_files import StagedRepo
from cards.publishing.staging import left_out, staged
from cards.publishing.upload import upload_repo
from cards.publishing.verification import Fault, left_for_later, verify
from emonet_face import __version__
from emonet_face.errors import EmoNetFaceError
from emonet_face.screen_table import print_table

if TYPE_CHECKING:
    from huggingface_hub import HfApi

VERSION = f"v{__version__}"


def publish(
    hub_dir: Path, org: str, *, upload: bool = False, private: bool = False, update: bool = False
) -> int:
    """Verify the products below a folder, show what would change on the Hub, and change it.

    Args:
        hub_dir: each folder in it is one repo, its kind told from its content.
        org: organisation or user on the Hub that HF_ENDPOINT names.
        upload: without it nothing is sent, and no token is needed.
        private: leave new repos and a new collection private.
        update: allow what is published already to change.

    Returns:
        0 where all is well, 1 where faults were found (they are printed) and nothing was sent.

    Raises:
        EmoNetFaceError: `hub_dir` holds no folders, the Hub refuses, or something published would
            change without `update`.
    """
    start = time.perf_counter()
    check_name(org, "--org")
    api = connect()
    if upload:
        check_rights(api, org)
    with staged(hub_dir, org) as repos:
        if skipped := left_out(hub_dir):
            print(f"Part of no repo, left out: {', '.join(skipped)}")
        names = ", ".join(repo.name for repo in repos)
        print(f"Verifying {names}: files, secrets, cards, check, public loaders ...")
        faults = verify(repos, known_token(api))
        if faults:
            _tell(faults, left_for_later(repos, faults))
            return 1
        plans = _plan(api, repos, org, private=private, upload=upload)
        _show(plans, f"{VERSION} on {api.endpoint}, organisation {org}")
        done = all(plan.is_done for plan in plans)
        check_permitted(plans, update=update)
        if upload:
            _carry_out(api, plans, org, private=private)
            print(f"Done in {time.perf_counter() - start:.1f} s")
        else:
            print(f"A dry run: nothing was sent.{'' if done else ' Add --upload to do this.'}")
    return 0


def _tell(faults: Sequence[Fault], left: Sequence[str]) -> None:
    for fault in faults:
        print(f"  {fault}")
    if left:
        print(f"Not looked at before these are gone: {'; '.join(left)}")
    print(f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}: nothing is uploaded")


def _plan(
    api: HfApi, repos: Sequence[StagedRepo], org: str, *, private: bool, upload: bool
) -> list[RepoPlan]:
    """The plan; a dry run that cannot reach the Hub says so and takes all for new."""
    try:
        return make_plan(api, repos, org, private=private, version=VERSION)
    except EmoNetFaceError as error:
        if upload:
            raise
        reason = str(error).partition(": ")[2]
        print(f"The Hub cannot be reached ({reason}); everything is shown as new.")
        return [RepoPlan(repo, org, None, private, VERSION) for repo in repos]


def _show(plans: Sequence[RepoPlan], title: str) -> None:
    print_table(title, PLAN_COLUMNS, [plan.row() for plan in plans], n_left=2)
    for plan in plans:
        print(f"{plan.address}: {'; '.join(plan.steps())}")
        if plan.replaces:
            for line in plan.differences():
                print(f"  {line}")
        for line in plan.staged.replaced:
            print(f"  {line}")
    print("collection: what it lacks of them is added")


def _carry_out(api: HfApi, plans: Sequence[RepoPlan], org: str, *, private: bool) -> None:
    commits = {}
    for plan in plans:
        if not plan.is_done:
            commits[plan.address] = _upload(api, plan)
    for plan in plans:
        if plan.opens:
            with one_line(api, f"making {plan.address} public"):
                api.update_repo_settings(
                    plan.repo_id, repo_type=plan.staged.repo_type, private=False
                )
            print(f"{plan.address}: public")
    for plan in plans:
        if not (plan.is_complete and plan.is_tagged):
            _tag(api, plan, commits[plan.address])
            print(f"{plan.address}: tagged {plan.version}")
    collection = complete_collection(api, org, plans, private=private)
    print(f"collection: {collection or 'has them all'}")


def _upload(api: HfApi, plan: RepoPlan) -> str:
    """Upload what is missing, then read back: all of it where an earlier run did not get so far."""
    sent = [*plan.new, *plan.changed]
    start = time.perf_counter()
    commit = upload_repo(api, plan)
    uploaded = time.perf_counter()
    read_back(api, plan, commit, sent if plan.is_published else plan.staged.files)
    print(
        f"{plan.address}: {len(sent)} files, {size_text(sum(file.size for file in sent))} uploaded"
        f" in {uploaded - start:.1f} s, read back in {time.perf_counter() - uploaded:.1f} s,"
        f" commit {commit[:12]}"
    )
    return commit


def _tag(api: HfApi, plan: RepoPlan, commit: str) -> None:
    repo_type = plan.staged.repo_type
    with one_line(api, f"tagging {plan.address}"):
        if plan.tag_moves:
            api.delete_tag(plan.repo_id, tag=plan.version, repo_type=repo_type)
        api.create_tag(plan.repo_id, tag=plan.version, revision=commit, repo_type=repo_type)
