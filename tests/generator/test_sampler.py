import dataclasses

import numpy as np
import pytest
import torch

from ivgbench import boxes
from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import generate, generate_batch


def test_the_same_request_gives_the_same_bits(case, make):
    assert torch.equal(make(case, "tid", seed=3).latents, make(case, "tid", seed=3).latents)


def test_seed_and_case_change_the_noise_and_the_id_does_not(case, make):
    latents = make(case).latents
    assert not torch.equal(make(case, seed=1).latents, latents)
    assert torch.equal(make(dataclasses.replace(case, id="renamed", metadata={"a": 1})).latents, latents)
    other = dataclasses.replace(case, prompt=case.prompt + " today")
    embeds = torch.zeros(2, 77, 32)
    assert not torch.equal(make(other, prompt_embeds=embeds).latents, make(case, prompt_embeds=embeds).latents)


def test_arrays_and_lists_are_as_good_as_tensors(case, make, tiny):
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    masks = np.stack([boxes.rasterise(s.boxes, 8, 12) for s in case.subjects])
    given = {"latents": start, "masks": torch.from_numpy(masks), "prompt_embeds": tiny.encode_prompt(["", case.prompt])}
    once = make(case, "peekaboo", seed=3, **given).latents
    assert torch.equal(
        make(case, "peekaboo", seed=np.int64(3), **{k: v.numpy() for k, v in given.items()}).latents, once
    )
    assert torch.equal(make(case, "peekaboo", **given | {"masks": masks.tolist()}).latents, once)
    assert torch.equal(make(case, seed=np.int64(3)).latents, make(case, seed=3).latents)


def test_an_array_may_run_backwards_and_come_from_another_machine(case, make):
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0)).numpy()
    once = make(case, latents=start).latents
    assert torch.equal(make(case, latents=start[..., ::-1].copy()[..., ::-1]).latents, once)
    assert torch.equal(
        make(case, latents=start.astype(">f4"), steps=np.int64(2)).latents, make(case, latents=start, steps=2).latents
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": 3}, "the prompt of case small must be a text"),
        ({"prompt": "a \ud800"}, "the prompt of case small: .* half a character"),
        ({"subjects": (Subject(3, None),)}, "a subject's phrase of case small must be a text"),
        ({"subjects": ({"phrase": "dog"},)}, "case 0 must be an ivgbench.Case"),
    ],
)
def test_a_case_of_other_things_is_refused(case, tiny, change, message):
    with pytest.raises(UserError, match=message):
        generate(tiny, dataclasses.replace(case, **{"id": "small", **change}), output="latent")
    with pytest.raises(UserError, match="case 0 must be an"):
        generate(tiny, {"prompt": "a dog"}, output="latent")


def test_what_is_given_once_for_each_clip_is_a_list(case, tiny):
    for given, what in (({"seeds": 3}, "seeds"), ({"seeds": "0"}, "seeds"), ({"masks": torch.tensor(1)}, "masks")):
        with pytest.raises(UserError, match=f"{what} must be a list"):
            generate_batch(tiny, [case], output="latent", **given)
    with pytest.raises(UserError, match="cases must be a list"):
        generate_batch(tiny, None, output="latent")
    with pytest.raises(UserError, match="masks must be an array"):
        generate_batch(tiny, [case], output="latent", masks=[None])
    one = generate_batch(tiny, iter([case]), "plain", seeds=iter([1]), steps=1, output="latent")
    assert torch.equal(one[0].latents, generate(tiny, case, "plain", seed=1, steps=1, output="latent").latents)


def test_global_random_state_plays_no_part(case, make):
    torch.manual_seed(0)
    first = make(case, "id").latents
    torch.manual_seed(1)
    assert torch.equal(make(case, "id").latents, first)


def test_a_batch_agrees_with_single_clips(case, two, make, tiny):
    other = Case("other", "a dog on the grass", (Subject("dog", case.subjects[0].boxes[::-1]),))
    masks = [np.stack([boxes.rasterise(s.boxes, 8, 12) for s in one.subjects]) for one in (case, other, two)]
    # The random network doubles differences with every step, guidance too: a trained one does not.
    settings = dict(steps=2, guidance_scale=1.5)
    for method, tolerance in (("plain", 1e-5), ("peekaboo", 1e-5), ("tid", 0)):
        batch = generate_batch(
            tiny, [case, other, two], method, seeds=[0, 1, 2], masks=masks, output="latent", **settings
        )
        for seed, (one, clip) in enumerate(zip((case, other, two), batch, strict=True)):
            alone = make(one, method, seed=seed, **settings)
            assert (clip.latents - alone.latents).abs().max() <= tolerance * alone.latents.abs().max()
            assert clip.nfe == alone.nfe


