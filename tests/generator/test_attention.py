import copy
import gc
import weakref

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from ivgbench.generator.backbones import unet3d_attention as attention
from ivgbench.generator.backbones.processors import attached, heads_together, project_out
from ivgbench.generator.backbones.sites import Site
from ivgbench.generator.backbones.unet3d_attention import MaskedAttention, sites
from ivgbench.generator.edits.masked import FORBIDDEN, Mask, Rule, softmax_attention


def test_every_layer_is_found_with_its_place(tiny):
    found = tiny.sites((3, 8, 12))
    assert {site.name for site in found} == set(tiny.unet.attn_processors)
    assert {site.band for site in found} == {"input", "early", "middle", "late"}
    assert [s.depth for s in found if s.band == "late" and s.reads == "self" and s.over == "frame"] == [1, 1, 0, 0]
    assert all(site.over == "cell" for site in found if site.band == "input")
    for site in found:
        if site.layer.to_k.in_features != site.layer.to_q.in_features:
            assert site.over == "frame" and site.reads == "text"
    assert {site.second for site in found if site.over == "cell"} == {True, False}


def grids(tiny, height, width):
    return {site.depth: (site.grid, site.stride) for site in sites(tiny.unet, height, width)}


def test_levels_round_up_like_the_downsamplers(tiny):
    assert grids(tiny, 40, 72) == {0: ((40, 72), 1), 1: ((20, 36), 2), 2: ((10, 18), 4)}
    assert grids(tiny, 5, 9)[1] == ((3, 5), 2)


def test_a_map_takes_every_stride_th_cell():
    cells = torch.arange(90).view(2, 5, 9)
    for over, expected in (("frame", (2, 15)), ("cell", (15, 2)), ("clip", (1, 30))):
        site = Site("x", "late", over, "self", False, (3, 5), 2, torch.nn.Identity())
        assert site.pick(cells).shape == expected
        held = site.pick(cells).T if over == "cell" else site.pick(cells).view(2, 15)
        assert torch.equal(held, cells[:, ::2, ::2].flatten(1))


def test_processors_are_put_back_after_an_exception(tiny):
    before = dict(tiny.unet.attn_processors)
    name, given = next(iter(before)), AttnProcessor2_0()
    processors = {name: given}
    with pytest.raises(RuntimeError, match="boom"), attached(tiny.unet, processors):
        assert tiny.unet.attn_processors[name] is given
        raise RuntimeError("boom")
    assert dict(tiny.unet.attn_processors) == before
    assert processors == {name: given}
    for nowhere in ("nowhere", name.replace("attn1", "attn3"), "nowhere.processor"):
        with pytest.raises(KeyError, match="no attention layer"), attached(tiny.unet, {name: given, nowhere: given}):
            pass
        assert dict(tiny.unet.attn_processors) == before


def test_other_layers_are_not_asked_for_their_processors(tiny, monkeypatch):
    """A walk through the whole network, twice a step, is a twentieth of a small one's step."""
    name, before = next(iter(tiny.unet.attn_processors.items()))
    layer, given = tiny.unet.get_submodule(name.removesuffix(".processor")), AttnProcessor2_0()
    for walk in ("named_children", "named_modules", "modules"):
        monkeypatch.setattr(torch.nn.Module, walk, lambda *_: pytest.fail("the network was walked through"))
    with attached(tiny.unet, {name: given}):
        assert layer.processor is given
    assert layer.processor is before


def test_a_networks_layers_are_found_once_and_forgotten_with_it(tiny):
    unet = copy.deepcopy(tiny.unet)
    first = sites(unet, 4, 6)
    first.append(None)
    assert sites(unet, 4, 6) == first[:-1] != sites(unet, 8, 12)
    assert all(one.layer is not other.layer for one, other in zip(first, sites(tiny.unet, 4, 6), strict=False))
    gone = weakref.ref(unet)
    del unet, first
    gc.collect()
    assert gone() is None


@pytest.fixture
def layer():
    torch.manual_seed(0)
    made = Attention(query_dim=8, cross_attention_dim=6, heads=2, dim_head=4).double()
    return made, torch.randn(4, 5, 8, dtype=torch.float64), torch.randn(4, 7, 6, dtype=torch.float64)


def attend(attn, hidden, context, bias=None, multiply=False):
    """The layer's attention, as processors put it together."""
    parts = attention.projected(attn, hidden, context)
    return project_out(attn, heads_together(softmax_attention(*parts, bias, multiply)))


def test_a_factor_multiplies_the_logits_as_the_formula_is_written(layer):
    attn, hidden, context = layer
    allowed = torch.rand(2, 5, 7) > 0.5
    allowed[0, 0] = False  # all logits 0: the mean of the values
    out = attend(attn, hidden, context, allowed.double(), multiply=True)
    for row in range(4):
        heads = []
        for head in range(2):
            part = slice(4 * head, 4 * head + 4)
            q, k, v = (p(x[row])[:, part] for p, x in ((attn.to_q, hidden), (attn.to_k, context), (attn.to_v, context)))
            weights = torch.exp((q @ k.T / 2) * allowed[row % 2])
            heads.append(weights / weights.sum(1, keepdim=True) @ v)
        by_hand = attn.to_out[0](torch.cat(heads, 1))
        torch.testing.assert_close(out[row], by_hand, rtol=0, atol=1e-12)


