"""What a run of the sampler is given, checked and brought into one shape: frames, cells, masks, and noise streams."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ivgbench import boxes as tracks
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.methods.base import Clip
from ivgbench.texts import check_unicode, short

#: Of a whole number: it is hashed as its digits, of which the interpreter writes no more than 4,300.
MAX_BITS = 14_000


def tensor(values: Any, what: str) -> torch.Tensor:
    """Real numbers in a tensor, in an array or in lists, as a dense tensor. UserError for anything else."""
    if not isinstance(values, torch.Tensor):
        try:
            array = np.asarray(values)
            # Torch takes neither another machine's order of bytes nor an array that runs backwards.
            values = torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
        except (TypeError, ValueError):  # texts, or lists of unequal lengths
            name = type(values).__name__
            raise UserError(f"{what} must be an array of numbers, got a {name} of other things") from None
    if values.is_complex() or values.is_meta or values.layout != torch.strided:
        kind = "meta" if values.is_meta else f"{values.layout}, {values.dtype}"
        raise UserError(f"{what} must be an array of real numbers, got a tensor of another kind ({kind})")
    return values


def listed(values: Any, what: str) -> list[Any]:
    """What was given one for each clip, as a list. UserError for a single thing."""
    try:
        if not isinstance(values, str):
            return list(values)
    except TypeError:  # one thing, or an array without a dimension
        pass
    raise UserError(f"{what} must be a list, one for each clip, got {short(values)}")


def whole(value: Any, what: str) -> int:
    """A whole number of the user's, of Python's, numpy's or torch's, as a plain one: another would not hash alike."""
    try:
        number = operator.index(value)
    except (TypeError, RuntimeError):  # RuntimeError: a tensor of several
        number = None
    if number is None or isinstance(value, bool) or number.bit_length() > MAX_BITS:
        raise UserError(f"{what} must be a whole number, got {short(value)}")
    return number


def flag(value: Any, what: str) -> bool:
    """True or false, of Python's or numpy's. UserError for what merely counts as one of them."""
    if not isinstance(value, (bool, np.bool_)):
        raise UserError(f"{what} must be True or False, got {short(value)}")
    return bool(value)


def function(value: Any, what: str) -> None:
    """Refuses what can not be called; None is no function, and is no mistake."""
    if value is not None and not callable(value):
        raise UserError(f"{what} must be a function, got {short(value)}")


def finite(value: Any, what: str) -> float:
    """A number of the user's as a float; UserError for NaN, for what is infinite, and for what is no number."""
    try:
        number = math.nan if isinstance(value, (str, bytes, bool)) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: a tensor of several
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{what} must be a finite number, got {short(value)}")
    return number


def check_texts(cases: Sequence[Case], **texts: str) -> None:
    """Refuses what is no `Case`, and a text that is none or that no text encoder can read.

    Args:
        texts: name -> text, of the others that are encoded.
    """
    for index, case in enumerate(cases):
        if not isinstance(case, Case) or not all(isinstance(one, Subject) for one in case.subjects):
            raise UserError(f"case {index} must be an ivgbench.Case with ivgbench.Subject in it, got {short(case)}")
        _check_text(case.prompt, f"the prompt of case {case.id}")
        for subject in case.subjects:
            if subject.phrase is not None:
                _check_text(subject.phrase, f"a subject's phrase of case {case.id}")
    for name, text in texts.items():
        _check_text(text, name)


def _check_text(text: Any, what: str) -> None:
    if not isinstance(text, str):
        raise UserError(f"{what} must be a text, got {short(text)}")
    check_unicode(text, what)


def check_finite(values: torch.Tensor, what: str) -> None:
    """Refuses NaN and infinite values that the user gave: what comes of them would be blamed on the method."""
    if not torch.isfinite(values).all():
        raise UserError(f"{what} hold values that are not finite in {values.dtype}; give finite numbers")


def check_embeds(embeds: torch.Tensor, bb: Backbone, clips: int, frames: int) -> None:
    """Refuses text states that are not finite, or not [2N,L,C] or [2NF,L,C] for the backbone's L and C."""
    length, width = bb.reader.length, bb.text_width
    if embeds.ndim != 3 or tuple(embeds.shape[1:]) != (length, width):
        raise UserError(f"prompt_embeds must be [rows,{length},{width}], got shape {list(embeds.shape)}")
    if len(embeds) not in (2 * clips, 2 * clips * frames if bb.frame_prompts else 2 * clips):
        raise UserError(
            f"prompt_embeds has {len(embeds)} rows; give {2 * clips}"
            + (
                f", or {2 * clips * frames} for one per frame"
                if bb.frame_prompts
                else "; this backbone reads one per clip"
            )
        )
    check_finite(embeds.to(bb.dtype), "prompt_embeds")


