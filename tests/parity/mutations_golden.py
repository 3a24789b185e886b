"""Rules of the methods that have official numbers but no second implementation, broken in turn; see `mutations`."""

from mutations import Mutation

MASKS, RUN = "direct-a-video/run_one_official_prompt, masks of 6 x 8", "direct-a-video/run_one_official_prompt"
SMALL, LAYER = "direct-a-video/attn_suppressed_only, masks of 5 x 8", "direct-a-video/attn_suppressed_only, layer"
AMPLIFIED, OBJECTS = "generator.edits.amplified", "generator.methods.direct_a_video:DirectAVideoRun"
HALVES = "generator.backbones.unet3d_attention:OneHalfEdited.attended"

DIRECT_A_VIDEO = (
    Mutation("masks", "edges round instead of being cut", f"{AMPLIFIED}:image_masks",
             "torch.trunc(", "torch.round(", MASKS),
    Mutation("masks", "the corner's pixels instead of the centre's", f"{AMPLIFIED}:at_level",
             "[size // 2 - 1, size // 2]", "[0, 1]", MASKS),
    Mutation("masks", "one pixel", f"{AMPLIFIED}:at_level", "[size // 2 - 1, size // 2]", "[size // 2] * 2", MASKS),
    Mutation("masks", "a cell on an edge gains", f"{AMPLIFIED}:logits", "mask == 1", "mask > 0", MASKS),
    Mutation("gain", "the same for every cell", f"{AMPLIFIED}:logits",
             "evenness(cells)", "torch.ones_like(cells[0])", MASKS),
    Mutation("gain", "the background's share does not count", f"{AMPLIFIED}:evenness",
             "keepdim=True)).sum(0)", "keepdim=True))[:-1].sum(0)", MASKS),
    Mutation("gain", "in float64", f"{AMPLIFIED}:precision", "torch.float32 if", "torch.float64 if",
             "direct-a-video/run_one_official_prompt, masks of 3 x 4"),
    Mutation("words", "others are open", f"{AMPLIFIED}:logits", "if words.hide_others", "if False", SMALL),
    Mutation("words", "BOS is hidden", f"{AMPLIFIED}:logits", "1 : words.end]", "0 : words.end]", SMALL),
    Mutation("words", "the end is hidden", f"{AMPLIFIED}:logits", "words.end]", "words.end + 1]", SMALL),
    Mutation("when", "hidden only while they gain", f"{OBJECTS}.edits", "dict.fromkeys(",
             "{} if not self._first[step] else dict.fromkeys(", RUN),
    Mutation("where", "both halves", HALVES, "if conditional == self.conditional else", "if True else", LAYER),
    Mutation("where", "the encoder is left out", f"{OBJECTS}.__init__",
             'one.over == "frame"', 'one.over == "frame" and one.band != "early"', RUN),
)  # fmt: skip

BOXES, WORDS, LOSS, COM = "lvd/units, boxes", "lvd/units, words", "lvd/loss_two, loss 0", "lvd/loss_two, loss 1"
GUIDED, END = "lvd/run_two_com, guided latents", "lvd/run_two_com, latents"
ENERGY, STEP = "generator.edits.energy", "generator.methods.lvd:LVDRun._moved"

LVD = (
    Mutation("boxes", "the far edge is rounded", f"{ENERGY}:edges",
             "near + np.rint((boxes[..., 2:] - boxes[..., :2]) * scale)", "np.rint(boxes[..., 2:] * scale)", BOXES),
    Mutation("boxes", "edges are cut", f"{ENERGY}:edges", "np.rint(boxes[..., :2]", "np.trunc(boxes[..., :2]", BOXES),
    Mutation("boxes", "rows and columns swapped", f"{ENERGY}:edges", "[width, height]", "[height, width]", BOXES),
    Mutation("words", "counted to the phrase, not to the space before it", "generator.methods.lvd:spelled_first",
             "max(at - 1, 0)", "at", WORDS),
    Mutation("loss", "a mean over heads", f"{ENERGY}:_energy", "* bg).sum()", "* bg).mean(2).sum()", LOSS),
    Mutation("loss", "a sum over tokens", f"{ENERGY}:loss", "/ len(own)", "", LOSS),
    Mutation("loss", "a sum over subjects", f"{ENERGY}:loss", "(len(maps) * len(boxes))", "len(maps)", LOSS),
    Mutation("loss", "a sum over maps", f"{ENERGY}:loss", "(len(maps) * len(boxes))", "len(boxes)", LOSS),
    Mutation("loss", "the number of cells is rounded", f"{ENERGY}:_top",
             "* share).long()", "* share).round().long()", LOSS),
    Mutation("loss", "the smallest cells", f"{ENERGY}:_top", "descending=True", "descending=False", LOSS),
    Mutation("loss", "outside is all of it", f"{ENERGY}:_energy", "maps * ~place", "maps", LOSS),
    Mutation("loss", "being seen inside is lost", f"{ENERGY}:_energy",
             "1 - _top(maps * place", "_top(maps * place", LOSS),
    Mutation("centre", "of the box's part of a map", f"{ENERGY}:_off_centre",
             "_centre(maps) - wanted", "_centre(maps * inside[:, None] + 1e-9) - wanted", COM),
    Mutation("centre", "no moves", f"{ENERGY}:_off_centre", " + moving.sum()", "", COM),
    Mutation("centre", "where the box is not as well", f"{ENERGY}:_off_centre",
             ".mean(-1) * there\n", ".mean(-1)\n", COM),
    Mutation("centre", "moves to where the box is not", f"{ENERGY}:_off_centre", "(there[1:] & there[:-1])", "1", COM),
    Mutation("step", "not by the noise's size", STEP, "size * gradient", "gradient", GUIDED),
    Mutation("step", "its size in float64", STEP, "variance.float()", "variance", END),
    Mutation("step", "without the loss's scale", STEP, "self._config.loss_scale * loss", "loss", GUIDED),
    Mutation("step", "of the unconditional half", "generator.loop:_loop",
             "timestep), timestep, text)", "timestep), timestep, negative)", GUIDED),
    Mutation("step", "one too many", "generator.methods.lvd:LVD.iterations",
             "step >= self.max_index_step", "step > self.max_index_step", END),
    Mutation("maps", "the last is not looked at", "generator.methods.lvd:watched",
             "for layer in dict.fromkeys(wanted)]", "for layer in dict.fromkeys(wanted)][:-1]", GUIDED),
    Mutation("maps", "before the softmax", "generator.backbones.unet3d_attention:WatchedAttention.attend",
             "self.edit.see(self.site, probs)", "self.edit.see(self.site, probs.log())", GUIDED),
)  # fmt: skip

MUTATIONS = (*DIRECT_A_VIDEO, *LVD)
