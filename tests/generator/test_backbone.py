import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler
from safetensors.torch import load_file, save_file

from ivgbench import load_suite
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate
from ivgbench.generator.backbones import hashing, presets, sources
from ivgbench.generator.foresight import Foresight


@pytest.fixture(scope="module")
def complete(tiny_folder, tmp_path_factory):
    """The tiny model with a random VAE, the denoiser's weights stored in half precision."""
    folder = tmp_path_factory.mktemp("backbones") / "complete"
    shutil.copytree(tiny_folder, folder)
    torch.manual_seed(0)
    AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=4,
    ).save_pretrained(folder / "vae")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(weights).items()}, weights, metadata={"format": "pt"})
    return folder


def test_a_complete_folder_makes_a_video(complete, case):
    bb = Backbone.from_pretrained(complete)
    assert (bb.name, bb.vae_scale_factor, bb.default_steps, bb.default_guidance) == ("complete", 4, 40, 9.0)
    assert (bb.latent_channels, bb.latent_height, bb.latent_width, bb.height, bb.width) == (4, 32, 32, 128, 128)
    assert {parameter.dtype for parameter in bb.unet.parameters()} == {torch.float32}
    assert not bb.unet.training and not any(parameter.requires_grad for parameter in bb.vae.parameters())
    latents = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    clip = generate(bb, case, method="plain", steps=1, latents=latents)
    assert clip.video.shape == (3, 32, 48, 3) and clip.video.dtype == np.uint8 and clip.video.std() > 0


def test_frames_decode_alike_in_any_slice(complete, monkeypatch):
    bb = Backbone.from_pretrained(complete)
    latents = torch.randn(1, 4, 5, 4, 6)
    whole = bb.decode(latents)
    monkeypatch.setattr("ivgbench.generator.backbones.unet3d.DECODE_SLICE", 2)
    assert np.abs(bb.decode(latents).astype(int) - whole.astype(int)).max() <= 1


def test_the_hash_is_of_the_files_that_count(complete, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(complete, folder)
    before = hashing.weights_hash(folder)
    assert before == hashing.weights_hash(complete) == Backbone.from_pretrained(complete).weights_hash
    (folder / "README.md").write_text("a card")
    assert hashing.weights_hash(folder) == before
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"steps_offset": 0}))
    assert hashing.weights_hash(folder) != before


def test_missing_files_are_named(complete, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(complete, folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "vae" / "config.json").unlink()
    with pytest.raises(UserError, match=r"unet/diffusion_pytorch_model.safetensors, vae/config.json"):
        Backbone.from_pretrained(folder)


def test_weights_without_some_tensors_are_refused(complete, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(complete, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    del tensors["conv_in.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lack 1 tensors, e.g. conv_in.weight"):
        Backbone.from_pretrained(folder)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no such place", "neither a folder"),
        ("./nowhere/at/all", "neither a folder"),
        ("nobody/nothing", "ivgbench fetch"),
    ],
)
def test_unknown_sources_say_what_to_do(source, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=message):
        sources.locate(source)


def test_a_missing_pocket_says_so(monkeypatch, tmp_path):
    monkeypatch.setitem(presets.POCKETS, "pocket", tmp_path / "nothing")
    with pytest.raises(UserError, match="no weights here"):
        sources.locate("pocket")


def test_named_backbones_know_their_own_defaults():
    assert sources.preset("cerspense/zeroscope_v2_576w")[0] == "zeroscope"
    known = presets.PRESETS["zeroscope"]
    assert (known.frames, known.height, known.width, known.steps, known.guidance) == (24, 320, 576, 40, 9)


@pytest.mark.parametrize("part", ["unet/diffusion_pytorch_model.bin", "text_encoder/pytorch_model.bin"])
def test_a_pickle_that_holds_more_than_tensors_is_not_run(tiny_folder, tmp_path, part):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_folder, folder)
    next((folder / part).parent.glob("*.safetensors")).unlink()
    torch.save({"weight": Trap()}, folder / part)
    with pytest.raises(UserError, match=f"{part}: cannot be loaded as"):
        Backbone.from_pretrained(folder)
    assert not Trap.sprung


