"""ZeroScope's architecture at its full size: where every attention is, and which mask it gets."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import UNet3DConditionModel

from ivgbench import boxes
from ivgbench.generator.backbones import lora, presets
from ivgbench.generator.backbones import unet3d_attention as attention
from ivgbench.generator.backbones.processors import attached
from ivgbench.generator.edits.masked import FORBIDDEN
from ivgbench.generator.methods.base import Clip, Setup
from ivgbench.generator.methods.options import resolve

#: Latents of a frame of 320 x 576 pixels, and the maps of the four levels.
CELLS = (40, 72)
MAPS = [(40, 72), (20, 36), (10, 18), (5, 9)]
PLACED = {"in": (0, 1), "down": ((0, 1, 2), 2), "mid": (3, 1), "up": ((0, 1, 2), 3)}
FRAMES = 2
TRACK = boxes.interpolate({0: (0.1, 0.2, 0.5, 0.8), 1: (0.3, 0.1, 0.9, 0.7)}, FRAMES)
PROMPT = "a zebra and a dog on the green grass"


@pytest.fixture(scope="module")
def architecture():
    return json.loads(presets.SHIPPED_ARCHITECTURE.read_text())


@pytest.fixture(scope="module")
def unet(architecture):
    """The whole denoiser, without content."""
    with torch.device("meta"):
        return UNet3DConditionModel.from_config(architecture["unet"]).eval().requires_grad_(False)


def hollow(unet, tiny):
    """What a method asks of a backbone: the real denoiser and a real tokenizer of 77 tokens."""
    return SimpleNamespace(
        sites=lambda shape: attention.sites(unet, *shape[1:]), masked_bands=tiny.masked_bands, start=1,
        token_ids=tiny.token_ids, phrase_ids=tiny.phrase_ids,
    )  # fmt: skip


def edits(unet, tiny, method, options):
    masks = torch.from_numpy(boxes.rasterise(TRACK, *CELLS))[None]
    clip = Clip(PROMPT, "", ("zebra",), masks, TRACK[None], lambda label: None)
    setup = Setup(hollow(unet, tiny), [clip], (FRAMES, *CELLS), 40, 9.0, None, None)
    return resolve(method, options).start(setup).edits(0)


def test_it_is_the_published_size(unet):
    # The published float32 weights take 5,645,118,394 bytes, header included.
    parameters = sum(parameter.numel() for parameter in unet.parameters())
    assert parameters == 1_411_233_860 and 0 < 5_645_118_394 - 4 * parameters < 200_000


def test_every_attention_is_where_the_map_says(unet):
    seen = {}

    def watch(site):
        def processor(attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
            seen[site.name] = tuple(hidden_states.shape), encoder_hidden_states
            return hidden_states

        return processor

    every = attention.sites(unet, *CELLS)
    with attached(unet, {site.name: watch(site) for site in every}), torch.no_grad(), torch.device("meta"):
        unet(torch.empty(2, 4, FRAMES, *CELLS), torch.tensor(1), torch.empty(2, 77, 1024))
    assert len(seen) == len(every) == 66
    for site in every:
        (rows, sequence, _), context = seen[site.name]
        height, width = site.grid
        assert site.grid == MAPS[site.depth] and site.stride == 2**site.depth
        expected = (2 * height * width, FRAMES) if site.over == "cell" else (2 * FRAMES, height * width)
        assert (rows, sequence) == expected, site.name
        # attn2 reads the text where spatial; between frames it is a second self-attention.
        assert (context is not None and context.shape[1] == 77) == (site.reads == "text")
    found = {(s.band, s.depth, s.over == "cell", s.name.split(".")[-2]): 0 for s in every}
    for site in every:
        found[site.band, site.depth, site.over == "cell", site.name.split(".")[-2]] += 1
    per_level = {("input", 0, True): 1, ("middle", 3, True): 1, ("middle", 3, False): 1}
    per_level |= {("early", depth, temporal): 2 for depth in (0, 1, 2) for temporal in (False, True)}
    per_level |= {("late", depth, temporal): 3 for depth in (0, 1, 2) for temporal in (False, True)}
    assert found == {(*key, role): count for key, count in per_level.items() for role in ("attn1", "attn2")}


def level_mask(depth):
    """Which cells of a level the box covers: every 2**depth-th latent cell. [F,N]"""
    covered = np.zeros((FRAMES, *CELLS), dtype=bool)
    for frame, (x0, y0, x1, y1) in enumerate(TRACK):
        covered[frame, int(y0 * 40) : int(y1 * 40), int(x0 * 72) : int(x1 * 72)] = True
    return covered[:, :: 2**depth, :: 2**depth].reshape(FRAMES, -1)


def allowed(site, official, tokens):
    """The pairs that may attend, written out: spatial [F,N,M], temporal [N,F,F]."""
    m = level_mask(site.depth)
    assert m.shape[1] == np.prod(MAPS[site.depth])
    if site.over == "cell":
        return m.T[:, :, None] == m.T[:, None, :]
    if site.reads == "self":
        return m[:, :, None] == m[:, None, :]
    pairs = m[:, :, None] == tokens[None, None, :]
    # The start token is no word: nobody's in the release, the background's in the paper's formula.
    pairs[:, :, 0] = False if official else ~m
    return pairs


@pytest.mark.parametrize("scope", ["official", "paper"])
def test_every_attention_gets_its_own_mask(unet, tiny, scope):
    official = scope == "official"
    on = edits(unet, tiny, "peekaboo", {"scope": scope})
    on = {site.name: (site, mask) for site, mask in on.items()}
    words = np.isin(tiny.token_ids(PROMPT), tiny.phrase_ids("zebra")[1:-1])
    assert words.sum() == len(tiny.phrase_ids("zebra")) - 2
    cpu, checked = torch.device("cpu"), set()
    for site in attention.sites(unet, *CELLS):
        bands = ("middle", "late") if official else ("late",)
        masked = site.band in bands and (official or site.over == "frame")
        assert (site.name in on) == masked, site.name
        kind = (site.over, site.reads, site.second, site.depth)
        if not masked or kind in checked:
            continue
        checked.add(kind)
        site, mask = on[site.name]
        if site.second:
            # Frames in which the subject does not cover the cell get no update.
            np.testing.assert_array_equal(mask.updated(site, cpu), level_mask(site.depth).T)
            assert mask.bias(site, cpu, torch.float32) is None
        else:
            bias = mask.bias(site, cpu, torch.float32).numpy()
            np.testing.assert_array_equal(bias == 0, allowed(site, official, words), err_msg=site.name)
            assert set(np.unique(bias)) <= {0, FORBIDDEN}
    assert len(checked) == (16 if official else 6)


def test_mask_norm_matches_in_every_masked_layer(unet, tiny):
    on = edits(unet, tiny, "mask-norm", {})
    assert len(on) == 18 and all(mask.match for mask in on.values())


@pytest.mark.parametrize(("kind", "count"), [("TransformerTemporalModel", 170), ("Transformer2DModel", 96)])
def test_published_motion_adapters_find_their_layers(unet, kind, count):
    """MotionDirector's lists for ZeroScope: ten layers in each of 17 temporal transformers, six in 16 spatial ones."""
    layers = [
        f"{name}.transformer_blocks.0.{inner}"
        for name, module in unet.named_modules()
        if type(module).__name__ == kind
        for inner in ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0")
        + (("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0") if "Temporal" in kind else ())
        + ("ff.net.0.proj", "ff.net.2")
    ]
    weights = [unet.get_submodule(name).weight for name in layers]
    tensors = [part for weight in weights for part in (torch.empty(len(weight), 32), torch.empty(32, weight.shape[1]))]
    found = lora._by_order(unet, tensors, "300_unet.pt")
    assert list(found) == layers and len(layers) == count


