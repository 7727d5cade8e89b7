"""What cannot be read by the machine that will read it: Python, the modules it imports, JSON."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from cards.publishing.staged_files import StagedRepo


def code_faults(repo: StagedRepo) -> Iterator[tuple[str, str]]:
    """(path in the repo, what is wrong) for Python and JSON; nothing of it is run."""
    names = {file.name for file in repo.files}
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for file in repo.files:
        if file.path.suffix == ".py":
            try:
                tree = ast.parse(file.path.read_bytes(), PurePosixPath(file.name).name)
            except (SyntaxError, ValueError) as error:
                yield file.name, f"is no Python ({error})"
                continue
            for module in _siblings(tree, PurePosixPath(file.name).parent):
                if not names & {f"{module}.py", f"{module}/__init__.py"}:
                    missing[f"{module}.py"].append(file.name)
        elif file.path.suffix == ".json" and file.size:
            try:
                json.loads(file.path.read_bytes())
            except (ValueError, RecursionError) as error:
                yield file.name, f"is no JSON ({error})"
    for name, importers in missing.items():
        yield name, f"is missing; imported by {', '.join(importers)}"


def _siblings(tree: ast.Module, folder: PurePosixPath) -> list[str]:
    """Paths, without ".py", of the modules beside a file that it imports, each once."""
    found = (
        f"{folder / node.module.replace('.', '/')}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
    )
    return list(dict.fromkeys(found))
