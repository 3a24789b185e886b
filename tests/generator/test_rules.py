"""The mask rules, against their definitions written out pair by pair."""

import torch

from ivgbench.generator.backbones.sites import Site
from ivgbench.generator.edits import rules
from ivgbench.generator.edits.masked import FORBIDDEN, Mask

GENERATOR = torch.Generator().manual_seed(3)


def random_bool(*shape):
    return torch.rand(shape, generator=GENERATOR) < 0.4


def test_one_subject_self_attention_is_the_papers_formula():
    m = random_bool(1, 20)
    f = m[0].float()
    assert torch.equal(rules.self_allowed(m).float(), torch.outer(f, f) + torch.outer(1 - f, 1 - f))


def test_one_subject_text_attention_is_the_papers_formula():
    m, y = random_bool(1, 20), random_bool(1, 9)
    y[:, 0] = False
    f, w = m[0].float(), y[0].float()
    formula = torch.outer(f, w) + torch.outer(1 - f, 1 - w)
    assert torch.equal(rules.cross_allowed(m, y, bos=True, own_words=False).float(), formula)
    formula[:, 0] = 0
    assert torch.equal(rules.cross_allowed(m, y, bos=False, own_words=False).float(), formula)
    assert torch.equal(rules.cross_allowed(m, y, bos=False, own_words=True).float(), formula)


def test_several_subjects_pair_by_pair():
    m, y = random_bool(3, 15), random_bool(3, 9)
    y[:, 0] = False
    ours = rules.self_allowed(m)
    shared = rules.cross_allowed(m, y, bos=False, own_words=False)
    own = rules.cross_allowed(m, y, bos=False, own_words=True)
    for p in range(15):
        for q in range(15):
            assert ours[p, q] == (bool((m[:, p] & m[:, q]).any()) or not (m[:, p].any() or m[:, q].any()))
        for j in range(9):
            background = not m[:, p].any() and not y[:, j].any() and j != 0
            assert shared[p, j] == (bool(m[:, p].any() and y[:, j].any()) or background)
            assert own[p, j] == (bool((m[:, p] & y[:, j]).any()) or background)


def test_signatures_that_share_a_subject_see_each_other():
    """Cells grouped by which subjects cover them, as a K-bit number."""
    m = random_bool(3, 40)
    signature = (m.int() * torch.tensor([[1], [2], [4]])).sum(0)
    assert len(signature.unique()) == 8
    pairs = signature[:, None], signature[None, :]
    assert torch.equal(rules.self_allowed(m), (pairs[0] & pairs[1] != 0) | (pairs[0] == 0) & (pairs[1] == 0))


def test_frames_pair_by_pair():
    for count in (1, 2, 3):
        m = random_bool(count, 5, 7)
        ours = rules.temporal_allowed(m)
        for p in range(7):
            for f in range(5):
                for g in range(5):
                    a, b = m[:, f, p], m[:, g, p]
                    assert ours[p, f, g] == (bool((~a & ~b).any()) or bool((a & b).all()))
        if count == 1:
            assert torch.equal(ours, m[0].T[:, :, None] == m[0].T[:, None, :])


def test_words_are_found_by_token_id_and_bos_is_nobodys():
    prompt = [1, 7, 8, 7, 9, 2, 2]
    assert rules.word_tokens(prompt, [1, 7, 2]).tolist() == [False, True, False, True, False, False, False]
    assert not rules.word_tokens(prompt, [1, 5, 2]).any()
    assert not rules.word_tokens(prompt, None).any()


def test_words_of_a_place_are_found_by_position_and_what_is_cut_is_not_there():
    assert rules.placed_tokens(6, [range(1, 3), range(4, 5)]).tolist() == [False, True, True, False, True, False]
    assert not rules.placed_tokens(6, [range(4, 6), range(5, 7), range(9, 10)]).any()
    assert not rules.placed_tokens(6, []).any()


SITE = {
    (over, reads): Site("x", "late", over, reads, False, (1, 2), 1, torch.nn.Identity())
    for over, reads in (("frame", "self"), ("frame", "text"), ("cell", "self"))
}
CPU = torch.device("cpu")


def text(words):
    """R2 on one frame of two cells, of which the first is the subject's."""
    return Mask([rules.text_rule(torch.tensor([[[[True, False]]]]), words, bos=False, own_words=False)])


def test_biases_are_finite_and_made_once():
    mask, site = text(torch.tensor([[False, True, False]])), SITE["frame", "text"]
    made = mask.bias(site, CPU, torch.float32)
    assert made[0].tolist() == [[FORBIDDEN, 0, FORBIDDEN], [FORBIDDEN, FORBIDDEN, 0]]
    assert mask.updated(site, CPU) is None
    assert mask.bias(site, CPU, torch.float32) is made


def test_a_row_with_everything_forbidden_is_not_masked():
    mask = text(torch.tensor([[False, False, False]]))
    assert mask.bias(SITE["frame", "text"], CPU, torch.float32)[0].tolist() == [[0, 0, 0], [FORBIDDEN, 0, 0]]


def test_without_a_phrase_the_subject_gets_no_text():
    mask = text(None)
    assert mask.bias(SITE["frame", "text"], CPU, torch.float32) is None
    assert mask.updated(SITE["frame", "text"], CPU).tolist() == [[False, True]]


def test_tables_of_groups_say_what_the_rules_say_of_cells():
    m, y = random_bool(3, 4, 1, 2), random_bool(3, 9)
    y[:, 0] = False
    by_frame, by_cell = m.flatten(2).unbind(1), m.flatten(2)
    for rule, site, expected in (
        (rules.self_rule(m), SITE["frame", "self"], torch.stack([rules.self_allowed(one) for one in by_frame])),
        (
            rules.text_rule(m, y, True, True),
            SITE["frame", "text"],
            torch.stack([rules.cross_allowed(one, y, True, True) for one in by_frame]),
        ),
        (rules.temporal_rule(m), SITE["cell", "self"], rules.temporal_allowed(by_cell)),
    ):
        assert torch.equal(Mask([rule], multiply=True).bias(site, CPU, torch.float32), expected.float())
    kept = Mask([rules.presence_rule(m)]).updated(SITE["cell", "self"], CPU)
    assert torch.equal(kept, by_cell[-1].T)


def test_text_and_cells_in_one_sequence():
    """Cells as by R1, cells and text as by R2 both ways, text and text free; the text comes first."""
    m, y, length = random_bool(2, 3, 2, 2), random_bool(2, 5), 5
    cells, words = m.flatten(1), y
    whole = {
        "self": rules.self_allowed(cells),
        "cross": rules.cross_allowed(cells, words, None, True),
    }
    for parts in (("self", "cross"), ("self",), ("cross",)):
        pairs = torch.ones(length + 12, length + 12, dtype=torch.bool)
        if "self" in parts:
            pairs[length:, length:] = whole["self"]
        if "cross" in parts:
            pairs[length:, :length], pairs[:length, length:] = whole["cross"], whole["cross"].T
        rule = rules.joint_rule(m, y, True, parts)
        site = Site("x", "late", "clip", "joint", False, (2, 2), 1, None)
        assert torch.equal(Mask([rule], multiply=True).bias(site, CPU, torch.float32)[0], pairs.float())
        q, k, v = torch.randn(3, 2, 3, length + 12, 4, dtype=torch.float64)
        grouped = Mask([rule]).groups(site, CPU).attend(q, k, v)
        seen = pairs | ~pairs.any(-1, keepdim=True)
        torch.testing.assert_close(grouped, torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen))
