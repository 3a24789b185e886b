"""The pocket lab's padding is empty where its folder says so, and nobody else's ever is."""

import shutil

import pytest
import torch

from ivgbench.errors import UserError
from ivgbench.files import write_json
from ivgbench.generator import Backbone
from ivgbench.generator.backbones import fetching, hashing, layout, presets, sources
from ivgbench.generator.backbones.text_states import emptied_after_words

TEXTS = ["", "a red star on a grey background", " ".join(["star"] * 90)]


def folder_that_says(tmp_path, told):
    """The pocket's weights with another word on its text states; None for no word."""
    folder = tmp_path / "text-to-video"
    shutil.copytree(presets.POCKET_FOLDER, folder)
    (folder / hashing.TEXT_STATES).unlink(missing_ok=True)
    if told is not None:
        write_json(folder / hashing.TEXT_STATES, told)
    return folder


@pytest.mark.parametrize("keep_end", [False, True])
def test_states_from_the_first_end_on_are_zero_and_the_others_stay(keep_end):
    states = torch.randn(4, 5, 3)
    ids = torch.tensor([[1, 5, 9, 9, 9], [1, 9, 0, 0, 9], [1, 2, 3, 4, 5], [1, 2, 3, 4, 9]])
    out = emptied_after_words(states, ids, 9, keep_end)
    for row, kept in enumerate((3, 2, 5, 5) if keep_end else (2, 1, 5, 4)):
        assert torch.equal(out[row, :kept], states[row, :kept])
        assert not out[row, kept:].any()


def test_the_pockets_padding_is_empty_and_the_unconditional_prompts_too(tmp_path):
    full = Backbone.from_pretrained(folder_that_says(tmp_path / "full", None))
    empty = Backbone.from_pretrained(folder_that_says(tmp_path / "empty", {"empty_padding": True}))
    assert empty.empty_padding and not full.empty_padding
    before, after = full.encode_prompt(TEXTS), empty.encode_prompt(TEXTS)
    # Words and BOS stay; a prompt that was cut to length still has its end token.
    for row, kept in enumerate((1, 8, 76)):
        assert torch.equal(after[row, :kept], before[row, :kept])
        assert before[row, kept:].abs().sum() > 0
        assert (after[row, kept:] == 0).all()


def test_a_folder_that_says_nothing_or_no_is_encoded_as_ever(tmp_path):
    silent = Backbone.from_pretrained(folder_that_says(tmp_path / "silent", None))
    no = Backbone.from_pretrained(folder_that_says(tmp_path / "no", {"empty_padding": False}))
    ids = torch.tensor([silent.token_ids(text) for text in TEXTS])
    states = silent.text_encoder(ids).last_hidden_state
    assert torch.equal(silent.encode_prompt(TEXTS), states) and torch.equal(no.encode_prompt(TEXTS), states)


def test_the_word_is_part_of_the_weights_identity(tmp_path):
    hashes = {hashing.weights_hash(folder_that_says(tmp_path / str(i), told)) for i, told in
              enumerate((None, {"empty_padding": True}, {"empty_padding": False}))}  # fmt: skip
    assert len(hashes) == 3


def test_weights_of_the_hub_never_have_empty_padding(tmp_path):
    folder = folder_that_says(tmp_path, {"empty_padding": True})
    assert hashing.empty_padding(folder, presets.PRESETS["pocket"])
    for source in ("zeroscope", "modelscope", "damo-vilab/text-to-video-ms-1.7b", "someone/else"):
        assert not hashing.empty_padding(folder, sources.preset(source)[1]), source
    wanted = fetching.to_fetch(
        [f"{part}/{name}" for part, names in layout.FILES["unet3d"].configs.items() for name in names]
        + [f"{part}/{names[0]}" for part, names in layout.FILES["unet3d"].weights.items()]
        + [hashing.TEXT_STATES]
    )
    assert hashing.TEXT_STATES not in wanted


@pytest.mark.parametrize("told", [{}, [], {"empty_padding": 1}, {"empty_padding": True, "more": 1}, "yes"])
def test_a_word_that_is_not_understood_is_refused(tmp_path, told):
    folder = folder_that_says(tmp_path, told)
    with pytest.raises(UserError, match=r"text_states\.json.*empty_padding"):
        Backbone.from_pretrained(folder)
    (folder / hashing.TEXT_STATES).write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        hashing.empty_padding(folder, presets.PRESETS["pocket"])
