import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from ivgbench.errors import UserError
from ivgbench.generator.backbones.sites import Site
from ivgbench.generator.backbones.unet3d_attention import EditedMaps
from ivgbench.generator.edits import reweighted as edits
from ivgbench.generator.edits.maps import SpatialEdit, TemporalEdit
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.methods.trailblazer import compose, edited_tokens, phrase_positions


class Words:
    """What of a clip decides the tokens."""

    def __init__(self, prompt, phrase):
        self.prompt, self.phrases = prompt, (phrase,)


def test_the_subjects_tokens_are_found_in_the_prompt(tiny, case):
    ids = tiny.token_ids(case.prompt)
    found = phrase_positions(tiny, case.prompt, "zebra")
    assert [ids[at] for at in sorted(found)] == tiny.phrase_ids("zebra")[1:-1] and min(found) > 1
    assert len(found) > 1, "the tiny vocabulary splits this word: the release's word number would miss it"
    assert phrase_positions(tiny, case.prompt, None) == phrase_positions(tiny, case.prompt, "elephant") == set()


def test_trailing_tokens(tiny, case):
    last = len(tiny.phrase_ids(case.prompt)) - 2
    clip = Words(case.prompt, "zebra")
    found = edited_tokens(tiny, clip, resolve("trailblazer", {"trailing_length": 2}))
    assert found == sorted({*phrase_positions(tiny, case.prompt, "zebra"), last + 1, last + 2})
    as_released = resolve("trailblazer", {"trailing_length": 2, "token_indices": [2]})
    assert edited_tokens(tiny, Words("a cat; on a mat", None), as_released) == [2, 3, 4]
    with pytest.raises(UserError, match="exceed 76"):
        edited_tokens(tiny, clip, resolve("trailblazer", {"trailing_length": 70}))


def test_regions_truncate_with_the_margin():
    assert edits.region(np.array([0.0, 0.0, 1.0, 1.0]), 20, 36) == (0, 0, 35, 19)
    assert edits.region(np.array([0.5, 0.5, 0.52, 0.9]), 20, 36) == (18, 10, 18, 17)
    assert not edits.peak_map(np.array([0.5, 0.5, 0.52, 0.9]), 20, 36).any()
    assert edits.region(np.zeros(4), 64, 128) == (0, 0, 0, 0), "a frame without a box"
    with pytest.raises(UserError, match="no region"):
        edits.region(np.array([0.5, 0.5, 0.505, 0.9]), 200, 200)


def test_the_window_peaks_at_one_and_is_half_precision():
    bell = edits.window(5, 8)
    assert bell.shape == (5, 8) and bell.dtype == torch.float16 and bell.max() == 1
    assert edits.window(1, 1).tolist() == [[1]]


def test_boxes_may_be_lists_or_tensors():
    draw = torch.Generator().manual_seed(0)
    text, frames = torch.rand(6, 5, 8, 9, generator=draw), torch.rand(2, 5, 8, 3, 3, generator=draw)
    for given in (TRACK.tolist(), torch.from_numpy(TRACK)):
        assert torch.equal(
            edits.spatial_edit(text, given, [2], 0.3, 0.1), edits.spatial_edit(text, TRACK, [2], 0.3, 0.1)
        )
        assert torch.equal(edits.temporal_edit(frames, given, 0.3, 0.1), edits.temporal_edit(frames, TRACK, 0.3, 0.1))
        ours, theirs = (
            compose(torch.zeros(1, 1, 3, 5, 8), [torch.ones(1, 1, 3, 5, 8)], track, 0.5)
            for track in ([given], TRACK[None])
        )
        assert torch.equal(ours, theirs)


def site(over, grid, heads=2):
    layer = torch.nn.Module()
    layer.heads = heads
    return Site("x", "late", over, "text" if over == "frame" else "self", over == "cell", grid, 1, layer)


