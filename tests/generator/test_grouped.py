"""Attention by groups against the spelled-out mask, and the quick sort against torch's."""

import weakref

import pytest
import torch

from ivgbench.generator.backbones.sites import Site
from ivgbench.generator.edits import efdm, grouped, masked, rules
from ivgbench.generator.edits.masked import Mask

CPU = torch.device("cpu")
FRAMES, GRID, LENGTH = 4, (5, 7), 9


def site(over, reads):
    return Site("x", "late", over, reads, False, GRID, 1, torch.nn.Identity())


def cells(subjects, seed):
    """Boxes that overlap, move, and in one frame are not there."""
    found = torch.zeros(subjects, FRAMES, *GRID, dtype=torch.bool)
    for k in range(subjects):
        for frame in range(FRAMES - (k == 0)):
            found[k, frame, k : k + 3, (frame + seed) % 3 : (frame + seed) % 3 + 2 + k] = True
    return found


def words(subjects):
    said = torch.zeros(subjects, LENGTH, dtype=torch.bool)
    for k in range(subjects):
        said[k, 1 + 2 * k] = True
    return said


MASKS = {
    "self": ("frame", "self", lambda k, n: rules.self_rule(cells(k, n))),
    "self, over the clip": ("clip", "self", lambda k, n: rules.self_rule(cells(k, n))),
    "time": ("cell", "self", lambda k, n: rules.temporal_rule(cells(k, n))),
    "text": ("frame", "text", lambda k, n: rules.text_rule(cells(k, n), words(k), True, True)),
    "text over the clip": ("clip", "text", lambda k, n: rules.text_rule(cells(k, n), words(k), False, False)),
    "a phrase that is not there": (
        "frame", "text", lambda k, n: rules.text_rule(cells(k, n), words(k) & False, True, False),
    ),
    "one clip of two without words": (
        "frame", "text", lambda k, n: rules.text_rule(cells(k, n), words(k) if n else None, True, True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("subjects", [1, 2, 3])
@pytest.mark.parametrize("kind", MASKS)
def test_groups_equal_the_spelled_out_mask(kind, subjects):
    over, reads, rule = MASKS[kind]
    at, mask = site(over, reads), Mask([rule(subjects, n) for n in (0, 1)])
    bias = mask.bias(at, CPU, torch.float64)
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(2 * len(bias), 3, bias.shape[1], 4, dtype=torch.float64, generator=draw)
    key, value = torch.randn(2, 2 * len(bias), 3, bias.shape[2], 4, dtype=torch.float64, generator=draw)
    expected = masked.softmax_attention(query, key, value, bias)
    torch.testing.assert_close(mask.groups(at, CPU).attend(query, key, value), expected, rtol=0, atol=1e-13)


def test_large_maps_go_by_groups_and_small_ones_by_their_bias(monkeypatch):
    at, mask = site("frame", "self"), Mask([rules.self_rule(cells(1, 0))])
    parts = torch.randn(3, 2 * FRAMES, 2, GRID[0] * GRID[1], 4, dtype=torch.float64)
    small = mask.attend(at, *parts)
    assert ("groups", "frame", "self", GRID) not in mask._made
    monkeypatch.setattr(masked, "GROUPED_FROM", 1)
    large = mask.attend(at, *parts)
    assert ("groups", "frame", "self", GRID) in mask._made and not torch.equal(small, large)
    torch.testing.assert_close(small, large, rtol=0, atol=1e-13)


def test_the_gradient_goes_through_groups():
    at, mask = site("frame", "self"), Mask([rules.self_rule(cells(2, 0))])
    found = []
    for attend in (
        lambda *parts: masked.softmax_attention(*parts, mask.bias(at, CPU, torch.float64)),
        mask.groups(at, CPU).attend,
    ):
        draw = torch.Generator().manual_seed(0)
        parts = torch.randn(3, 2 * FRAMES, 2, GRID[0] * GRID[1], 4, dtype=torch.float64, generator=draw)
        parts.requires_grad_()
        (attend(*parts) ** 2).sum().backward()
        found.append(parts.grad)
    torch.testing.assert_close(*found, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", MASKS)
def test_a_factor_by_groups_keeps_the_weight_of_a_pair(kind, monkeypatch):
    """A pair that is multiplied by 0 is not hidden."""
    over, reads, rule = MASKS[kind]
    at, mask = site(over, reads), Mask([rule(2, n) for n in (0, 1)], multiply=True)
    bias = mask.bias(at, CPU, torch.float64)
    query = torch.randn(2 * len(bias), 3, bias.shape[1], 4, dtype=torch.float64)
    key, value = torch.randn(2, 2 * len(bias), 3, bias.shape[2], 4, dtype=torch.float64)
    expected = masked.softmax_attention(query, key, value, bias, multiply=True)
    monkeypatch.setattr(masked, "GROUPED_FROM", 1)
    torch.testing.assert_close(mask.attend(at, query, key, value), expected, rtol=0, atol=1e-13)


def test_a_mask_that_hides_nothing_is_ordinary_attention():
    still = cells(1, 0)[:, :1].expand(-1, FRAMES, -1, -1)
    at, parts = site("cell", "self"), torch.randn(3, 2 * 35, 2, FRAMES, 4)
    mask = Mask([rules.temporal_rule(still)])
    assert mask.acts and mask.added(at, parts[0]) is None
    assert torch.equal(mask.attend(at, *parts), torch.nn.functional.scaled_dot_product_attention(*parts))


@pytest.mark.parametrize("kind", MASKS)
def test_the_bias_of_all_halves_is_that_of_one_again_and_again(kind):
    over, reads, rule = MASKS[kind]
    at, mask = site(over, reads), Mask([rule(2, n) for n in (0, 1)])
    bias = mask.bias(at, CPU, torch.float64)
    added = mask.added(at, torch.empty(3 * len(bias), 1, bias.shape[1], 1, dtype=torch.float64))
    if kind == "a phrase that is not there":
        assert added is None and not bias.any()
    else:
        assert bias.any() and torch.equal(added, bias.repeat(3, 1, 1))


def test_both_guidance_halves_have_the_same_mask():
    at, mask = site("frame", "self"), Mask([rules.self_rule(cells(2, n)) for n in (0, 1)])
    parts = torch.randn(3, 4 * FRAMES, 2, 35, 4, dtype=torch.float64)
    whole = mask.attend(at, *parts)
    halves = [mask.attend(at, *half) for half in zip(*(one.chunk(2) for one in parts), strict=True)]
    assert torch.equal(whole, torch.cat(halves))


@pytest.mark.parametrize("shape", [(2, 50, 3), (1, 1, 2), (3, 7, 1)])
def test_the_quick_order_is_torchs_stable_one(shape):
    draw = torch.Generator().manual_seed(0)
    values = (torch.randn(shape, generator=draw) * 3).round() / 3  # many are equal, and some are both zeros
    values = torch.where(torch.rand(shape, generator=draw) < 0.2, -values * 0, values)
    values[0, 0] = -torch.inf
    assert torch.equal(efdm._order(values), values.argsort(dim=1, stable=True))
    assert torch.equal(efdm._sorted(values), values.sort(dim=1, stable=True).values)


def test_large_groups_and_many_rows_are_done_in_parts(monkeypatch):
    at, mask = site("clip", "self"), Mask([rules.self_rule(cells(2, n)) for n in (0, 1)])
    parts = torch.randn(3, 4, 2, FRAMES * 35, 4, dtype=torch.float64)
    values = torch.randn(2, 11, 40, 3)
    whole, matched = mask.groups(at, CPU).attend(*parts), efdm.match_exactly(*values)
    monkeypatch.setattr(grouped, "QUERIES", 7)
    monkeypatch.setattr(efdm, "PARTED_FROM", 1)
    seen, real = [], efdm._order
    monkeypatch.setattr(efdm, "_order", lambda one: seen.append(len(one)) or real(one))
    torch.testing.assert_close(mask.groups(at, CPU).attend(*parts), whole, rtol=0, atol=1e-13)
    assert torch.equal(efdm.match_exactly(*values), matched) and sum(seen) == 11 and max(seen) == 2


def test_a_groups_keys_are_let_go_before_the_nexts_are_gathered(monkeypatch):
    at, mask = site("clip", "self"), Mask([rules.self_rule(cells(2, 0))])
    held, alive, real = [], [], grouped._gathered

    def gathered(*given):
        alive.append(sum(one() is not None for one in held))
        made = real(*given)
        held.append(weakref.ref(made))
        return made

    monkeypatch.setattr(grouped, "_gathered", gathered)
    monkeypatch.setattr(grouped, "QUERIES", 20)
    mask.groups(at, CPU).attend(*torch.randn(3, 2, 2, FRAMES * 35, 4))
    assert len(mask.groups(at, CPU).buckets) > 1 and max(alive) == 2
