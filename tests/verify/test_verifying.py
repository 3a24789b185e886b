"""`verify` on tiny models of every family: sound ones pass, each fault that real weights bring is found by name."""

import json
import shutil
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_backbones import ALL

from ivgbench import hub
from ivgbench.errors import UserError
from ivgbench.files import file_sha256
from ivgbench.generator.backbones import hashing, layout, presets, sources
from ivgbench.generator.backbones.base import FAMILIES
from ivgbench.generator.backbones.base import family as family_of
from ivgbench.generator.cost import Cost
from ivgbench.generator.methods.peekaboo import MaskedRun
from ivgbench.generator.sampling import Sampling
from ivgbench.runs.estimates import GPUS
from ivgbench.runs.lab import Lab
from ivgbench.verify import costs as verified_costs
from ivgbench.verify import files as verified_files
from ivgbench.verify import text as verification_text
from ivgbench.verify.costs import Measured
from ivgbench.verify.verifying import HALF, Verifier


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Family -> a folder of it."""
    return {name: maker(tmp_path_factory.mktemp("made") / name) for name, (maker, _, _) in ALL.items()}


@pytest.fixture(params=ALL)
def family(request):
    return request.param


@pytest.fixture
def folder(family, made, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(made[family], tmp_path / "model")


def verified(folder, family, *methods, dtype=None, **sampling):
    _, size, frames = ALL[family]
    asked = Sampling(steps=2, size=size, dtype=dtype, **sampling)
    return Verifier(str(folder), Lab("cpu"), asked, methods, frames).verify()


def verdicts(found):
    return {one.what: (one.verdict, one.told) for one in found.checks}


def damage(folder, part, change):
    """Changes a part's tensors in its first file: change(name, tensor) -> tensor."""
    file = layout.shards(layout.weights_file(folder, part))[0]
    tensors = {name: change(name, tensor) for name, tensor in load_file(file).items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file, {"format": "pt"})


def test_a_sound_model_passes_what_can_be_looked_at(made, family):
    found = verified(made[family], family, "peekaboo", "trailblazer", "mask-norm", "tid")
    told = verdicts(found)
    assert not found.failed, {what: one for what, one in told.items() if one[0] == "FAILED"}
    passed = {what for what, (verdict, _) in told.items() if verdict == "passed"}
    always = {"files", "load", "weights", "text", "plain", "peekaboo", "mask-norm", "tid", "half precision"}
    own = {"unet3d": {"trailblazer", "figure 2"}, "cogvideox": set()}.get(family, {"figure 2"})
    assert passed == always | own
    if family == "cogvideox":
        assert "self-attention and text attention are two" in told["figure 2"][1]
    assert "a folder that was not fetched" in told["hashes"][1] and "plan knows no speed of cpu" in told["time"][1]
    if family == "wan":
        assert (
            "needs attention within frames" in told["trailblazer"][1] and "of plain's variance" in told["figure 2"][1]
        )
    assert {row.method: row.evaluations for row in found.rows if row.evaluations != 2} == {"tid": 4}
    page = verification_text.markdown(found, "ivgbench verify X")
    assert page.count("| **passed** |") == len(passed) and hashing.weights_hash(made[family])[:16] in page
    assert "| tid | 4 |" in page and "*Not run* is no verdict" in page


def test_a_missing_file_is_named_and_nothing_else_is_pretended(folder, family):
    layout.weights_file(folder, "vae").unlink()
    found = verified(folder, family, "peekaboo")
    told = verdicts(found)
    assert told["files"][0] == "FAILED" and "vae/diffusion_pytorch_model.safetensors" in told["files"][1]
    assert {verdict for what, (verdict, _) in told.items() if what != "files"} == {"not run"}
    assert set(told) >= {"hashes", "load", "plain", "peekaboo", "memory"} and not found.rows
    assert "not whole" in verification_text.markdown(found, "x")


def test_a_folder_without_a_vae_makes_no_videos(folder, family):
    shutil.rmtree(folder / "vae")
    assert "it has no vae/" in verdicts(verified(folder, family))["files"][1]


def test_damaged_weights_cannot_be_loaded(folder, family):
    file = layout.shards(layout.weights_file(folder, "vae"))[0]
    file.write_bytes(file.read_bytes()[:200])
    told = verdicts(verified(folder, family))
    assert told["load"][0] == "FAILED" and file.name in told["load"][1]
    assert told["plain"] == ("not run", "it cannot be loaded")


def test_nan_in_the_denoisers_weights_is_found_where_it_is(folder, family):
    names = []

    def poisoned(name, tensor):
        if tensor.ndim > 1 and not names:
            names.append(name)
            return tensor.clone().index_fill_(0, torch.tensor([0]), torch.nan)
        return tensor

    damage(folder, layout.FILES[family].denoiser, poisoned)
    told = verdicts(verified(folder, family))
    assert told["weights"][0] == "FAILED" and f"{names[0]} has" in told["weights"][1]
    assert told["plain"][0] == "FAILED" and "latents are not finite after step 1" in told["plain"][1]


