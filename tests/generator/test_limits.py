"""Which frames a network can make: known from its configs, before any weights are loaded."""

import json
from dataclasses import replace

import pytest
import tiny_cogvideox
import tiny_ltx
import tiny_wan
import torch

from ivgbench import boxes, hub
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate
from ivgbench.generator.backbones import layout, limits, sources
from ivgbench.generator.cost import Costs
from ivgbench.generator.foresight import Foresight
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.sampling import PLAIN, Sampling

TRACK = boxes.interpolate({0: (0.0, 0.1, 0.5, 0.8)}, 9)
CASE = Case("one", "a zebra on the grass", (Subject("zebra", TRACK),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_wan.write(tmp_path_factory.mktemp("wan"))


def test_they_are_those_of_the_parts():
    assert limits.of_parts(sources.architecture("wan-1.3b")) == limits.Limits(16, 16384, 4093)
    assert limits.of_parts(sources.architecture("zeroscope")) == limits.Limits(8)
    assert limits.of_parts(sources.architecture("pocket")) == limits.Limits(4)


@pytest.mark.parametrize("tiny", [tiny_wan, tiny_cogvideox, tiny_ltx], ids=lambda one: one.__name__)
def test_a_loaded_model_has_those_of_its_files(tiny, tmp_path):
    """And its VAE's factors, as the library counts them."""
    backbone = Backbone.from_pretrained(tiny.write(tmp_path))
    files = {part: layout.read_config(tmp_path / part / "config.json") for part in ("transformer", "vae")}
    assert backbone.limits == limits.of_parts(files)
    height, width = (2 * backbone.vae_scale_factor * side for side in (1, 2))
    latents = torch.zeros(1, backbone.latent_channels, 3, height // backbone.vae_scale_factor, 4)
    assert backbone.decode(latents).shape == (2 * backbone.time_factor + 1, height, width, 3)


def test_a_small_models_own_frames_are_within_its_positions(folder):
    known = sources.preset(str(folder))[1]
    assert (known.height, known.width, known.sampling.scheduler) == (480, 512, "flow")  # 32 positions of 16 pixels
    wan = Backbone.from_pretrained(folder)
    assert (wan.height, wan.width) == (480, 512) and wan.limits.side == 512


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((64, 100), "64x100 pixels do not make whole tokens: use multiples of 16, e.g. 64x96"),
        ((8, 64), "use multiples of 16, e.g. 16x64"),
        ((64, 528), "larger than the network has positions for: use at most 512"),
    ],
)
def test_other_frames_are_refused_before_and_after_loading(folder, size, words):
    with pytest.raises(UserError, match=words):
        Foresight(str(folder)).check(resolve("plain"), CASE, Sampling(2, 5.0, "flow", size=size).over(PLAIN))
    with pytest.raises(UserError, match=words):
        generate(Backbone.from_pretrained(folder), CASE, "plain", steps=1, size=size, output="latent")


def test_more_frames_than_positions_are_refused(folder):
    long = Case("long", "a zebra", (Subject("zebra", boxes.interpolate({0: (0.0, 0.1, 0.5, 0.8)}, 129)),))
    with pytest.raises(UserError, match="129 frames are more than the network has positions for: use at most 125"):
        Foresight(str(folder)).check(resolve("plain"), long, Sampling(2, 5.0, "flow", size=(64, 64)).over(PLAIN))


def test_frames_have_the_size_that_is_asked_for(folder):
    wan = Backbone.from_pretrained(folder)
    clip = generate(wan, CASE, "peekaboo", steps=1, size=(32, 48))
    assert clip.video.shape == (9, 32, 48, 3) and clip.latents.shape[2:] == (3, 4, 6)
    with pytest.raises(UserError, match="size asks for 4 x 6 cells, latents or masks have 8 x 8"):
        generate(wan, CASE, "plain", steps=1, size=(32, 48), latents=torch.zeros(1, 4, 3, 8, 8))
    for wrong in (3, (32,), (32, 0), (32.5, 48), "32x48"):
        with pytest.raises(UserError, match=r"size must be height and width|a side of size must be a whole number"):
            generate(wan, CASE, "plain", steps=1, size=wrong)


def test_a_fetched_wan_of_another_name_is_known_as_one(folder, monkeypatch):
    monkeypatch.setattr(hub, "cached_folder", lambda hub_id, file, revision=None: (
        folder if file.startswith("transformer/") else None))  # fmt: skip
    name, known = sources.preset("Somebody/Wan2.1-14B")
    assert (name, known.family, known.frames, known.hub_id) == ("Wan2.1-14B", "wan", 81, "Somebody/Wan2.1-14B")
    assert known.revision is None and sources.locate("Somebody/Wan2.1-14B") == folder


def test_a_plan_counts_its_vae_a_slice_at_a_time(folder):
    preset = replace(sources.preset(str(folder))[1], height=64, width=64)
    costs = Costs(sources.architecture(str(folder)), preset, torch.float32)
    few, many = (costs._decoding((4, frames, 8, 8)) for frames in (3, 21))
    assert many[0] > 6 * few[0]  # all frames' work
    pixels = 3 * 64 * 64 * 4
    # What stays are the frames that are done, twice while one more is put behind them.
    assert many[1] - few[1] <= 2 * 4 * (21 - 3) * pixels + 4 * (21 - 3) * 8 * 8 * 4


def test_a_config_without_these_words_is_the_published_ones(folder, tmp_path):
    config = json.loads((folder / "transformer" / "config.json").read_text())
    del config["rope_max_seq_len"], config["patch_size"]
    assert limits.of_parts({"transformer": config}).side == 16384


def test_a_scheduler_that_a_method_cannot_work_with_is_told_beforehand(folder):
    """The checkpoint's UniPC goes back to the latents before a method's move; LVD has no meaning on this path."""
    sampling = Sampling(steps=3, scheduler="checkpoint", size=(32, 48)).over(PLAIN)
    Foresight(folder).check(resolve("mask-norm"), CASE, sampling)
    with pytest.raises(UserError, match="mask-norm-id moves the latents, and the scheduler's corrector"):
        Foresight(folder).check(resolve("id"), CASE, sampling)
    Foresight(folder).check(resolve("id"), CASE, replace(sampling, scheduler="flow"))
