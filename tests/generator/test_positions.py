"""Positions that follow a box: small grids worked out by hand, and what must hold for any box."""

import pytest
import torch

from ivgbench.errors import UserError
from ivgbench.generator.edits.positions import decoupled, isolated, own_prompts


def boxes(*sides, grid=(6, 8)):
    """bool [f,h,w] of boxes (top, bottom, left, right), ends exclusive."""
    cells = torch.zeros(len(sides), *grid, dtype=torch.bool)
    for frame, (top, bottom, left, right) in enumerate(sides):
        cells[frame, top:bottom, left:right] = True
    return cells


def own(cells):
    grid = torch.meshgrid(*(torch.arange(size) for size in cells.shape), indexing="ij")
    return torch.stack(grid, dim=-1)


@pytest.mark.parametrize(("box_end", "less"), [("official", 1), ("inclusive", 0)])
def test_a_moving_box_keeps_the_place_of_the_first_of_the_smallest(box_end, less):
    cells = boxes((0, 3, 0, 4), (2, 5, 3, 7))
    positions, own_positions = decoupled(cells, box_end), own(cells)
    moved = positions[1, 2 : 5 - less, 3 : 7 - less]
    assert torch.equal(moved[..., 1:], own_positions[0, : 3 - less, : 4 - less, 1:]) and (moved[..., 0] == 1).all()
    positions[1, 2 : 5 - less, 3 : 7 - less] = own_positions[1, 2 : 5 - less, 3 : 7 - less]
    assert torch.equal(positions, own_positions), "nothing else moves"


def test_a_larger_box_is_spread_over_the_smallest_with_halves_to_even():
    cells = boxes((0, 6, 0, 5), (1, 4, 2, 5))
    positions = decoupled(cells, "inclusive")
    # 6 rows over 0..2: 0, .4, .8, 1.2, 1.6, 2; 5 columns over 0..2: 0, .5, 1, 1.5, 2
    assert positions[0, :, 0, 1].tolist() == [1, 1, 2, 2, 3, 3]
    assert positions[0, 0, :5, 2].tolist() == [2, 2, 3, 4, 4]


def test_redundant_tokens_and_the_boxs_do_not_see_each_other():
    cells = boxes((0, 2, 0, 2), (0, 2, 4, 6))
    rule = isolated(cells, decoupled(cells, "inclusive"))
    # In frame 1 the box took the positions of these four tokens.
    assert (rule.labels == 2).nonzero().tolist() == [[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]]
    assert torch.equal(rule.labels == 1, cells)
    assert rule.sees.int().tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 1]]


def test_each_side_reads_its_own_prompt():
    rule = own_prompts(boxes((0, 1, 0, 1), grid=(1, 2)), 3)
    assert rule.sees[rule.labels.flatten()][:, rule.keys].int().tolist() == [[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]]


def test_frames_without_a_box_and_boxes_without_a_row_left_are_refused():
    with pytest.raises(UserError, match="latent frame 1 has no box"):
        decoupled(boxes((0, 2, 0, 2), (0, 0, 0, 0)))
    with pytest.raises(UserError, match="latent frame 1 is one token thin"):
        decoupled(boxes((0, 2, 0, 2), (0, 1, 0, 2)))
    assert torch.equal(decoupled(thin := boxes((0, 1, 0, 2), (1, 2, 1, 2))), own(thin)), "all thin: nothing moves"
    assert decoupled(boxes((0, 2, 0, 2), (0, 1, 0, 2)), "inclusive")[0, 1, 0].tolist() == [0, 0, 0]
