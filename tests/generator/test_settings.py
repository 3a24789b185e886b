"""Named settings: what the file says, what a name means on a backbone, and that a name changes no clip."""

import dataclasses

import pytest
import torch

from ivgbench.errors import UserError
from ivgbench.generator import generate, generate_batch, settings
from ivgbench.generator.methods.options import resolve
from ivgbench.registry import METHODS

PLACES = ["pocket", "zeroscope"]


@pytest.fixture
def on_tiny(tiny, monkeypatch):
    """The tiny backbone with settings of its own, and a search's among them."""
    file = {
        settings.ANY: {"peekaboo": {"paper": {"frozen_steps": 1}}},
        "mine": {"peekaboo": {"tuned": {"scope": "paper"}}},
    }
    monkeypatch.setattr(settings, "_file", lambda: file)
    monkeypatch.setattr(tiny, "name", "mine")
    return tiny


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", METHODS.builtin())
def test_every_setting_in_the_file_is_one_that_its_method_takes(place, method):
    known = settings.known(place, method)
    assert known[settings.DEFAULTS] == {} and next(iter(known)) == settings.default(place, method)
    for name, options in known.items():
        assert settings.resolve(place, method, name) == resolve(method, options)


def test_a_backbone_without_a_search_runs_the_methods_own_defaults():
    assert settings.backbones() == ["pocket", "pocket-dit"]
    for method in METHODS.builtin():
        assert settings.default("zeroscope", method) == settings.DEFAULTS
        assert settings.resolve("zeroscope", method) == resolve(method)
        assert "tuned" not in settings.known("some-folder", method)


def test_the_papers_and_the_releases_settings_leave_nothing_to_a_default():
    for method in METHODS.builtin():
        for name in ("paper", "released"):
            if name not in (known := settings.known("zeroscope", method)):
                continue
            config = resolve(method, known[name])
            free = [one.name for one in dataclasses.fields(config) if one.name not in known[name]]
            assert all(getattr(config, one) is None for one in free), (method, name, free)
    assert "released" not in settings.known("pocket", "tid")
    assert settings.resolve("pocket", "peekaboo", "released").frozen_steps == 2
    assert settings.resolve("pocket", "trailblazer", "released").spatial_strengthen == 0.125


def test_a_backbone_on_which_a_release_means_nothing_runs_adapted_settings():
    assert settings.default("pocket", "lvd") in (settings.ADAPTED, settings.TUNED)
    assert settings.known("pocket", "lvd")[settings.ADAPTED]["maps"] == "half-and-quarter"
    assert settings.ADAPTED not in settings.known("zeroscope", "lvd")


def test_a_search_goes_before_what_is_adapted(monkeypatch):
    file = {settings.ANY: {}, "mine": {"lvd": {"adapted": {"max_iter": 1}}, "peekaboo": {"adapted": {}, "tuned": {}}}}
    monkeypatch.setattr(settings, "_file", lambda: file)
    assert settings.default("mine", "lvd") == settings.ADAPTED == next(iter(settings.known("mine", "lvd")))
    assert settings.resolve("mine", "lvd").max_iter == 1
    assert list(settings.known("mine", "peekaboo")) == ["tuned", "adapted", "defaults"]


def test_aliases_have_the_settings_of_their_method():
    assert settings.known("pocket", "tid") == settings.known("pocket", "mask-norm-tid")


@pytest.mark.parametrize(
    ("method", "name", "words"),
    [
        (
            "peekaboo",
            "papr",
            "method 'peekaboo' has no settings 'papr' on mine; it has tuned, paper, defaults; did you",
        ),
        ("tid", "tuned", "method 'mask-norm-tid' has no settings 'tuned' on mine; it has defaults"),
        ("peekaboo", "", "no settings '' on mine; it has"),
        ("peekaboo", 3, "no settings 3 on mine; it has"),
        ("plain", "papr", "method 'plain' has no settings 'papr' on mine; it has .*tuned"),
    ],
)
def test_unknown_settings_are_one_line_with_those_that_there_are(on_tiny, case, method, name, words):
    with pytest.raises(UserError, match=words) as refused:
        generate(on_tiny, case, method, settings=name, output="latent")
    assert "\n" not in str(refused.value)


def test_a_method_without_options_goes_along_with_every_name(on_tiny):
    for name in (None, "tuned", "paper", "defaults"):
        assert settings.resolve("mine", "plain", name) == resolve("plain")


def test_options_go_on_top_and_what_settings_bring_along_is_told(on_tiny):
    assert settings.resolve("mine", "peekaboo", None, {"frozen_steps": 2}).scope == "paper"
    assert settings.resolve("mine", "peekaboo", "tuned", {"scope": "official"}) == resolve("peekaboo")
    with pytest.raises(
        UserError, match=r"no part 'bos'.*\(settings 'tuned' have scope=paper; others .*paper, defaults"
    ):
        settings.resolve("mine", "peekaboo", None, {"without": ["bos"]})
    for options, words in (({"gama": 1}, "no option 'gama'"), (["scope"], "must be a mapping")):
        with pytest.raises(UserError, match=words) as refused:
            settings.resolve("mine", "peekaboo", None, options)
        assert "settings 'tuned'" not in str(refused.value)


def test_generate_takes_the_backbones_settings_and_a_name_changes_no_clip(on_tiny, make, case):
    silent, named = make(case, "peekaboo"), make(case, "peekaboo", settings="tuned")
    spelled = make(case, "peekaboo", {"scope": "paper"}, settings="defaults")
    assert torch.equal(silent.latents, named.latents) and torch.equal(silent.latents, spelled.latents)
    own = make(case, "peekaboo", settings="defaults")
    assert not torch.equal(own.latents, silent.latents)
    assert torch.equal(make(case, "peekaboo", {"scope": "official"}).latents, own.latents)


def test_a_batch_that_is_made_clip_by_clip_keeps_its_settings(on_tiny, case):
    latents = torch.randn(2, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    how = dict(method_options={"norm_cross": False}, steps=1, guidance_scale=4.0, output="latent", settings="loud")
    file = settings._file() | {"mine": {"mask-norm": {"loud": {"scope": "official"}}}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "_file", lambda: file)
        together = generate_batch(on_tiny, [case, case], "mask-norm", seeds=[0, 1], latents=latents, **how)
        alone = generate(on_tiny, case, "mask-norm", seed=1, latents=latents[1:], **how)
        other = generate(on_tiny, case, "mask-norm", seed=1, latents=latents[1:], **{**how, "settings": None})
    assert torch.equal(together[1].latents, alone.latents) and not torch.equal(alone.latents, other.latents)


def test_options_in_print_are_as_the_command_line_takes_them():
    said = {"a": 0.50, "b": True, "c": None, "d": ("x", "y"), "e": 1e-5, "f": "paper"}
    assert settings.spelled(said) == "a=0.5, b=true, c=none, d=[x, y], e=1e-05, f=paper"
