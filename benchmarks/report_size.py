"""How long a report takes to open in a browser, what it holds in memory, and how even it plays.

    ivgbench report --run claims --out results/own/report
    python benchmarks/report_size.py results/own/report/index.html

It needs chromium with its chromedriver, and selenium.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import chromium

#: Memory in bytes instead of in steps.
FLAGS = ("--enable-precise-memory-info", "--window-size=1400,1000")
DRAWN = "return stage !== null && stage.number === state.case && stage.panels[0]?.canvas.dataset.frame !== undefined"
#: Milliseconds from each picture on the screen to the next, sorted.
GAPS = """const done = arguments[1], gaps = []; let last = performance.now(); play(arguments[0]);
  const look = (now) => { gaps.push(now - last); last = now;
    if (gaps.length < 240) requestAnimationFrame(look); else done(gaps.slice(1).sort((a, b) => a - b)); };
  requestAnimationFrame(look);"""
#: How many cases are gone through.
STEPS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, help="index.html of a report")
    path = parser.parse_args().page.resolve()
    browser = chromium.opened(tempfile.mkdtemp(), *FLAGS)
    try:
        for name, value in measure(browser, path):
            print(f"{name:40} {value}")
    finally:
        browser.quit()


def measure(browser: Any, path: Path) -> list[tuple[str, str]]:
    """(what, how much) of a report."""
    js = browser.execute_script
    files = [one for one in path.parent.rglob("*") if one.is_file()]
    found = [
        ("files, MB", f"{len(files)}, {sum(one.stat().st_size for one in files) / 1e6:.1f}"),
        ("index.html, kB", f"{path.stat().st_size / 1e3:.0f}"),
    ]
    browser.get(f"{path.as_uri()}#boxes=asked+detected")
    took = js(
        "const one = performance.getEntriesByType('navigation')[0]; return [one.domInteractive, one.loadEventEnd]"
    )
    cases, clips = js("return [run.cases.length, run.cases.flatMap((one) => one.clips.filter(Boolean)).length]")
    found += [("cases, clips", f"{cases}, {clips}"), ("to interactive, loaded, ms", f"{took[0]:.0f}, {took[1]:.0f}")]
    found.append(("after load", memory(js)))
    js("byId('stage').scrollIntoView(); play(false)")
    times = []
    for _ in range(min(STEPS, cases)):
        start = time.perf_counter()
        while not js(DRAWN):
            time.sleep(0.002)
        times.append(1000 * (time.perf_counter() - start))
        js("goBy(1)")
    found.append(
        (f"a case drawn, of {len(times)}: median, most, ms", f"{sorted(times)[len(times) // 2]:.0f}, {max(times):.0f}")
    )
    found.append((f"after {len(times)} cases", memory(js)))
    start = time.perf_counter()
    js("change({ order: 'differ' }); change({ order: 'worst' }); change({ order: 'suite' })")
    found.append(("an order of the cases, ms", f"{1000 * (time.perf_counter() - start) / 3:.0f}"))
    for name, on in (("still", False), ("playing", True)):
        gaps = browser.execute_async_script(GAPS, on)
        told = f"{gaps[len(gaps) // 2]:.1f}, {gaps[-3]:.1f}, {gaps[-1]:.1f}"
        found.append((f"{name}: median, 99 %, most ms of a screen", told))
    return found


def memory(js: Any) -> str:
    used = js("return [performance.memory.usedJSHeapSize / 1e6, document.getElementsByTagName('*').length]")
    return f"{used[0]:.1f} MB of heap, {used[1]} elements"


if __name__ == "__main__":
    main()
