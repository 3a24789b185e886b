"""Against what the official implementations of Peekaboo and TrailBlazer computed (tests/golden)."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ivgbench.cases import Case, Subject
from ivgbench.generator import Backbone, generate
from ivgbench.generator.methods.trailblazer import spatial_edit, temporal_edit


def relative(ours, theirs):
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def peekaboo(bb, arrays, meta):
    case = Case("golden", meta["prompt"], (Subject(meta["fg_prompt"], None),))
    return generate(
        bb,
        case,
        method="peekaboo",
        method_options={"frozen_steps": meta["frozen_steps"]},
        steps=meta["num_inference_steps"],
        guidance_scale=meta["guidance_scale"],
        latents=torch.from_numpy(arrays["init_latents"]),
        masks=arrays["mask0"].transpose(1, 0, 2, 3),
        prompt_embeds=torch.from_numpy(arrays["text_embeds"]),
        output="latent",
        return_trajectory=True,
    )


@pytest.mark.parametrize("name", ["c02_moving_f2", pytest.param("c05_subword_f4", marks=pytest.mark.slow)])
def test_peekaboo_is_the_official_one_in_float64(name, golden, tiny64):
    arrays, meta = golden(f"peekaboo/{name}")
    ours = peekaboo(tiny64, arrays, meta).trajectory.numpy()[arrays["steps"]]
    assert max(map(relative, ours, arrays["all_latents"])) <= 1e-10


@pytest.mark.parametrize("name", ["c02_moving_f2", "c05_subword_f4"])
def test_peekaboo_is_the_official_one_in_float32(name, golden, tiny):
    arrays, meta = golden(f"peekaboo/{name}")
    ours = peekaboo(tiny, arrays, meta).trajectory.numpy()[arrays["steps"]]
    assert relative(ours, arrays["all_latents"]) <= 1e-4


@pytest.mark.slow
def test_plain_is_the_official_pipeline(golden, tiny64):
    arrays, meta = golden("peekaboo/c02_moving_f2")
    clip = peekaboo(tiny64, arrays, meta | {"frozen_steps": 0})
    assert relative(clip.latents.numpy(), arrays["vanilla_final_latents"]) <= 1e-10


def test_prompts_are_encoded_as_officially(golden, tiny):
    arrays, meta = golden("peekaboo/c02_moving_f2")
    assert tiny.token_ids(meta["prompt"]) == arrays["prompt_ids"].tolist()
    assert np.abs(tiny.encode_prompt(["", meta["prompt"]]).numpy() - arrays["text_embeds"]).max() < 3e-6


def unit_boxes(meta):
    first, last = (np.array(key["bbox_ratios"]) for key in meta["keyframe"])
    return np.stack([first + (last - first) * frame / 3 for frame in range(4)])


@pytest.mark.parametrize("precision", ["f32", "f16"])
def test_trailblazer_edits_bit_for_bit(precision, golden):
    arrays, meta = golden("trailblazer/edit_units")
    probs = {name: torch.from_numpy(arrays[f"{name}_{precision}"]) for name in ("sp_in", "sp_out", "tm_in", "tm_out")}
    # The fixture keeps those token columns that are edited or hold the largest value.
    words = len(meta["keyframe"][0]["prompt"].split())
    tokens = {*meta["token_inds"], *range(words + 1, words + 1 + meta["trailblazer"]["trailing_length"])}
    assert arrays["token_columns"][: max(tokens) + 1].tolist() == list(range(max(tokens) + 1))
    spatial = spatial_edit(probs["sp_in"], unit_boxes(meta), tokens, meta["strengthen"], meta["weaken"])
    assert spatial.dtype == probs["sp_out"].dtype and torch.equal(spatial, probs["sp_out"])
    temporal = temporal_edit(probs["tm_in"], unit_boxes(meta), meta["strengthen"], meta["weaken"])
    assert temporal.dtype == probs["tm_out"].dtype and torch.equal(temporal, probs["tm_out"])


ALL_FIXTURES = os.environ.get("IVGBENCH_GOLDEN")


@pytest.mark.slow
@pytest.mark.skipif(not ALL_FIXTURES, reason="set IVGBENCH_GOLDEN to the folder of all golden fixtures (not shipped)")
@pytest.mark.parametrize("name", ["static", "moving3keys"])
def test_trailblazer_is_the_official_one(name):
    folder = Path(ALL_FIXTURES)
    arrays = np.load(folder / "trailblazer" / f"{name}.npz", allow_pickle=False)
    meta = json.loads(str(arrays["meta"]))
    bundle, theirs = meta["bundle"], meta["bundle"]["trailblazer"]
    options = {
        "spatial_steps": theirs["num_dd_spatial_steps"],
        "temporal_steps": theirs["num_dd_temporal_steps"],
        "spatial_strengthen": theirs["spatial_strengthen_scale"],
        "spatial_weaken": theirs["spatial_weaken_scale"],
        "temporal_strengthen": theirs["temp_strengthen_scale"],
        "temporal_weaken": theirs["temp_weaken_scale"],
        "trailing_length": theirs["trailing_length"],
        "token_indices": bundle["token_inds"],
    }
    clip = generate(
        Backbone.from_pretrained(folder / meta["model"], dtype=torch.float64),
        Case("golden", bundle["keyframe"][0]["prompt"], (Subject(None, arrays["bbox_per_frame"]),)),
        method="trailblazer",
        method_options=options,
        steps=meta["num_inference_steps"],
        guidance_scale=meta["guidance_scale"],
        scheduler="dpm",
        latents=torch.from_numpy(arrays["init_latents"]),
        prompt_embeds=torch.from_numpy(arrays["prompt_embeds"]),
        output="latent",
        return_trajectory=True,
    )
    assert relative(clip.trajectory.numpy(), arrays["latents_at_steps_f64"]) <= 1e-5


@pytest.mark.parametrize("gate", ["official", "intent"])
def test_trailblazer_still_does_what_met_the_official_trajectories(gate, golden, tiny64, case, make):
    """Recorded from this implementation when it met the official ones (test above) to 2.2e-6."""
    arrays, _ = golden("trailblazer/recorded")
    options = {"spatial_steps": 1, "temporal_steps": 2, "temporal_gate": gate}
    # Without masks the run has the boxes themselves, not the masks' tight boxes.
    clip = make(case, "trailblazer", options, bb=tiny64, masks=None, scheduler="dpm", latents=start(arrays), steps=3)
    assert relative(clip.latents.numpy(), arrays[gate]) <= 1e-9


def start(arrays):
    return torch.from_numpy(arrays["init_latents"])
