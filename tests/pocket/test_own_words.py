"""Words that mean themselves: parts of sentences, their means, and that training takes the context out of them."""

from __future__ import annotations

import torch
from transformers import CLIPTokenizer

from ivgbench import world
from ivgbench.pocket import WEIGHTS
from ivgbench.pocket.training import own_words, text_to_video

TOKENIZER = CLIPTokenizer.from_pretrained(WEIGHTS / "text-to-video" / "tokenizer")


def test_the_parts_of_a_sentence_are_its_tokens():
    prompt = world.caption(["red star", "blue ring"], "grey")
    words = ["BOS", *prompt.split()]
    assert len(TOKENIZER(prompt).input_ids) == len(words) + 1
    found = {(meaning, " ".join(words[first:behind])) for meaning, first, behind in own_words.clauses([prompt])[0]}
    assert found == {
        ("article", "a"), ("red", "red"), ("red star", "star"), ("and", "and"), ("blue", "blue"),
        ("blue ring", "ring"), ("on", "on a"), ("grey", "grey background"),
    }  # fmt: skip


def test_a_part_has_one_state_whatever_stands_before_it_and_wherever_it_stands():
    pairs = (("red star", "blue ring"), ("blue ring", "red star"))
    prompts = [world.caption(pair, ground) for pair in pairs for ground in ("grey", "navy")]
    torch.manual_seed(0)
    states = torch.randn(4, 13, 6)
    states[1, :4], states[3, :4] = states[0, :4], states[2, :4]  # the encoder reads from left to right
    known = own_words.meanings(states, prompts)
    assert torch.allclose(known["red star"], states[0, 3:4]) and torch.allclose(known["blue"], states[2, 2:3])
    mean = (states[0, 10:12] + states[2, 10:12]) / 2
    long = (states[0, 10:12].norm(dim=-1) + states[2, 10:12].norm(dim=-1)) / 2
    assert torch.allclose(known["grey"], mean / mean.norm(dim=-1, keepdim=True) * long[:, None])
    one = own_words.wanted([world.caption(["blue ring"], "navy")], known)[0]
    two = own_words.wanted([world.caption(["red star", "blue ring"], "navy")], known)[0]
    assert one.shape == (7, 6) and two.shape == (11, 6)
    assert torch.equal(one[1:], torch.cat([two[5:7], two[7:]]))


def test_leak_is_context_over_meaning():
    prompts = [world.caption([subject], ground) for subject in ("red star", "blue ring") for ground in ("grey", "navy")]
    states = torch.zeros(4, 9, 1)
    states[:, 6:8, 0] = torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None]  # the background alone
    assert own_words.leak(states, prompts) == 0
    states[:, 6:8, 0] += torch.tensor([3.0, 3.0, -3.0, -3.0])[:, None]  # and thrice the subject
    assert abs(own_words.leak(states, prompts) - 9) < 1e-5


def test_training_takes_the_context_out(monkeypatch):
    subjects = ["red star", "blue ring", "green square", "white circle"]
    ones = [world.caption([one], ground) for one in subjects for ground in ("grey", "navy", "teal")]
    twos = [world.caption([one, other], ground) for one in subjects for other in subjects if one != other
            for ground in ("grey", "navy", "teal")]  # fmt: skip
    monkeypatch.setattr(own_words, "all_prompts", lambda: (ones, twos))
    torch.manual_seed(0)
    encoder = text_to_video.TextToVideo(TOKENIZER).text_encoder
    with torch.no_grad():  # an untrained encoder hardly mixes its words
        for layer in encoder.encoder.layers if hasattr(encoder, "encoder") else encoder.text_model.encoder.layers:
            layer.self_attn.v_proj.weight.mul_(20)

    def leak() -> float:
        ids = TOKENIZER(ones, padding="max_length", max_length=16, return_tensors="pt").input_ids
        with torch.no_grad():
            return own_words.leak(encoder(ids).last_hidden_state, ones)

    before = leak()
    own_words.train(encoder, TOKENIZER, steps=80)
    assert leak() < before / 3
