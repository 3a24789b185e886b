"""How many inputs are generated: few in `make test`, thousands where the slow tests are asked for."""

import generated
import pytest
from hypothesis import HealthCheck, Phase, settings

from ivgbench import files

for name, examples in generated.EXAMPLES.items():
    settings.register_profile(
        name,
        max_examples=examples,
        derandomize=True,  # the same inputs every time
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow],  # a matter of what else the machine does
    )


def pytest_configure(config):
    settings.load_profile("thorough" if "slow" in config.getoption("markexpr").replace("not slow", "", 1) else "quick")


def pytest_terminal_summary(terminalreporter):
    if generated.count:
        terminalreporter.write_line(f"properties: {generated.count} inputs generated")


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_the_disk():
    """These tests write thousands of small files, and survive no power cut anyway."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.os, "fsync", lambda descriptor: None)
        yield
