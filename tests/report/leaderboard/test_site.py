"""The site: one protocol per board, every record told, strangers' texts harmless, equal bytes from equal records."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sent_records import SAMPLING, changed, make_record, of_row

from ivgbench.errors import UserError
from ivgbench.report.leaderboard import build, plot
from ivgbench.report.leaderboard.board import FIRST, boards
from ivgbench.report.leaderboard.protocol import of
from ivgbench.report.leaderboard.reading import read_all
from ivgbench.report.leaderboard.site import Known, file_name


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sent").mkdir()
    return tmp_path / "sent"


def pages(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


class Read(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        self.text.append(data)


# ---- what stands on one board

SECOND = {"name": "pocket", "revision": None, "weights": "cd" * 32}
OTHER_PROTOCOLS = {
    "backbone": {"backbone": SECOND},
    "suites": {"suites": {"pocket-static": "1" * 64, "pocket-dynamic": "2" * 64}},
    "cases": {"cases": 3},
    "seeds": {"seeds": (0, 1)},
    "sampling": {"sampling": ({**SAMPLING, "steps": 40},)},
    "detector": {"change": None, "detector": "yolo-2"},
    "CLIP": {"clip": "clip-2"},
    "versions of the metrics": {"metrics": [2, {"miou": 2}]},
}


@pytest.mark.parametrize("what", OTHER_PROTOCOLS)
def test_records_of_different_protocols_never_share_a_board(folder, what):
    fields = dict(OTHER_PROTOCOLS[what])
    direct = {name: fields.pop(name) for name in ("detector", "clip") if name in fields}
    make_record().save(folder / "a.json")
    replace(make_record(run="other", **fields), **direct).save(folder / "b.json")
    one, other = boards(read_all([folder]))
    assert one.protocol.differences(other.protocol) == [what]
    assert {sent.name for sent in (*one.sent, *other.sent)} == {"a.json", "b.json"}
    build([folder], folder.parent / "site", {})
    for page in (folder.parent / "site" / "boards").iterdir():
        assert f"other {what}." in page.read_text(encoding="utf-8")


def test_what_changes_no_number_is_no_protocol():
    mine = make_record()
    renamed = {**mine.backbone, "name": "a copy of pocket", "revision": "abc"}
    theirs = replace(mine, run="theirs", by="them", backbone=renamed, environment={"cpus": 64}, measured={"x": 1})
    assert of(mine).id == of(theirs).id


def test_the_same_method_of_two_records_has_two_rows(folder):
    make_record(run="mine").save(folder / "a.json")
    slower = of_row("plain", changed(values={"miou": 0.1}))
    make_record(["plain"], run="theirs", by="them", truth=False, change=slower).save(folder / "b.json")
    (board,) = boards(read_all([folder]))
    rows = [line.row for line in board.scopes[0].lines if line.ranks and line.row.method == "plain"]
    assert sorted(row.sources[0].record.by for row in rows) == ["me", "them"]


def test_the_same_clips_of_two_records_are_one_row_that_names_both(folder):
    make_record(run="mine", truth=False).save(folder / "a.json")
    make_record(["plain"], run="theirs", by="them", truth=False).save(folder / "b.json")
    (board,) = boards(read_all([folder]))
    assert len(board.scopes[0].lines) == 2
    (plain,) = [line.row for line in board.scopes[0].lines if line.row.method == "plain"]
    assert [one.record.run for one in plain.sources] == ["mine", "theirs"]
    build([folder], folder.parent / "site", {})
    (page,) = (folder.parent / "site" / "boards").iterdir()
    assert "by them" in page.read_text(encoding="utf-8")


def test_numbers_are_those_of_the_table_and_references_come_last_without_a_rank(folder):
    made = make_record(["plain", "mask-norm", "peekaboo"], cases=8, seeds=(0, 1))
    made.save(folder / "a.json")
    (board,) = boards(read_all([folder]))
    assert [scope.name for scope in board.scopes] == ["all", "static", "dynamic"]
    assert [scope.cases for scope in board.scopes] == [16, 8, 8]
    stated = {(row["split"], row["label"]): row for row in made.table}
    for scope in board.scopes[1:]:
        for line in scope.lines:
            label = line.row.method
            for column, cell in {**line.cells, **line.costs}.items():
                assert cell.value == pytest.approx(stated[scope.name, label][column], nan_ok=True)
    for scope in board.scopes:
        assert scope.lines[-1].row.name == "Ground truth" and not scope.lines[-1].ranks
        ranks = [line.ranks[FIRST].rank for line in scope.lines[:-1]]
        assert ranks == sorted(ranks) and all(1 <= rank <= 3 for rank in ranks)


def test_a_method_that_is_better_in_every_case_is_first_by_the_metric_that_says_so(folder):
    change = of_row(
        "plain", changed(values={"miou": 0.95, "centroid_distance": 0.4, "n_detected": 8.0, "covered": 1.0})
    )
    make_record(["plain", "mask-norm"], cases=12, change=change).save(folder / "a.json")
    (board,) = boards(read_all([folder]))
    whole = board.scopes[0]
    assert [line.row.method for line in whole.lines] == ["plain", "mask-norm", "ground-truth"]
    assert [line.ranks[FIRST].rank for line in whole.lines[:2]] == [1, 2]
    assert [line.ranks["centroid_distance"].rank for line in whole.lines[:2]] == [2, 1]  # less is better


def test_another_system_that_is_called_like_a_method_is_not_that_method(folder):
    ours = {"backbone": {"name": "external", "weights": ""}, "sampling": ()}
    made = make_record(["plain"], truth=False, change=changed(method="external", label="peekaboo"), **ours)
    made.save(folder / "a.json")
    build([folder], folder.parent / "site", {"peekaboo": Known(("Peekaboo, the paper",))})
    (page,) = (folder.parent / "site" / "methods").iterdir()
    text = page.read_text(encoding="utf-8")
    assert "Not a method that comes with ivgbench" in text and "the paper" not in text
    assert "ivgbench score --videos YOURS" in next((folder.parent / "site" / "boards").iterdir()).read_text()


def test_costs_that_nobody_knows_are_told_and_not_drawn(folder):
    unknown = of_row("plain", changed(values={"nfe": None, "backward": None, "seconds": None}))
    make_record(change=unknown).save(folder / "a.json")
    (board,) = boards(read_all([folder]))
    drawn = plot.plot(board.scopes[0].lines)
    assert len(drawn.dots) == 1 and drawn.left_out == 1
    build([folder], folder.parent / "site", {})
    assert "1 rows are not drawn" in next((folder.parent / "site" / "boards").iterdir()).read_text()


def test_dots_and_their_ends_stay_inside_the_drawing(folder):
    make_record([f"m{at}" for at in range(30)], change=changed(values={"nfe": 20.0})).save(folder / "a.json")
    (board,) = boards(read_all([folder]))
    drawn = plot.plot(board.scopes[0].lines)
    assert len({dot.x for dot in drawn.dots}) == 30
    for dot in drawn.dots:
        assert plot.LEFT <= dot.x <= plot.WIDTH - plot.RIGHT
        assert plot.TOP <= dot.high <= dot.y <= dot.low <= plot.HEIGHT - plot.BOTTOM


# ---- strangers' texts

ATTACKS = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "../../../evil", "..",
    "/etc/passwd", "{{ 7 * 7 }}{% raw %}", "</style><script>x</script>", "' onclick='x", "a\0b\nc\u202e", "C:\\evil",
    "x" * 3000, "\U0001f600 é", "$(touch evil); `x`", "con", "&lt;b&gt;",
)  # fmt: skip


def attacked(text, **fields):
    """A record with the text wherever there is room for one."""

    def change(clip):
        options, about = {text: text}, {"settings": text, "about": text}
        return replace(clip, label=text, method=text, options=options, suite=text, case=text + clip.case, **about)

    backbone = {"name": text, "weights": text, "revision": text}
    made = make_record(["plain"], run=text, by=text, truth=False, cases=2, backbone=backbone, change=change)
    return replace(made, suites={text: "1" * 64}, detector=text, clip=text, sampling=({text: text, "steps": text},),
                   environment={text: text}, **fields)  # fmt: skip


@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_texts_of_strangers_are_texts(folder, text):
    attacked(text).save(folder / "a.json")
    attacked(text, table=()).save(folder / "b.json")
    before = sorted(folder.parent.rglob("*"))
    site = build([folder], folder.parent / "site", {})
    assert site.boards == 1 and [bool(one.reason) for one in site.sent] == [False, True]
    new = [path for path in folder.parent.rglob("*") if path not in before and path.is_file()]
    assert {path.relative_to(folder.parent / "site").parts[0] for path in new} == {"index.html", "boards", "methods"}
    for name, content in pages(folder.parent / "site").items():
        assert re.fullmatch(r"index\.html|(boards|methods)/[a-z0-9-]+-[0-9a-f]{8}\.html", name)
        page = Read(content.decode())
        assert page.tags.count("script") == 3 and page.tags.count("style") == 1 and "img" not in page.tags
        assert not [one for one in page.attributes if one[1].startswith("on") or one[1] in ("src", "style", "srcdoc")]
        for _, attribute, value in page.attributes:
            if attribute == "href":
                assert re.fullmatch(r"(\.\./)?(index\.html(#\w+)?|(boards|methods)/[a-z0-9-]+\.html)", value)
        assert "49" not in "".join(page.text) if "7 * 7" in text else True


def test_an_attack_is_shown_as_it_was_written(folder):
    attacked(ATTACKS[0]).save(folder / "a.json")
    site = build([folder], folder.parent / "site", {})
    assert ATTACKS[0] in "".join(Read(site.page.read_text()).text)


def test_names_that_are_confused_when_cleaned_have_files_of_their_own():
    names = ["a b", "a-b", "A B", "a/b", "", ".", "..", "é", "ü", "x" * 500, "x" * 501]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(files) and all(re.fullmatch(r"[a-z0-9-]{1,49}\.html", one) for one in files)


def test_a_command_quotes_what_it_takes_from_a_record(folder):
    attacked("x; touch evil").save(folder / "a.json")
    (board,) = boards(read_all([folder]))
    assert (
        "--suite 'x; touch evil'" in board.protocol.command and "--backbone 'x; touch evil'" in board.protocol.command
    )


@pytest.mark.parametrize(("seeds", "said"), [((0,), "--seeds 1"), ((0, 1), "--seeds 2"), ((3, 7), "--seed 3 --seed 7")])
def test_a_command_asks_for_the_boards_own_seeds(folder, seeds, said):
    make_record(seeds=seeds).save(folder / "a.json")
    (board,) = boards(read_all([folder]))
    assert f" {said} --steps" in board.protocol.command


def test_nothing_is_loaded_and_a_policy_holds_it(folder):
    make_record().save(folder / "a.json")
    known = {"plain": Known(("told",), (("arXiv 1", "https://arxiv.org/abs/1"),))}
    out = build([folder], folder.parent / "site", known).page.parent
    for content in pages(out).values():
        text = content.decode()
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
        assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
        assert policy.count("'sha256-") == 4 and "@import" not in text and "url(" not in text
        addresses = [value for tag, name, value in Read(text).attributes if "//" in value]
        assert set(addresses) <= {"https://arxiv.org/abs/1"}


# ---- files


def test_the_same_records_give_the_same_bytes(folder):
    for run in ("b", "a", "c"):
        make_record(run=run, by=run).save(folder / f"{run}.json")
    build([folder], folder.parent / "one", {})
    moved = folder.rename(folder.parent / "elsewhere")
    build([moved], folder.parent / "other", {})
    assert pages(folder.parent / "one") == pages(folder.parent / "other")
    assert not any(str(folder.parent).encode() in text for text in pages(folder.parent / "one").values())


def test_pages_of_an_earlier_build_go_and_other_files_stay(folder):
    out = folder.parent / "site"
    make_record().save(folder / "a.json")
    build([folder], out, {})
    before = set(pages(out))
    (out / "boards" / "mine-01234567.html").write_text("my own page")
    (out / "notes.txt").write_text("mine")
    make_record(["peekaboo"]).save(folder / "a.json")
    build([folder], out, {})
    after = set(pages(out))
    assert {"boards/mine-01234567.html", "notes.txt"} <= after
    assert not any("plain" in name or "mask-norm" in name for name in after)
    assert any("mask-norm" in name for name in before)


def test_a_site_of_nothing_that_verifies_says_why(folder):
    (folder / "a.json").write_text("{}")
    site = build([folder], folder.parent / "site", {})
    text = site.page.read_text()
    assert site.boards == 0 and "There is no board" in text and "not a record of a run" in text


def test_the_site_is_not_written_among_the_records(folder):
    make_record().save(folder / "a.json")
    with pytest.raises(UserError, match="cannot be written into the folder of the records"):
        build([folder], folder, {})


def test_the_command_writes_it_and_tells_what_is_not_ranked(folder, command_line, tmp_path):
    make_record(["plain", "peekaboo"]).save(folder / "a.json")
    (folder / "b.json").write_text("{}")
    code, out, err = command_line("leaderboard", folder, "--out", tmp_path / "site")
    assert code == 0 and Path(out.strip()) == tmp_path / "site" / "index.html"
    assert "not ranked: b.json: not a record of a run" in err and "1 of 2 records on 1 boards" in err
    (page,) = (tmp_path / "site" / "methods").glob("peekaboo-*.html")
    text = page.read_text(encoding="utf-8")
    assert "https://arxiv.org/abs/2312.07509" in text and "https://github.com/microsoft/Peekaboo/tree/0aa5a86" in text
    assert "Settings that come with ivgbench" in text
    code, _, err = command_line("leaderboard", tmp_path / "none", "--out", tmp_path / "site")
    assert code == 2 and "there is no folder" in err
