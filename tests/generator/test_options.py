"""Names and options of the methods."""

import dataclasses
import inspect
import json

import pytest

from ivgbench.errors import UserError
from ivgbench.generator import generate
from ivgbench.generator.methods.options import resolve
from ivgbench.registry import METHODS


@pytest.mark.parametrize("name", METHODS.builtin())
def test_every_config_is_plain_data_and_survives_json(name):
    config = resolve(name)
    assert config.name == name and isinstance(config.version, int)
    options = json.loads(json.dumps(dataclasses.asdict(config)))
    assert resolve(name, options) == config


def test_aliases_are_the_same_method():
    assert resolve("tid") == resolve("mask-norm-tid") and resolve("id") == resolve("mask-norm-id")


def test_an_option_may_be_a_name_or_a_list():
    layers = [["down", 1, 0], ["up", 2, 1]]
    config = resolve("lvd", {"maps": layers, "max_iter": [1, 2] * 5})
    assert config.maps == (("down", 1, 0), ("up", 2, 1)) and config.max_iter == (1, 2) * 5
    assert resolve("lvd", json.loads(json.dumps(dataclasses.asdict(config)))) == config
    assert resolve("lvd", {"maps": "half-and-quarter"}).maps == "half-and-quarter"


def test_integers_become_floats_where_a_float_is_meant():
    assert repr(resolve("id", {"gamma": 1}).gamma) == "1.0"
    assert resolve("id", {"window": [0, 3]}).window == (0, 3)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("peekabo", {}, "did you mean 'peekaboo'"),
        ("peekaboo", {"frozen_step": 2}, "did you mean 'frozen_steps'"),
        ("plain", {"frozen_steps": 2}, "known: none"),
        ("peekaboo", {"frozen_steps": 2.5}, "expected int"),
        ("peekaboo", {"frozen_steps": True}, "expected int"),
        ("peekaboo", {"frozen_steps": -1}, "out of range"),
        ("peekaboo", {"scope": "oficial"}, "'official', 'paper'"),
        ("mask-norm", {"norm_self": 1}, "expected bool"),
        ("id", {"gamma": 2.5}, "between 0 and 2"),
        ("id", {"gamma": float("nan")}, "out of range"),
        ("id", {"window": [1, 2, 3]}, "list of 2"),
        ("id", {"window": [3, 2]}, "ends before it starts"),
        ("id", {"gamma": 10**400}, "10000.* is out of range; use a value between 0 and 2"),
        ("id", {"gamma": -(10**5000)}, "too long to print is out of range"),
        ("tid", {"kappa": 10**400}, "out of range; use a value >= 0"),
        ("tid", {"kappa": float("inf")}, "out of range"),
        ("peekaboo", {"frozen_steps": 10**400}, "out of range"),
        ("peekaboo", {"scope": "x" * 400}, "xxx... is not allowed"),
        ("peekaboo", {"words": "words"}, "'official', 'place'"),
        ("id", {"window": [0, 10**400]}, "out of range"),
        ("trailblazer", {"token_indices": [0]}, "between 1 and 76"),
        ("trailblazer", {"token_indices": "2"}, "expected a list, got"),
    ],
)
def test_wrong_options_are_refused(method, options, message):
    with pytest.raises(UserError, match=message):
        resolve(method, options)


