"""TrailBlazer's configs as a suite."""

import numpy as np
import pytest
import yaml

from ivgbench.errors import UserError
from ivgbench.suites import trailblazer

PROMPT = "A white cat, running on the grass"
LEFT, RIGHT = [0.0, 0.35, 0.3, 0.65], [0.7, 0.35, 1.0, 0.65]


def config(at=(0, 24), ends=(LEFT, RIGHT), prompt=PROMPT, words=(2, 3), **more):
    keys = [{"bbox_ratios": ends[k % 2], "frame": frame, "prompt": prompt} for k, frame in enumerate(at)]
    made = {"keyframe": keys, "token_inds": list(words), "seed": 4, "width": 576, "height": 320}
    return {**made, "num_inference_steps": None, "trailblazer": {"trailing_length": 13}, **more}


def write(tmp_path, **configs):
    for name, value in configs.items():
        # As the release's own writer does it: with aliases where one list stands twice.
        (tmp_path / f"{name}.yaml").write_text(value if isinstance(value, str) else yaml.dump(value))
    return tmp_path


def one(tmp_path, frames=24, **changes):
    (case,) = trailblazer.read([write(tmp_path, Cat=config(**changes))], frames)[0].cases
    return case


def test_the_last_keyframe_may_lie_one_beyond_the_clip(tmp_path):
    suite, made = trailblazer.read([write(tmp_path, Cat=config())], 24)
    (case,) = suite.cases
    assert (case.id, case.prompt, case.subjects[0].phrase) == ("Cat", PROMPT, "white cat")
    np.testing.assert_allclose(case.subjects[0].boxes[:, 0], 0.7 * np.arange(24) / 24, atol=1e-6)
    assert [(note.what, note.detail) for note in made.notes] == [
        ("cut", "its last keyframe, at 24, is one beyond the clip")
    ]


def test_keyframes_that_end_with_the_clip_are_taken_as_they_are(tmp_path):
    suite, made = trailblazer.read([write(tmp_path, Cat=config((0, 6, 12, 23)))], 24)
    x0 = suite.cases[0].subjects[0].boxes[:, 0]
    np.testing.assert_allclose(x0[[0, 3, 6, 12, 23]], [0, 0.35, 0.7, 0, 0.7], atol=1e-6)
    assert made.notes == []


@pytest.mark.parametrize("last", [7, 15, 30])
def test_other_lengths_are_resampled(tmp_path, last):
    suite, made = trailblazer.read([write(tmp_path, Cat=config((0, last)))], 24)
    np.testing.assert_allclose(suite.cases[0].subjects[0].boxes[:, 0], 0.7 * np.arange(24) / 23, atol=1e-6)
    assert [note.detail for note in made.notes] == [f"{last + 1} to 24 frames"]


def test_a_little_over_the_edge_is_clipped(tmp_path):
    suite, made = trailblazer.read([write(tmp_path, Cat=config(ends=([-0.01, 0.35, 0.3, 0.65], RIGHT)))], 24)
    assert suite.cases[0].subjects[0].boxes.min() == 0
    assert ("clipped", 1, "keyframes 0") in [(note.what, note.frames, note.detail) for note in made.notes]