class Trap:
    sprung = False

    def __reduce__(self):
        return Trap.spring, ()

    @staticmethod
    def spring():
        Trap.sprung = True


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", ["plain", "peekaboo", "trailblazer", "tid", "direct-a-video"])
def test_every_method_runs_in_half_precision(complete, case, dtype, method):
    bb = Backbone.from_pretrained(complete, dtype=dtype)
    latents = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    clip = generate(bb, case, method=method, steps=2, guidance_scale=4.0, latents=latents)
    assert clip.latents.dtype == dtype and clip.latents.isfinite().all()
    assert clip.video.dtype == np.uint8 and clip.video.std() > 0


def test_half_precision_makes_nearly_the_same_latents():
    star = load_suite("static").cases[0]
    whole, half = (
        generate(Backbone.from_pretrained("pocket", dtype=dtype), star, "peekaboo", steps=2, output="latent").latents
        for dtype in (torch.float32, torch.bfloat16)
    )
    difference = (half.float() - whole).norm() / whole.norm()
    assert 0.001 < difference < 0.1  # 0.04: what eight bits of mantissa leave after two steps


def test_offloaded_parts_are_on_the_device_only_while_they_work(complete, case, monkeypatch):
    bb = Backbone.from_pretrained(complete, offload=True)
    moves = []
    for name, part in bb.modules().items():
        monkeypatch.setattr(part, "to", lambda place, name=name: moves.append((name, str(place))), raising=False)
    bb.device = "there"
    for wanted in ("text_encoder", "unet", "vae"):
        moves.clear()
        bb.bring(wanted)
        assert moves[-1] == (wanted, "there")
        assert sorted(moves[:-1]) == sorted((name, "cpu") for name in bb.modules() if name != wanted)


def test_offloading_changes_no_pixel(complete, case):
    options = dict(method="peekaboo", steps=2, latents=torch.randn(1, 4, 3, 8, 12))
    clips = [
        generate(Backbone.from_pretrained(complete, offload=offload), case, **options) for offload in (False, True)
    ]
    assert torch.equal(clips[0].latents, clips[1].latents) and np.array_equal(clips[0].video, clips[1].video)


def test_an_unknown_device_is_a_users_error(tiny_folder):
    with pytest.raises(UserError, match="device 'nonsense'"):
        Backbone.from_pretrained(tiny_folder, device="nonsense")


def test_the_dpm_scheduler_does_not_inherit_ddims_defaults(tiny):
    tiny_config = dict(tiny.scheduler_config)
    try:
        del tiny.scheduler_config["timestep_spacing"]
        assert tiny.scheduler("dpm").config.timestep_spacing == "linspace"
        assert tiny.scheduler("ddim").config.timestep_spacing == "leading"
    finally:
        tiny.scheduler_config.update(tiny_config)
    assert type(tiny.scheduler()) is DDIMScheduler


def test_planning_needs_no_torch():
    code = "import sys, ivgbench.generator.backbones.sources; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("dtype", ["float32", torch.int32, None])
def test_a_dtype_is_one_of_torch(tiny_folder, dtype):
    with pytest.raises(UserError, match="dtype must be a floating-point dtype of torch"):
        Backbone.from_pretrained(tiny_folder, dtype=dtype)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("text_encoder/config.json", "[]"),
        ("text_encoder/config.json", '{"max_position_embeddings": "77"}'),
        ("text_encoder/config.json", '{"max_position_embeddings": 2}'),
        ("scheduler/scheduler_config.json", "null"),
        ("tokenizer/vocab.json", "{"),
        ("tokenizer/merges.txt", "\x00\xff"),
        ("tokenizer/tokenizer_config.json", "[]"),
        ("tokenizer/tokenizer_config.json", '{"model_max_length": "long"}'),
        ("unet/config.json", "null"),
    ],
)
def test_damaged_files_of_a_folder_are_one_line(tiny_folder, tmp_path, file, content):
    folder = shutil.copytree(tiny_folder, tmp_path / "damaged")
    (folder / file).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError) as refused:
        Backbone.from_pretrained(folder)
    assert str(folder / file.split("/")[0]) in str(refused.value) and "\n" not in str(refused.value)
    if not file.startswith("unet"):
        with pytest.raises(UserError):
            Foresight(str(folder))


@pytest.mark.parametrize("size", ["x", [1], [1, 2, 3], [8, "x"], -1, 1.5])
def test_a_sample_size_is_one_or_two_numbers(size):
    with pytest.raises(UserError, match="sample_size must be"):
        presets.frame_size(presets.Preset(), {"sample_size": size}, 8)
    assert presets.frame_size(presets.Preset(), {"sample_size": [4, 5]}, 8) == (32, 40)
    assert presets.frame_size(presets.Preset(), {}, 8) == (256, 256)
