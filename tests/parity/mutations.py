"""Every rule broken in turn: a change of the source, and the check of `requested` that must see it."""

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from unittest.mock import patch


@dataclass(frozen=True)
class Mutation:
    """In the source of `target` ("module:function" or "module:Class.method" in ivgbench) `old` becomes `new`."""

    rule: str
    what: str
    target: str
    old: str
    new: str
    seen_by: str


@contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """While open, ivgbench runs the changed function, wherever it was imported."""
    module_name, _, path = mutation.target.partition(":")
    module = import_module(f"ivgbench.{module_name}")
    *outer, name = path.split(".")
    owner = reduce(getattr, outer, module)
    function = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(function))
    count = source.count(mutation.old)
    assert count == 1, f"{mutation.target} holds {mutation.old!r} {count} times: mend the mutation"
    code = compile(source.replace(mutation.old, mutation.new), f"<mutation of {mutation.target}>", "exec")
    made: dict = {}
    exec(code, vars(module), made)
    loaded = [one for one in list(sys.modules.values()) if getattr(one, "__dict__", {}).get(name) is function]
    holders = [owner] if outer else loaded
    with ExitStack() as stack:
        for holder in holders:
            stack.enter_context(patch.object(holder, name, made[name]))
        yield


ONE, TWO, PAPER = "peekaboo, one subject", "peekaboo, two subjects", "peekaboo, paper scope"
ABSENT, DPM = "peekaboo, phrase not in the prompt", "peekaboo, dpm"
RULES, MASKED = "generator.edits.rules", "generator.edits.masked"
PICK, PROCESSOR = "generator.backbones.sites:Site.pick", "generator.backbones.unet3d_attention:MaskedAttention.__call__"
RUN = "generator.methods.peekaboo:MaskedRun"