def plain_and_edited(edit, over, rows, count, context):
    torch.manual_seed(0)
    attn = Attention(query_dim=8, cross_attention_dim=context, heads=2, dim_head=4).double()
    hidden = torch.randn(rows, count, 8, dtype=torch.float64)
    text = None if context is None else torch.randn(rows, 77, context, dtype=torch.float64)
    return AttnProcessor2_0()(attn, hidden, text), EditedMaps(site(over, (5, 8)), edit, 1)(attn, hidden, text)


TRACK = np.array([[0.1, 0.1, 0.7, 0.8], [0.2, 0.3, 0.9, 0.9], [0.3, 0.3, 0.9, 1.0]])


def test_text_attention_is_edited_on_the_conditional_half_only():
    plain, edited = plain_and_edited(SpatialEdit([TRACK], [[2, 3]], 0.3, 0.01), "frame", 6, 40, 6)
    assert torch.allclose(plain[:3], edited[:3], atol=1e-12)
    assert ((plain[3:] - edited[3:]).abs().amax(dim=(1, 2)) > 1e-3).all()


@pytest.mark.parametrize(("gate", "half"), [("official", slice(0, 40)), ("intent", slice(40, 80))])
def test_attention_between_frames_is_edited_on_one_half(gate, half):
    plain, edited = plain_and_edited(TemporalEdit([TRACK], 0.3, 0.01, gate), "cell", 80, 3, None)
    changed = (plain - edited).abs().amax(dim=(1, 2)) > 1e-9
    assert changed[half].all() and changed.sum() == 40


def test_the_official_gate():
    official, intent = (TemporalEdit([TRACK], 0.3, 0.01, gate) for gate in WHICH)
    assert official.applies(site("cell", (64, 64), 8))
    assert not official.applies(site("cell", (64, 64), 5)) and not official.applies(site("cell", (32, 32), 8))
    assert intent.applies(site("cell", (5, 8), 5))
    with pytest.raises(UserError, match="undefined on 32 x 128"):
        official.applies(site("cell", (32, 128), 8))


def test_composition_puts_later_subjects_on_top():
    x, a, b = torch.zeros(1, 1, 1, 4, 4), torch.ones(1, 1, 1, 4, 4), torch.full((1, 1, 1, 4, 4), 2.0)
    boxes = np.array([[[0.0, 0.0, 0.75, 0.75]], [[0.5, 0.5, 1.0, 1.0]]])
    first = compose(x, [a, b], boxes, 0.0)[0, 0, 0]
    # Left and top are one cell lower than the edits' region, where not at the border.
    assert first.tolist() == [[1, 1, 0, 0], [1, 2, 2, 0], [0, 2, 2, 0], [0, 0, 0, 0]]
    assert torch.equal(compose(x, [a, b], boxes, 0.75)[0, 0, 0], 0.25 * first)
    assert not x.any()


def test_composition_rows_use_the_width_as_released():
    x, a = torch.zeros(1, 1, 1, 4, 8), torch.ones(1, 1, 1, 4, 8)
    boxes = np.array([[[0.3, 0.3, 0.8, 0.8]]])
    rows = {which: compose(x, [a], boxes, 0.0, which)[0, 0, 0].any(1).nonzero().flatten().tolist() for which in WHICH}
    assert rows == {"official": [1, 2, 3], "intent": [0, 1, 2]}


WHICH = ("official", "intent")


def test_several_subjects_are_composed(two, make):
    options = {"spatial_steps": 1, "temporal_steps": 0, "integration_steps": 1}
    clip = make(two, "trailblazer", options)
    assert clip.nfe == 2 * 3
    plain = make(two)
    assert not torch.equal(clip.latents, plain.latents)
    never = make(two, "trailblazer", options | {"integration_steps": 0}, return_trajectory=True)
    assert torch.equal(never.latents, plain.latents)
    with pytest.raises(UserError, match="leave token_indices out"):
        make(two, "trailblazer", {"token_indices": [2]})
