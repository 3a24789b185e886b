"""The records of this repository: they verify, and say what the committed tables say."""

from pathlib import Path

import pandas as pd
import pytest

from ivgbench.report.leaderboard.protocol import of
from ivgbench.report.leaderboard.reading import read_all
from ivgbench.report.printed import print_label

ROOT = Path(__file__).parents[3]
RECORDS = ROOT / "results" / "records"
#: Run -> where its Table 1 is committed.
TABLES = {"table1": "", "field": "field", "claims": "claims", "table1-dit": "dit"}


@pytest.fixture(scope="module")
def sent():
    return {one.record.run: one for one in read_all([RECORDS]) if one.record}


def test_all_of_them_verify(sent):
    assert {name: one.reason for name, one in sent.items()} == dict.fromkeys(TABLES, "")
    assert all(one.name == f"{run}.record.json" for run, one in sent.items())
    assert all(path.stat().st_size < 2_000_000 for path in RECORDS.iterdir())
    assert of(sent["table1"].record).id == of(sent["field"].record).id != of(sent["claims"].record).id


@pytest.mark.parametrize("run", TABLES)
def test_they_agree_with_the_committed_tables(sent, run):
    told = pd.DataFrame(sent[run].record.table)
    committed = pd.read_csv(ROOT / "results" / "tables" / TABLES[run] / "table1.csv")
    told["label"] = [print_label(method_of(sent[run], label), label) for label in told["label"]]
    both = committed.merge(told, on=["split", "label"], suffixes=("", "_told"), validate="one_to_one")
    assert len(both) == len(committed) == len(told)
    for column in told.columns.intersection(committed.columns).difference(["split", "label"]):
        pd.testing.assert_series_equal(
            both[column], both[f"{column}_told"], check_names=False, check_dtype=False, rtol=0, atol=6e-7
        )


def method_of(one, label):
    return next(clip.method for clip in one.record.clips if clip.label == label)
