"""Names to objects, loaded on first use: listing what exists imports nothing heavy."""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from ivgbench.errors import UserError
from ivgbench.extras import told


class Registry:
    """A table of lazily imported objects of one kind.

    Entries are "module:attribute" strings. Installed packages add entries through the entry-point group
    `ivgbench.KINDs` (e.g. `ivgbench.methods`); a plugin cannot replace a built-in name.
    """

    def __init__(self, kind: str, builtin: dict[str, str], aliases: dict[str, str] | None = None):
        self.kind = kind
        self._entries = dict(builtin)
        self._aliases = dict(aliases or {})
        self._plugins_read = False

    def _all(self) -> dict[str, str]:
        if not self._plugins_read:
            self._plugins_read = True
            for point in entry_points(group=f"ivgbench.{self.kind}s"):
                if point.name in self._entries or point.name in self._aliases:
                    raise UserError(
                        f"the plugin {point.value} wants the {self.kind} name {point.name!r}, which is taken"
                    )
                self._entries[point.name] = point.value
        return self._entries

    def names(self) -> list[str]:
        """Canonical names, built-in ones first, in their declared order."""
        return list(self._all())

    def aliases(self) -> dict[str, str]:
        """Short name -> canonical name."""
        return dict(self._aliases)

    def canonical(self, name: str) -> str:
        """Resolves an alias; raises UserError with the nearest known names for an unknown one."""
        name = self._aliases.get(name, name)
        if name in self._all():
            return name
        known = [*self.names(), *self._aliases]
        near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"known: {', '.join(known)}"
        raise UserError(f"unknown {self.kind} {name!r}; {hint}")

    def get(self, name: str) -> Any:
        """The object behind a name or alias, imported now. MissingPackage names the extra of a package that lacks."""
        module, _, attribute = self._all()[self.canonical(name)].partition(":")
        with told():
            return getattr(import_module(module), attribute)


METHODS = Registry(
    "method",
    {
        "plain": "ivgbench.generator.methods.plain:Plain",
        "peekaboo": "ivgbench.generator.methods.peekaboo:Peekaboo",
        "trailblazer": "ivgbench.generator.methods.trailblazer:TrailBlazer",
        "mask-norm": "ivgbench.generator.methods.mask_norm:MaskNorm",
        "mask-norm-id": "ivgbench.generator.methods.intrinsic:MaskNormID",
        "mask-norm-tid": "ivgbench.generator.methods.intrinsic:MaskNormTID",
    },
    aliases={"id": "mask-norm-id", "tid": "mask-norm-tid"},
)
DETECTORS = Registry(
    "detector",
    {
        "pocket": "ivgbench.metrics.detectors:PocketYolo",
        "owlvit": "ivgbench.metrics.owlvit:OwlVit",
        "yolo-world": "ivgbench.metrics.yolo_world:YoloWorld",
    },
)
#: Of single frames, for FID and KID. The run's own CLIP serves as "clip" as well (ivgbench.runs.sets).
FRAME_ENCODERS = Registry(
    "frame encoder",
    {
        "denoiser": "ivgbench.metrics.frame_features:denoiser",
        "inception": "ivgbench.metrics.frame_features:inception",
    },
)
#: Of whole clips, for JEDi.
VIDEO_ENCODERS = Registry(
    "video encoder",
    {
        "pocket": "ivgbench.metrics.video_features:pocket",
        "vjepa": "ivgbench.metrics.video_features:vjepa",
        "vjepa2": "ivgbench.metrics.video_features:vjepa2",
    },
)
