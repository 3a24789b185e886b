"""Features of single frames, for FID and KID. One factory per encoder; ivgbench.registry names them.

The third one of the house is CLIP's image tower (features.py). It was trained on captions and may not see what no
caption mentions, so FID and KID are reported on an encoder that was not, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ivgbench.errors import UserError
from ivgbench.judges import ids

POCKET_FILE = ids.POCKET_DENOISER
BATCH = 64


class FrameModel:
    """An encoder of frames on a device. `id` names everything that changes a feature.

    encode: uint8 [N,3,H,W] on the device -> float [N,D].
    """

    def __init__(self, encode: Callable[[torch.Tensor], torch.Tensor], id: str, device: str):
        self.encode, self.id, self.device = encode, id, device

    @torch.inference_mode()
    def embed_video(self, video: np.ndarray) -> np.ndarray:
        """Features of every frame of a video uint8 [F,H,W,3]: float32 [F,D]."""
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or not len(video):
            raise UserError(f"a video must be uint8 [F,H,W,3] with F >= 1, got {video.dtype} {list(video.shape)}")
        frames = torch.from_numpy(np.ascontiguousarray(video.transpose(0, 3, 1, 2)))
        return torch.cat([self.encode(part.to(self.device)).float().cpu() for part in frames.split(BATCH)]).numpy()


class Denoiser(nn.Module):
    """A convolutional autoencoder that takes noise out of frames. What it keeps of one is its feature."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(*_halve(3, 24), *_halve(24, 48), *_halve(48, 64))
        self.decoder = nn.Sequential(*_double(64, 48), *_double(48, 24), *_double(24, 8), nn.Conv2d(8, 3, 3, 1, 1))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames [N,3,H,W] in -1..1, sides multiples of 8 -> the same without noise."""
        return self.decoder(self.encoder(frames))

    def features(self, frames: torch.Tensor) -> torch.Tensor:
        """[N,3,H,W] in -1..1 -> [N,D]: the code's mean over the frame, and how far the first layer's answers spread.

        The second part is for texture: a mean averages noise away, and the normalisation behind the first layer hides
        how strong it was.
        """
        first = self.encoder[0](frames)
        return torch.cat([self.encoder[1:](first).mean((2, 3)), first.std((2, 3))], 1)


def _halve(inside: int, outside: int) -> list[nn.Module]:
    """Layers from [N,inside,H,W] to [N,outside,H/2,W/2]."""
    first, second = nn.Conv2d(inside, outside, 3, 2, 1), nn.Conv2d(outside, outside, 3, 1, 1)
    return [first, nn.GroupNorm(8, outside), nn.SiLU(), second, nn.GroupNorm(8, outside), nn.SiLU()]


def _double(inside: int, outside: int) -> list[nn.Module]:
    """Layers from [N,inside,H,W] to [N,outside,2H,2W]."""
    return [nn.Conv2d(inside, 4 * outside, 3, 1, 1), nn.PixelShuffle(2), nn.SiLU()]


def denoiser(file: str | Path = POCKET_FILE, device: str = "cpu") -> FrameModel:
    """The pocket lab's encoder of frames that has read no caption.

    Raises:
        UserError: no such file, or not its weights.
    """
    if not Path(file).is_file():
        raise UserError(f"the frame encoder is incomplete: {file} is missing; reinstall ivgbench, or train it")
    model = Denoiser()
    try:
        model.load_state_dict(load_file(file))
    except (RuntimeError, SafetensorError) as fault:
        raise UserError(f"{file}: not the frame encoder's weights: {' '.join(str(fault).split())[:200]}") from None
    model = model.float().eval().requires_grad_(False).to(device)

    def encode(frames: torch.Tensor) -> torch.Tensor:
        return model.features(frames.float() / 127.5 - 1)

    return FrameModel(encode, ids.denoiser(file), device)


def inception(weights: str | Path | None = None, device: str = "cpu") -> FrameModel:
    """Inception-v3 as FID is published with it: torch-fidelity's own extractor, 2048 features, its resize included.

    weights: torch-fidelity's file; by default from torch's cache, downloaded where it is not there yet.

    Raises:
        UserError: no weights, and no network to fetch them from; or a file that is something else.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL_INCEPTION_V3).name if weights is None else Path(weights)
    try:
        if weights is None and not file.is_file():
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(file), hash_prefix=file.stem.rpartition("-")[2])
        # torch-fidelity unpickles without looking; what passes here holds nothing but tensors.
        torch.load(file, map_location="cpu", weights_only=True)
        model = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(file)).to(device)
    except (OSError, RuntimeError, AttributeError, UnpicklingError, EOFError) as fault:
        raise UserError(
            f"FID's Inception weights: {file}: {type(fault).__name__}: {' '.join(str(fault).split())[:160]}; "
            f"fetch {URL_INCEPTION_V3} while online and name the file: inception:FILE"
        ) from None

    def encode(frames: torch.Tensor) -> torch.Tensor:
        return model(frames)[0]

    return FrameModel(encode, ids.inception(file), device)