PEEKABOO = (
    Mutation("mask", "only values over one half count", "generator.inputs:clip_of",
             ".cpu() != 0", ".cpu() > 0.5", "peekaboo, soft masks"),
    Mutation("mask", "boxes round instead of truncating", "boxes:rasterise",
             "np.trunc(", "np.round(", "peekaboo, boxes"),
    Mutation("level", "another corner of the stride is picked", PICK,
             "[:, :: self.stride,", "[:, self.stride - 1 :: self.stride,", ONE),
    Mutation("level", "the largest group of the cells instead of a strided pick", PICK,
             "cells[:, :: self.stride, :: self.stride][",
             "torch.nn.functional.max_pool2d(cells.float(), self.stride, ceil_mode=True).long()[", ONE),
    Mutation("level", "rows and columns swapped", PICK,
             "[:, :height, :width].flatten(1)", "[:, :height, :width].transpose(1, 2).flatten(1)", ONE),
    Mutation("words", "the phrase's end of text counts as a word", f"{RULES}:word_tokens",
             "phrase_ids[:-1]", "phrase_ids", ONE),
    Mutation("words", "BOS is a word of the subject", f"{RULES}:word_tokens", "words[:start] = False", "pass", ONE),
    Mutation("words", "only a token's first occurrence counts", f"{RULES}:word_tokens",
             "[token in wanted for token in prompt_ids]",
             "[t in wanted and t not in prompt_ids[:at] for at, t in enumerate(prompt_ids)]",
             "peekaboo, every occurrence"),
    Mutation("words", "the suffix's do not count", "generator.methods.peekaboo:_words",
             "clip.prompt + clip.suffix", "clip.prompt", "peekaboo, every occurrence"),
    Mutation("when", "one step too many", f"{RUN}.edits", "step < self", "step <= self", ONE),
    Mutation("where", "the mid block is left out", f"{RUN}.__init__", "backbone.masked_bands if", '{"late"} if', ONE),
    Mutation("where", "the down blocks as well", f"{RUN}.__init__",
             "backbone.masked_bands if", '{"early", "middle", "late"} if', ONE),
    Mutation("where", "transformer_in as well", f"{RUN}.__init__",
             "backbone.masked_bands if", '{"input", "middle", "late"} if', ONE),
    Mutation("where", "the conditional half only", f"{MASKED}:Mask.added",
             ".view(len(query), *size)",
             ".view(len(query), *size) * (torch.arange(len(query)) >= rows)[:, None, None]", ONE),
    Mutation("R1", "no mask", f"{RULES}:self_rule", "self_allowed(covered)", "self_allowed(covered) | True", ONE),
    Mutation("R1", "the background sees the subject", f"{RULES}:self_allowed",
             "shared | (background[:, None] & background[None, :])", "shared | background[:, None]", ONE),
    Mutation("R1", "all subjects are one class", f"{RULES}:self_allowed",
             "shared = (masks[:, :, None] & masks[:, None, :]).any(0)",
             "shared = masks.any(0)[:, None] & masks.any(0)[None, :]", TWO),
    Mutation("R2", "no mask", f"{RULES}:text_rule",
             "cross_allowed(covered, said, bos, own_words)", "torch.ones(covered.shape[1], said.shape[1]).bool()", ONE),
    Mutation("R2", "the background reads the subject's words", f"{RULES}:cross_allowed",
             "others = ~words.any(0)", "others = torch.ones_like(words[0])", ONE),
    Mutation("R2", "BOS is open to the background", f"{RULES}:cross_allowed",
             "others[0] = bos", "others[0] = True", ONE),
    Mutation("R2", "BOS is open to the subject", f"{RULES}:cross_allowed",
             "return seen | ", "seen[:, 0] |= covered\n    return seen | ", ONE),
    Mutation("R2", "subjects read their own words only", f"{RULES}:cross_allowed", "if own_words", "if True", TWO),
    Mutation("R2", "bind='own-words' binds nothing", f"{RULES}:cross_allowed",
             "if own_words", "if False", "peekaboo, two subjects, own words"),
    Mutation("R2, all forbidden", "minus infinity", f"{MASKED}:Mask._bias",
             "~allowed & some, FORBIDDEN", "~allowed, -torch.inf", ABSENT),
    Mutation("R2, all forbidden", "BOS is left", f"{MASKED}:Mask._bias",
             "~allowed & some, FORBIDDEN",
             "~allowed & (some | (torch.arange(allowed.shape[-1]) > 0)), FORBIDDEN", ABSENT),
    Mutation("R2, all forbidden", "the release's rounding in float32", f"{MASKED}:Mask._bias",
             "~allowed & some", "~allowed", "peekaboo, phrase not in the prompt, float32"),
    Mutation("R2'", "subjects without a phrase read the text", f"{RULES}:text_rule",
             "updated=~covered.any(0)", "updated=None", "peekaboo, no phrase"),
    Mutation("R2'", "of several subjects only the last", f"{RULES}:text_rule",
             "~covered.any(0)", "~covered[-1]", "peekaboo, two subjects, no phrase"),
    Mutation("R3", "no mask", f"{RULES}:temporal_rule", "[:, :, None])[0]", "[:, :, None])[0] | True", ONE),
    Mutation("R3", "several subjects are one class", f"{RULES}:temporal_allowed",
             "over_time = masks.transpose(1, 2)", "over_time = masks.any(0, keepdim=True).transpose(1, 2)", TWO),
    Mutation("R4", "an ordinary second attention", PROCESSOR,
             "keep = self.mask.updated(self.site, hidden_states.device)", "keep = None", ONE),
    Mutation("R4", "blank frames are zeros, not the norm's bias", PROCESSOR,
             "torch.where(keep, hidden_states, self.site.block.norm2.bias)", "hidden_states * keep", ONE),
    Mutation("R4", "frames of the background are not blanked", PROCESSOR,
             "torch.where(keep, hidden_states, self.site.block.norm2.bias)", "hidden_states", ONE),
    Mutation("R4", "frames of the background are updated too", PROCESSOR,
             "else result * keep", "else result", ONE),
    Mutation("R4", "any subject's frames, not the last one's", f"{RULES}:presence_rule",
             "updated=covered[-1]", "updated=covered.any(0)", TWO),
    Mutation("paper scope", "BOS is forbidden", "generator.methods.peekaboo:_mask",
             '"bos" not in config.parts()', "False", PAPER),
    Mutation("paper scope", "the mid block as well", f"{RUN}.__init__",
             'else {"late"}', 'else {"middle", "late"}', PAPER),
    Mutation("paper scope", "temporal attention as well", f"{RUN}.__init__",
             " and parts & PARTS_OF.get(kind, {kind})", "", PAPER),
    Mutation("prompts", "all frames take the first one's", "generator.backbones.unet3d:UNet3D._output",
             "if per_frame else nullcontext()", "if False else nullcontext()", "peekaboo, per-frame prompts"),
    Mutation("guidance", "the halves are swapped", "generator.backbones.unet3d:UNet3D.denoise",
             "unconditional, conditional = self", "conditional, unconditional = self", ONE),
    Mutation("dpm", "the last sigma is zero", "generator.schedulers:make", '"sigma_min"', '"zero"', DPM),
    Mutation("dpm", "timesteps are spread over all", "generator.schedulers:make",
             "**own, \"final", "**own, \"timestep_spacing\": \"linspace\", \"final", DPM),
    Mutation("dpm", "coefficients of their rounded ratio", "generator.schedulers:ReleasedDpm._sigma_to_alpha_sigma_t",
             "self.alpha_t[found[0, 0]], self.sigma_t[found[0, 0]]",
             "1 / (sigma**2 + 1) ** 0.5, sigma * (1 / (sigma**2 + 1) ** 0.5)", DPM),
    Mutation("dpm", "latents round to float32", "generator.schedulers:step",
             "return moved + (share * latents - share * latents.float())", "return moved", DPM),
)  # fmt: skip

