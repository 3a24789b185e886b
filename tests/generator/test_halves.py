"""The conditional half alone: what it gives, under every edit, and how it is counted."""

import numpy as np
import pytest
import tiny_wan
import torch

from ivgbench.generator import Backbone
from ivgbench.generator.edits.biased import Bias
from ivgbench.generator.edits.maps import SpatialEdit, TemporalEdit
from ivgbench.generator.edits.masked import Mask, Rule
from ivgbench.generator.edits.watched import Watch
from ivgbench.generator.methods.base import Network, Run, Setup, counted
from ivgbench.generator.methods.plain import Plain

TRACK = np.tile([0.1, 0.1, 0.7, 0.8], (3, 1))
STEP = torch.tensor(500)


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def edits(bb, kind):
    """An edit of each kind, of every layer that takes it."""
    every = bb.sites((3, 8, 12))
    texts = [one for one in every if one.reads == "text" and one.over == "frame"]
    between = [one for one in every if one.over == "cell" and one.second]
    left = torch.zeros(3, 8, 12, dtype=torch.long)
    left[..., :6] = 1
    return {
        "none": {},
        "mask": dict.fromkeys(texts, Mask([Rule(left, (torch.arange(77) < 5).long(), torch.eye(2) > 0)] * 2)),
        "maps": {
            **dict.fromkeys(texts, SpatialEdit([TRACK] * 2, [[2, 3]] * 2, 0.3, 0.1)),
            **dict.fromkeys(between, TemporalEdit([TRACK] * 2, 0.3, 0.1, "intent")),
        },
        "unconditional maps": dict.fromkeys(between, TemporalEdit([TRACK] * 2, 0.3, 0.1, "official")),
        "bias": dict.fromkeys(
            texts, Bias({one.grid: draw(6, one.grid[0] * one.grid[1], 77) for one in texts})
        ),
        "watch": dict.fromkeys(texts, Watch(texts)),
    }[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["none", "mask", "maps", "unconditional maps", "bias", "watch"])
@pytest.mark.parametrize("rows", [1, 3])
def test_it_is_the_second_of_the_pair(tiny64, kind, rows):
    latents, context = draw(2, 4, 3, 8, 12).double(), draw(4 * rows, 77, 32).double()
    with torch.no_grad():
        plain = tiny64.denoise(latents, STEP, *context.chunk(2))
        with tiny64.edited(edits(tiny64, kind), 2):
            pair = tiny64.denoise(latents, STEP, *context.chunk(2))
            alone = tiny64.denoise_conditional(latents, STEP, context[2 * rows :])
            again = tiny64.denoise(latents, STEP, *context.chunk(2))
    torch.testing.assert_close(alone, pair[1], rtol=0, atol=1e-10)
    assert torch.equal(again[1], pair[1]) and alone.shape == latents.shape
    changed = [not torch.allclose(a, b, atol=1e-6) for a, b in zip(plain, pair, strict=True)]
    assert changed == {"mask": [True, True], "maps": [False, True], "bias": [False, True],
                       "unconditional maps": [True, False]}.get(kind, [False, False])  # fmt: skip


def test_the_pair_is_whole_again_after_a_fault(tiny, monkeypatch):
    monkeypatch.setattr(tiny.unet, "forward", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tiny.denoise_conditional(draw(1, 4, 3, 8, 12), STEP, draw(1, 77, 32))
    assert tiny.batch.halves == 2


def test_wans_is_the_second_of_its_pair_too(tmp_path):
    wan = Backbone.from_pretrained(tiny_wan.write(tmp_path))
    latents, context = draw(1, 4, 3, 8, 12), draw(2, 512, 16)
    with torch.no_grad():
        alone = wan.denoise_conditional(latents, STEP, context[1:])
        assert torch.equal(alone, wan.denoise(latents, STEP, *context.chunk(2))[1])


def test_it_counts_a_half():
    network = Network(lambda x: x, None, lambda x: -x)
    assert network(2) == 2 and network.conditional(2) == -2 and network.evaluations == 1.5
    assert (counted(25.5), counted(26.0), counted(3)) == (25.5, 26, 3)
    assert [type(counted(one)) for one in (25.5, 26.0, 3)] == [float, int, int]


def test_a_method_meets_it_in_the_loop_with_the_clips_own_text(case, make, tiny, monkeypatch):
    seen = []

    def start(self, setup: Setup):
        run = Run()
        run.before_step = lambda step, latents, network: seen.append(network.conditional(latents)) or latents
        return run

    monkeypatch.setattr(Plain, "start", start)
    latents, embeds = draw(1, 4, 3, 8, 12), draw(2, 77, 32)
    clip = make(case, latents=latents, prompt_embeds=embeds, steps=1)
    assert (clip.nfe, clip.backward) == (1.5, 0) and type(clip.nfe) is float
    expected = tiny.denoise(latents, torch.tensor(1), *embeds.chunk(2))[1]
    torch.testing.assert_close(seen[0], expected, rtol=0, atol=1e-3)
