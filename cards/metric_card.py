"""The card of the metric: its defaults are read from the uploaded script, not typed again."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import Any

from cards.sourced import sourced
from emonet_face.errors import EmoNetFaceError

_TEXT = "INPUTS_DESCRIPTION"
_DEFAULTS = ("n_resamples", "confidence_level", "seed")


def metric_context(repo: Path, repo_id: str) -> dict[str, Any]:
    """What `metric.md.j2` needs: the defaults of `compute`, and the example of its description.

    Args:
        repo: the metric's folder.
        repo_id: what `evaluate.load` is given in the example: the Hub refuses names without ORG/.

    Raises:
        EmoNetFaceError: the script is no Python or has no such argument.
    """
    script = f"{repo.resolve().name}.py"
    try:
        tree = ast.parse((repo / script).read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        raise EmoNetFaceError(f"{repo / script}: cannot be read ({error})") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "compute":
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            given = {
                arg.arg: default.value
                for arg, default in pairs
                if isinstance(default, ast.Constant)
            }
            if set(_DEFAULTS) <= set(given):
                example = _example(tree).replace(
                    f'load("{repo.resolve().name}")', f'load("{repo_id}")'
                )
                defaults = {name: given[name] for name in _DEFAULTS}
                return {**sourced(defaults, script, "/compute"), "example": example}
    raise EmoNetFaceError(f"{repo / script}: `compute` has not all of {', '.join(_DEFAULTS)}")


def _example(tree: ast.Module) -> str:
    """The lines after "Examples:" in the script's text for users, which its tests run; or ""."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == _TEXT:
            text = ast.literal_eval(node.value).partition("Examples:\n")[2]
            return textwrap.dedent(text).strip()
    return ""
