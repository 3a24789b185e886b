"""What a folder of weights is run as."""

import shutil

from ivgbench.generator.backbones import sources


def test_a_folder_with_the_pockets_words_is_the_pocket(tmp_path):
    folder = tmp_path / "trained-tonight"
    (folder / "tokenizer").mkdir(parents=True)
    shutil.copy(sources.POCKET_FOLDER / "tokenizer" / "vocab.json", folder / "tokenizer")
    assert sources.preset(str(folder)) == ("pocket", sources.PRESETS["pocket"])
    assert sources.preset(str(sources.POCKET_FOLDER)) == sources.preset("pocket")
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    assert sources.preset(str(folder)) == ("trained-tonight", sources.Preset())


def test_other_sources_are_what_they_were(tmp_path, tiny_folder):
    assert sources.preset(str(tiny_folder)) == ("tiny_t2v", sources.Preset())
    assert sources.preset(str(tmp_path / "nothing"))[0] == "nothing"
    assert sources.preset("owner/name")[1].hub_id == "owner/name"
    assert sources.preset(sources.PRESETS["zeroscope"].hub_id)[0] == "zeroscope"
