"""The rules that keep the parts apart, checked on the source: pytest tests/test_architecture.py

Which folder may import which; what is uploaded stands alone; the README's tree is the real tree;
nothing loads pickles or runs text; the wheel works outside the clone (slow).
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "emonet_face",
    "dataset_scripts",
    "modeling_empathicinsight",
    "eval_metrics",
    "generation",
    "cards",
)
MATHS = "eval_metrics.emonet_face_agreement.agreement"
UPLOADED = (
    "modeling_empathicinsight/configuration_empathicinsight.py",
    "modeling_empathicinsight/face_crops.py",
    "modeling_empathicinsight/modeling_empathicinsight.py",
    "modeling_empathicinsight/predict_onnx.py",
    "modeling_empathicinsight/space/app.py",
    "modeling_empathicinsight/space/bars.py",
    *sorted(
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "eval_metrics" / "emonet_face_agreement").glob("*.py")
    ),
)
COMMANDS = "emonet_face/commands/"
LAZY = (
    "emonet_face/cli.py",
    *sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / COMMANDS).glob("*.py")),
    "emonet_face/demo.py",
    "emonet_face/demo_products.py",
    "emonet_face/inspect_tasks.py",
)
"""On top of everything: they may import every folder, inside functions; no folder imports them."""
RUN_BY_PATH = "emonet_face/public_loads.py"
SHIPPED = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def _name(path):
    return path.relative_to(ROOT).as_posix()


def _imports(path):
    """(module, whether it stands at the top level or under TYPE_CHECKING) for every import."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    typing_only = {
        id(node)
        for branch in tree.body
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        else:
            continue
        if id(node) not in typing_only:
            for name in names:
                yield name, id(node) in top


@pytest.mark.parametrize("path", SHIPPED, ids=_name)
def test_imports_follow_the_arrows(path):
    name, package = _name(path), path.relative_to(ROOT).parts[0]
    for module, at_top in _imports(path):
        target = module.split(".")[0]
        if target not in PACKAGES or target == package:
            continue
        if name in LAZY:
            assert not at_top, f"{name} imports {module} at the top"
        elif package == "cards" and module == "dataset_scripts.check":
            continue
        elif module == MATHS or (target == "emonet_face" and name not in UPLOADED):
            place = module.replace(".", "/") + ".py"
            assert place not in LAZY, f"{name} must not import {module}"
            assert not place.startswith(COMMANDS[:-1]), f"{name} must not import {module}"
        else:
            pytest.fail(f"{name} must not import {module}")


@pytest.mark.parametrize("name", [name for name in LAZY if name != "emonet_face/cli.py"])
def test_the_file_of_the_program_is_imported_by_no_command(name):
    """As `python -m emonet_face.cli` it would run twice; what is shared has a file of its own."""
    assert "emonet_face.cli" not in {module for module, _ in _imports(ROOT / name)}


@pytest.mark.parametrize("name", UPLOADED)
def test_uploaded_files_import_only_siblings_and_pip_packages(name):
    siblings = {f".{Path(other).stem}" for other in UPLOADED}
    for module, _ in _imports(ROOT / name):
        if module.startswith("."):
            assert module in siblings
        else:
            assert module.split(".")[0] not in PACKAGES


@pytest.mark.parametrize("module", ["taxonomy", "ratings", "released", "errors", "outputs"])
def test_the_core_needs_the_standard_library_only(module):
    for name, _ in _imports(ROOT / "emonet_face" / f"{module}.py"):
        root = name.split(".")[0]
        assert root == "emonet_face" or root in sys.stdlib_module_names


def test_the_file_that_loads_the_products_imports_nothing_of_ours():
    assert not [m for m, _ in _imports(ROOT / RUN_BY_PATH) if m.split(".")[0] in PACKAGES]


@pytest.mark.parametrize("path", SHIPPED, ids=_name)
def test_nothing_shipped_runs_text_or_loads_pickles(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not {m.split(".")[0] for m, _ in _imports(path)} & {"pickle", "dill", "joblib"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"eval", "exec", "compile", "os.system", "yaml.load"}, called
            if called == "torch.load":
                options = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert options.get("weights_only") == "True"


def test_help_imports_nothing_heavy():
    heavy = [
        "torch",
        "transformers",
        "datasets",
        "evaluate",
        "numpy",
        "pandas",
        "pyarrow",
        "matplotlib",
        "scipy",
        "PIL",
    ]
    code = (
        "import sys; from emonet_face.cli import main; assert main(['--help']) == 0;"
        f"print('loaded', [m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip().endswith("loaded []")


def _readme_tree():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"## The tree\n.*?```text\n(.*?)```", text, re.DOTALL).group(1)
    folders, found = [], {}
    for line in block.splitlines():
        entry, _, purpose = line.strip().partition("  ")
        depth = (len(line) - len(line.lstrip())) // 2
        folders = [*folders[:depth], entry]
        found["".join(folders)] = purpose.strip()
    return found


def _tracked():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    return {name for name in listed if name and (ROOT / name).exists()}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git clone")
def test_the_readme_shows_the_real_tree():
    shown, real = _readme_tree(), _tracked()
    folders = {"/".join(p.split("/")[:n]) + "/" for p in real for n in range(1, p.count("/") + 1)}
    missing = [name for name in shown if name not in real | folders]
    assert not missing, f"the README shows what is not there: {missing}"
    whole = {name for name in shown if name.endswith("/") and not any(
        other != name and other.startswith(name) for other in shown)}  # fmt: skip
    unshown = [
        name
        for name in real
        if name not in shown
        and not name.endswith("__init__.py")
        and not any(name.startswith(folder) for folder in whole)
    ]
    assert not unshown, f"the README's tree lacks {sorted(unshown)}"
    assert not [name for name, purpose in shown.items() if not purpose], "a purpose is missing"


@pytest.mark.slow
@pytest.mark.timeout(1800)  # installs torch and runs a whole demo
def test_the_wheel_works_in_a_clean_environment_outside_the_clone(tmp_path):
    """Build the wheel, install it with its dependencies, run the command elsewhere."""
    builder = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*builder, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("emonet_face-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    constraints = str(ROOT / "constraints.txt")
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "-c", constraints, str(wheel)], check=True
    )
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [str(tmp_path / "venv" / "bin" / "emonet-face")]
    outside = tmp_path / "elsewhere"
    outside.mkdir()

    def run(*arguments):
        return subprocess.run(
            [*command, *arguments], cwd=outside, env=clean, capture_output=True, text=True,
            check=True,
        ).stdout  # fmt: skip

    assert '"Amusement"' in run("taxonomy", "--json")
    run("demo", "--out", "d", "--faces", "200")
    assert {p.name for p in (outside / "d" / "hub").iterdir()} == {
        "emonet-face",
        "empathicinsight-face-small",
        "emonet_face_agreement",
    }
