"""The tables around the claims, on made-up runs; and their specs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ivgbench.errors import UserError
from ivgbench.files import canonical_json
from ivgbench.generator import settings
from ivgbench.generator.methods.options import resolve
from ivgbench.runs.spec import MethodSpec, RunSpec, load_spec
from ivgbench.study import ablations, reach, search, search_spaces, search_text, variants
from ivgbench.study.claims import Claim
from ivgbench.study.recording import MASKED, MASKS, NORMALISED
from ivgbench.texts import tomllib

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def config_of(spec, one):
    """What a row of a spec runs with."""
    return settings.resolve(spec.backbone, one.method, spec.settings_of(one), one.options)


def test_the_ablation_table(stored):
    store, rows, _, _ = stored
    frame = ablations.ablations(store.root, "table1", base="Plain")
    mine = [r["value"] for r in rows if (r["metric"], r["split"], r["label"]) == ("miou", "dynamic", "mask-norm")]
    theirs = [r["value"] for r in rows if (r["metric"], r["split"], r["label"]) == ("miou", "dynamic", "plain")]
    line = frame[(frame["split"] == "dynamic") & (frame["setting"] == "Mask Norm")].iloc[0]
    assert line["miou_all"] == pytest.approx(100 * np.mean(mine))
    assert line["difference"] == pytest.approx(100 * (np.mean(mine) - np.mean(theirs)))
    assert (frame[frame["setting"] == "Plain"]["difference"] == 0).all()
    assert "| Mask Norm |" in ablations.markdown(frame)


def test_every_setting_of_the_ablation_is_another():
    spec = load_spec(BENCHMARKS / "ablations.toml")
    configs = [config_of(spec, one) for one in spec.methods]
    assert len(set(configs)) == len(configs)
    assert ablations.BASE in {one.label for one in spec.methods}


def test_the_search_gives_every_method_the_same_number_of_valid_settings():
    asked = search_spaces.spec(6, 1, {"mask-norm": {}, "mask-norm-id": {}})
    assert search_spaces.searched("pocket") == [name for name in search_spaces.SPACES if name != "ditraj"]
    for method in search_spaces.searched("pocket"):
        mine = [one.options for one in asked.methods if one.method == method]
        assert len(mine) == 6 and mine[0] == settings.known("pocket", method).get("adapted", {})
        assert len({resolve(method, one) for one in mine}) == 6
        assert search_spaces.settings(method, 3, mine[0]) == mine[:3]
    assert not set(asked.suites) & set(load_spec(BENCHMARKS / "claims-run.toml").suites)
    whole = search_spaces.spec(search_spaces.TRIALS, search_spaces.CASES, {})
    assert whole.name == "search" != asked.name  # a rehearsal leaves the search's manifest alone


@pytest.mark.parametrize("command", [("reach",), ("ablations", "--spec", "nowhere.toml")])
def test_a_table_without_its_input_says_so_in_one_line(command, tmp_path, monkeypatch, command_line):
    monkeypatch.chdir(tmp_path)
    code, _, err = command_line("study", *command)
    assert code == 2 and err.startswith("ivgbench: ") and len(err.splitlines()) == 1


def test_no_setting_of_the_search_leaves_out_what_the_method_is_named_for():
    for one in search_spaces.settings("mask-norm", 30):
        assert one.get("norm_self", True) or one.get("norm_cross", True)
    for one in search_spaces.settings("mask-norm-tid", 30, {"window": (4, 16), "frozen_steps": 4}):
        assert one.get("guided_steps") != "frozen"


def test_a_method_that_adds_one_thing_searches_it_over_what_the_other_was_chosen_to_be():
    asked = []

    def measure(spec):
        asked.append(spec)
        lines = [(one.method, one.label or one.method, canonical_json(one.options)) for one in spec.methods]
        frame = pd.DataFrame(lines, columns=["method", "label", "options"])
        return frame.assign(chosen=frame["label"].isin(["plain", "mask-norm #1", "mask-norm-id #0"]))

    frame = search.search(3, 2, measure)
    options = {one.label: one.options for one in asked[-1].methods}
    assert [len(spec.methods) for spec in asked] == [22, 25, 28]
    assert options["mask-norm-id #0"] == options["mask-norm #1"] == options["mask-norm-tid #0"] != {}
    assert options["mask-norm-tid #2"].items() > options["mask-norm #1"].items()
    assert search.chosen(frame) == {name: options["mask-norm #1"] for name in ("mask-norm", "mask-norm-id")}


def test_a_setting_with_a_failed_clip_is_not_chosen(stored, monkeypatch):
    store, rows, _, _ = stored
    asked = RunSpec("table1", (MethodSpec("plain"), MethodSpec("mask-norm")))
    worst = {**next(r for r in rows if r["label"] == "mask-norm"), "status": "failed: NaN", "metric": "failed"}
    monkeypatch.setattr(type(store), "load_rows", lambda self, run: ([*rows, worst], {}))
    frame = search.results(store, asked).set_index("method")
    assert np.isnan(frame.loc["mask-norm", "miou_all"]) and not frame.loc["mask-norm", "chosen"]
    assert np.isfinite(frame.loc["plain", "miou_all"])


def test_the_search_chooses_control_and_tells_its_cost(stored, tmp_path):
    store, rows, _, _ = stored
    asked = RunSpec(
        "table1", (MethodSpec("plain"), MethodSpec("peekaboo", {"frozen_steps": 2}, "plain "), MethodSpec("mask-norm"))
    )
    twice = [{**row, "label": "plain "} for row in rows if row["label"] == "plain"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store), "load_rows", lambda self, run: ([*rows, *twice], {}))
        frame = search.results(store, asked).set_index("method")
    mine = [r["value"] for r in rows if (r["metric"], r["label"]) == ("miou", "mask-norm")]
    assert frame.loc["mask-norm", "miou_all"] == pytest.approx(100 * np.mean(mine))
    # The best of each method, whatever it costs.
    assert frame["chosen"].all() and frame.loc["peekaboo", "clip_sim_cost"] == 0
    assert frame.loc["mask-norm", "clip_sim_cost"] == pytest.approx(
        frame.loc["plain", "clip_sim"] - frame.loc["mask-norm", "clip_sim"]
    )
    frame = frame.reset_index()
    assert search.chosen(frame) == {"peekaboo": {"frozen_steps": 2}, "mask-norm": {}}
    cost = frame.loc[2, "clip_sim_cost"]
    assert f"| {cost:+.2f} |" in search_text.markdown(frame, "pocket")
    assert "every setting failed" in search_text.markdown(frame.assign(chosen=False), "pocket")
    assert all(path.stat().st_size for path in search_text.draw(frame, "pocket", tmp_path / "search"))


def test_the_search_writes_what_it_chose_into_the_settings_and_nothing_else():
    lines = [
        ("plain", "{}", True),
        ("peekaboo", '{"frozen_steps":2}', False),
        ("peekaboo", '{"frozen_steps":6,"without":["bos"]}', True),
        ("trailblazer", "{}", True),
        ("mask-norm", '{"norm_cross":false,"frozen_steps":3}', True),
    ]
    frame = pd.DataFrame(lines, columns=["method", "options", "chosen"])
    before = settings.FILE.read_text(encoding="utf-8")
    after = search_text.put(before, search_text.tuned(frame), "pocket")
    old, new = map(tomllib.loads, (before, after))
    pocket = new.pop("pocket")
    assert pocket.pop("lvd") == {"adapted": settings.known("pocket", "lvd")["adapted"]}, "no search's"
    assert pocket == {
        "peekaboo": {
            "tuned": {"frozen_steps": 6, "without": ["bos"]},
            "tuned-mask-norm": {
                "frozen_steps": 3, "scope": "paper", "bind": "all-words", "mask": "additive", "words": "official",
            },
        },
        "trailblazer": {"tuned": {}},
        "mask-norm": {"tuned": {"norm_cross": False, "frozen_steps": 3}},
    }  # fmt: skip
    assert old.pop("pocket") and old == new
    assert (
        search_text.put(after, search_text.tuned(frame), "pocket") == after
        and after.partition(search_text.MARK)[0] in before
    )
    # Of a method of which no setting was chosen there is none; Mask Norm's masks are then its defaults'.
    none = tomllib.loads(search_text.put(before, search_text.tuned(frame.assign(chosen=False)), "pocket"))["pocket"]
    assert set(none) == {"peekaboo", "lvd"} and none["peekaboo"]["tuned-mask-norm"]["frozen_steps"] == 4
    with pytest.raises(UserError, match="it has no line below which"):
        search_text.put("[any]", {}, "pocket")


def test_the_search_starts_from_the_methods_own_defaults():
    asked = search_spaces.spec(2, 1, {})
    assert all(asked.settings_of(one) == settings.DEFAULTS for one in asked.methods)


def test_the_search_is_as_large_as_it_says_and_reads_masks_one_way():
    whole = search_spaces.spec(search_spaces.TRIALS, search_spaces.CASES, {"mask-norm": {}, "mask-norm-id": {}})
    assert len(whole.methods) * 2 * search_spaces.CASES == 730 and {len(whole.suites), len(whole.seeds)} == {2, 1}
    assert not any("mask" in space for space in search_spaces.SPACES.values())
    tried = [one.options for one in whole.methods if one.method == "trailblazer"]
    assert {one.get("trailing_length", 15) for one in tried} == {0, 2, 15}
    # As the spec says, any number of temporal steps makes one clip: the released gate is not for the pocket's sizes.
    assert all("temporal_gate" not in one and "temporal_steps" not in one for one in tried)


def found():
    return search.chosen(pd.read_csv(BENCHMARKS.parent / "results" / "tables" / "search.csv"))


@pytest.mark.parametrize("name", ["pocket", "pocket-table2"])
def test_the_pockets_specs_take_what_the_search_chose(name):
    chosen, spec = found(), load_spec(BENCHMARKS / f"{name}.toml")
    for one in spec.methods:
        if not one.label:
            assert config_of(spec, one) == resolve(one.method, chosen.get(one.method, {})), one.method


def variants_of_claims():
    """Variant -> row -> config, of the claims' run."""
    spec = load_spec(BENCHMARKS / "claims-run.toml")
    configs = {one.label or one.method: config_of(spec, one) for one in spec.methods}
    columns = variants.of_labels(configs)
    return {one: {row: configs[label] for label, row in variants.rows(configs, one).items()} for one in columns}


