"""The site builds without a warning, and links work in the repository as well."""

import os
import re
import subprocess
import sys

import pytest
from pages import PAGES, ROOT

LINK = re.compile(r"\]\(([^)\s#]*)(#[^)\s]+)?\)")


def anchors(path):
    """The names of a page's headings, as GitHub and the site make them."""
    heads = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M), re.M
    )
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_links_lead_somewhere_in_the_repository(page):
    for target, anchor in LINK.findall(
        re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    ):
        if target.startswith("https://"):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.is_file() and path.is_relative_to(ROOT), (page.name, target)
        if anchor:
            assert anchor[1:] in anchors(path), (page.name, target, anchor)


def test_the_readme_leads_to_every_page_and_is_one_screen():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {f"docs/{page.name}" for page in PAGES[1:]} - {target for target, _ in LINK.findall(text)} <= {
        "docs/index.md",
        "docs/api.md",
    }
    assert len(text.splitlines()) <= 60 and "Nothing has been verified on real weights yet" in text


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path):
    pytest.importorskip("material", reason="the site needs mkdocs-material: pip install 'ivgbench[docs]'")
    pytest.importorskip("mkdocstrings", reason="the site needs mkdocstrings: pip install 'ivgbench[docs]'")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(
        build, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    made = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    assert {f"{page.stem}.html" for page in PAGES[1:]} | {"CHANGELOG.html", "results/CLAIMS.html"} <= made
    api = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    assert 'id="ivgbench.metrics.control.score"' in api and "from_pretrained" in api
    claims = (tmp_path / "site" / "pocket-lab.html").read_text(encoding="utf-8")
    assert 'href="results/CLAIMS.html"' in claims and 'href="../' not in claims
