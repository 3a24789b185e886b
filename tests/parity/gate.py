"""Does the regression gate bite? Every method and every metric perturbed once, and what the snapshot says of it."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mutations import Mutation, mutated

from ivgbench.gate import snapshot
from ivgbench.gate.variations import AS_IT_IS, VariedLab
from ivgbench.report.paper import print_name
from ivgbench.runs import runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import RunSpec, load_spec
from ivgbench.store.runs import Store

ROOT = Path(__file__).resolve().parents[2]
from fake_lab import InlineEngine  # noqa: E402

SPEC = load_spec(ROOT / "benchmarks" / "snapshot.toml")
KEPT = ROOT / "results" / "snapshots" / f"{SPEC.name}.json"


@dataclass(frozen=True)
class Perturbation:
    """What is changed; the `method` whose clips it changes, or "" for a metric; the `column` that must tell.

    looks: whether frames must be looked at again, because a model's answers change.
    """

    what: str
    method: str
    column: str
    edits: tuple[tuple[str, str, str], ...]
    looks: bool = False

    def __str__(self) -> str:
        return f"{self.method or 'metrics'}: {self.what}"


def one(what: str, method: str, column: str, target: str, old: str, new: str, looks: bool = False) -> Perturbation:
    return Perturbation(what, method, column, ((target, old, new),), looks)


MASKED = "generator.backbones.unet3d_attention:MaskedAttention.__call__"
RUN, INNER = "generator.methods.peekaboo:MaskedRun", "generator.methods.intrinsic:IntrinsicRun._inner"
AGAIN, LVD = "generator.methods.freeinit:Again", "generator.methods.lvd:LVDRun"
EDITED, FRAMES = "generator.methods.trailblazer:EditRun", "metrics.control:_by_frame"
PERTURBATIONS = (
    one("guidance 10 % up", "plain", "clip_sim", "generator.loop:_loop",
        "guidance * (conditional", "1.1 * guidance * (conditional"),
    one("another seed", "plain", "clip_sim", "generator.inputs:clip_of", '"seed": seed', '"seed": seed + 1'),
    one("another suffix", "plain", "clip_sim", "generator.loop:sampled",
        "config.text(clip) for", 'clip.prompt + " and a ring" for'),
    one("frozen steps + 1", "peekaboo", "miou_all", f"{RUN}.edits", "step < self", "step <= self"),
    one("background sees the subject", "peekaboo", "miou_all", "generator.edits.rules:self_allowed",
        "shared | (background[:, None] & background[None, :])", "shared | background[:, None]"),
    one("spatial steps + 1", "trailblazer", "miou_all", f"{EDITED}.edits",
        "step < self._config.spatial_steps", "step <= self._config.spatial_steps"),
    one("strengthening doubled", "trailblazer", "miou_all", "generator.edits.reweighted:_apply",
        "edited[..., tokens] = (probs[..., tokens] * factor + maps * strengthen)",
        "edited[..., tokens] = (probs[..., tokens] * factor + maps * strengthen * 2)"),
    one("EFDM's roles swapped", "mask-norm", "miou_all", MASKED,
        "match(result, unmasked)", "match(unmasked, result)"),
    one("no normalisation", "mask-norm", "miou_all", MASKED,
        "self.match(result, unmasked)", "result"),
    one("gamma doubled", "mask-norm-id", "miou_all", INNER,
        "level.b, self._config.gamma)", "level.b, 2 * self._config.gamma)"),
    one("no fresh noise", "mask-norm-id", "miou_all", "generator.methods.intrinsic:renoise", "** 0.5 * b", "* 0 * b"),
    one("kappa doubled", "mask-norm-tid", "miou_all", INNER, "guide.kappa,", "2 * guide.kappa,"),
    one("inner evaluations not counted", "mask-norm-tid", "nfe", "generator.loop:_loop",
        "nfe + 1 + network.evaluations", "nfe + 1"),
    one("the clip is not kept", "freeinit", "clip_sim", f"{AGAIN}.restart", "self._last.a * final", "0 * final"),
    one("a round less", "freeinit", "nfe", f"{AGAIN}.rounds", "count = self._config.rounds",
        "count = self._config.rounds - 1"),
    one("edited steps + 1", "freetraj", "miou_all", "generator.methods.freetraj:TrajectoryRun.edits",
        "step < self", "step <= self"),
    one("pairs across the box keep no logit", "freetraj", "miou", "generator.edits.trajectory:isolated",
        "left=KEPT_LOGIT", "left=0.0"),
    one("cells on the box's edge count", "direct-a-video", "miou_all", "generator.edits.amplified:logits",
        "mask == 1", "mask > 0"),
    one("amplified for longer", "direct-a-video", "miou_all",
        "generator.methods.direct_a_video:DirectAVideoRun.__init__", ">= config.tau", ">= config.tau - 0.25"),
    one("gradient doubled", "lvd", "miou_all", f"{LVD}._moved", "size * gradient", "2 * size * gradient"),
    one("a gradient step less", "lvd", "backward", f"{LVD}.before_step", "range(self._config.iterations(step))",
        "range(self._config.iterations(step) - 1)"),
    one("boxes a pixel to the right", "", "miou_all", "runs.scoring:score_job",
        'words))["boxes"]', 'words))["boxes"] + [1 / width, 0, 1 / width, 0]'),
    one("missed frames do not count", "", "miou_all", FRAMES,
        "float(overlap.sum()) / frames if frames", "float(overlap.sum()) / max(found.sum(), 1) if frames"),
    one("missed frames are not in the volume", "", "miou", "metrics.control:_volume_iou",
        "(asked | detected).sum()", "(asked | detected)[detected.any((1, 2))].sum()"),
    one("covered from three quarters on", "", "coverage", FRAMES, "found.sum() * 2 > frames",
        "found.sum() * 4 > 3.9 * frames"),
    one("AP at 0.25", "", "ap50", FRAMES, "overlap >= 0.5", "overlap >= 0.25"),
    one("distances in frame heights", "", "centroid_distance", FRAMES, "float(np.hypot(height, width))", "height"),
    one("detector's threshold eightfold", "", "coverage", "judges.detectors:PocketYolo.__init__",
        'config["threshold"]', '8 * config["threshold"]', looks=True),
    Perturbation(
        "CLIP's features not normalised", "", "clip_sim",
        (("judges.clip:ClipModel._normalised", "normalize=True", "normalize=False"),
         ("metrics.clip_sim:_unit", "< 1e-3", "< 1e9")), looks=True,
    ),
    # Not "cropped": the pocket lab's frames have its CLIP's shape, so that cropping and squashing are the same there.
    one("the first of the whole frames only", "", "clip_sim_squash", "runs.scoring:score_job",
        'cached(store, judges.squash, pixels)["frames"]', 'cached(store, judges.squash, pixels)["frames"][:1]'),
    one("the own caption is among the others", "", "clip_sim_shuffled", "metrics.clip_sim:others",
        "own.sum(0) - own", "own.sum(0) + 0 * own"),
    one("no distance of means", "", "fid", "metrics.fid:_against", "means @ means +", "0 * (means @ means) +"),
    one("covariances of N", "", "fid", "metrics.fid:_centred", "len(x) - 1", "len(x)"),
    one("no constant in the kernel", "", "kid", "metrics.kid:cubic", "1.0)", "0.0)"),
    one("pairs of a frame with itself", "", "kid", "metrics.kid:kid",
        "- k.diagonal(x)[rows].sum(1)", "- 0 * k.diagonal(x)[rows].sum(1)"),
    one("pairs of one video's frames", "", "kid_xvideo", "metrics.kernel:_within", "1 - np.eye(len(sums))",
        "np.ones((len(sums), len(sums)))"),
    one("another scale", "", "jedi", "metrics.jedi:jedi", "x.shape[1] ** 2", "(x.shape[1] + 1) ** 2"),
    one("a linear kernel", "", "jedi_unbiased", "metrics.jedi:quadratic", "Kernel(2,", "Kernel(1,"),
)  # fmt: skip


class Gate:
    """The snapshot, and a whole run of its spec in `folder` (made when it is first needed)."""

    def __init__(self, folder: Path):
        self.folder, self.kept = folder, snapshot.load(KEPT)[0]

    def whole(self) -> Path:
        if not (self.folder / "manifests").exists():
            self._run(self.folder, SPEC)
        return self.folder

    def told(self, perturbation: Perturbation) -> list[snapshot.Change]:
        """What a check says while something is perturbed: of the method's rows, or of all for a metric."""
        with TemporaryDirectory() as name, ExitStack() as stack:
            folder = Path(name)
            if not perturbation.method:
                self._clips(folder, perturbation.looks)
            for target, old, new in perturbation.edits:
                stack.enter_context(mutated(Mutation("", "", target, old, new, "")))
            self._run(folder, _spec(perturbation.method))
            found = snapshot.values(folder, SPEC.name)
        label = print_name(perturbation.method) if perturbation.method else None
        kept = {metric: row for metric, row in self.kept.items() if label in (None, metric.label)}
        return snapshot.changes(kept, {metric: value for metric, value in found.items() if metric in kept})

    def _clips(self, folder: Path, without_looks: bool) -> None:
        """The whole run's clips, and what was seen in them unless that changes; nothing that was computed from it."""
        shutil.copytree(self.whole() / "jobs", folder / "jobs")
        if not without_looks:
            shutil.copytree(self.whole() / "cache", folder / "cache", ignore=shutil.ignore_patterns("set-*"))

    def _run(self, folder: Path, spec: RunSpec) -> None:
        lab = VariedLab(AS_IT_IS)
        outcome = runner.run(make_plan(spec, lab), Store(folder), lab, InlineEngine())
        assert outcome.failed == outcome.missing == 0


def _spec(method: str) -> RunSpec:
    """The snapshot's run, or of it one method."""
    if not method:
        return SPEC
    return replace(SPEC, methods=tuple(row for row in SPEC.methods if row.method == method), ground_truth=False)
