"""Published models of other families, by the command line, without their files."""

import pytest

SMALL = ("--cases", 1, "--suite", "scenes-static")


@pytest.mark.slow
def test_a_plan_for_cogvideox_needs_no_weights(command_line):
    code, out, _ = command_line("plan", "--backbone", "cogvideox-2b", "--method", "plain", "--gpu", "h100", *SMALL)
    told = " ".join(out.split())
    assert code == 0 and "GB with --offload" in told and "An estimate for one NVIDIA H100 SXM" in told
    assert "the boxes of its 24 frames are spread over 49: the backbone makes 8k+1" in told
    assert "`ivgbench fetch cogvideox-2b`" in told


@pytest.mark.parametrize("backbone", ["cogvideox-5b", "ltx-video"])
def test_a_run_without_the_files_says_how_to_get_them(backbone, command_line, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = command_line("run", "--backbone", backbone, "--method", "plain", "--suite", "scenes-static")
    assert code == 2 and err.count("\n") == 1 and f"ivgbench fetch {backbone}" in err
    assert "tokenizer/tokenizer.json or spiece.model" in err


def test_trailblazer_is_refused_in_one_line(command_line):
    code, _, err = command_line("plan", "--backbone", "ltx-video", "--method", "trailblazer", "--gpu", "t4", *SMALL)
    assert code == 2 and "attends over the whole clip at once" in err.splitlines()[-1]


@pytest.mark.parametrize("backbone", ["cogvideox-2b", "ltx-video", "wan-1.3b"])
@pytest.mark.parametrize("base", ["plain", "peekaboo"])
def test_freeinit_is_refused_where_the_noise_path_keeps_no_signal(backbone, base, command_line):
    inside = ("--method", "freeinit", "--option", f"freeinit.base={base}")
    code, _, err = command_line("plan", "--backbone", backbone, *inside, "--gpu", "t4", *SMALL)
    assert code == 2 and "freeinit needs a noise path that keeps some of a clip to its end" in err.splitlines()[-1]
