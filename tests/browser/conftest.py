"""A headless Chromium; without one, or without selenium, what asks for it is skipped."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A driver of selenium's, one for all tests, with a profile of its own."""
    pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if chromium.found() is None:
        pytest.skip("there is no chromium with its chromedriver on this machine")
    made = chromium.opened(tmp_path_factory.mktemp("profile"))
    yield made
    made.quit()
