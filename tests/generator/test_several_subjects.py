"""Two subjects, and every method on every family: a clip, or one line that says why not."""

import numpy as np
import pytest
import tiny_cogvideox
import tiny_ltx
import tiny_wan

from ivgbench import boxes
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate
from ivgbench.registry import METHODS

MASKS = ("plain", "peekaboo", "mask-norm", "mask-norm-id", "mask-norm-tid")
ONE_SUBJECT = {"freetraj": "freetraj places one subject", "ditraj": "ditraj is for one subject"}
#: Of what a network lacks.
LACKS = {
    "frames": ("trailblazer", "freetraj", "direct-a-video", "lvd"),
    "signal": ("freeinit",),
    "positions": ("ditraj",),
}
#: Family -> what its network lacks; pixel frames, and their size.
FAMILIES = {
    "unet3d": (("positions",), 3, (64, 96)),
    "wan": (("frames", "signal"), 9, (32, 48)),
    "cogvideox": (("frames", "signal", "positions"), 9, (32, 48)),
    "ltx": (("frames", "signal", "positions"), 9, (64, 96)),
}
OPTIONS = {"lvd": {"maps": "half-and-quarter"}, "freeinit": {"rounds": 2, "base": "trailblazer"}}


@pytest.fixture(scope="module")
def backbones(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    made = {"wan": tiny_wan, "cogvideox": tiny_cogvideox, "ltx": tiny_ltx}
    return {"unet3d": tiny} | {name: Backbone.from_pretrained(one.write(folder / name)) for name, one in made.items()}


def refusal(family, method):
    """How a refusal begins; None for none."""
    missing = [one for one in FAMILIES[family][0] if method in LACKS[one]]
    return f"{method} needs" if missing else ONE_SUBJECT.get(method)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS.names())
def test_a_clip_or_one_line(family, method, backbones):
    _, frames, size = FAMILIES[family]
    track = boxes.interpolate({0: (0.0, 0.1, 0.5, 0.8), frames - 1: (0.4, 0.2, 0.9, 0.9)}, frames)
    subjects = Subject("zebra", track), Subject("dog", np.tile([0.5, 0.4, 1.0, 1.0], (frames, 1)))
    scheduler = "flow" if family == "wan" else None  # its checkpoint's undoes what a method moves
    asked = dict(steps=1, guidance_scale=4.0, output="latent", size=size, scheduler=scheduler)

    def make(*those):
        case = Case("two", "a zebra and a dog on the green grass", those)
        return generate(backbones[family], case, method, OPTIONS.get(method, {}), **asked).latents

    if (words := refusal(family, method)) is not None:
        with pytest.raises(UserError, match=f"^{words}") as refused:
            make(*subjects)
        assert "\n" not in str(refused.value)
        return
    both = make(*subjects)
    assert both.isfinite().all()
    assert method == "plain" or not both.equal(make(subjects[0]))  # the second one counts


def test_every_method_is_in_the_table():
    assert set(METHODS.names()) == {*MASKS, *sum(LACKS.values(), ())}