def test_a_batch_of_trailblazer_agrees_with_single_clips(case, tiny):
    other = Case("other", "a dog on the grass", (Subject("dog", case.subjects[0].boxes[::-1]),))
    latents = torch.randn(2, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    settings = dict(method_options={"temporal_gate": "intent"}, steps=2, guidance_scale=1.5, output="latent")
    batch = generate_batch(tiny, [case, other], "trailblazer", seeds=[0, 0], latents=latents, **settings)
    for index, one in enumerate((case, other)):
        alone = generate(tiny, one, "trailblazer", latents=latents[index : index + 1], **settings)
        assert (batch[index].latents - alone.latents).abs().max() <= 1e-5 * alone.latents.abs().max()


def test_trajectory_and_callback(case, make):
    told = []
    clip = make(case, steps=3, return_trajectory=True, callback=lambda *at: told.append(at))
    assert clip.trajectory.shape == (3, 4, 3, 8, 12) and torch.equal(clip.trajectory[-1], clip.latents[0])
    assert told == [(1, 3), (2, 3), (3, 3)] and clip.video is None
    assert make(case).trajectory is None


def test_per_frame_prompts(case, make, tiny):
    embeds = tiny.encode_prompt(["", case.prompt])
    whole = make(case, "peekaboo", prompt_embeds=embeds).latents
    repeated = embeds.repeat_interleave(3, dim=0)
    assert torch.equal(make(case, "peekaboo", prompt_embeds=repeated).latents, whole)
    repeated[4] = tiny.encode_prompt(["a dog"])[0]
    changed = make(case, "peekaboo", prompt_embeds=repeated).latents
    assert not torch.equal(changed, whole)
    assert not tiny.unet.up_blocks[1]._forward_pre_hooks
    with pytest.raises(UserError, match="prompt_embeds has 5 rows"):
        make(case, prompt_embeds=repeated[:5])


def test_prompt_suffix_and_negative_prompt_matter(case, make):
    plain = make(case).latents
    assert not torch.equal(make(case, prompt_suffix=" , green").latents, plain)
    assert not torch.equal(make(case, negative_prompt="dog").latents, plain)


def test_schedulers(case, make, tiny):
    results = [make(case, scheduler=which, steps=3).latents for which in (None, "dpm")]
    assert not torch.equal(*results)
    assert torch.equal(make(case, scheduler="ddim", steps=3).latents, results[0])
    instance = tiny.scheduler("dpm")
    assert torch.equal(make(case, scheduler=instance, steps=3).latents, results[1])
    assert instance.num_inference_steps is None
    assert tiny.scheduler("dpm").config.final_sigmas_type == "sigma_min"
    with pytest.raises(UserError, match="unknown scheduler"):
        make(case, scheduler="euler")


def test_masks_say_the_same_as_the_boxes_they_come_from(case, make, tiny):
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    from_boxes = make(case, "peekaboo", masks=None, latents=start)
    assert torch.equal(make(case, "peekaboo", latents=start).latents, from_boxes.latents)
    unplaced = dataclasses.replace(case, subjects=(Subject("zebra", None),))
    masks = torch.zeros(1, 3, 8, 12, dtype=torch.bool)
    masks[:, :, 2:5, 3:9] = True
    assert torch.isfinite(make(unplaced, "tid", masks=masks).latents).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": np.ones((1, 4, 8, 12)), "latents": torch.zeros(1, 4, 3, 8, 12)}, "number of frames"),
        ({"masks": None, "latents": torch.zeros(1, 4, 5, 8, 12)}, "number of frames"),
        ({"masks": np.ones((2, 3, 8, 12))}, "2 masks for 1 subjects"),
        ({"masks": np.ones((3, 8, 12))}, "masks must be"),
        ({"latents": torch.zeros(1, 4, 3, 8, 10)}, "cells"),
        ({"latents": torch.zeros(1, 3, 3, 8, 12)}, "latents must be"),
        ({"steps": 0}, "at least 1"),
        ({"steps": True}, "steps must be a whole number"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"steps": torch.tensor([1, 2])}, "steps must be a whole number"),
        ({"seed": None}, "a seed must be a whole number, got None"),
        ({"seed": 10**5000}, "a seed must be a whole number"),
        ({"method": None}, "a method is named by a text, got None"),
        ({"options": ["gamma"]}, "options must be a mapping"),
        ({"options": {3: 1}}, "no option 3"),
        ({"negative_prompt": None}, "negative_prompt must be a text, got None"),
        ({"negative_prompt": "\ud800"}, "negative_prompt: .* half a character"),
        ({"prompt_suffix": 3}, "prompt_suffix must be a text, got 3"),
        ({"masks": np.zeros((1, 0, 8, 12))}, "0 frames of 8 x 12 cells are no clip"),
        ({"masks": None, "latents": torch.zeros(1, 4, 3, 8, 0)}, "3 frames of 8 x 0 cells are no clip"),
        ({"latents": torch.zeros(1, 4, 3, 8, 12, dtype=torch.complex64)}, "latents must be an array of real numbers"),
        ({"latents": torch.zeros(1, 4, 3, 8, 12).to_sparse()}, "latents must be an array of real numbers"),
        ({"masks": np.ones((1, 3, 8, 12), np.complex64)}, "masks must be an array of real numbers"),
        ({"masks": np.full((1, 3, 8, 12), np.nan)}, "masks hold values that are not finite"),
        ({"masks": np.full((1, 3, 8, 12), np.inf)}, "masks hold values that are not finite"),
        ({"callback": "x"}, "callback must be a function, got 'x'"),
        ({"return_trajectory": "no"}, "return_trajectory must be True or False, got 'no'"),
        ({"return_trajectory": np.ones(2)}, "return_trajectory must be True or False"),
        ({"scheduler": 3}, "scheduler"),
        ({"guidance_scale": "3"}, "guidance_scale must be a finite number, got '3'"),
        ({"output": "gif"}, "output must be"),
        ({"output": "video"}, "no VAE"),
        ({"method": "trailblazer", "guidance_scale": 1.0}, "guidance_scale > 1"),
        ({"guidance_scale": float("nan")}, "guidance_scale must be a finite number"),
        ({"guidance_scale": 10**400}, "guidance_scale must be a finite number"),
        ({"guidance_scale": "high"}, "guidance_scale must be a finite number, got 'high'"),
        ({"latents": torch.full((1, 4, 3, 8, 12), float("nan"))}, "latents hold values that are not finite"),
        ({"latents": torch.full((1, 4, 3, 8, 12), float("inf"))}, "latents hold values that are not finite"),
        ({"latents": torch.full((1, 4, 3, 8, 12), 1e300, dtype=torch.float64)}, "not finite in torch.float32"),
        ({"latents": [["noise"]]}, "latents must be an array of numbers"),
        ({"latents": [[1.0], [1.0, 2.0]]}, "latents must be an array of numbers"),
        ({"prompt_embeds": torch.full((2, 77, 32), float("nan"))}, "prompt_embeds hold values that are not finite"),
        ({"prompt_embeds": torch.zeros(2, 77)}, "prompt_embeds must be .rows,77,32., got shape .2, 77."),
        ({"prompt_embeds": torch.zeros(2, 77, 31)}, "prompt_embeds must be"),
        ({"prompt_embeds": torch.zeros(2, 10, 32)}, "prompt_embeds must be"),
        ({"prompt_embeds": torch.zeros(0, 77, 32)}, "prompt_embeds has 0 rows; give 2, or 6"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, message, case, make):
    with pytest.raises(UserError, match=message):
        make(case, **change)