def test_without_a_bias_it_is_the_librarys_attention(layer):
    attn, hidden, context = layer
    assert torch.allclose(attend(attn, hidden, context), AttnProcessor2_0()(attn, hidden, context), atol=1e-12)


def test_forbidden_tokens_have_no_influence(layer):
    attn, hidden, context = layer
    bias = torch.zeros(2, 5, 7, dtype=torch.float64)
    bias[:, :, 3:] = FORBIDDEN
    changed = context.clone()
    changed[:, 3:] += 10
    assert torch.equal(attend(attn, hidden, context, bias), attend(attn, hidden, changed, bias))
    assert torch.allclose(attend(attn, hidden, context, bias), attend(attn, hidden, context[:, :3]), atol=1e-12)


def test_a_row_with_everything_forbidden_is_ordinary_attention(layer):
    attn, hidden, context = layer
    bias = torch.full((4, 5, 7), FORBIDDEN, dtype=torch.float64)
    assert torch.allclose(attend(attn, hidden, context, bias), attend(attn, hidden, context), atol=1e-9)


def test_rows_that_are_not_kept_enter_blank_and_leave_zero(layer):
    attn, hidden, context = layer
    block = torch.nn.Module()
    block.norm2 = torch.nn.LayerNorm(8).double()
    block.norm2.bias.data.normal_()
    site = attention.UNetSite("x", "late", "frame", "text", False, (1, 5), 1, attn, 0, block)
    labels = torch.tensor([0, 0, 1, 0, 1]).expand(2, 1, 5)
    mask = Mask([Rule(labels, updated=torch.tensor([True, False]))])
    result = MaskedAttention(site, mask, 1)(attn, hidden, context)
    shown = hidden.clone()
    shown[:, [2, 4]] = block.norm2.bias.detach()
    expected = attend(attn, shown, context)
    assert torch.equal(result[:, [0, 1, 3]], expected[:, [0, 1, 3]]) and not result[:, [2, 4]].any()


def test_rows_without_any_update_are_not_attended_to(layer, monkeypatch):
    attn = Attention(query_dim=8, heads=2, dim_head=4).double()
    hidden, block = layer[1], torch.nn.Module()
    block.norm2 = torch.nn.LayerNorm(8).double()
    block.norm2.bias.data.normal_()
    # Five frames of two cells, of which the second is never covered; two guidance halves.
    site = attention.UNetSite("x", "late", "cell", "self", True, (1, 2), 1, attn, 0, block)
    labels = torch.tensor([[1, 0], [0, 0], [1, 0], [1, 0], [0, 0]])[:, None]
    mask, seen = Mask([Rule(labels, updated=torch.tensor([False, True]))]), []
    attn.to_q.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    shown = hidden.clone().requires_grad_()
    result = MaskedAttention(site, mask, 1)(attn, shown, None)
    (result**2).sum().backward()
    assert seen == [2] and mask.rows_updated(site, 4, hidden.device).tolist() == [0, 2]
    monkeypatch.setattr(Mask, "rows_updated", lambda *_: None)
    every = hidden.clone().requires_grad_()
    expected = MaskedAttention(site, mask, 1)(attn, every, None)
    (expected**2).sum().backward()
    assert seen == [2, 4] and result[0, [0, 2, 3]].any() and not result[[1, 3]].any()
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-15)
    torch.testing.assert_close(shown.grad, every.grad, rtol=0, atol=1e-15)


def test_rows_are_left_out_only_where_that_is_known_to_change_nothing(layer):
    attn, hidden, _ = layer
    site = attention.UNetSite("x", "late", "cell", "self", True, (1, 2), 1, attn, 0, None)
    labels = torch.tensor([[1, 0], [0, 1]])[:, None]
    assert Mask([Rule(labels, updated=torch.tensor([False, True]))]).rows_updated(site, 4, hidden.device) is None
    assert Mask([Rule(labels)]).rows_updated(site, 4, hidden.device) is None
    one = Mask([Rule(torch.tensor([[[0, 1]]] * 2), updated=torch.tensor([False, True]))])
    assert one.rows_updated(site, 4, torch.device("meta")).shape == (2,)  # a plan knows how many


def test_a_text_that_frames_share_is_projected_once(layer):
    attn, hidden, context = layer
    shared, seen = context[::2].repeat_interleave(2, 0), []
    attn.to_v.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    once, each = attention.projected(attn, hidden, shared, 2), attention.projected(attn, hidden, shared)
    assert seen == [2, 4]
    for one, other in zip(once, each, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-15)


@pytest.mark.parametrize("own", [False, True])
def test_frames_with_texts_of_their_own_keep_them(tiny, case, make, own):
    """The masked layers project a row for each half, or for each half and frame."""
    site = next(one for one in tiny.sites((3, 8, 12)) if one.band == "late" and one.reads == "text")
    embeds = torch.randn(2 * case.frames if own else 2, 77, tiny.text_width)
    seen = []
    with site.layer.to_k.register_forward_pre_hook(lambda _, given: seen.append(len(given[0]))):
        make(case, "peekaboo", steps=1, prompt_embeds=embeds)
    assert seen == [len(embeds)]
