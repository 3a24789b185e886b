"""The recorder sees what the network computes, and changes nothing."""

import numpy as np
import pytest
import torch

from ivgbench.errors import UserError
from ivgbench.generator import Backbone
from ivgbench.generator.recorder import decoder_transformer, recording

STEPS = 3


@pytest.fixture(scope="module")
def watched(tiny, case, make):
    """(method, options) -> (clip, recorder)."""

    def run(method, options=None):
        with recording(tiny) as recorder:
            clip = make(case, method, options, steps=STEPS, callback=recorder.step_done)
        return clip, recorder

    return run


def test_the_variance_is_that_of_the_transformers_output(tiny, case, make, watched):
    seen = []
    layer = tiny.unet.up_blocks[1].attentions[-1]
    handle = layer.register_forward_hook(lambda module, args, output: seen.append(output[0].numpy().copy()))
    _, recorder = watched("plain")
    handle.remove()
    by_hand = [np.mean((one.astype(np.float64) - one.astype(np.float64).mean()) ** 2) for one in seen]
    assert len(by_hand) == STEPS
    np.testing.assert_allclose(recorder.variance["output"], by_hand, rtol=1e-10)


@pytest.mark.parametrize("method", ["plain", "peekaboo", "mask-norm"])
def test_the_attentions_variance_is_that_of_what_is_projected(tiny, watched, method):
    """Also where a copy of the processor looks on: it does not count."""
    seen = []
    projection = tiny.unet.get_submodule(decoder_transformer(tiny)).transformer_blocks[0].attn2.to_out[0]
    handle = projection.register_forward_pre_hook(
        lambda module, args: seen.append(float(args[0].double().var(correction=0)))
    )
    _, recorder = watched(method)
    handle.remove()
    own = iter(seen)
    assert all(value in own for value in recorder.variance["attn2"])
    assert recorder.variance["attn1"] != recorder.variance["attn2"]
    if method == "mask-norm":
        matched = recorder.outputs["attn2"]["matched"].double().var(correction=0)
        assert recorder.variance["attn2"][STEPS - 1] == pytest.approx(float(matched), rel=1e-6)


def test_recording_changes_no_value_and_leaves_no_hook(tiny, case, make, watched):
    clip, _ = watched("mask-norm", {"frozen_steps": 2})
    assert torch.equal(clip.latents, make(case, "mask-norm", {"frozen_steps": 2}, steps=STEPS).latents)
    assert not any(module._forward_hooks for module in tiny.unet.modules())


def test_inner_steps_do_not_count(watched):
    _, recorder = watched("id", {"frozen_steps": 1})
    assert all(len(values) == STEPS for values in recorder.variance.values())


def test_masks_move_the_variance_and_only_after_they_act(watched):
    plain, masked = (watched(*how)[1].variance["output"] for how in [("plain",), ("peekaboo", {"scope": "paper"})])
    assert plain[0] != masked[0]
    assert watched("peekaboo", {"frozen_steps": 0})[1].variance["output"] == plain


def test_the_matched_distribution_is_the_unmasked_one(watched):
    _, recorder = watched("mask-norm")
    assert set(recorder.outputs) == {"attn1", "attn2"}
    for outputs in recorder.outputs.values():
        matched, unmasked, masked = (outputs[k].flatten().sort().values for k in ("matched", "unmasked", "masked"))
        assert torch.equal(matched, unmasked)
        assert not torch.equal(masked, unmasked)
        order = outputs["masked"].argsort(dim=1, stable=True)
        assert (outputs["matched"].gather(1, order).diff(dim=1) >= 0).all()


def test_a_layer_that_is_not_normalised_is_left_out(watched):
    assert set(watched("mask-norm", {"norm_self": False})[1].outputs) == {"attn2"}


@pytest.mark.parametrize("method", ["plain", "peekaboo", "trailblazer"])
def test_methods_without_normalisation_have_no_matched_output(watched, method):
    assert watched(method)[1].outputs == {}


def test_the_layer_is_found_in_the_map(tiny):
    last = len(tiny.unet.up_blocks[1].attentions) - 1
    assert decoder_transformer(tiny) == decoder_transformer(tiny, 1) == f"up_blocks.1.attentions.{last}"
    with pytest.raises(UserError, match="decoder block 0 has no attention; those that have: 1"):
        decoder_transformer(tiny, 0)


def test_the_first_decoder_block_with_attention_is_recorded():
    """The coarsest one, which on the pocket lab is the first and on ZeroScope the second."""
    pocket = Backbone.from_pretrained("pocket")
    assert decoder_transformer(pocket).startswith("up_blocks.0.")