def frame_size(value: Any) -> tuple[int, int] | None:
    """(height, width) of frames in pixels, as plain numbers; None stays None. UserError for anything else."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise UserError(f"size must be height and width in pixels, got {short(value)}")
    height, width = (whole(side, "a side of size") for side in value)
    if min(height, width) < 1:
        raise UserError(f"size must be height and width in pixels, got {short(value)}")
    return height, width


def geometry(
    bb: Backbone,
    cases: Sequence[Case],
    latents: torch.Tensor | None,
    masks: Sequence[Any] | None,
    size: tuple[int, int] | None = None,
) -> tuple[int, int, int, int]:
    """(C,F,h,w) of the run: what latents, masks, boxes and size say, which must agree, else the backbone's defaults."""
    if size is not None:
        bb.limits.check(size)
    asked = None if size is None else tuple(side // bb.vae_scale_factor for side in size)
    grid = asked or (bb.latent_height, bb.latent_width)
    said: dict[str, int] = {}
    for case in cases:
        for index, subject in enumerate(case.subjects):
            if subject.boxes is not None and masks is None:
                said[f"the boxes of subject {index} of case {case.id}"] = bb.latent_frames(len(subject.boxes))
    for one in masks or ():
        if one.ndim != 4:
            raise UserError(f"masks must be [K,F,h,w], got shape {list(one.shape)}")
        said["the masks"], grid = one.shape[1], tuple(one.shape[2:])
    if latents is not None:
        if latents.ndim != 5 or latents.shape[:2] != (len(cases), bb.latent_channels):
            raise UserError(
                f"latents must be [{len(cases)},{bb.latent_channels},F,h,w], got shape {list(latents.shape)}"
            )
        said["the latents"] = latents.shape[2]
        if masks is not None and tuple(latents.shape[3:]) != grid:
            raise UserError(f"latents have {list(latents.shape[3:])} cells, the masks {list(grid)}; they must agree")
        grid = tuple(latents.shape[3:])
    said = said or {"the backbone's default": bb.latent_frames(bb.frames)}
    if len(set(said.values())) > 1:
        spelled = ", ".join(f"{what}: {count}" for what, count in said.items())
        raise UserError(f"the number of frames is not the same everywhere ({spelled}); give one box per frame")
    frames = next(iter(said.values()))
    if 0 in (frames, *grid):
        raise UserError(f"{frames} frames of {grid[0]} x {grid[1]} cells are no clip ({next(iter(said))})")
    if grid[0] % bb.cell or grid[1] % bb.cell:
        raise UserError(
            f"{grid[0]} x {grid[1]} latents do not make whole tokens of {bb.cell} x {bb.cell}; use another size"
        )
    if asked not in (None, grid):
        raise UserError(f"size asks for {asked[0]} x {asked[1]} cells, latents or masks have {grid[0]} x {grid[1]}")
    height, width = grid
    pixels = height * bb.vae_scale_factor, width * bb.vae_scale_factor
    bb.limits.check(pixels, (frames - 1) * bb.time_factor + 1)
    return bb.latent_channels, frames, height, width


def clip_of(
    bb: Backbone, case: Case, seed: int, suffix: str, shape: tuple[int, int, int, int], masks: torch.Tensor | None
) -> Clip:
    """A case as methods see it: its subjects' cells and boxes at latents of shape (C,f,h,w), and its noise.

    Raises:
        UserError: subjects of which some have boxes and others none, or a wrong number of masks.
    """
    _, frames, height, width = shape
    height, width = height // bb.cell, width // bb.cell
    where = f"case {case.id}"
    # Subjects of which none is placed are none to a method: `plain` needs none, the others say so.
    unplaced = masks is None and all(subject.boxes is None for subject in case.subjects)
    subjects = () if unplaced else case.subjects
    count = len(subjects)
    if masks is None:
        if any(subject.boxes is None for subject in subjects):
            raise UserError(f"{where}: a subject has no boxes; give boxes, or masks for all subjects")
        placed = np.zeros((count, frames, 4))
        cells = torch.zeros(count, frames, height, width, dtype=torch.bool)
        for index, subject in enumerate(subjects):
            placed[index] = bb.latent_boxes(tracks.check(subject.track, f"{where}, subject {index}"))
            cells[index] = torch.from_numpy(tracks.rasterise(placed[index], height, width))
    else:
        cells = masks.detach().cpu() != 0
        cells = cells[..., :: bb.cell, :: bb.cell]
        if len(cells) != count:
            raise UserError(f"{where}: {len(cells)} masks for {count} subjects; give one per subject")
        placed = _tight_boxes(cells.numpy())

    def stream(label: str) -> torch.Generator:
        # The method is not in it: all methods start from the same noise.
        key = digest({"case": case.content(), "seed": seed, "stream": label})
        return torch.Generator("cpu").manual_seed(int(key[:16], 16) >> 1)

    return Clip(case.prompt, suffix, tuple(subject.phrase for subject in subjects), cells, placed, stream)


def _tight_boxes(cells: np.ndarray) -> np.ndarray:
    """The smallest boxes around masks bool [K,F,h,w]: float64 [K,F,4] in 0..1, zeros where a mask is empty."""
    placed = np.zeros((*cells.shape[:2], 4))
    for index in np.argwhere(cells.any(axis=(2, 3))):
        rows, columns = np.nonzero(cells[tuple(index)])
        box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        placed[tuple(index)] = np.array(box) / np.array([cells.shape[3], cells.shape[2]] * 2)
    return placed
