"""Links out of docs/ work on the site as they do in the repository: what they lead to becomes part of the site.

`../results/CLAIMS.md` in a page is then the page results/CLAIMS.html, made from the file that was committed.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

#: A link or picture one folder up from docs/, where all pages lie.
OUTSIDE = re.compile(r"(?<=\]\()\.\./(?P<file>[^)#\s]+)")
#: Pages of the navigation that lie outside of docs/.
ALWAYS = ("CHANGELOG.md",)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds every file that a page links to. PluginError where there is none."""
    root = Path(config.config_file_path).parent
    wanted = dict.fromkeys(ALWAYS, "the navigation")
    for page in files.documentation_pages():
        text = Path(page.abs_src_path).read_text(encoding="utf-8")
        wanted |= {found["file"]: page.src_uri for found in OUTSIDE.finditer(text)}
    for name, place in wanted.items():
        if not (root / name).is_file():
            raise PluginError(f"{place} links to {name}, which is no file of the repository")
        files.append(File.generated(config, name, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Pages of docs/ lie at the top of the site, beside what was outside of them."""
    return markdown if "/" in page.file.src_uri else OUTSIDE.sub(lambda found: found["file"], markdown)
