"""The file that claims are written down in, before the run: read, and checked field by field."""

from __future__ import annotations

from pathlib import Path

from ivgbench.errors import UserError
from ivgbench.reading import table, tables
from ivgbench.study.claims import Claim, ClaimsSpec
from ivgbench.texts import read_toml


def load_claims(path: Path) -> ClaimsSpec:
    """Reads a claims file (TOML): fields of `ClaimsSpec`, and a [[claims]] table with the fields of `Claim` for each.

    Raises:
        UserError: an unreadable file; an unknown, missing or mistyped field; no claim, or one that nothing can decide.
    """
    data = read_toml(path, "the claims")
    claims = tables(Claim, data, "claims", str(path))
    spec = table(ClaimsSpec, {**data, "claims": claims}, str(path))
    if not claims:
        raise UserError(f"{path}: there is no claim in it; write each under a line [[claims]]")
    ids = [claim.id for claim in claims]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise UserError(f"{path}: two claims have the id {twice[0]!r}")
    # Named relative to the file that names it.
    return ClaimsSpec(**{**vars(spec), "run": Path(path).parent / spec.run})
