"""A studio over the lab without models, and a page's request."""

import pytest
from fake_lab import FakeLab

from ivgbench.store.runs import Store

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


class SteppingLab(FakeLab):
    """Tells its steps as the real one does; `gate` is called in each."""

    gate = staticmethod(lambda step: None)

    def generate(self, backbone, job, callback=None):
        for step in range(1, 1 + job.sampling.steps):
            self.gate(step)
            callback(step, job.sampling.steps)
        return super().generate(backbone, job)


@pytest.fixture
def maker(tmp_path):
    """What makes clips, of the lab without models. Its `lab.gate` may be set."""
    from ivgbench.studio.making import Maker

    made = SteppingLab(tmp_path / "log")
    maker = Maker(made, Store(tmp_path / "runs"))
    maker.fake = made
    return maker
