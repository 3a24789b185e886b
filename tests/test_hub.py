"""Fetching from a hub, with the hub's own client, against a server on this machine: what is downloaded is checked."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ivgbench import cli, hub
from ivgbench.errors import UserError
from ivgbench.generator import Backbone
from ivgbench.generator.backbones import fetching, presets, sources

pytest.importorskip("huggingface_hub")
import tiny_ltx
from fake_hub import COMMIT, served
from huggingface_hub import constants

TINY = Path(__file__).parent / "golden" / "tiny_t2v"


@pytest.fixture
def repository(tmp_path):
    """A small backbone as ZeroScope is published: pickled weights, and files that no one needs."""
    folder = tmp_path / "repository"
    shutil.copytree(TINY, folder)
    for safe, pickled in (
        ("unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.bin"),
        ("text_encoder/model.safetensors", "text_encoder/pytorch_model.bin"),
    ):
        torch.save(load_file(folder / safe), folder / pickled)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "vae").mkdir()
    (folder / "vae" / "config.json").write_text("{}")
    (folder / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"weights")
    (folder / "README.md").write_text("a card")
    (folder / "zs2_576w.pth").write_bytes(b"the same again, in another format")
    return folder


@pytest.fixture
def online(monkeypatch, tmp_path):
    """A function: address -> the hub's client talks to it, with a cache of its own."""

    def point(address):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    return point


def fetch(capsys, monkeypatch, what):
    """(exit code, stdout, stderr) of `ivgbench fetch WHAT`."""
    monkeypatch.setattr(sys, "argv", ["ivgbench", "fetch", what])
    with pytest.raises(SystemExit) as left:
        cli.main()
    told = capsys.readouterr()
    return left.value.code or 0, told.out, told.err


def test_a_backbone_is_fetched_locked_and_found(repository, online, capsys, monkeypatch):
    with served("own/tiny", repository) as (address, asked):
        online(address)
        with pytest.raises(UserError, match=r"not on this machine: missing tokenizer/vocab.json.*fetch own/tiny"):
            sources.locate("own/tiny")
        code, out, _ = fetch(capsys, monkeypatch, "own/tiny")
    assert code == 0 and COMMIT in out and "weights" in out
    wanted = [path for path in asked if "/resolve/" in path]
    assert all(COMMIT in path for path in wanted)
    assert not [path for path in wanted if "README" in path or ".pth" in path]
    # Of two formats the safe one is fetched.
    assert not [path for path in wanted if "text_encoder/pytorch_model.bin" in path]
    lock = json.loads((hub.home() / "lock.json").read_text())["own/tiny"]
    assert lock["revision"] == COMMIT and len(lock["files"]["unet/diffusion_pytorch_model.bin"]) == 64
    assert sources.revision("own/tiny") == COMMIT and sources.revision("pocket") is None
    folder = sources.locate("own/tiny")  # the server is gone: nothing is asked
    assert folder.name == COMMIT
    assert (folder / "unet" / "diffusion_pytorch_model.bin").read_bytes() == (
        repository / "unet" / "diffusion_pytorch_model.bin"
    ).read_bytes()


def test_pickled_weights_load_as_the_safe_ones_do(repository):
    shutil.rmtree(repository / "vae")
    (repository / "text_encoder" / "model.safetensors").unlink()
    pickled, safe = Backbone.from_pretrained(repository), Backbone.from_pretrained(TINY)
    for part in ("unet", "text_encoder"):
        ours, theirs = getattr(pickled, part).state_dict(), getattr(safe, part).state_dict()
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_other_bytes_than_announced_are_refused(repository, online, monkeypatch, capsys):
    with served("own/tiny", repository) as (address, _):
        online(address)
        weights = repository / "unet" / "diffusion_pytorch_model.bin"
        weights.write_bytes(b"x" * weights.stat().st_size)  # after the listing was made
        code, _, err = fetch(capsys, monkeypatch, "own/tiny")
    assert code == 2 and "unet/diffusion_pytorch_model.bin is damaged" in err and err.count("\n") == 1
    assert hub.locked_revision("own/tiny") is None


def test_changed_small_files_are_refused_too(repository, online):
    with served("own/tiny", repository) as (address, _):
        online(address)
        config = repository / "unet" / "config.json"
        config.write_text(config.read_text().replace("0", "1"))
        with pytest.raises(UserError, match=r"unet/config\.json is damaged"):
            fetching.fetch("own/tiny")


def test_a_repository_of_another_kind_is_named(repository, online):
    (repository / "scheduler" / "scheduler_config.json").unlink()
    with served("own/tiny", repository) as (address, asked):
        online(address)
        with pytest.raises(UserError, match=r"no text-to-video model.*scheduler/scheduler_config\.json"):
            fetching.fetch("own/tiny")
    assert not any("/resolve/" in path for path in asked)


def test_a_preset_is_fetched_at_its_own_commit(repository, online):
    with served("cerspense/zeroscope_v2_576w", repository) as (address, asked):
        online(address)
        fetching.fetch("zeroscope")
    assert any(f"/revision/{presets.PRESETS['zeroscope'].revision}" in path for path in asked)


def test_a_fetched_model_of_another_family_is_run_as_one(repository, online, tmp_path):
    """A hub id that no preset has is known by its files once they are here, and has the commit that was fetched."""
    other = tmp_path / "other"
    tiny_ltx.write(other)
    with served("own/ltx", other) as (address, _):
        online(address)
        fetching.fetch("own/ltx")
    found, preset = sources.preset("own/ltx")
    assert (found, preset.family, preset.frames, preset.hub_id) == ("ltx", "ltx", 161, "own/ltx")
    assert sources.revision("own/ltx") == COMMIT and sources.locate("own/ltx").name == COMMIT


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("own/nothing", "cannot fetch own/nothing"),
        ("pocket", "nothing to fetch for 'pocket'"),
        ("./folder", "nothing to fetch"),
    ],
)
def test_what_cannot_be_fetched_is_one_line(what, words, online, capsys, monkeypatch):
    with served("own/tiny", TINY) as (address, _):
        online(address)
        code, _, err = fetch(capsys, monkeypatch, what)
    assert code == 2 and words in err and err.count("\n") == 1


def test_without_a_network_it_says_so(online, capsys, monkeypatch):
    online("http://127.0.0.1:9")
    code, _, err = fetch(capsys, monkeypatch, "zeroscope")
    assert code == 2 and "cannot fetch cerspense/zeroscope_v2_576w" in err and err.count("\n") == 1


@pytest.mark.parametrize("name", ["zeroscope", "modelscope", "cerspense/zeroscope_v2_576w"])
def test_missing_weights_are_one_line_with_files_and_remedy(name, online):
    online("http://127.0.0.1:9")
    with pytest.raises(UserError) as fault:
        sources.locate(name)
    said = str(fault.value)
    assert "\n" not in said and f"ivgbench fetch {name}" in said
    assert "unet/diffusion_pytorch_model.safetensors" in said
