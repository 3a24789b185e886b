"""What a page may ask for: every mistake is one line at the field it is in, and what is right becomes a case."""

import numpy as np
import pytest

from ivgbench.boxes import interpolate
from ivgbench.errors import UserError
from ivgbench.studio import requests
from ivgbench.studio.requests import FieldError

INNER = {"base.frozen_steps": "3"}
BOX = [0.1, 0.2, 0.4, 0.6]


def subject(**changes):
    return [{"phrase": "red star", "keyframes": [{"frame": 0, "box": BOX}], **changes}]


def method(name="mask-norm-tid", **options):
    return [{"name": name, "options": options}]


def test_keyframes_become_tracks_by_the_rule_of_all_cases(asked):
    read = asked()
    star, square = read.case.subjects
    assert np.array_equal(star.boxes, interpolate({0: (0.1, 0.2, 0.4, 0.6), 7: (0.6, 0.2, 0.9, 0.6)}, 8))
    assert np.array_equal(square.boxes, np.tile([0.5, 0.5, 0.9, 0.9], (8, 1)))
    assert [one.method for one in read.methods] == ["plain", "mask-norm-tid"] and read.seeds == (4,)
    assert read.case.id == "clip" and not read.sampling.said()


@pytest.mark.parametrize(
    ("written", "seeds"), [("0", (0,)), ("3, 1", (3, 1)), ("0-3", (0, 1, 2, 3)), ("5-6 5,9", (5, 6, 9)), (7, (7,))]
)
def test_seeds_are_written_as_one_writes_them(asked, written, seeds):
    assert asked(seeds=written).seeds == seeds