GIVEN, FOUND, SUBJECTS = "trailblazer, given tokens", "trailblazer, found tokens", "trailblazer, two subjects"
LEVEL, INPUT, MANY = "trailblazer, gate of a level", "trailblazer, gate of transformer_in", "trailblazer, 25 frames"
EDITS, MAPS, METHOD = "generator.edits.reweighted", "generator.edits.maps", "generator.methods.trailblazer"
COMPILED = "generator.backbones.unet3d_attention:EditedMaps.attend"
HALVES = "generator.backbones.unet3d_attention:OneHalfEdited.attended"

TRAILBLAZER = (
    Mutation("region", "no margin", f"{EDITS}:region",
             "int((box[side] + MARGIN) * size)", "int(box[side] * size)", GIVEN),
    Mutation("region", "rounded instead of truncated", f"{EDITS}:region",
             "int((box[side] - MARGIN) * size)", "round((box[side] - MARGIN) * size)", GIVEN),
    Mutation("window", "samples end before the size", f"{EDITS}:window",
             "linspace(0, count, count", "linspace(0, count - 1, count", GIVEN),
    Mutation("window", "sigma is half the size", f"{EDITS}:window", "(count / 3)", "(count / 2)", GIVEN),
    Mutation("window", "centred", f"{EDITS}:window", "count // 2", "count / 2", GIVEN),
    Mutation("window", "not scaled to 1", f"{EDITS}:window", "bell / bell.max()", "bell / bell.sum()", GIVEN),
    Mutation("precision", "maps as wide as the attention", f"{EDITS}:spatial_edit",
             "windows.repeat_interleave", "windows.to(probs.dtype).repeat_interleave", GIVEN),
    Mutation("precision", "weaken as wide as the attention", f"{EDITS}:_apply",
             "weaken).to(torch.float16)", "weaken).to(probs.dtype)", GIVEN),
    Mutation("spatial", "largest value per frame and head", f"{EDITS}:spatial_edit",
             "* probs.max()", "* probs.amax(dim=(1, 2, 3)).view(-1, 1, 1, 1)", GIVEN),
    Mutation("spatial", "heads are the slow index", f"{EDITS}:spatial_edit",
             "repeat_interleave(heads, 0)", "repeat(heads, 1, 1)", GIVEN),
    Mutation("spatial", "weakened inside the box too", f"{EDITS}:_apply",
             "maps != 0, 1.0, weaken", "maps != 0, weaken, weaken", GIVEN),
    Mutation("spatial", "normalised again", f"{MAPS}:SpatialEdit.change",
             "return edited.", "edited = edited / edited.sum(-1, keepdim=True)\n    return edited.", GIVEN),
    Mutation("spatial", "on the unconditional half", HALVES,
             "conditional == self.conditional", "conditional != self.conditional", GIVEN),
    Mutation("when", "one step too many", f"{METHOD}:EditRun.edits",
             "step < self._config.spatial_steps", "step <= self._config.spatial_steps", GIVEN),
    Mutation("tokens", "given positions count from 0", f"{METHOD}:edited_tokens",
             "set(config.token_indices)", "{at - 1 for at in config.token_indices}", GIVEN),
    Mutation("tokens", "trailing ones start one later", f"{METHOD}:edited_tokens",
             "range(last + 1, last + 1", "range(last + 2, last + 2", GIVEN),
    Mutation("tokens", "trailing ones start after the tokens, not the words", f"{METHOD}:edited_tokens",
             'len(clip.prompt.split(";")[0].split(" "))', "len(backbone.phrase_ids(clip.prompt)) - 2", GIVEN),
    Mutation("tokens", "a phrase's first token only", f"{METHOD}:phrase_positions",
             "range(len(wanted))", "range(1)", FOUND),
    Mutation("tokens", "trailing ones start after the suffix", f"{METHOD}:edited_tokens",
             "len(backbone.phrase_ids(clip.prompt)) - 2",
             "len(backbone.phrase_ids(clip.prompt + clip.suffix)) - 2", FOUND),
    Mutation("gate", "never open", f"{MAPS}:TemporalEdit.applies",
             "== OFFICIAL_GATE", "== OFFICIAL_GATE + 1", LEVEL),
    Mutation("gate", "guidance halves not counted", f"{MAPS}:TemporalEdit.applies",
             "2 * site.heads", "site.heads", LEVEL),
    Mutation("gate", "always open", f"{MAPS}:TemporalEdit.applies",
             "return opened", "return True", MANY),
    Mutation("gate", "transformer_in takes the temporal scales", f"{METHOD}:EditRun.__init__",
             'site.band == "input" and', "False and", INPUT),
    Mutation("temporal", "on the conditional half", f"{MAPS}:TemporalEdit.__init__",
             'gate == "intent"', "True", LEVEL),
    Mutation("temporal", "distances are shares of F - 1", f"{EDITS}:temporal_edit",
             "distance / frames", "distance / (frames - 1)", LEVEL),
    Mutation("temporal", "the query frame's box is on top", f"{EDITS}:temporal_edit",
             "torch.where(inside[j], shifted[j], first)",
             "torch.where(inside[i], shifted[i], torch.where(inside[j], shifted[j], 0))", LEVEL),
    Mutation("temporal", "distance lowers nothing", f"{EDITS}:temporal_edit",
             "lowered * share", "scaled * share", LEVEL),
    Mutation("temporal", "negative values are cut, not folded", COMPILED,
             "clip).abs()", "clip).clamp(min=0)", LEVEL),
    Mutation("intent", "on the unconditional half", f"{MAPS}:TemporalEdit.__init__",
             'gate == "intent"', "False", "trailblazer, intent"),
    Mutation("intent", "where the gate is open only", f"{MAPS}:TemporalEdit.applies",
             'self.gate == "intent"', "False", "trailblazer, intent"),
    Mutation("masks", "boxes start at the left edge", "generator.inputs:_tight_boxes",
             "columns.min(),", "0,", "trailblazer, masks"),
    Mutation("compose", "left and top are not lowered", f"{EDITS}:compose",
             ".astype(int) - 1, 0)", ".astype(int), 0)", SUBJECTS),
    Mutation("compose", "rows by the height", f"{EDITS}:compose",
             'height if rows == "intent" else width', "height", SUBJECTS),
    Mutation("compose", "earlier subjects on top", f"{EDITS}:compose",
             "zip(subjects, boxes, strict=True)", "zip(subjects[::-1], boxes[::-1], strict=True)", SUBJECTS),
    Mutation("compose", "overlaps blend with the blended", f"{EDITS}:compose",
             "weight * latents[where]", "weight * blended[where]", SUBJECTS),
    Mutation("compose", "weights start at 1/N", f"{METHOD}:CompositionRun.after_step",
             "step / self._config", "(step + 1) / self._config", SUBJECTS),
    Mutation("compose", "one step too few", f"{METHOD}:CompositionRun.after_step",
             "if step >=", "if step + 1 >=", SUBJECTS),
    Mutation("compose", "saved after the blend", "generator.loop:_loop",
             "trajectory.append(latents)\n        latents = run.after_step(step, latents)",
             "latents = run.after_step(step, latents)\n        trajectory.append(latents)", SUBJECTS),
    Mutation("keyframes", "linear from key to key", "generator.keyframes:at_every_frame",
             "(frame - start) / (last - start)", "(frame - first) / (last - first)", "keyframes"),
)  # fmt: skip

MUTATIONS = (*PEEKABOO, *TRAILBLAZER)
