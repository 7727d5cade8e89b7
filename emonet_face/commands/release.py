"""The commands that bring the products to the Hub: card, publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emonet_face.errors import EmoNetFaceError


def card(
    repos: Annotated[list[Path], typer.Argument(help="Dataset, model, metric or page folders.")],
    org: Annotated[str | None, typer.Option(help="Name them ORG/NAME, as on the Hub.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="results.json of a benchmark, to put into the cards.")
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="With --results: the model's own name in it.")
    ] = None,
) -> None:
    """Render or refresh the card (README.md) of product folders.

    Its text is written anew; keys that others put into the front matter stay.
    """
    from cards.render import put_results, render_card

    if results is None and annotator is not None:
        raise EmoNetFaceError("--annotator: names the model in --results, which is not given")
    if results is not None:
        from eval_metrics.model_index import read_results
        from eval_metrics.summary import summary_rows

        found = read_results(results)
        summaries = {name: summary_rows(found, name) for name in found["protocols"]}
        put_results(repos, summaries, found, annotator)
    for repo in repos:
        print(f"{render_card(repo, org)}")


def publish(
    hub_dir: Annotated[Path, typer.Argument(help="Each folder in it is one repo.")],
    org: Annotated[str, typer.Option(help="Organisation or user on the Hub (HF_ENDPOINT).")],
    upload: Annotated[bool, typer.Option("--upload", help="Without it: the plan only.")] = False,
    private: Annotated[bool, typer.Option("--private", help="New repos stay private.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Allow what is published already to change.")
    ] = False,
) -> None:
    """Verify all products, show what would change on the Hub; with --upload, publish them.

    One commit a repo, a collection, a tag of this version; then everything is read back. A run that
    broke off is finished by the same call. The token ($HF_TOKEN or `hf auth login`) is needed to
    upload only. Any fault in a folder: exit code 1, and nothing is uploaded.
    """
    from cards.publishing.publish import publish as run

    if code := run(hub_dir, org, upload=upload, private=private, update=update):
        raise typer.Exit(code)
