"""What a page sorts its tables by, and where intervals are drawn."""

from ivgbench.report.layout import UNDEFINED, Block, Cell
from ivgbench.report.page.cells import Whisker, shown


def test_values_and_intervals_on_one_scale():
    cells = [Cell("20.0", ("10.0", "30.0")), Cell("90 (9) †", ("50", "110")), Cell(UNDEFINED), Cell("-1.5 ± 0.2")]
    rows = shown(Block("b", ["Method", "x"], [[Cell("2nd"), cell] for cell in cells]))
    assert [row[0].value for row in rows] == [""] * 4  # names are sorted as texts
    assert [row[1].value for row in rows] == ["20.0", "90", "", "-1.5"]
    assert [row[1].whisker for row in rows] == [Whisker(0, 10, 20), Whisker(40, 80, 100), None, None]


def test_a_column_without_width_is_in_the_middle():
    ((one,),) = shown(Block("b", ["x"], [[Cell("1.0", ("1.0", "1.0"))]], lead=0))
    assert one.whisker == Whisker(50, 50, 50)
