"""ZeroScope's architecture at its full size: where every attention is, and which mask it gets."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import UNet3DConditionModel

from ivgbench import boxes
from ivgbench.generator.backbones import lora, sources
from ivgbench.generator.backbones import unet3d_attention as attention
from ivgbench.generator.backbones.unet3d_attention import FORBIDDEN, attached
from ivgbench.generator.methods.base import Clip, Setup, resolve

#: Latents of a frame of 320 x 576 pixels, and the maps of the four levels.
CELLS = (40, 72)
MAPS = [(40, 72), (20, 36), (10, 18), (5, 9)]
PLACED = {"in": (0, 1), "down": ((0, 1, 2), 2), "mid": (3, 1), "up": ((0, 1, 2), 3)}
FRAMES = 2
TRACK = boxes.interpolate({0: (0.1, 0.2, 0.5, 0.8), 1: (0.3, 0.1, 0.9, 0.7)}, FRAMES)
PROMPT = "a zebra and a dog on the green grass"


@pytest.fixture(scope="module")
def architecture():
    return json.loads(sources.SHIPPED_ARCHITECTURE.read_text())


@pytest.fixture(scope="module")
def unet(architecture):
    """The whole denoiser, without content."""
    with torch.device("meta"):
        return UNet3DConditionModel.from_config(architecture["unet"]).eval().requires_grad_(False)


def hollow(unet, tiny):
    """What a method asks of a backbone: the real denoiser and a real tokenizer of 77 tokens."""
    return SimpleNamespace(
        unet=unet, device=torch.device("cpu"), dtype=torch.float32, token_ids=tiny.token_ids, phrase_ids=tiny.phrase_ids
    )


def processors(unet, tiny, method, options):
    masks = torch.from_numpy(boxes.rasterise(TRACK, *CELLS))[None]
    clip = Clip(PROMPT, "", ("zebra",), masks, TRACK[None], lambda label: None)
    setup = Setup(hollow(unet, tiny), [clip], 40, 9.0, torch.ones(1000), None)
    return resolve(method, options).start(setup).processors(0)


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

    every = attention.sites(unet)
    with attached(unet, {site.name: watch(site) for site in every}), torch.no_grad(), torch.device("meta"):
        unet(torch.empty(2, 4, FRAMES, *CELLS), torch.tensor(1), torch.empty(2, 77, 1024))
    assert len(seen) == len(every) == 66
    for site in every:
        (rows, sequence, _), context = seen[site.name]
        height, width = MAPS[site.depth]
        expected = (2 * height * width, FRAMES) if site.temporal else (2 * FRAMES, height * width)
        assert (rows, sequence) == expected, site.name
        # attn2 reads the text where spatial; between frames it is a second self-attention.
        assert (context is not None and context.shape[1] == 77) == (site.role == "attn2" and not site.temporal)
    found = {(s.place, s.depth, s.temporal, s.role): 0 for s in every}
    for site in every:
        found[site.place, site.depth, site.temporal, site.role] += 1
    per_level = {("in", 0, True): 1, ("mid", 3, True): 1, ("mid", 3, False): 1}
    per_level |= {("down", depth, temporal): 2 for depth in (0, 1, 2) for temporal in (False, True)}
    per_level |= {("up", depth, temporal): 3 for depth in (0, 1, 2) for temporal in (False, True)}
    assert found == {(*key, role): count for key, count in per_level.items() for role in ("attn1", "attn2")}


def test_levels_are_found_by_their_number_of_cells(unet):
    levels = attention.levels(unet, *CELLS)
    assert {cells: (one.height, one.width, one.stride) for cells, one in levels.items()} == {
        height * width: (height, width, 2**depth) for depth, (height, width) in enumerate(MAPS)
    }


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
    if site.temporal:
        return m.T[:, :, None] == m.T[:, None, :]
    if site.role == "attn1":
        return m[:, :, None] == m[:, None, :]
    pairs = m[:, :, None] == tokens[None, None, :]
    # The start token is no word: nobody's in the release, the background's in the paper's formula.
    pairs[:, :, 0] = False if official else ~m
    return pairs


@pytest.mark.parametrize("scope", ["official", "paper"])
def test_every_attention_gets_its_own_mask(unet, tiny, scope):
    official = scope == "official"
    on = processors(unet, tiny, "peekaboo", {"scope": scope})
    words = np.isin(tiny.token_ids(PROMPT), tiny.phrase_ids("zebra")[1:-1])
    assert words.sum() == len(tiny.phrase_ids("zebra")) - 2
    checked = {}
    for site in attention.sites(unet):
        masked = site.place in (("mid", "up") if official else ("up",)) and (official or not site.temporal)
        assert (site.name in on) == masked, site.name
        kind = (site.temporal, site.role, site.depth)
        if not masked or kind in checked:
            continue
        checked[kind] = processor = on[site.name]
        cells = int(np.prod(MAPS[site.depth]))
        if site.temporal and site.role == "attn2":
            # Frames in which the subject does not cover the cell get no update.
            np.testing.assert_array_equal(processor.keep(cells), level_mask(site.depth).T)
            assert processor.bias is None and processor.blank is site.block.norm2.bias
        else:
            bias = processor.bias(cells).numpy()
            np.testing.assert_array_equal(bias == 0, allowed(site, official, words), err_msg=site.name)
            assert set(np.unique(bias)) <= {0, FORBIDDEN}
    assert len(checked) == (16 if official else 6)


def test_mask_norm_matches_in_every_masked_layer(unet, tiny):
    on = processors(unet, tiny, "mask-norm", {})
    assert len(on) == 18 and all(processor.match is not None for processor in on.values())


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
    on = processors(unet, tiny, "trailblazer", {})
    every = attention.sites(unet)
    assert set(on) == {site.name for site in every if site.role == "attn2" and not site.temporal}
    intent = processors(unet, tiny, "trailblazer", {"temporal_gate": "intent"})
    assert set(intent) == {site.name for site in every if site.role == "attn2"}


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
    masked = processors(real, tiny, "peekaboo", {})
    arguments = torch.randn(2, 4, FRAMES, *CELLS, generator=noise), torch.tensor(900)
    context = torch.randn(2, 77, 1024, generator=noise)
    with torch.no_grad():
        plain = real(*arguments, context).sample
        with attached(real, masked):
            steered = real(*arguments, context).sample
    assert steered.shape == plain.shape == (2, 4, FRAMES, *CELLS)
    assert steered.isfinite().all() and plain.isfinite().all()
    assert (steered - plain).norm() > 1e-3 * plain.norm()
