"""What is installed: extras name what the code imports, and the wheel has every file, without a warning."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ivgbench import __version__
from ivgbench.extras import PACKAGES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ivgbench"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: Part of the package -> the extras that bring what it imports beyond the core. Parts not named: the core alone.
PARTS = {
    "generator": ["gen"], "metrics": ["metrics"], "judges": ["metrics"], "pocket": ["gen", "metrics"],
    "runs": ["gen"], "engines": ["gen", "ray"], "gate": ["gen"], "study": ["gen", "metrics"], "verify": ["gen"],
    "world": ["metrics"],
}  # fmt: skip


def plain(name):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", name)[0]).lower()


def brought(*extras):
    """Packages of the core and of some extras."""
    project = PROJECT["project"]
    named = [*project["dependencies"]]
    for extra in extras:
        named += project["optional-dependencies"][extra]
    return {plain(one) for one in named}


def imported(path):
    """Top-level modules of other packages that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition(".")[0])
    return {name for name in names if name not in sys.stdlib_module_names and name not in ("ivgbench", "tomllib")}


@pytest.mark.parametrize("part", sorted({path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")}))
def test_every_import_is_named_by_an_extra_of_its_part(part):
    place = PACKAGE / part
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    # The hub's client is asked for where weights are looked up, whichever part wants them.
    extras = PARTS.get(part, ["gen"] if part == "hub.py" else [])
    for path in files:
        needed = {plain(PACKAGES.get(name, name)) for name in imported(path)}
        assert needed <= brought(*extras), (path.name, needed - brought(*extras))


def test_both_extras_bring_what_both_need():
    for module in ("torch", "transformers", "huggingface_hub", "safetensors"):
        assert plain(module) in brought("gen") and plain(module) in brought("metrics")


def test_every_package_is_installed():
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert listed == found | {"ivgbench._data"}


@pytest.mark.slow
def test_a_wheel_has_every_file_and_no_warning(tmp_path):
    pytest.importorskip("setuptools", minversion="69")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("ivgbench", "data"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = "import setuptools.build_meta as b; b.build_sdist('made'); b.build_wheel('made')"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    told = (done.stdout + done.stderr).lower()
    assert not [word for word in ("would be ignored", "absent from", "warning", "not found") if word in told]
    (wheel,) = (tmp_path / "made").glob("*.whl")
    assert wheel.name.startswith(f"ivgbench-{__version__}-") and list((tmp_path / "made").glob("*.tar.gz"))
    there = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}
    expected = {name for name in files if "__pycache__" not in name and not name.endswith(".pyc")}
    expected |= {f"ivgbench/_data/suites/{path.name}" for path in (ROOT / "data" / "suites").glob("*.jsonl")}
    assert there == expected
