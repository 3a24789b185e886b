"""Names to objects, loaded on first use: listing what exists imports nothing heavy."""

from __future__ import annotations

import difflib
import logging
from importlib import import_module
from typing import Any

from ivgbench import plugins
from ivgbench.errors import UserError
from ivgbench.extras import at_work
from ivgbench.texts import short

log = logging.getLogger(__name__)


class Registry:
    """A table of lazily imported objects of one kind.

    Entries are "module:attribute" strings. Installed packages add entries through entry points (`ivgbench.plugins`); a
    plug-in cannot take a built-in name, an alias, or one of `reserved`, which mean something else where a name stands.
    """

    def __init__(
        self, kind: str, builtin: dict[str, str], aliases: dict[str, str] | None = None, reserved: tuple[str, ...] = ()
    ):
        self.kind = kind
        self._builtin = dict(builtin)
        self._aliases = dict(aliases or {})
        self._reserved = reserved
        self._found: plugins.Found | None = None

    def _offered(self) -> plugins.Found:
        """Read on first use. What is left out is told then, once: worker processes repeat nothing."""
        if self._found is None:
            self._found = plugins.find(self.kind, {*self._builtin, *self._aliases, *self._reserved})
            from multiprocessing import parent_process

            for line in self._found.left_out.values() if parent_process() is None else ():
                log.warning("ivgbench: %s", line)
        return self._found

    def builtin(self) -> list[str]:
        """The names that come with ivgbench, in their declared order."""
        return list(self._builtin)

    def plugins(self) -> list[str]:
        """The names that installed packages add, in alphabetical order."""
        return list(self._offered().usable)

    def left_out(self) -> list[str]:
        """A line for each plug-in whose name cannot be used."""
        return list(self._offered().left_out.values())

    def names(self) -> list[str]:
        """Canonical names, built-in ones first, in their declared order."""
        return [*self.builtin(), *self.plugins()]

    def aliases(self) -> dict[str, str]:
        """Short name -> canonical name."""
        return dict(self._aliases)

    def canonical(self, name: str) -> str:
        """Resolves an alias; raises UserError with the nearest known names for an unknown one."""
        if not isinstance(name, str):
            raise UserError(f"a {self.kind} is named by a text, got {short(name)}")
        name = self._aliases.get(name, name)
        if name in self.names():
            return name
        if name in self._offered().left_out:
            raise UserError(self._offered().left_out[name])
        known = [*self.names(), *self._aliases]
        near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"known: {', '.join(known)}"
        raise UserError(f"unknown {self.kind} {name!r}; {hint}")

    def get(self, name: str) -> Any:
        """The object behind a name or alias, imported now.

        Raises:
            UserError: MissingPackage names the extra of a package that lacks, PluginFault a plug-in that is broken.
        """
        name = self.canonical(name)
        if name not in self._builtin:
            return plugins.load(self.kind, self._offered().usable[name])
        module, _, attribute = self._builtin[name].partition(":")
        with at_work("metrics" if module.startswith("ivgbench.judges.") else "gen"):
            return getattr(import_module(module), attribute)

    def called(self, name: str) -> str:
        """A name in an error message; a plug-in's with its package."""
        name = self.canonical(name)
        point = self._offered().usable.get(name)
        return f"the {self.kind} {name!r}" if point is None else plugins.called(self.kind, point)


METHODS = Registry(
    "method",
    {
        "plain": "ivgbench.generator.methods.plain:Plain",
        "peekaboo": "ivgbench.generator.methods.peekaboo:Peekaboo",
        "trailblazer": "ivgbench.generator.methods.trailblazer:TrailBlazer",
        "mask-norm": "ivgbench.generator.methods.mask_norm:MaskNorm",
        "mask-norm-id": "ivgbench.generator.methods.intrinsic:MaskNormID",
        "mask-norm-tid": "ivgbench.generator.methods.intrinsic:MaskNormTID",
        "freeinit": "ivgbench.generator.methods.freeinit:FreeInit",
        "freetraj": "ivgbench.generator.methods.freetraj:FreeTraj",
        "direct-a-video": "ivgbench.generator.methods.direct_a_video:DirectAVideo",
        "lvd": "ivgbench.generator.methods.lvd:LVD",
        "ditraj": "ivgbench.generator.methods.ditraj:DiTraj",
    },
    aliases={"id": "mask-norm-id", "tid": "mask-norm-tid"},
    reserved=("ground-truth", "floor"),  # rows of a run that no method makes
)
#: Methods that are made around another one: see `ivgbench.generator.around`.
AROUND = ("freeinit",)
DETECTORS = Registry(
    "detector",
    {
        "pocket": "ivgbench.judges.detectors:PocketYolo",
        "owlvit": "ivgbench.judges.owlvit:OwlVit",
        "yolo-world": "ivgbench.judges.yolo_world:YoloWorld",
    },
)
#: Of single frames, for FID and KID. The run's own CLIP serves as "clip" as well (ivgbench.runs.sets).
FRAME_ENCODERS = Registry(
    "frame encoder",
    {
        "denoiser": "ivgbench.judges.frame_encoders:denoiser",
        "inception": "ivgbench.judges.frame_encoders:inception",
    },
    reserved=("clip",),
)
#: Of whole clips, for JEDi.
VIDEO_ENCODERS = Registry(
    "video encoder",
    {
        "pocket": "ivgbench.judges.video_encoders:pocket",
        "vjepa": "ivgbench.judges.video_encoders:vjepa",
        "vjepa2": "ivgbench.judges.video_encoders:vjepa2",
    },
)
