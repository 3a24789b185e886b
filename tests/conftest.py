"""Shared by all tests."""

import pytest


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path_factory, monkeypatch):
    """No test sees, or leaves, what its user fetched."""
    monkeypatch.setenv("IVGBENCH_HOME", str(tmp_path_factory.mktemp("home")))
