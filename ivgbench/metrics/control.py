"""How well detected boxes follow the asked ones, per clip and subject. numpy only.

Three definitions under the same keys, because the field's "mIoU" means three things:

- "clean", the default: float boxes, every frame counts the same, a missed frame has IoU 0.
- "peekaboo": the released evaluation of Peekaboo (eval/get_metrics.py), its faults included.
- "trailblazer": the released evaluation of TrailBlazer (Metrics/OwlVit/main.py), its faults included.

Set-level numbers (coverage, mIoU over covered clips, pooled AP50) are made from these rows in report/tables.
"""

from __future__ import annotations

import numpy as np

from ivgbench import boxes
from ivgbench.arrays import floats
from ivgbench.errors import UserError

VARIANTS = ("clean", "peekaboo", "trailblazer")
#: Height and width of ZeroScope's frames, which the published numbers are about.
ZEROSCOPE_SIZE = (320, 576)
#: Peekaboo drops a clip whose asked area is below this many pixels, summed over all frames.
PEEKABOO_MIN_AREA = 5


def score(
    asked: np.ndarray, detected: np.ndarray, variant: str = "clean", size: tuple[int, int] = ZEROSCOPE_SIZE
) -> dict[str, float | int | bool]:
    """Compares one subject's asked and detected boxes over a clip.

    Args:
        asked: [F,4] xyxy, fractions of the frame. A frame whose asked box has no area asks for nothing: the clean
            definition leaves it out of everything.
        detected: [F,4] xyxy, fractions; a row of NaN where nothing was found.
        variant: "clean", "peekaboo" or "trailblazer".
        size: (H, W) of the frames in pixels. It sets the grid of `miou_volume` and the shape of the diagonal.
    Returns:
        covered: whether the subject was found in more than half of the frames (exactly half is not enough).
        miou: the variant's IoU of the clip, 0..1. Clean: (1/F) sum of IoU, 0 in missed frames, whatever `covered` says.
        miou_det: mean IoU over detected frames; NaN with none.
        miou_volume: IoU of the pixel masks stacked over time (what Peekaboo publishes, over covered clips).
        ap50: share of detected frames with IoU >= 0.5; NaN with none. Pool it over clips with weights `n_detected`.
        ap50_strict: the same hits divided by all frames.
        centroid_distance: mean distance of centres over detected frames, in frame diagonals; NaN with none.
        n_detected, n_frames: frames with a detection, and frames that count.
        A clip in which no frame counts has NaN everywhere, and is not covered.
    Raises:
        UserError: shapes that do not fit, boxes that are not finite, an unknown variant, a size that is not positive.
    """
    if variant not in VARIANTS:
        raise UserError(f"unknown variant {variant!r} of the control metrics; known: {', '.join(VARIANTS)}")
    height, width = size
    if height < 1 or width < 1:
        raise UserError(f"the frame size must be (height, width) in pixels, got {tuple(size)}")
    asked, detected = _check(asked, "asked"), _check(detected, "detected", missing=True)
    if len(asked) != len(detected) and variant != "peekaboo":
        raise UserError(
            f"{len(asked)} asked boxes for {len(detected)} frames with detections; "
            "give one box per frame (ivgbench.boxes.resample changes the number)"
        )
    if variant == "peekaboo":
        return _peekaboo(asked, detected, height, width)
    return _by_frame(asked, detected, height, width, clamp=variant == "clean")


def _check(track: np.ndarray, name: str, missing: bool = False) -> np.ndarray:
    """The track as float64 [F,4] with at least one frame. `missing`: rows that are all NaN may stand for misses."""
    track = floats(track, f"{name} boxes")
    if track.ndim != 2 or track.shape[1] != 4 or not len(track):
        raise UserError(f"{name} boxes must have shape [F,4] with F >= 1, got {list(track.shape)}")
    present = ~np.isnan(track).all(axis=1) if missing else np.ones(len(track), bool)
    broken = present & ~np.isfinite(track).all(axis=1)
    if broken.any():
        raise UserError(
            f"{name} box of frame {int(np.argmax(broken))} is not finite: {track[np.argmax(broken)].tolist()}"
        )
    return track


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _by_frame(asked: np.ndarray, detected: np.ndarray, height: int, width: int, clamp: bool) -> dict:
    """The clean definition, or TrailBlazer's with `clamp` off."""
    if clamp:
        counts = boxes.area(asked) > 0
        asked, detected = asked[counts], detected[counts]
    frames = len(asked)
    found = ~np.isnan(detected[:, 0])
    overlap = boxes.iou(asked[found], detected[found]) if clamp else _unclamped_iou(asked[found], detected[found])
    hits = overlap >= 0.5
    apart = (detected[found, :2] + detected[found, 2:] - asked[found, :2] - asked[found, 2:]) / 2 * [width, height]
    if clamp:
        miou = float(overlap.sum()) / frames if frames else float("nan")
    else:
        # TrailBlazer divides by the detected frames only, and a clip without any counts as 0.
        miou = float(overlap.mean()) if found.any() else 0.0
    return {
        "covered": bool(found.sum() * 2 > frames),
        "miou": miou,
        "miou_det": _mean(overlap),
        "miou_volume": _volume_iou(boxes.rasterise(asked, height, width), _masks(detected, height, width))
        if frames
        else float("nan"),
        "ap50": _mean(hits),
        "ap50_strict": float(hits.sum()) / frames if frames else float("nan"),
        "centroid_distance": _mean(np.hypot(apart[:, 0], apart[:, 1])) / float(np.hypot(height, width)),
        "n_detected": int(found.sum()),
        "n_frames": frames,
    }


