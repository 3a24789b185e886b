"""Which tokens are a subject's, and what the text encoder never reads of it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from ivgbench.cases import Case, Subject
from ivgbench.errors import UserError
from ivgbench.generator import Backbone, generate
from ivgbench.generator.foresight import Foresight
from ivgbench.generator.methods import peekaboo
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.methods.trailblazer import phrase_positions
from ivgbench.generator.sampling import PLAIN, Sampling
from ivgbench.generator.words import Reader

#: Every word is one token of the pocket's tokenizer.
WORDS = "a red star on a grey background"
NEED_WORDS = ["direct-a-video", "lvd", "peekaboo", "mask-norm", "mask-norm-id", "mask-norm-tid", "trailblazer"]


@pytest.fixture(scope="module")
def pocket():
    from ivgbench.generator.backbones.presets import POCKET_FOLDER

    return Reader(POCKET_FOLDER)


def late(count: int, phrase: str = "red star") -> str:
    """A prompt in which so many tokens stand before the phrase."""
    return " ".join(["grey"] * count + [phrase])


def test_places_are_token_positions(pocket, tiny):
    assert pocket.places(WORDS, "red star") == [range(2, 4)] and pocket.places(WORDS, "blue star") == []
    assert pocket.places(f"{WORDS}, a Red  Star", "red star") == [range(2, 4), range(10, 12)]
    (zebra,) = tiny.places("a dog and a zebra", "zebra")
    ids = tiny.phrase_ids("a dog and a zebra")
    assert [ids[at] for at in zebra] == tiny.phrase_ids("zebra")[1:-1] and len(zebra) > 1


@pytest.mark.parametrize(
    ("prompt", "phrase"),
    [
        ("a re\u200bd star", "red star"),
        ("a cafe\u0301 star", "café star"),
        ("a red\u2028star", "red star"),
        ("一颗红色的星星在灰色背景上", "红色的星星"),
    ],
)
def test_places_are_where_the_phrase_stands_however_it_is_spelled(pocket, prompt, phrase):
    (place,) = pocket.places(prompt, phrase)
    spans = pocket.tokenizer(prompt, return_offsets_mapping=True)["offset_mapping"]
    first, stop = spans[place.start][0], spans[place.stop - 1][1]
    assert prompt[first] == phrase[0] and prompt[stop - 1] == phrase[-1]


def test_one_text_in_two_normal_forms_is_read_alike(pocket):
    for ids in (pocket.token_ids, pocket.phrase_ids):
        assert ids("a cafe\u0301") == ids("a café")


def bound(reader, prompt, phrase, binding):
    return peekaboo._tokens(reader, prompt, phrase, binding).nonzero().flatten().tolist()


def test_the_release_binds_equal_tokens_and_place_those_of_the_phrase(pocket):
    prompt = "a star and a red star"
    assert bound(pocket, prompt, "a red star", "official") == [1, 2, 4, 5, 6]
    assert bound(pocket, prompt, "a red star", "place") == [4, 5, 6]
    assert bound(pocket, prompt, "star", "place") == [2, 6], "all its places"
    assert bound(pocket, prompt, "blue", "place") == bound(pocket, prompt, None, "place") == []


def test_trailblazer_finds_tokens_by_row_or_by_place(tiny):
    # "dog" is one token that no other word here has a part in; "a" stands alone twice.
    prompt = "a dog and a zebra"
    assert phrase_positions(tiny, prompt, "a") == phrase_positions(tiny, prompt, "a", "place") == {1, 4}
    assert phrase_positions(tiny, prompt, "zebra", "place") == phrase_positions(tiny, prompt, "zebra")
    # Ids in a row need not be the word: the tiny vocabulary spells unknown characters with one and the same id.
    assert len(phrase_positions(tiny, "一 二", "一")) > len(phrase_positions(tiny, "一 二", "一", "place")) > 0


@pytest.mark.parametrize("method", ["peekaboo", "mask-norm", "tid", "trailblazer"])
def test_place_is_an_option_that_changes_nothing_by_default(method, make, case):
    start = torch.randn(1, 4, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    twice = Case("twice", "a dog and a dog", (Subject("a dog", case.subjects[0].boxes),))
    apart = Case("apart", "a zebra and a dog", (Subject("a dog", case.subjects[0].boxes),))
    for one, same in ((twice, True), (apart, method == "trailblazer")):
        by = [make(one, method, options, latents=start).latents for options in ({}, {"words": "place"})]
        assert torch.equal(*by) == same
        assert torch.equal(make(one, method, {"words": "official"}, latents=start).latents, by[0])


@pytest.mark.parametrize(("places", "own", "length"), [(20, 77, 20), (77, 20, 20), (20, None, 20)])
def test_the_encoder_reads_the_shorter_of_two_lengths(tiny_folder, tmp_path, places, own, length):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_folder, folder)
    config = folder / "text_encoder" / "config.json"
    config.write_text("\ufeff" + json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": places}))
    said = folder / "tokenizer" / "tokenizer_config.json"
    if own is None:
        said.unlink()
    else:
        said.write_text(json.dumps(json.loads(said.read_text()) | {"model_max_length": own}))
    reader = Reader(folder)
    assert reader.length == len(reader.token_ids("a dog")) == length


@pytest.mark.parametrize("method", NEED_WORDS)
@pytest.mark.parametrize(
    ("before", "words"),
    [(75, "comes after them (tokens 76 to 77)"), (74, "is cut in half there"), (73, None), (300, "comes after them")],
)
def test_a_subject_that_is_not_read_is_refused_by_what_needs_its_words(pocket, method, before, words):
    config = resolve(method)
    for checked in (config, resolve(method, {"words": "place"})):
        if words is None:
            checked.check_words(pocket, late(before), "", ("red star",))
            continue
        with pytest.raises(UserError, match="the first 75 tokens of a prompt, and 'red star'") as refused:
            checked.check_words(pocket, late(before), "", ("red star",))
        assert words in str(refused.value) and str(refused.value).startswith(f"{config.name}: ")


def test_what_needs_no_words_asks_for_none(pocket):
    said = (pocket, late(90), "", ("red star",))
    resolve("plain").check_words(*said)
    resolve("peekaboo", {"frozen_steps": 0}).check_words(*said)
    resolve("peekaboo", {"without": ("cross",)}).check_words(*said)
    resolve("trailblazer", {"spatial_steps": 0}).check_words(*said)
    resolve("trailblazer", {"token_indices": [2]}).check_words(*said)
    # No phrase, or one that is not in the prompt: the door of research, see `rules`.
    resolve("tid").check_words(pocket, late(90), "", (None, "blue ring"))


def test_one_place_that_is_read_is_enough(pocket):
    resolve("peekaboo").check_words(pocket, f"red star {late(90)}", "", ("red star",))


def test_of_several_subjects_each_counts(pocket):
    for method in ("peekaboo", "trailblazer"):
        with pytest.raises(UserError, match="'blue ring' comes after"):
            resolve(method).check_words(pocket, f"red star {late(90, 'blue ring')}", "", ("red star", "blue ring"))
    # Composition makes each from its phrase alone, which may be too long by itself.
    long = late(76)
    with pytest.raises(UserError, match="cut in half"):
        resolve("trailblazer").check_words(pocket, f"red star {long}", "", ("red star", long))


def test_the_suffix_counts(pocket):
    config = resolve("peekaboo")
    config.check_words(pocket, late(73), ", high quality", ("red star",))
    with pytest.raises(UserError, match="suffix 'fish' runs into 'red star'; begin it with a space"):
        config.check_words(pocket, WORDS[:10], "fish", ("red star",))


@pytest.mark.parametrize(("method", "option"), [("peekaboo", "place"), ("trailblazer", "place")])
def test_a_phrase_that_is_other_tokens_alone_is_bound_by_place_only(pocket, method, option):
    prompt, phrase = "a re\u200bd on grey", "red"
    with pytest.raises(UserError, match="set the option words to 'place'"):
        resolve(method).check_words(pocket, prompt, "", (phrase,))
    resolve(method, {"words": option}).check_words(pocket, prompt, "", (phrase,))


def test_generate_refuses_before_any_work(make, case, tiny, monkeypatch):
    monkeypatch.setattr(tiny.text_encoder, "forward", None)
    monkeypatch.setattr(tiny.unet, "forward", None)
    unread = Case("late", " ".join(["dog"] * 80) + " zebra", case.subjects)
    for method in NEED_WORDS:
        with pytest.raises(UserError, match="'zebra' comes after them"):
            make(unread, method)


def test_what_needs_no_words_makes_a_clip(make, case):
    unread = Case("late", " ".join(["dog"] * 80) + " zebra", case.subjects)
    assert torch.isfinite(make(unread).latents).all()
    assert torch.isfinite(make(unread, "peekaboo", {"frozen_steps": 0}).latents).all()


FOUR = Sampling(4, scheduler="ddim").over(PLAIN)


def test_foresight_names_the_case_and_looks_at_equal_requests_once(case, monkeypatch):
    foresight = Foresight("pocket")
    config = resolve("peekaboo")
    with pytest.raises(UserError, match=r"case x: peekaboo: .* or leave the case out"):
        foresight.check(config, Case("x", late(90), (Subject("red star", np.ones((8, 4))),)), FOUR)
    with pytest.raises(UserError, match="DDIMScheduler cannot make 1000 steps"):
        foresight.check(config, case, replace(FOUR, steps=1000))
    looked = []
    monkeypatch.setattr(type(config), "check_words", lambda self, *said: looked.append(said[1:]))
    for other in (case, Case("another", case.prompt, case.subjects)):
        foresight.check(config, other, FOUR)
    assert looked == [(case.prompt, "", ("zebra",))]


def test_a_backbone_with_another_length_reads_so_far(tiny_folder, tmp_path, case):
    folder = tmp_path / "short"
    shutil.copytree(tiny_folder, folder)
    file = folder / "tokenizer" / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_max_length": 12}))
    bb = Backbone.from_pretrained(folder)
    assert bb.encode_prompt(["a dog"]).shape[1] == 12
    settings = dict(steps=1, output="latent", latents=torch.zeros(1, 4, 3, 8, 12))
    assert torch.isfinite(generate(bb, case, "tid", **settings).latents).all()
    with pytest.raises(UserError, match="token_indices 12 is beyond the 12 tokens that are read"):
        generate(bb, case, "trailblazer", {"token_indices": [12], "trailing_length": 0}, **settings)
    unread = Case("late", "a dog on the grass and a dog on the grass and a zebra", case.subjects)
    with pytest.raises(UserError, match="reads the first 10 tokens"):
        generate(bb, unread, "tid", **settings)
