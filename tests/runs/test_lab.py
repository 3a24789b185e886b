"""Encoders by the names that a spec has for them."""

import pytest
import torch
from safetensors.torch import save_file

from ivgbench.errors import UserError
from ivgbench.metrics.frame_features import Denoiser
from ivgbench.runs.lab import Lab


def test_encoders_take_their_files_from_the_name(tmp_path):
    torch.manual_seed(0)
    save_file(Denoiser().state_dict(), tmp_path / "mine.safetensors")
    encoder = Lab("cpu").frame_encoder(f"denoiser:{tmp_path / 'mine.safetensors'}", "pocket")
    assert encoder.id.startswith("pocket-denoiser-")
    assert Lab("cpu").frame_encoder("clip", "pocket").id == Lab("cpu").clip("pocket").id


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vjepa", "write vjepa:ENCODER,PROBE"),
        ("vjepa:a,b,c", "write vjepa:ENCODER,PROBE"),
        ("vjepa:a,b", "there is no file a; fetch it"),
        ("v-jepa", "unknown video encoder 'v-jepa'; did you mean"),
    ],
)
def test_encoders_that_cannot_be_are_one_line(name, words):
    with pytest.raises(UserError, match=words) as refused:
        Lab("cpu").video_encoder(name)
    assert "\n" not in str(refused.value)