def _unclamped_iou(asked: np.ndarray, detected: np.ndarray) -> np.ndarray:
    """TrailBlazer's IoU: the sides of the overlap keep their sign, so two boxes apart on both axes have a positive
    "overlap" (equal boxes one box apart on both axes get 1.0, and values above 1 exist). Negative results become 0.
    """
    sides = np.minimum(asked[:, 2:], detected[:, 2:]) - np.maximum(asked[:, :2], detected[:, :2])
    overlap = sides[:, 0] * sides[:, 1]
    union = np.prod(asked[:, 2:] - asked[:, :2], axis=1) + np.prod(detected[:, 2:] - detected[:, :2], axis=1) - overlap
    # Where the "union" is exactly 0 the released code stops with a ZeroDivisionError; here it is 0.
    return np.clip(np.divide(overlap, union, out=np.zeros_like(union), where=union != 0), 0, None)


def _masks(detected: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels of the detected boxes, bool [F,H,W]; a frame without a detection is empty."""
    return boxes.rasterise(np.nan_to_num(detected, nan=0.0), height, width)


def _volume_iou(asked: np.ndarray, detected: np.ndarray) -> float:
    """IoU of two masks [F,H,W] over the whole clip at once: missed frames enter the union, big boxes weigh more."""
    return float((asked & detected).sum() / ((asked | detected).sum() + 1e-5))


def _peekaboo(asked: np.ndarray, detected: np.ndarray, height: int, width: int) -> dict:
    """Peekaboo's released evaluation on pixel masks. Kept as it is there:

    corners truncated by int(); 1e-5 in every union, so that an IoU of exactly 0.5 is no hit; tracks cut to the shorter
    one, while detections are counted over the whole clip; a missed frame's centre is pixel (0, 0); distances divided by
    the diagonal of 320x576 at every frame size; clips whose asked area is below 5 pixels dropped (NaN here). One
    thing is general that is a number there: covered means more than F/2 frames, where the script says 8.
    """
    found = ~np.isnan(detected[:, 0])
    frames = min(len(asked), len(detected))
    wanted, seen = boxes.rasterise(asked[:frames], height, width), _masks(detected[:frames], height, width)
    nan = float("nan")
    if wanted.sum() < PEEKABOO_MIN_AREA:
        keys = ("miou", "miou_det", "miou_volume", "ap50", "ap50_strict", "centroid_distance")
        return {"covered": False, **dict.fromkeys(keys, nan), "n_detected": int(found.sum()), "n_frames": frames}
    per_frame = (wanted & seen).sum((1, 2)) / ((wanted | seen).sum((1, 2)) + 1e-5)
    drawn = seen.any((1, 2))  # a detection thinner than a pixel is counted in n_detected, but not here
    distance = np.linalg.norm(_mask_centres(wanted) - _mask_centres(seen), axis=1)
    volume = _volume_iou(wanted, seen)
    return {
        "covered": bool(found.sum() * 2 > len(detected)),
        "miou": volume,
        "miou_det": _mean(per_frame[drawn]),
        "miou_volume": volume,
        "ap50": _mean(per_frame[drawn] >= 0.5),
        "ap50_strict": float((per_frame >= 0.5).mean()),
        "centroid_distance": float(distance.mean() / np.hypot(*ZEROSCOPE_SIZE)),
        "n_detected": int(found.sum()),
        "n_frames": frames,
    }


def _mask_centres(masks: np.ndarray) -> np.ndarray:
    """Middle of the first and last occupied row and column, float [F,2] (y, x) in pixels; (0, 0) for an empty mask."""
    centres = []
    for axis in (2, 1):
        occupied = np.asarray(masks.any(axis))
        first = occupied.argmax(1)
        last = np.where(occupied.any(1), occupied.shape[1] - 1 - occupied[:, ::-1].argmax(1), 0)
        centres.append((first + last) / 2)
    return np.stack(centres, 1)