def test_trailblazer_edits_text_attention_everywhere_and_time_nowhere(unet, tiny):
    on = edits(unet, tiny, "trailblazer", {})
    every = attention.sites(unet, *CELLS)
    names = {site.name for site in every if site.name.split(".")[-2] == "attn2"}
    assert {site.name for site in on} == {site.name for site in every if site.reads == "text"}
    intent = edits(unet, tiny, "trailblazer", {"temporal_gate": "intent"})
    assert {site.name for site in intent} == names


@pytest.mark.slow
def test_one_masked_step_at_full_width(architecture, tiny):
    """Random weights, 5.6 GB in float32: one evaluation with masks, one without, two frames of full size."""
    with torch.device("meta"):
        real = UNet3DConditionModel.from_config(architecture["unet"]).eval().requires_grad_(False)
    real.to_empty(device="cpu")
    noise = torch.Generator().manual_seed(0)
    for name, parameter in real.named_parameters():
        norm = "norm" in name and name.endswith("weight")
        parameter.fill_(1) if norm else parameter.normal_(0, 0.02, generator=noise)
    masked = attention.compiled(edits(real, tiny, "peekaboo", {}), 1)
    arguments = torch.randn(2, 4, FRAMES, *CELLS, generator=noise), torch.tensor(900)
    context = torch.randn(2, 77, 1024, generator=noise)
    with torch.no_grad():
        plain = real(*arguments, context).sample
        with attached(real, masked):
            steered = real(*arguments, context).sample
    assert steered.shape == plain.shape == (2, 4, FRAMES, *CELLS)
    assert steered.isfinite().all() and plain.isfinite().all()
    assert (steered - plain).norm() > 1e-3 * plain.norm()
