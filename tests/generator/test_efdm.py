import torch

from ivgbench.generator.edits.efdm import match_exactly

torch.manual_seed(5)
MASKED, UNMASKED = torch.randn(3, 40, 6), 2 * torch.randn(3, 40, 6) + 1


def test_values_are_exactly_the_unmasked_and_the_order_the_masked():
    matched = match_exactly(MASKED, UNMASKED)
    assert torch.equal(matched.sort(dim=1).values, UNMASKED.sort(dim=1).values)
    assert torch.equal(matched.argsort(dim=1), MASKED.argsort(dim=1))


def test_a_distribution_matched_to_itself_stays():
    assert torch.equal(match_exactly(MASKED, MASKED), MASKED)


def test_ties_go_by_position():
    content, style = torch.zeros(1, 4, 1), torch.tensor([[[4.0], [1.0], [3.0], [2.0]]])
    assert match_exactly(content, style).flatten().tolist() == [1, 2, 3, 4]


def test_half_precision_comes_back_as_half():
    matched = match_exactly(MASKED.half(), UNMASKED.half())
    assert matched.dtype == torch.float16
    assert torch.equal(matched.sort(dim=1).values, UNMASKED.half().sort(dim=1).values)


def test_the_gradient_passes_unchanged_to_the_masked_only():
    content, style = MASKED.clone().requires_grad_(), UNMASKED.clone().requires_grad_()
    weight = torch.randn_like(MASKED)
    matched = match_exactly(content, style)
    (matched * weight).sum().backward()
    assert torch.equal(matched.detach(), match_exactly(MASKED, UNMASKED))
    assert torch.equal(content.grad, weight) and style.grad is None