def test_a_composition_takes_its_subjects_from_the_configs_beside_it(tmp_path):
    joint = {"prompt": "a white cat and a yellow dog in a garden", "seed": 1, "num_integration_steps": 20,
             "subjects": ["/tmp/TrailBlazer/Dog.0000.pt", "C:\\results\\Cat.0003.pt"]}  # fmt: skip
    dog = config(ends=(RIGHT, LEFT), prompt="A yellow dog runs", words=(1, 2, 3))
    cat = config(prompt="A white cat runs", words=(1, 2, 3))
    suite, made = trailblazer.read([write(tmp_path, Cat=cat, Dog=dog, Multi={"multisubs": joint})], 24)
    assert [case.id for case in suite.cases] == ["Cat", "Dog", "Multi"] and not made.rejected
    subjects = suite.cases[2].subjects
    assert [subject.phrase for subject in subjects] == ["A yellow dog", "A white cat"]
    np.testing.assert_allclose([subject.boxes[0, 0] for subject in subjects], [0.7, 0])
    assert {note.detail.partition(":")[0] for note in made.notes if note.case == "Multi"} == {
        "A yellow dog", "A white cat",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("subjects", "words"),
    [
        (["/etc/passwd.pt"], "its subject 'passwd.pt' needs the config passwd.yaml beside it"),
        (["../secret.0000.pt"], "its subject 'secret.0000.pt' needs the config secret.yaml beside it"),
        (["Multi.0000.pt"], "needs the config Multi.yaml beside it"),
        ([""], "needs the config"),
        ([3], "a subject of multisubs must be a text, got 3"),
        ([], "multisubs must be a mapping with prompt and a list of subjects"),
        (["Cat.0000.pt"], "the phrase 'white cat' is not in the prompt 'two foxes'"),
    ],
)
def test_a_composition_that_lacks_a_subject_is_rejected(tmp_path, subjects, words):
    (tmp_path.parent / "secret.yaml").write_text(yaml.dump(config()))
    folder = write(tmp_path, Cat=config(), Multi={"multisubs": {"prompt": "two foxes", "subjects": subjects}})
    (note,) = trailblazer.read([folder], 24)[1].rejected
    assert note.case == "Multi" and words in note.detail


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"prompt": PROMPT, "token_inds": [2]}, "it has no keyframes: the release draws"),
        (config(keyframe=[]), "keyframe must be a list"),
        (config(keyframe={"frame": 0}), "keyframe must be a list"),
        (config(keyframe=[{"frame": 0, "bbox_ratios": LEFT}]), "none of its keyframes has a prompt"),
        (config() | {"prompt": "Another"}, "its prompt changes from"),
        (config((1, 24)), "must begin at frame 0 and go on in order, got [1, 24]"),
        (config((0, 12, 12)), "go on in order"),
        (config((0, 12, 6)), "go on in order"),
        (config((0, 1.5)), "a keyframe's frame must be a whole number"),
        (config((0, -3)), "a keyframe's frame must be a whole number"),
        (config((0, 10**9)), "its last keyframe is at 1000000000, beyond 10000"),
        (config(ends=([0.1, 0.2, 0.3], RIGHT)), "bbox_ratios of frame 0 must be four numbers"),
        (config(ends=([0.1, 0.2, float("nan"), 0.3], RIGHT)), "bbox_ratios of frame 0 must be finite"),
        (config(ends=([0.3, 0.2, 0.1, 0.6], RIGHT)), "bbox_ratios of frame 0 are no box within the frame"),
        (config(ends=([0.1, 0.2, 0.1, 0.6], RIGHT)), "are no box within the frame"),
        (config(ends=([57, 32, 200, 300], RIGHT)), "are no box within the frame"),
        (config(ends=(["left", 0, 1, 1], RIGHT)), "bbox_ratios of frame 0 must be a number"),
        (config(words=(0,)), "token_inds [0]: the prompt has the words 1 to 7"),
        (config(words=(8,)), "token_inds [8]: the prompt has the words 1 to 7"),
        (config(words=(2, 4)), "the words of a subject must stand side by side"),
        (config(words=()), "it has no token_inds"),
        ("- 1\n- 2\n", "it is no config"),
        ("keyframe: [", "not YAML"),
        ("a: &a [*a]\n", "once its aliases are written out"),
    ],
)  # fmt: skip
def test_a_bad_config_costs_itself_only_and_is_named(tmp_path, bad, words):
    suite, made = trailblazer.read([write(tmp_path, Cat=config(), Odd=bad)], 24)
    assert [case.id for case in suite.cases] == ["Cat"]
    (note,) = made.rejected
    assert words in note.detail and note.record.endswith("Odd.yaml") and made.records == 2


@pytest.mark.parametrize("content", ["", "# nothing\n"])
def test_an_empty_config_is_counted_too(tmp_path, content):
    suite, made = trailblazer.read([write(tmp_path, Cat=config(), Odd=content)], 24)
    assert len(suite.cases) == 1 and made.records == 2
    assert [(note.record, note.detail) for note in made.rejected] == [(f"{tmp_path}/Odd.yaml", "the file is empty")]


def test_words_are_freed_of_commas_and_may_be_one_number(tmp_path):
    assert one(tmp_path, words=(3,)).subjects[0].phrase == "cat"
    assert one(tmp_path, token_inds=3).subjects[0].phrase == "cat"


def test_files_and_documents(tmp_path):
    two = yaml.dump(config()) + "---\n" + yaml.dump(config(words=(7,)))
    suite, _ = trailblazer.read([write(tmp_path, **{"My two": two}) / "My two.yaml"], 24, "mine")
    assert suite.name == "mine" and [case.id for case in suite.cases] == ["My-two-1", "My-two-2"]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "My two.yaml").write_text(two)
    _, made = trailblazer.read([tmp_path, tmp_path / "deep", tmp_path], 24)
    assert made.records == 4 and [note.detail for note in made.rejected] == [
        f"the id 'My-two-{number}' stands twice; the first one is kept" for number in (1, 2)
    ]
    (tmp_path / "empty").mkdir()
    for path, words in ((tmp_path / "none.yaml", "no such file or folder"), (tmp_path / "empty", "no config in this")):
        with pytest.raises(UserError, match=words):
            trailblazer.read([path], 24)
    with pytest.raises(UserError, match=r"no case could be made of 1 records; first: .*Odd.yaml: it is no config"):
        trailblazer.read([write(tmp_path / "empty", Odd="[]") / "Odd.yaml"], 24)
