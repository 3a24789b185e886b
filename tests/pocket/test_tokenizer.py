import gzip

from transformers import CLIPTokenizer

from ivgbench import world
from ivgbench.pocket.training import clip, tokenizer


def test_every_word_of_the_world_is_one_token(tmp_path):
    tokenizer.save_tokenizer(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    for word in [*tokenizer.EXTRA_WORDS, *world.COLOURS, *world.SHAPES, *world.BACKGROUNDS]:
        assert len(loaded(word).input_ids) == 3, word
    ids = loaded("a red star on a grey background", padding="max_length", max_length=77).input_ids
    assert len(ids) == 77 and ids[0] == loaded.bos_token_id and ids[8:] == [loaded.eos_token_id] * 69
    assert len(loaded) == len(tokenizer.vocabulary())


def test_any_other_text_can_be_spelled(tmp_path):
    tokenizer.save_tokenizer(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    assert loaded.decode(loaded("zebra naïve 7!", add_special_tokens=False).input_ids).split() == [
        "zebra",
        "naïve",
        "7",
        "!",
    ]


def test_open_clip_reads_the_same_vocabulary(tmp_path):
    clip.save_bpe(tmp_path)
    judge = clip.build_tokenizer(tmp_path)
    assert judge.vocab_size == len(tokenizer.vocabulary())
    assert len(judge.encode("a red star on a grey background")) == 7
    again = (tmp_path / clip.BPE_FILE).read_bytes()
    assert clip.save_bpe(tmp_path).read_bytes() == again, "the same merges are the same bytes"
    assert gzip.decompress(again).decode().count("\n") == len(tokenizer.merges())
