"""What is installed: extras name what the code imports, and the wheel has every file, without a warning."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

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
    "world": ["metrics"], "studio": ["studio"], "cli": ["studio"],
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


def test_the_version_stands_in_one_place():
    """The code says it; what cannot read the code is held to it here."""
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "ivgbench.__version__"}
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    (newest, *_) = re.findall(r"^## \[(.+)\] - ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest == __version__


def test_the_citation_is_one():
    """The fields that Citation File Format 1.2 requires, with the kinds of value that it allows."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0" and cited["type"] == "software"
    assert {"message", "title", "authors"} <= set(cited)
    assert cited["license"] == PROJECT["project"]["license"]
    paper = (ROOT / "README.md").read_text()
    for one in cited["references"]:
        assert {"type", "title", "authors"} <= set(one) and " ".join(one["title"].split()) in " ".join(paper.split())
    for one in (cited, *cited["references"]):
        assert all(set(author) == {"name"} and author["name"] for author in one["authors"])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(wheel, sdist), built as `make package` builds them: the wheel from what is in the sdist."""
    pytest.importorskip("setuptools", minversion="69")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT / name, source)
    for name in ("ivgbench", "data", "benchmarks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    _build("build_sdist", source)
    (sdist,) = (source / "made").glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(source / "unpacked", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (unpacked,) = (source / "unpacked").iterdir()
    _build("build_wheel", unpacked)
    (wheel,) = (unpacked / "made").glob("*.whl")
    return wheel, sdist


def _build(what, folder):
    code = f"import setuptools.build_meta as b; b.{what}('made')"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    told = (done.stdout + done.stderr).lower()
    assert not [word for word in ("would be ignored", "absent from", "warning", "not found") if word in told], told


@pytest.mark.slow
def test_wheel_and_sdist_have_every_file_and_no_other(built):
    wheel, sdist = built
    assert wheel.name.startswith(f"ivgbench-{__version__}-") and sdist.name == f"ivgbench-{__version__}.tar.gz"
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    files = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.is_file()}
    code = {name for name in files if "__pycache__" not in name and not name.endswith(".pyc")}
    data = {path.relative_to(ROOT).as_posix() for where, kind in (("data/suites", "*.jsonl"), ("benchmarks", "*.toml"))
            for path in (ROOT / where).glob(kind)}  # fmt: skip
    assert {name for name in names if ".dist-info/" not in name} == code | {f"ivgbench/_data/{name}" for name in data}
    for name in ("generator/settings.toml", "generator/methods/about.toml", "report/page/templates/page.html",
                 "pocket/weights/denoiser/model.safetensors", "_data/benchmarks/pocket.toml",
                 "_data/data/suites/pocket-static.jsonl"):  # fmt: skip
        assert f"ivgbench/{name}" in names
    with tarfile.open(sdist) as packed:
        inside = {one.name.partition("/")[2] for one in packed if one.isfile()}
    beside = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "MANIFEST.in", "pyproject.toml"}
    made = {name for name in inside if name.startswith("ivgbench.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    assert inside - made == code | data | beside


@pytest.mark.slow
def test_the_wheel_alone_makes_table_1_from_an_empty_folder(built, tmp_path):
    """In an environment that has the wheel, and the libraries of this one: not this checkout."""
    venv.create(tmp_path / "env", with_pip=False)
    (place,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (place / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    python, empty = tmp_path / "env" / "bin" / "python", tmp_path / "empty"
    empty.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def said(*command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=empty, env=environment)
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    offline = ("--quiet", "--no-deps", "--no-index", "--ignore-installed")
    said(python, "-m", "pip", "install", *offline, built[0])
    assert str(place) in said(python, "-c", "import ivgbench; print(ivgbench.__file__)")
    command = tmp_path / "env" / "bin" / "ivgbench"
    assert said(command, "--version").split() == ["ivgbench", __version__]
    said(command, "run", "--spec", "pocket", "--suite", "static", "--cases", "1", "--steps", "1", "--workers", "1")
    table = said(command, "table", "1")
    assert all(row in table for row in ("Plain", "Peekaboo", "TrailBlazer", "Mask Norm + TID", "Ground truth"))
    assert (empty / "results" / "own" / "tables" / "table1.md").is_file()