def test_weights_that_half_precision_cannot_hold(folder):
    # 1e5 is beyond float16, and changes little where it meets nothing: a column that no token reads.
    def large(name, tensor):
        return tensor * 1e7 if name.endswith("position_embedding.weight") else tensor

    folder = ALL["unet3d"][0](folder.parent / "half") if not (folder / "unet").is_dir() else folder
    damage(folder, "text_encoder", large)
    told = verdicts(verified(folder, "unet3d"))
    assert told["weights"][0] == "passed"
    assert told["half precision"][0] == "FAILED" and "NaN or infinite in float16" in told["half precision"][1]


def test_a_vae_that_gives_one_colour(folder, family):
    damage(folder, "vae", lambda name, tensor: tensor * 0)
    told = verdicts(verified(folder, family, "peekaboo"))
    for name in ("plain", "peekaboo"):
        assert told[name][0] == "FAILED" and "frames are of one colour" in told[name][1]


def test_a_text_encoder_that_gives_nothing(folder, family):
    damage(folder, "text_encoder", lambda name, tensor: tensor * 0)
    told = verdicts(verified(folder, family))
    assert told["text"][0] == "FAILED"
    assert "all text states are zero" in told["text"][1] and "text changes nothing" in told["text"][1]


def test_a_network_that_reads_no_text(folder, family):
    reading = {"cogvideox": "patch_embed.text_proj"}.get(family, ".attn2.to_out")
    for file in layout.shards(layout.weights_file(folder, layout.FILES[family].denoiser)):
        held = load_file(file)
        save_file({n: t * (reading not in n) for n, t in held.items()}, file, {"format": "pt"})
    told = verdicts(verified(folder, family))
    assert told["text"][0] == "FAILED" and "text changes nothing" in told["text"][1]
    assert "all text states" not in told["text"][1]


def test_latents_out_of_range(folder, family):
    last = {"unet3d": "conv_out.weight"}.get(family, "proj_out.weight")
    for file in layout.shards(layout.weights_file(folder, layout.FILES[family].denoiser)):
        held = load_file(file)
        save_file({n: t * (1e4 if n == last else 1) for n, t in held.items()}, file, {"format": "pt"})
    told = verdicts(verified(folder, family))
    assert told["plain"][0] == "FAILED" and "out of 0.05 to 20" in told["plain"][1]


def test_masks_that_touch_no_layer(made, family, monkeypatch):
    cls = family_of(family)
    monkeypatch.setattr(cls, "sites", lambda self, shape: [])
    told = verdicts(verified(made[family], family, "peekaboo"))
    assert told["peekaboo"][0] == "FAILED" and "nothing would be masked" in told["peekaboo"][1], told["peekaboo"]
    monkeypatch.undo()
    monkeypatch.setattr(MaskedRun, "edits", lambda self, step: {})
    told = verdicts(verified(made[family], family, "peekaboo"))
    assert told["peekaboo"] == ("FAILED", "its masks touch no layer")
    monkeypatch.undo()
    monkeypatch.setattr(cls, "edited", lambda self, edits, clips: nullcontext())
    told = verdicts(verified(made[family], family, "mask-norm"))
    assert told["mask-norm"][0] == "FAILED" and "change nothing: the latents are plain's" in told["mask-norm"][1]


def test_what_no_weights_could_do_is_the_users_mistake(made):
    with pytest.raises(UserError, match="the scheduler ddim is variance-preserving"):
        verified(made["wan"], "wan", scheduler="ddim")


def test_files_are_compared_with_what_the_hub_announced(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "revision", lambda source: None)
    files = hashing.read_files(folder)
    sums = {path: file_sha256(path) for path in files}
    told = {path.relative_to(folder).as_posix(): sha for path, sha in sums.items()}
    hub._write_lock("own/tiny", folder.name, told)
    assert hub.published("own/tiny", folder) == told
    monkeypatch.setattr(sources, "preset", lambda source: ("tiny", presets.Preset(hub_id="own/tiny")))
    found = verified_files.hashes("own/tiny", folder, sums)
    assert found.verdict == "passed" and found.told == f"{len(files)} files are the published ones"
    wrong = files[-1]
    found = verified_files.hashes("own/tiny", folder, {**sums, wrong: "0" * 64})
    assert found.verdict == "FAILED" and wrong.relative_to(folder).as_posix() in found.told
    (folder / "extra.json").write_text("{}")
    found = verified_files.hashes("own/tiny", folder, {**sums, folder / "extra.json": "0" * 64})
    assert found.verdict == "passed" and "no hash is known of extra.json" in found.told


