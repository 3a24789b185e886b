"""What real weights may get wrong in a clip, each fault by numbers: pure functions of arrays."""

from __future__ import annotations

import numpy as np

#: Standard deviation of latents that a VAE was trained to read is near 1; few steps and guidance make it larger.
LATENT_STD = (0.05, 20.0)
#: Of the largest latent: beyond it half precision and VAEs are no longer sound.
LATENT_MOST = 200.0
#: In levels of 255: a frame with less spread than this shows nothing.
FLAT = 1.0
#: A frame whose brightest pixel is no brighter is black.
BLACK = 8
#: Two results that differ by less than this share are the same one.
SAME = 1e-6


def latent_faults(latents: np.ndarray) -> list[str]:
    """What is wrong with final latents [1,C,f,h,w]."""
    values = np.asarray(latents, dtype=np.float64)
    if not np.isfinite(values).all():
        return [f"{int((~np.isfinite(values)).sum())} latents are NaN or infinite"]
    faults = []
    low, high = LATENT_STD
    if not low <= values.std() <= high:
        faults.append(f"the latents' standard deviation is {values.std():.3g}, out of {low:g} to {high:g}")
    if (most := np.abs(values).max()) > LATENT_MOST:
        faults.append(f"a latent is {most:.3g}, beyond {LATENT_MOST:g}")
    return faults


def video_faults(video: np.ndarray) -> list[str]:
    """What is wrong with frames uint8 [F,H,W,3]: black, without any content, or all the same."""
    frames = np.asarray(video, dtype=np.float64)
    black = [index for index, frame in enumerate(frames) if frame.max() <= BLACK]
    spread = frames.std(axis=(1, 2)).max(axis=1)
    flat = [index for index in np.flatnonzero(spread < FLAT).tolist() if index not in black]
    faults = [f"{len(black)} of {len(frames)} frames are black"] if black else []
    faults += [f"{len(flat)} of {len(frames)} frames are of one colour"] if flat else []
    if len(frames) > 1 and not faults and (frames == frames[0]).all():
        faults.append(f"all {len(frames)} frames are the same picture")
    return faults


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """How far two results are apart, as a share of the first one's norm; 0 where both are nothing."""
    first, second = (np.asarray(values, dtype=np.float64) for values in (one, other))
    norm = np.linalg.norm(first)
    return float(np.linalg.norm(first - second) / norm) if norm else float(np.linalg.norm(second) > 0)
