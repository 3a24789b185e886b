"""What a folder of weights is run as."""

import json
import shutil
from dataclasses import replace

import pytest
import tiny_cogvideox
import tiny_ltx

from ivgbench.errors import UserError
from ivgbench.generator.backbones import fetching, layout, presets, sources


def test_a_folder_with_the_pockets_words_is_the_pocket(tmp_path):
    folder = tmp_path / "trained-tonight"
    (folder / "tokenizer").mkdir(parents=True)
    shutil.copy(presets.POCKET_FOLDER / "tokenizer" / "vocab.json", folder / "tokenizer")
    assert sources.preset(str(folder)) == ("pocket", presets.PRESETS["pocket"])
    assert sources.preset(str(presets.POCKET_FOLDER)) == sources.preset("pocket")
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    assert sources.preset(str(folder)) == ("trained-tonight", presets.Preset())


def test_other_sources_are_what_they_were(tmp_path, tiny_folder):
    assert sources.preset(str(tiny_folder)) == ("tiny_t2v", presets.Preset())
    assert sources.preset(str(tmp_path / "nothing"))[0] == "nothing"
    assert sources.preset("owner/name")[1].hub_id == "owner/name"
    assert sources.preset(presets.PRESETS["zeroscope"].hub_id)[0] == "zeroscope"


def test_published_models_are_run_at_their_own_size():
    told = {name: presets.PRESETS[name] for name in ("cogvideox-2b", "cogvideox-5b", "ltx-video")}
    shown = {n: (p.frames, p.height, p.width, p.steps, p.guidance, p.family) for n, p in told.items()}
    assert shown["cogvideox-2b"] == shown["cogvideox-5b"] == (49, 480, 720, 50, 6.0, "cogvideox")
    assert shown["ltx-video"] == (161, 512, 704, 50, 3.0, "ltx")
    assert sources.preset("THUDM/CogVideoX-5b")[0] == "cogvideox-5b"
    for name, preset in told.items():
        assert layout.family_of_parts(sources.architecture(name)) == preset.family
        assert len(preset.revision) == 40 and set(preset.revision) <= set("0123456789abcdef")


def test_a_namesake_has_no_architecture_of_a_preset():
    with pytest.raises(UserError, match="not on this machine"):
        sources.architecture("somebody/ltx-video")


@pytest.mark.parametrize(("made", "usual"), [(tiny_cogvideox, "cogvideox-2b"), (tiny_ltx, "ltx-video")])
def test_a_folder_of_a_family_is_run_as_its_published_model(made, usual, tmp_path):
    folder = made.write(tmp_path / "mine")
    known = presets.PRESETS[usual]
    assert sources.preset(str(folder)) == ("mine", replace(known, hub_id=None, revision=None))


@pytest.mark.parametrize("tokenizer", ["tokenizer.json", "spiece.model"])
def test_what_is_fetched_of_sharded_models_with_either_tokenizer(tokenizer):
    shards = [f"text_encoder/model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    needed = [
        f"tokenizer/{tokenizer}", *shards, "text_encoder/config.json", "text_encoder/model.safetensors.index.json",
        "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors", "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json", "model_index.json",
    ]  # fmt: skip
    there = [*needed, "ltx-video-2b-v0.9.safetensors", "README.md", "tokenizer/added_tokens.json"]
    assert sorted(fetching.to_fetch(there)) == sorted(needed)
    with pytest.raises(UserError, match=r"it has no tokenizer/tokenizer\.json"):
        fetching.to_fetch([name for name in there if not name.startswith("tokenizer/")])


@pytest.mark.parametrize("index", [{"transformer": ["diffusers", ["x"]]}, {"_class_name": "X", "transformer": [None]}])
def test_an_index_of_no_family_is_one_line(index, tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="of no family that can be loaded: unet3d, wan, cogvideox, ltx"):
        layout.family(tmp_path)