def test_the_hubs_cache_knows_hashes_by_its_names(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "c0ffee"
    blobs.mkdir(), snapshot.mkdir(parents=True)
    content = b"{}"
    (tmp_path / "file").write_bytes(content)
    large, small = file_sha256(tmp_path / "file"), "9e26dfeeb6e641a33dae4961196235bdb965b21b"  # git hash-object of {}
    for name, blob in (("w.safetensors", large), ("c.json", small)):
        (blobs / blob).write_bytes(content)
        (snapshot / name).symlink_to(blobs / blob)
    assert hub.published(None, snapshot) == {"w.safetensors": large, "c.json": small}
    assert all(hub.has_hash(snapshot / name, one) for name, one in hub.published(None, snapshot).items())
    (blobs / small).write_bytes(b"[]")
    assert not hub.has_hash(snapshot / "c.json", small)


def test_configs_are_compared_with_the_published_ones(tmp_path):
    right = presets.published_architecture(presets.PRESETS["wan-1.3b"])
    for part, config in right.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps({**config, "_diffusers_version": "0.1"}))
    assert verified_files.configs("wan-1.3b", tmp_path).verdict == "passed"
    (tmp_path / "vae" / "config.json").write_text(json.dumps({**right["vae"], "z_dim": 4}))
    found = verified_files.configs("wan-1.3b", tmp_path)
    assert (found.verdict, found.told) == ("FAILED", "vae: z_dim is 4, published 16")


H100 = GPUS["h100"]
COST = Cost(4, 0, int(0.35 * 989e12), (0, 10**9, 0), (10**9, 0))  # a second of it as planned


def row(method="plain", seconds=1.0, peak=2 * 10**9):
    return Measured(method, seconds, 4, 3, peak, COST)


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(1.0, "passed"), (2.5, "passed"), (4.0, "FAILED"), (0.5, "passed"), (0.2, "FAILED")]
)
def test_time_is_judged_by_what_plan_says(seconds, verdict):
    rows = [row(seconds=60.0), row("tid", seconds), row("id", seconds)]  # the first one warms up
    found = verified_costs.against_plan(rows, "NVIDIA H100 80GB HBM3", H100, "bfloat16", False)[0]
    assert found.verdict == verdict and f"{seconds:.2g} times the time that plan says" in found.told


@pytest.mark.parametrize(("peak", "verdict"), [(2 * 10**9, "passed"), (6 * 10**9, "FAILED"), (None, "not run")])
def test_memory_is_judged_by_what_plan_says(peak, verdict):
    found = verified_costs.against_plan([row(), row("tid", peak=peak)], "x", None, "float16", False)[1]
    assert found.verdict == verdict and "plan says 2.0" in found.told


@pytest.mark.parametrize(
    ("name", "gib", "key"),
    [
        ("NVIDIA H100 80GB HBM3", 79, "h100"),
        ("NVIDIA A100-SXM4-40GB", 39.4, "a100-40gb"),
        ("NVIDIA A100-SXM4-80GB", 79, "a100-80gb"),
        ("Tesla T4", 15, "t4"),
        ("NVIDIA L4", 22, "l4"),
        ("NVIDIA L40S", 44, "l40s"),
        ("NVIDIA GeForce RTX 4090", 24, "rtx4090"),
        ("NVIDIA GeForce RTX 2060", 6, None),
    ],
)
def test_a_gpu_is_known_by_what_torch_calls_it(name, gib, key):
    assert verified_costs.known_gpu(name, gib * 2**30) == GPUS.get(key)


def test_a_gpus_name_and_size_are_torchs(monkeypatch):
    about = SimpleNamespace(name="NVIDIA H100 80GB HBM3", total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: about)
    assert verified_costs.device_facts("cuda") == (about.name, H100)
    assert verified_costs.device_facts("cpu") == ("cpu", None)


def test_the_command_writes_its_report_and_says_what_failed(made, tmp_path, command_line, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--steps", 1, "--size", "8x16", "--method", "plain", "--device", "cpu"]
    code, out, _ = command_line("verify", made["unet3d"], *small)
    page = (tmp_path / "results" / "verified" / "unet3d.md").read_text()
    assert code == 0 and "0 FAILED" in out and "`ivgbench verify" in page
    broken = shutil.copytree(made["unet3d"], tmp_path / "broken")
    damage(broken, "vae", lambda name, tensor: tensor * 0)
    code, out, _ = command_line("verify", broken, *small, "-o", "own.md")
    assert code == 1 and "FAILED" in out and "of one colour" in (tmp_path / "own.md").read_text()


@pytest.mark.parametrize("name", ["zeroscope", "modelscope", "wan-1.3b"])
def test_weights_that_are_not_here_are_one_line(name, command_line, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    code, out, err = command_line("verify", name)
    assert code == 2 and not out and f"`ivgbench fetch {name}`" in err and len(err.strip().splitlines()) == 1


def test_every_family_has_a_half_precision_to_be_looked_at_in():
    assert set(HALF) == set(FAMILIES)
