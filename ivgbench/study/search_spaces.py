"""What the search tries: a space of settings for each method, and the run that tries them.

Every method gets the same number of settings, on the same cases, from the same noise: its defaults first (or what
stands for them on a backbone), then random draws from its own space. A method that adds one thing to another
(`BUILT_ON`) takes the other's chosen settings and searches its own alone, so that the rows of a table differ by what
they are named for. Masks are read as Peekaboo's release does. The reporting suites are never looked at.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np

from ivgbench.errors import UserError
from ivgbench.generator import settings as named_settings
from ivgbench.generator.backbones.base import family_of
from ivgbench.generator.methods.base import Method
from ivgbench.generator.methods.freetraj import FreeTraj
from ivgbench.generator.methods.intrinsic import MaskNormTID
from ivgbench.generator.methods.mask_norm import MaskNorm
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.methods.peekaboo import Masking
from ivgbench.runs.spec import MethodSpec, RunSpec

SUITES = ("pocket-tuning-static", "pocket-tuning-dynamic")
#: 730 clips: more settings on fewer cases (all settings on the same) find more than fewer on more.
TRIALS, CASES, SEED = 8, 5, 0
MASKS: dict[str, list[Any]] = {"frozen_steps": [2, 3, 4, 6, 8, 10, 12], "scope": ["official", "paper"]}
SPACES: dict[str, dict[str, list[Any]]] = {
    "peekaboo": {**MASKS, "without": [None, ("bos",), ("mid",), ("temporal",)]},
    # Without temporal edits: the released gate never opens at the pocket's sizes, so any number of steps is as none.
    "trailblazer": {
        "spatial_steps": [5, 8],
        "spatial_strengthen": [0.1, 0.3, 0.5],
        "trailing_length": [0, 2, 15],
    },
    "mask-norm": {**MASKS, "norm_self": [True, False], "norm_cross": [True, False]},
    "mask-norm-id": {
        "gamma": [0.02, 0.05, 0.1, 0.2, 0.5, 1.0],
        "inner_steps": [1, 2, 3],
        "window": [None, (0, 4), (0, 8), (4, 16)],
    },
    "mask-norm-tid": {
        "kappa": [0.03, 0.1, 0.3, 1.0],
        "gradient": ["detached", "exact"],
        "guided_steps": ["all", "frozen"],
        "crop_grid": ["mean", "max", "fixed"],
    },
    "freeinit": {
        "rounds": [2, 3, 5],
        "filter": ["butterworth", "gaussian", "ideal"],
        "d_s": [0.1, 0.25, 0.5],
        "d_t": [0.1, 0.25, 0.5],
    },
    "freetraj": {
        "ddim_edit": [2, 4, 6, 10, 15],
        "d_s": [0.1, 0.25, 0.5],
        "d_t": [0.1, 0.25, 0.5],
        "inside": ["official", "intent"],
        "logits": ["official", "intent"],
        "box_size": ["first", "frame"],
    },
    "direct-a-video": {"amplify": [5.0, 15.0, 25.0, 50.0], "tau": [0.95, 0.9, 0.8], "others": ["hidden", "open"]},
    "lvd": {
        "loss_scale": [2.5, 5.0, 10.0, 20.0],
        "threshold_fraction": [0.5, 0.75, 0.9],
        "max_iter": [1, 2, 5],
        "max_index_step": [5, 10],
        "fg_top_p": [0.25, 0.75],
        "bg_top_p": [0.25, 0.75],
        "bg_weight": [1.0, 2.0, 4.0],
        "com_loss_scale": [0.0, 0.03],
    },
    "ditraj": {"mask_steps": [5, 10, 15, 20], "rope_steps": [0, 2, 5, 10], "box_end": ["official", "inclusive"]},
}
#: method -> the one whose chosen settings it takes.
BUILT_ON = {"mask-norm-id": "mask-norm", "mask-norm-tid": "mask-norm-id"}


def start(method: str, found: dict[str, dict[str, Any]], backbone: str) -> dict[str, Any] | None:
    """What a method's settings are searched on top of; None where the search has not found it yet.

    The chosen settings of what it is built on, else what the backbone needs in place of the method's defaults.
    """
    if method in BUILT_ON:
        return found.get(BUILT_ON[method])
    return named_settings.known(backbone, method).get(named_settings.ADAPTED, {})


def settings(
    method: str, trials: int, base: dict[str, Any] | None = None, offers: frozenset[str] | None = None, seed: int = SEED
) -> list[dict[str, Any]]:
    """`trials` different settings of a method over a base, the base alone first; a shorter list starts a longer one.

    Draws that the method refuses, that leave out what it is named for, or that need what a backbone has not among its
    `offers` (None: any), are drawn again. A space that is smaller than `trials` is exhausted as far as 100 draws a
    trial go.
    """
    rng = np.random.default_rng([seed, list(SPACES).index(method)])
    base = base or {}
    found = {_what(resolve(method, base), offers): base}
    for _ in range(100 * trials):
        drawn = {name: values[rng.integers(len(values))] for name, values in SPACES[method].items()}
        options = {**base, **{name: value for name, value in drawn.items() if value is not None}}
        try:
            config = resolve(method, options)
            if offers is not None and not config.needs() <= offers:
                # What stands for the method on a backbone that lacks a part of it stays, and the rest is searched.
                options |= base
                config = resolve(method, options)
        except UserError:
            continue
        if len(found) < trials and is_itself(config) and (offers is None or config.needs() <= offers):
            found.setdefault(_what(config, offers), options)
    return list(found.values())


def _what(config: Method, offers: frozenset[str] | None) -> Hashable:
    """What tells a setting from others on a backbone: without attention of frames by themselves, as on a video DiT,
    some options say nothing, and settings that differ by nothing else make the same clips."""
    if offers is None or "frames" in offers:
        return config
    if isinstance(config, Masking):
        parts = config.parts() - {"temporal", "bos"}
        return frozenset(parts), replace(config, scope="official", without=None)
    if isinstance(config, FreeTraj) and config.ddim_edit == 0:
        return replace(config, inside="official", logits="official")
    return config


def is_itself(config: Method) -> bool:
    """Whether Mask Norm normalises anything, and the temporal prior guides any step."""
    if isinstance(config, MaskNorm) and not (config.norm_self or config.norm_cross):
        return False
    if isinstance(config, MaskNormTID) and config.guided_steps == "frozen":
        return (config.window or (0, 1))[0] < config.frozen_steps
    return True


def searched(backbone: str) -> list[str]:
    """The methods with a space that can do something on a backbone."""
    offers = family_of(backbone).offers
    return [name for name in SPACES if resolve(name, start(name, {}, backbone) or {}).needs() <= offers]


def name_of(backbone: str) -> str:
    """What a backbone's search, its run and its files are called."""
    return "search" if backbone == RunSpec.backbone else f"search-{backbone}"


def spec(trials: int, cases: int, found: dict[str, dict[str, Any]], backbone: str = RunSpec.backbone) -> RunSpec:
    """The run of a search as far as it can go: the unguided model, and the settings of methods whose base is found.

    found: method -> chosen settings.
    """
    methods, offers = [MethodSpec("plain")], family_of(backbone).offers
    for method in searched(backbone):
        if (base := start(method, found, backbone)) is not None:
            tried = settings(method, trials, base, offers)
            methods += [MethodSpec(method, one, f"{method} #{k}") for k, one in enumerate(tried)]
    # A rehearsal has its own name, or it would take the place of the search's manifest.
    name = name_of(backbone) + ("" if (trials, cases) == (TRIALS, CASES) else f"-{trials}x{cases}")
    # A search starts from the methods' own defaults, and not from what the last one found.
    return RunSpec(name, tuple(methods), backbone, SUITES, cases, settings=named_settings.DEFAULTS)
