"""A studio over the lab without models, and a page's request."""

import pytest
import stepping_lab

PROMPT = "a red star and a blue square on a grey background"


@pytest.fixture(scope="session")
def choices():
    from ivgbench.studio import catalogue

    return catalogue.choices(["pocket"])


@pytest.fixture
def body():
    """What the page sends: two subjects, two methods."""
    return {
        "backbone": "pocket",
        "prompt": PROMPT,
        "subjects": [
            {"phrase": "red star", "keyframes": [{"frame": 0, "box": [0.1, 0.2, 0.4, 0.6]},
                                                 {"frame": 7, "box": [0.6, 0.2, 0.9, 0.6]}]},
            {"phrase": "blue square", "keyframes": [{"frame": 3, "box": [0.5, 0.5, 0.9, 0.9]}]},
        ],
        "methods": [{"name": "plain", "options": {}}, {"name": "mask-norm-tid", "options": {}}],
        "seeds": "4",
        "steps": "",
        "guidance_scale": "",
        "scheduler": "",
    }  # fmt: skip


@pytest.fixture
def asked(body, choices):
    """A function (**changes) -> the request, read."""
    from ivgbench.studio import requests

    return lambda **changes: requests.read({**body, **changes}, choices)


@pytest.fixture
def maker(tmp_path):
    """What makes clips, of the lab without models. Its `fake.gate` may be set."""
    return stepping_lab.maker(tmp_path)
