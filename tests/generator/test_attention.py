import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from ivgbench.errors import UserError
from ivgbench.generator.backbones import unet3d_attention as attention
from ivgbench.generator.backbones.unet3d_attention import (
    FORBIDDEN,
    MaskedAttention,
    attached,
    attend,
    levels,
    required,
    sites,
)


def test_every_layer_is_found_with_its_place(tiny):
    found = sites(tiny.unet)
    assert {site.name for site in found} == set(tiny.unet.attn_processors)
    assert {site.place for site in found} == {"in", "down", "mid", "up"}
    assert [s.depth for s in found if s.place == "up" and s.role == "attn1" and not s.temporal] == [1, 1, 0, 0]
    assert all(site.temporal for site in found if site.place == "in")
    for site in found:
        layer = getattr(site.block, site.role)
        if layer.to_k.in_features != layer.to_q.in_features:
            assert not site.temporal and site.role == "attn2"


def test_levels_round_up_like_the_downsamplers(tiny):
    assert levels(tiny.unet, 40, 72) == {
        2880: attention.Level(40, 72, 1),
        720: attention.Level(20, 36, 2),
        180: attention.Level(10, 18, 4),
    }
    assert levels(tiny.unet, 5, 9)[15] == attention.Level(3, 5, 2)


def test_processors_are_put_back_after_an_exception(tiny):
    before = dict(tiny.unet.attn_processors)
    name, given = next(iter(before)), AttnProcessor2_0()
    processors = {name: given}
    with pytest.raises(RuntimeError, match="boom"), attached(tiny.unet, processors):
        assert tiny.unet.attn_processors[name] is given
        raise RuntimeError("boom")
    assert dict(tiny.unet.attn_processors) == before
    assert processors == {name: given}
    with pytest.raises(KeyError), attached(tiny.unet, {"nowhere": given}):
        pass


def test_masking_no_layer_is_an_error():
    with pytest.raises(UserError, match="nothing would be masked"):
        required({}, "peekaboo", "scope 'paper'")


@pytest.fixture
def layer():
    torch.manual_seed(0)
    made = Attention(query_dim=8, cross_attention_dim=6, heads=2, dim_head=4).double()
    return made, torch.randn(4, 5, 8, dtype=torch.float64), torch.randn(4, 7, 6, dtype=torch.float64)


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
    keep = torch.tensor([[True, True, False, True, False]] * 2)
    blank = torch.randn(8, dtype=torch.float64)
    result = MaskedAttention(1, False, keep=lambda cells: keep, blank=blank)(attn, hidden, context)
    shown = hidden.clone()
    shown[:, [2, 4]] = blank
    expected = attend(attn, shown, context)
    assert torch.equal(result[:, [0, 1, 3]], expected[:, [0, 1, 3]]) and not result[:, [2, 4]].any()
