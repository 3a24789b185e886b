import numpy as np
import pytest
import torch
from torchvision.ops import roi_align as library_roi_align

from ivgbench.generator.edits.tau import pearson, roi_align, tau

BOXES = np.array([[[0.05, 0.1, 0.45, 0.7], [0.2, 0.15, 0.62, 0.8], [0.5, 0.3, 1.0, 1.0]]])


@pytest.fixture
def clean():
    return torch.randn(4, 3, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_roi_align_is_the_librarys(clean):
    for edges, rows, columns in [((0.6, 0.8, 5.4, 5.6), 5, 5), ((2.0, 1.0, 11.9, 8.0), 3, 4), ((0, 0, 1.3, 0.4), 2, 2)]:
        expected = library_roi_align(
            clean[:, 0][None], [torch.tensor([edges], dtype=torch.float64)], (rows, columns), aligned=True
        )
        assert torch.allclose(roi_align(clean[:, 0], np.array(edges), rows, columns), expected[0], atol=1e-12)


def test_identical_crops_correlate_fully(clean):
    still = np.tile(BOXES[:, :1], (1, 3, 1))
    assert tau(clean[:, :1].expand(-1, 3, -1, -1), still).item() == pytest.approx(1, abs=1e-9)
    assert abs(tau(clean, still).item()) < 0.9


def test_invariant_to_gain_and_offset_per_channel_and_frame(clean):
    gain = 0.5 + torch.rand(4, 3, 1, 1, dtype=torch.float64)
    offset = torch.randn(4, 3, 1, 1, dtype=torch.float64)
    assert tau(gain * clean + offset, BOXES).item() == pytest.approx(tau(clean, BOXES).item(), abs=1e-9)


@pytest.mark.parametrize(("grid", "rows", "columns"), [("mean", 5, 5), ("max", 6, 5), ("fixed", 16, 16)])
def test_crops_are_compared_on_the_grid_that_was_asked_for(clean, grid, rows, columns):
    # 4.8 and 6 rows, 4.8 and 5.04 columns.
    pair = torch.tensor([[[0.6, 0.8, 5.4, 5.6]], [[2.4, 1.2, 7.44, 7.2]]], dtype=torch.float64)
    boxes = pair[:, 0].numpy() / [12, 8, 12, 8]
    crops = [
        library_roi_align(clean[:, i][None], [pair[i]], (rows, columns), aligned=True)[0].flatten(1) for i in (0, 1)
    ]
    expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*crops, strict=True)])
    assert tau(clean[:, :2], boxes[None], grid).item() == pytest.approx(expected, abs=1e-9)


def test_pearson_is_numpys(clean):
    a, b = clean[:, 0], clean[:, 1]
    expected = np.mean([np.corrcoef(x.flatten(), y.flatten())[0, 1] for x, y in zip(a, b, strict=True)])
    assert pearson(a, b).item() == pytest.approx(expected, abs=1e-9)


def test_gradient_agrees_with_finite_differences(clean):
    assert torch.autograd.gradcheck(lambda x: tau(x, BOXES), clean.requires_grad_(), eps=1e-6, atol=1e-7)


def test_pairs_with_an_empty_box_are_skipped(clean):
    gone = BOXES.copy()
    gone[0, 2] = 0
    assert torch.equal(tau(clean, gone), tau(clean[:, :2], BOXES[:, :2]))
    gone[0, 1] = 0
    nothing = tau(clean.requires_grad_(), gone)
    assert nothing.item() == 0 and not nothing.requires_grad


def test_a_flat_crop_has_a_finite_gradient():
    flat = torch.zeros(4, 3, 8, 12, requires_grad=True)
    tau(flat, BOXES).backward()
    assert torch.isfinite(flat.grad).all()


def test_several_subjects_are_averaged(clean):
    other = BOXES[:, ::-1]
    both = tau(clean, np.concatenate([BOXES, other]))
    assert both.item() == pytest.approx((tau(clean, BOXES) + tau(clean, other)).item() / 2)
