"""FreeInit's and FreeTraj's rules broken in turn, and the official fixture that must see it."""

from mutations import Mutation

FREQUENCY, AGAIN = "generator.edits.frequency", "generator.methods.freeinit:Again"
TRAJECTORY, RUN = "generator.edits.trajectory", "generator.methods.freetraj:TrajectoryRun"
BUTTERWORTH, GAUSSIAN, IDEAL, BOX = (
    f"freeinit/mix_{name}, filter" for name in ("butterworth", "gaussian_dsdt", "ideal", "box")
)
MIX, LOOP, FAST = "freeinit/mix_gaussian_dsdt", "freeinit/loop_butterworth_k3", "freeinit/loop_fast_k3"
#: The edits of all layers.
ALL = "masks[site.grid] for site in sites"
CROSS, SELF, TEMPORAL, MOVING = (f"freetraj/{name}" for name in ("attn_cross", "attn_self", "attn_temporal", "run_l"))

NOISE_MUTATIONS = (
    Mutation("filter", "centred where an even size is not", f"{FREQUENCY}:low_pass",
             "2 * np.arange(size) / size - 1", "2 * (np.arange(size) + 0.5) / size - 1", BUTTERWORTH),
    Mutation("filter", "frames as rows and columns", f"{FREQUENCY}:low_pass", "(d_s / d_t * frames)", "frames",
             GAUSSIAN),
    Mutation("filter", "the order is not squared", f"{FREQUENCY}:low_pass", "** order", "** (order / 2)", BUTTERWORTH),
    Mutation("filter", "the text-book's radius", f"{FREQUENCY}:low_pass",
             '2 * d_s if rule == "official" else d_s**2', "d_s**2", IDEAL),
    Mutation("filter", "columns have their own width", f"{FREQUENCY}:_box", "widths[2] = widths[1]", "pass", BOX),
    Mutation("filter", "the box ends one cell later", f"{FREQUENCY}:_box",
             "slice(n // 2 - width, n // 2 + width) for", "slice(n // 2 - width, n // 2 + width + 1) for", BOX),
    Mutation("mix", "the middle of the filter is not where the slowest are", f"{FREQUENCY}:mix",
             "torch.fft.ifftshift(kept.to(slow.device), dim=AXES)", "kept.to(slow.device)", MIX),
    Mutation("mix", "the fast ones are added whole", f"{FREQUENCY}:mix", "* (1 - kept)", "", MIX),
    Mutation("restart", "noised to the first step's level", f"{AGAIN}.restart",
             "self._last.a * final + self._last.b * initial", "0.1 * final + self._last.b * initial",
             f"{LOOP}, noised back"),
    Mutation("restart", "kept and drawn swapped", f"{AGAIN}.restart",
             "mix(noised.to(final.dtype).float(), fresh", "mix(fresh, noised.to(final.dtype).float()",
             f"{LOOP}, noised back"),
    Mutation("restart", "mixed from where the last round started", "generator.loop:_rounds",
             "latents = run.restart(number, initial, latents)",
             "initial = latents = run.restart(number, initial, latents)", f"{LOOP}, noised back"),
    Mutation("rounds", "all have all steps", f"{AGAIN}.rounds", "if not self._config.fast", "if True",
             f"{FAST}, evaluations"),
    Mutation("rounds", "each has the schedule before its own", "generator.loop:_rounds",
             "in enumerate(every):", "in enumerate([*every[:1], *every[:-1]]):", f"{FAST}, last round"),
    Mutation("path", "rounded instead of cut", f"{TRAJECTORY}:places", "int(box[1] * height)",
             "round(box[1] * height)", MOVING),
    Mutation("path", "columns by the height", f"{TRAJECTORY}:places", "int(box[0] * width)",
             "int(box[0] * height)", MOVING),
    Mutation("logits", "hidden", f"{TRAJECTORY}:isolated", "left=KEPT_LOGIT", "left=0.0", SELF),
    Mutation("logits", "weights are weakened", f"{TRAJECTORY}:isolated", "multiply, left", "False, left", TEMPORAL),
    Mutation("logits", "inside sees itself alone", f"{TRAJECTORY}:isolated", "torch.eye(2, dtype=torch.bool)",
             "torch.tensor([[True, True], [False, True]])", SELF),
    Mutation("text", "inside sees the subject", f"{TRAJECTORY}:TextInside._of_clip", '(self.rule == "intent")',
             "True", CROSS),
    Mutation("text", "outside sees all", f"{TRAJECTORY}:TextInside._of_clip", "~covered & ~subject", "~covered", CROSS),
    Mutation("text", "rows are normalised again", f"{TRAJECTORY}:TextInside.attend",
             "torch.softmax(logits, dim=-1) + more[:, None]",
             "torch.nn.functional.normalize(torch.softmax(logits, dim=-1) + more[:, None], 1, -1)", CROSS),
    Mutation("text", "the gain is rounded before the product", f"{TRAJECTORY}:raised",
             "* gain", "* torch.tensor(gain).half()", CROSS),
    Mutation("text", "not shared by the tokens", f"{TRAJECTORY}:raised", "/ tokens", "", CROSS),
    Mutation("when", "one step too many", f"{RUN}.edits", "step < self", "step <= self", MOVING),
    Mutation("where", "cells picked from the clip's map", f"{RUN}.__init__", "replace(site, stride=1)", "site", MOVING),
    Mutation("where", "text attention is left alone", f"{RUN}.__init__",
             ALL, f'{ALL} if site.reads != "text"', MOVING),
    Mutation("where", "the input layer is left alone", f"{RUN}.__init__",
             ALL, f'{ALL} if site.band != "input"', MOVING),
    Mutation("where", "the second attention between frames is left alone", f"{RUN}.__init__",
             ALL, f"{ALL} if not site.second", MOVING),
)  # fmt: skip
