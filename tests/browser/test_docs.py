"""The site of docs/ in a browser, from disk: nothing is fetched from elsewhere, and its search finds."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_site_is_searched_from_disk(browser, tmp_path):
    pytest.importorskip("material", reason="the site needs mkdocs-material: pip install 'ivgbench[docs]'")
    site = tmp_path / "a site #1"
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", site]
    subprocess.run(build, cwd=ROOT, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    browser.get_log("browser")
    browser.get((site / "index.html").as_uri())
    browser.execute_script(
        "document.querySelector('[for=__search]').click();"
        "const field = document.querySelector('[name=query]'); field.focus(); field.value = 'leaderboard';"
        "field.dispatchEvent(new Event('keyup', { bubbles: true }));"
    )
    found = "return [...document.querySelectorAll('a.md-search-result__link')].map(one => one.href)"
    end = time.monotonic() + 20
    while not (links := browser.execute_script(found)):
        assert time.monotonic() < end, browser.get_log("browser")
        time.sleep(0.1)
    assert any("/looking.html" in link for link in links)
    pictures = browser.execute_script("return [...document.images].map(one => one.naturalWidth)")
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert pictures and all(pictures)
    assert all(one.startswith("file:") for one in fetched) and browser.get_log("browser") == []
