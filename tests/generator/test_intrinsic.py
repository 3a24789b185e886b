import pytest
import torch

from ivgbench.errors import UserError
from ivgbench.generator.edits.tau import tau
from ivgbench.generator.levels import Level
from ivgbench.generator.methods.base import Network
from ivgbench.generator.methods.intrinsic import _detached, _exact, guidance, renoise

ALPHA = torch.tensor(0.3, dtype=torch.float64)
LEVEL = Level(ALPHA.sqrt(), (1 - ALPHA).sqrt(), 1 - ALPHA, "epsilon")


@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("gamma", [0.1, 1.0, 2.0])
def test_the_noise_level_follows_the_closed_form(sigma, gamma):
    """Exact score of N(mu, sigma^2): v' = v - gamma^2 s^2 a sigma^2 / v with v = a sigma^2 + s^2; kept for sigma 0."""
    generator = torch.Generator().manual_seed(0)
    count, mean = 400_000, 1.7
    a, s2 = ALPHA, 1 - ALPHA
    v = a * sigma**2 + s2
    z = a.sqrt() * mean + v.sqrt() * torch.randn(count, dtype=torch.float64, generator=generator)
    eps = s2.sqrt() * (z - a.sqrt() * mean) / v
    moved = renoise(z, eps, torch.randn(count, dtype=torch.float64, generator=generator), s2.sqrt(), gamma)
    expected = v - gamma**2 * s2 * a * sigma**2 / v
    assert moved.var().item() == pytest.approx(expected.item(), rel=0.01)
    assert moved.mean().item() == pytest.approx((a.sqrt() * mean).item(), abs=0.01)


def test_gamma_zero_moves_nothing():
    z = torch.randn(5)
    assert torch.equal(renoise(z, torch.randn(5), torch.randn(5), LEVEL.b, 0.0), z)


def test_guidance_is_scaled_per_clip_to_the_score():
    gradient, norms = torch.randn(2, 4, 3, 5, 5), torch.tensor([3.0, 7.0])
    gradient[1] *= 100
    pushed = guidance(gradient, norms, kappa=0.2, c_g=None)
    assert pushed.flatten(1).norm(dim=1) == pytest.approx(0.2 * norms, rel=1e-5)
    assert torch.equal(guidance(gradient, norms, kappa=0.2, c_g=3.0), 3.0 * gradient)


def test_a_zero_gradient_is_no_guidance():
    assert not guidance(torch.zeros(2, 4, 3, 5, 5), torch.ones(2), kappa=0.2, c_g=None).any()


class Toy:
    """A network that is linear in the latents, so that both gradients are known."""

    def __init__(self, boxes):
        self.boxes = boxes

    noise = staticmethod(lambda z: 0.25 * z)


@pytest.fixture
def toy(case):
    boxes = case.subjects[0].boxes[None]
    z = torch.randn(1, 4, 3, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return z, Network(lambda sample: 0.25 * sample, LEVEL), [type("Clip", (), {"boxes": boxes})]


def test_both_gradients_agree_with_finite_differences(toy):
    z, noise, clips = toy
    eps, exact = _exact(z, noise, clips, "mean")
    detached = _detached(z, eps, LEVEL, clips, "mean")
    assert noise.evaluations == 1 and noise.backward == 1
    direction = torch.randn(z.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def slope(estimate):
        ends = [tau(estimate(z + h * direction)[0], clips[0].boxes) for h in (1e-5, -1e-5)]
        return (ends[0] - ends[1]).item() / 2e-5

    through = slope(lambda x: LEVEL.clean(x, 0.25 * x))
    held = slope(lambda x: LEVEL.clean(x, eps))
    assert (exact * direction).sum().item() == pytest.approx(through, rel=1e-6)
    assert (detached * direction).sum().item() == pytest.approx(held, rel=1e-6)
    assert through != pytest.approx(held, rel=1e-3)


def test_exact_gradient_through_the_masked_network_agrees_with_finite_differences(tiny64, case, make, monkeypatch):
    seen = []
    import ivgbench.generator.methods.intrinsic as module

    def spy(latents, noise, clips, grid):
        eps, gradient = _exact(latents, noise, clips, grid)
        direction = torch.randn(latents.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
        ends = []
        for h in (1e-5, -1e-5):
            moved = latents + h * direction
            ends.append(tau(noise.level.clean(moved, noise(moved))[0], clips[0].boxes, "max").item())
        seen.append(((gradient * direction).sum().item(), (ends[0] - ends[1]) / 2e-5))
        return eps, gradient

    monkeypatch.setattr(module, "_exact", spy)
    # Without normalisation: its gradient is a straight-through estimate, which finite differences do not see.
    options = {"gradient": "exact", "norm_self": False, "norm_cross": False, "crop_grid": "max"}
    make(case, "tid", options, bb=tiny64, steps=1)
    assert seen[0][0] == pytest.approx(seen[0][1], rel=1e-5)


def test_evaluations_and_backward_passes_are_counted(case, make):
    for method, options, nfe, backward in [
        ("plain", {}, 3, 0),
        ("mask-norm", {}, 3, 0),
        ("id", {}, 6, 0),
        ("id", {"inner_steps": 2}, 9, 0),
        ("id", {"window": (1, 2)}, 4, 0),
        ("tid", {}, 6, 0),
        ("tid", {"gradient": "exact"}, 6, 3),
    ]:
        clip = make(case, method, options, steps=3)
        assert (clip.nfe, clip.backward) == (nfe, backward), (method, options)


def test_guidance_raises_tau(case, make):
    boxes = case.subjects[0].boxes[None]
    values = [
        tau(make(case, "tid", {"kappa": kappa, "inner_steps": 3}).latents[0], boxes).item() for kappa in (0.0, 1.0)
    ]
    assert values[1] > values[0]


def test_a_scheduler_on_another_scale_is_refused(case, make):
    from diffusers import EulerDiscreteScheduler

    with pytest.raises(UserError, match="variance-preserving"):
        make(case, "id", scheduler=EulerDiscreteScheduler())
