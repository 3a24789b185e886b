"""A pocket DiT of random weights, for tests of all folders."""

import pytest


@pytest.fixture(scope="session")
def dit_folder(tmp_path_factory):
    """A folder as the training of the pocket DiT writes it, of two layers."""
    import torch
    from diffusers import AutoencoderKL, WanTransformer3DModel

    from ivgbench.pocket.training import dit, vae

    folder = tmp_path_factory.mktemp("weights") / "dit"
    torch.manual_seed(0)
    small = WanTransformer3DModel(**{**dit.CONFIG, "num_layers": 2})
    dit.save(small, dit.text_encoder(), AutoencoderKL(**vae.CONFIG), folder)
    return folder
