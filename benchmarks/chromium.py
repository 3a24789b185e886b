"""A headless Chromium with a new profile and nothing in the background: for measurements and for tests."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")


def found() -> tuple[str, str] | None:
    """(browser, driver) on this machine; None without either."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def opened(profile: Path | str, *more: str) -> Any:
    """selenium's driver of one, whose console is kept.

    Args:
        profile: an empty folder. more: flags beside `FLAGS`.
    Raises:
        FileNotFoundError: there is no chromium, or no chromedriver.
    """
    from selenium import webdriver

    if (both := found()) is None:
        raise FileNotFoundError("there is no chromium with its chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = both[0]
    for flag in (*FLAGS, f"--user-data-dir={profile}", *more):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(both[1]))