def test_the_claims_run_takes_what_the_search_chose_and_both_readings():
    chosen = found()
    for variant, rows in variants_of_claims().items():
        for name, config in rows.items():
            reading = {} if name in ("plain", "peekaboo", "trailblazer") else {"mask": variant.reading}
            if variant.settings == "tuned" and name in ("plain", *chosen):
                assert config == resolve(name, {**chosen.get(name, {}), **reading}), (variant, name)
            elif variant.settings == "paper" and name not in ("peekaboo", "peekaboo-paper-scope", MASKED):
                assert config == resolve(name, reading), (variant, name)  # the paper's are the methods' own defaults
            if reading and name != "peekaboo-paper-scope":
                assert config.mask == variant.reading


def test_mask_norm_is_the_only_difference_to_its_masks():
    for rows in variants_of_claims().values():
        assert all(getattr(rows[MASKED], name) == getattr(rows[NORMALISED], name) for name in MASKS)


def test_what_tuning_can_reach():
    columns = ["method", "options", "miou_all", "miou_static", "miou_dynamic", "clip_sim_dynamic"]
    lines = [
        ("peekaboo", "{}", 10, 12, 8, 90),
        ("peekaboo", '{"frozen_steps":6}', 30, 30, 30, 90),
        ("mask-norm", "{}", 20, 15, 25, 91),
        ("mask-norm", '{"frozen_steps":6}', 32, 34, 31, 80),
    ]
    rows = (
        MethodSpec("peekaboo", {"frozen_steps": 6}),
        MethodSpec("peekaboo", {"frozen_steps": 4}, "masks-alone"),  # the default, spelled out
        MethodSpec("peekaboo", {"scope": "paper"}, "untried"),
        MethodSpec("mask-norm"),
    )
    claims = (
        Claim("a", "above", "", "miou_all", "mask-norm", ("peekaboo",), "higher", margin=1.5),
        Claim("b", "below", "", "miou_all", "mask-norm", ("masks-alone",), "lower"),
        Claim("c", "text", "", "clip_sim", "mask-norm", ("peekaboo",), "lower", ("dynamic",)),
        Claim("d", "best", "", "miou_all", "mask-norm", ("masks-alone", "untried"), "higher"),
        Claim("e", "unseen", "", "fid", "mask-norm", ("peekaboo",), "lower"),
        Claim("f", "alone", "", "miou_all", "mask-norm", ("untried", 5.0), "higher"),
    )
    found = reach.reach(pd.DataFrame(lines, columns=columns), claims, rows).set_index("claim")
    assert found["met"].to_dict() == {"a": 0, "b": 0, "c": 1, "d": 2, "f": 0}
    assert found["best"].dropna().to_dict() == {"a": 1, "b": -17, "c": 10, "d": 22}
    assert found["without"].to_dict() == {"a": "", "b": "", "c": "", "d": "untried", "f": "untried 5.0"}
    run = (
        MethodSpec("plain"),
        MethodSpec("peekaboo", {}, "peekaboo@tuned"),
        MethodSpec("peekaboo", {}, "peekaboo@paper"),
    )
    run += tuple(MethodSpec("mask-norm", {}, f"mask-norm@tuned+{one}") for one in variants.READINGS)
    assert [one.label for one in reach.as_searched(run)] == ["plain", "peekaboo", "mask-norm"]
    text = reach.markdown(found.reset_index())
    assert "| above | Mask Norm | none of 2 | +1.0 (> 1.5) |" in text
    assert "| alone (not compared with untried, 5.0, whose setting was not tried) | Mask Norm | – | – | – |" in text
    assert "| best (not compared with untried, whose setting was not tried) | Mask Norm | 2 of 2 |" in text