def test_a_backbone_is_loaded_before_it_is_used(case):
    with pytest.raises(UserError, match=r"Backbone.from_pretrained gives it, got 'pocket'"):
        generate("pocket", case)


def test_subjects_with_different_frame_counts_are_refused(case, make):
    odd = dataclasses.replace(case, subjects=(*case.subjects, Subject("dog", case.subjects[0].boxes[:2])))
    with pytest.raises(UserError, match="number of frames"):
        make(odd, masks=None, latents=torch.zeros(1, 4, 3, 8, 12))


def test_without_boxes_there_is_a_plain_clip_and_no_other(case, make, tiny):
    unplaced = dataclasses.replace(case, subjects=(Subject("zebra", None),))
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    plain = make(unplaced, masks=None, latents=start).latents
    assert torch.equal(plain, make(case, latents=start).latents)
    for method in ("peekaboo", "trailblazer", "tid"):
        with pytest.raises(UserError, match="no subject; give a phrase and boxes"):
            make(unplaced, method, masks=None, latents=start)
    half = dataclasses.replace(case, subjects=(*case.subjects, Subject("dog", None)))
    with pytest.raises(UserError, match="a subject has no boxes"):
        make(half, masks=None, latents=start)


@pytest.mark.parametrize("method", ["plain", "peekaboo", "tid"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"prompt_embeds": torch.zeros(2, 77, 32)}, "prompt_embeds has 2 rows; give 4, or 12"),
        ({"prompt_embeds": torch.zeros(5, 77, 32)}, "prompt_embeds has 5 rows; give 4, or 12"),
        ({"prompt_embeds": torch.zeros(8, 77, 32)}, "prompt_embeds has 8 rows"),
        ({"prompt_embeds": torch.zeros(4, 32)}, "prompt_embeds must be"),
        ({"prompt_embeds": np.array(1.0)}, "prompt_embeds must be"),
        ({"latents": torch.zeros(1, 4, 3, 8, 12)}, "latents must be .2,4,F,h,w."),
        ({"latents": torch.full((2, 4, 3, 8, 12), float("nan"))}, "not finite"),
        ({"steps": 1000}, "cannot make 1000 steps"),
    ],
)
def test_a_batch_is_refused_alike_whether_the_method_batches(method, given, message, case, tiny, monkeypatch):
    monkeypatch.setattr(tiny.unet, "forward", None)
    masks = [np.ones((1, 3, 8, 12), dtype=bool)] * 2
    with pytest.raises(UserError, match=message):
        generate_batch(tiny, [case, case], method, seeds=[0, 1], masks=masks, output="latent", **{"steps": 2} | given)


def test_latents_that_become_infinite_say_where(case, make, tiny, monkeypatch):
    forward = tiny.unet.conv_out.forward
    monkeypatch.setattr(tiny.unet.conv_out, "forward", lambda x: forward(x) * float("inf"))
    with pytest.raises(FloatingPointError, match="step 1 of 2, method 'peekaboo'"):
        make(case, "peekaboo")
