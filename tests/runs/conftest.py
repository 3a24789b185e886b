"""Shared by the tests of runs."""

import pytest

from ivgbench import files


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """These tests write thousands of small files, and survive no power cut anyway."""
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: None)
