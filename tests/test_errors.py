"""What a user did wrong is told on one line, whatever it quotes."""

import pickle

import pytest

from ivgbench.errors import UserError


@pytest.mark.parametrize("quoted", ["two\nlines", "two\r\n  lines", "two\u2028lines", "two\x1elines", "two\x85lines\n"])
def test_an_error_is_one_line(quoted):
    told = UserError(quoted)
    assert str(told) == "two lines"
    assert str(pickle.loads(pickle.dumps(told))) == "two lines"  # it crosses from worker processes


def test_an_error_can_be_stored_whatever_it_quotes():
    told = str(UserError("caf\udce9.mp4: café \ud83d"))
    assert told == "caf\\udce9.mp4: café \\ud83d" and told.encode()