MASKS = {
    "frozen_steps": 4, "scope": "paper", "without": None, "bind": "all-words", "mask": "additive", "words": "official",
}  # fmt: skip
MASK_NORM = {**MASKS, "norm_self": True, "norm_cross": True}
ID = {**MASK_NORM, "gamma": 0.1, "inner_steps": 1, "window": None}
FILTER = {"filter": "butterworth", "order": 4.0, "d_s": 0.25, "d_t": 0.25, "filter_rule": "official"}
PINNED = {
    ("plain", 1): {},
    ("peekaboo", 1): {**MASKS, "scope": "official"},
    ("trailblazer", 1): {
        "spatial_steps": 5, "temporal_steps": 5, "spatial_strengthen": 0.1, "spatial_weaken": 0.001,
        "temporal_strengthen": 0.1, "temporal_weaken": 0.001, "trailing_length": 15, "token_indices": None,
        "words": "official", "temporal_gate": "official", "integration_steps": 20, "integration_region": "official",
    },
    ("mask-norm", 1): MASK_NORM,
    ("mask-norm-id", 1): ID,
    ("mask-norm-tid", 1): {
        **ID, "kappa": 0.1, "c_g": None, "gradient": "detached", "guided_steps": "all", "crop_grid": "mean",
    },
    ("freeinit", 1): {**FILTER, "rounds": 5, "fast": False, "base": "plain", "base_options": None},
    ("freetraj", 1): {
        **FILTER, "d_t": 0.1, "ddim_edit": 6, "noise": True, "tokens": None, "words": "official", "inside": "official",
        "logits": "official", "box_size": "first",
    },
    ("direct-a-video", 1): {
        "amplify": 25.0, "tau": 0.95, "background": None, "others": "hidden", "prompt": "clean", "words": "place",
    },
    ("lvd", 1): {
        "loss_scale": 5.0, "loss_threshold": 200.0, "threshold_fraction": None, "max_iter": 5, "max_index_step": 10,
        "fg_top_p": 0.75, "bg_top_p": 0.75, "fg_weight": 1.0, "bg_weight": 4.0, "com_loss_scale": 0.0,
        "maps": "official", "words": "place",
    },
    ("ditraj", 1): {
        "mask_steps": 30, "rope_steps": 5, "foreground": "{phrase}, close-up", "background": None,
        "box_end": "official",
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "version"), PINNED)
def test_defaults_belong_to_a_version(name, version):
    # A job's id leaves out options at their default. A new option is added here with the default that changes no
    # pixel; a default that changes raises the method's version, and is a new line.
    config = resolve(name)
    assert config.version == version and dataclasses.asdict(config) == PINNED[name, version]


NAMES = {
    "peekaboo": "frozen_steps scope bind words",
    "trailblazer": "spatial_steps temporal_steps spatial_strengthen spatial_weaken temporal_strengthen temporal_weaken "
    "trailing_length token_indices temporal_gate words",
    "mask-norm": "frozen_steps scope norm_self norm_cross",
    "mask-norm-id": "frozen_steps scope norm_self norm_cross gamma inner_steps window",
    "mask-norm-tid": "frozen_steps scope norm_self norm_cross gamma inner_steps window kappa c_g gradient",
    "freeinit": "rounds filter order d_s d_t fast filter_rule base",
    "freetraj": "ddim_edit noise filter order d_s d_t tokens words inside logits box_size",
    "direct-a-video": "amplify tau background others prompt words",
    "lvd": "loss_scale loss_threshold threshold_fraction max_iter max_index_step fg_top_p bg_top_p fg_weight bg_weight "
    "com_loss_scale maps words",
    "ditraj": "mask_steps rope_steps foreground background box_end",
}


@pytest.mark.parametrize("method", NAMES)
def test_options_keep_their_names(method):
    """Run files, notebooks and command lines hold them."""
    assert set(NAMES[method].split()) <= {one.name for one in dataclasses.fields(resolve(method))}


def test_generate_keeps_its_arguments():
    arguments = inspect.signature(generate).parameters
    assert list(arguments)[:2] == ["bb", "case"]
    defaults = {name: one.default for name, one in list(arguments.items())[2:]}
    nothing = ("method_options", "steps", "guidance_scale", "scheduler", "latents", "masks", "prompt_embeds")
    assert defaults.items() >= {"method": "tid", "seed": 0, "output": "video", "return_trajectory": False}.items()
    assert all(defaults[name] is None for name in nothing)
    assert defaults["negative_prompt"] == defaults["prompt_suffix"] == ""