def test_options_and_sampling_are_what_the_command_line_would_make_of_them(asked):
    read = asked(
        methods=[*method(gamma="0.2", window="[0, 5]"), *method("freeinit", base="peekaboo", **INNER)],
        steps="12", guidance_scale="3.5", scheduler="dpm",
    )  # fmt: skip
    tid, freeinit = read.methods
    assert tid.options == {"gamma": 0.2, "window": [0, 5]}
    assert freeinit.options == {"base": "peekaboo", "base.frozen_steps": 3}
    assert read.sampling.said() == {"steps": 12, "guidance_scale": 3.5, "scheduler": "dpm"}
    assert "freeinit.base.frozen_steps=3" in read.options


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"backbone": "zeroscope"}, "backbone", "choose one of pocket"),
        ({"backbone": "../../etc"}, "backbone", "choose one of pocket"),
        ({"backbone": ["pocket"]}, "backbone", "choose"),
        ({"prompt": "  "}, "prompt", "write what the clip shows"),
        ({"prompt": 3}, "prompt", "must be a text"),
        ({"prompt": "a" * 1001}, "prompt", "1001 characters"),
        ({"prompt": "a red star \0 and a blue square"}, "prompt", "control character"),
        ({"prompt": "a red star \ud800"}, "prompt", "half a character"),
        ({"subjects": []}, "subjects", "no subject"),
        ({"subjects": subject() * 9}, "subjects", "too many"),
        ({"subjects": ["red star"]}, "subjects.0", "no subject"),
        ({"subjects": subject(phrase="")}, "subjects.0.phrase", "name the subject"),
        ({"subjects": subject(phrase="green ring")}, "subjects.0.phrase", "not in the prompt"),
        ({"subjects": subject() * 2}, "subjects.1.phrase", "a subject already"),
        ({"subjects": subject(keyframes=[])}, "subjects.0.boxes", "draw one"),
        ({"subjects": subject(keyframes=[{"frame": 8, "box": BOX}])}, "subjects.0.boxes", "frames 0 to 7"),
        ({"subjects": subject(keyframes=[{"frame": True, "box": BOX}])}, "subjects.0.boxes", "frames 0 to 7"),
        ({"subjects": subject(keyframes=[{"frame": 1, "box": BOX}] * 2)}, "subjects.0.boxes", "a box already"),
        ({"subjects": subject(keyframes=[{"frame": 0, "box": BOX[:3]}])}, "subjects.0.boxes", "four numbers"),
        ({"subjects": subject(keyframes=[{"frame": 0, "box": [0.1, 0.2, 1.4, 0.6]}])}, "subjects.0.boxes", "leaves"),
        ({"subjects": subject(keyframes=[{"frame": 0, "box": [0.4, 0.2, 0.1, 0.6]}])}, "subjects.0.boxes", "empty"),
        ({"methods": []}, "methods", "no method"),
        ({"methods": method("tid")}, "methods", "no method"),
        ({"methods": method() * 2}, "methods", "twice"),
        ({"methods": method("ditraj")}, "methods.ditraj", "ditraj needs"),
        ({"methods": method(gamma="5")}, "methods.mask-norm-tid.gamma", "out of range"),
        ({"methods": method(gamma="much")}, "methods.mask-norm-tid.gamma", "expected float"),
        ({"methods": method(gamma="1" * 400)}, "methods.mask-norm-tid.gamma", ""),
        ({"methods": method(gamma=0.1)}, "methods.mask-norm-tid.gamma", "must be a text"),
        ({"methods": method(gama="1")}, "methods.mask-norm-tid.gama", "did you mean 'gamma'"),
        ({"methods": method(gamma="1\nkappa = 2")}, "methods.mask-norm-tid.gamma", ""),
        ({"methods": method(**{"__class__.x": "1"})}, "methods.mask-norm-tid", "no option"),
        ({"methods": method("freeinit", base="freeinit")}, "methods.freeinit.base", "cannot be freeinit"),
        ({"methods": method("freeinit", base="lvd", **{"base.words": "x"})}, "methods.freeinit.base.words", "words"),
        ({"seeds": ""}, "seeds", "whole numbers"),
        ({"seeds": "-1"}, "seeds", "whole numbers"),
        ({"seeds": "1.5"}, "seeds", "whole numbers"),
        ({"seeds": "5-3"}, "seeds", "smaller first"),
        ({"seeds": "0-99999"}, "seeds", "too many"),
        ({"seeds": "9" * 30}, "seeds", "whole numbers"),
        ({"steps": "0"}, "steps", "from 1 to 1000"),
        ({"steps": "7.5"}, "steps", "whole number"),
        ({"steps": 7.5}, "steps", "whole number"),
        ({"steps": True}, "steps", "cannot stand here"),
        ({"steps": "9" * 5000}, "steps", ""),
        ({"guidance_scale": "nan"}, "guidance_scale", "no number"),
        ({"guidance_scale": "-1"}, "guidance_scale", "from 0"),
        ({"guidance_scale": []}, "guidance_scale", ""),
        ({"scheduler": "euler"}, "scheduler", "unknown scheduler"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_at_its_field(asked, changes, field, words):
    with pytest.raises(FieldError) as told:
        asked(**changes)
    assert told.value.field == field and words in str(told.value) and "\n" not in str(told.value)


def test_what_an_option_and_another_make_wrong_together_is_told_at_the_method(asked):
    with pytest.raises(FieldError) as told:
        asked(methods=method("freeinit", filter="box", order="2"))
    assert told.value.field.startswith("methods.freeinit") and "no order" in str(told.value)


def test_too_many_clips_are_refused_before_any_is_made(asked):
    names = ("plain", "peekaboo", "trailblazer", "mask-norm", "mask-norm-id")
    with pytest.raises(FieldError, match="over 64 clips") as told:
        asked(methods=[one for name in names for one in method(name)], seeds="0-15")
    assert told.value.field == "seeds"


def test_the_same_mistake_is_told_each_time(asked):
    """A subject that the text encoder never reads: no answer is remembered as asked already."""
    prompt = "a red star " * 40 + "and a blue square on a grey background"
    late = [{"phrase": "blue square", "keyframes": [{"frame": 0, "box": BOX}]}]
    for _ in range(2):
        with pytest.raises(UserError, match="blue square") as told:
            asked(prompt=prompt, subjects=late, methods=method())
        assert told.value.field == "methods.mask-norm-tid"


@pytest.mark.parametrize("body", [None, [], "x", 3])
def test_what_is_no_request_is_refused(body, choices):
    with pytest.raises(FieldError):
        requests.read(body, choices)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_prompt_of_several_lines_is_one_line(asked, end):
    assert asked(prompt=f"a red star{end}and a blue square{end}").case.prompt == "a red star and a blue square"
