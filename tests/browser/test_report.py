"""The report in a browser, from disk: sorted, filtered, played, linked to; light, dark, narrow; no markup runs."""

import time
from urllib.parse import urlencode

import pytest
from shown_runs import EVIL, FRAMES, shown_run

from ivgbench.report.page import writing

CASES = 15  # of each split


@pytest.fixture(scope="module")
def folder(browser, tmp_path_factory):
    """A report of 30 cases under 3 rows; of the first static case one clip failed and one is damaged."""
    root = tmp_path_factory.mktemp("report")
    store = shown_run(root / "runs", CASES)
    jobs = {(job["label"], job["split"], job["case"]): job["job"] for job in store.manifest("table1")["jobs"]}
    store.discard(jobs["plain", "static", "case-00"])
    store.fail(jobs["plain", "static", "case-00"], f"no memory {EVIL}", {})
    store.video_path(jobs["mask-norm", "static", "case-00"]).write_bytes(b"scribble")
    writing.write(store.root, None, root / "out", allow_partial=True)
    writing.embed(store.root, None, root / "alone" / "few.html", ["case-01", "case-02"], allow_partial=True)
    return root


@pytest.fixture
def page(browser, folder):
    """Opens the report: a function (hash, width, height, dark, file) -> the driver, with the clips of a case drawn."""

    def open_(said=None, width=1400, height=1000, dark=False, file="out/index.html"):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        browser.get("about:blank")
        browser.get((folder / file).as_uri() + ("" if said is None else f"#{urlencode(said)}"))
        until(browser, "return stage !== null")
        js(browser, "byId('stage').scrollIntoView()")
        until(browser, "return stage.panels.length > 0 && stage.panels[0].canvas.dataset.frame !== undefined")
        return browser

    browser.get_log("browser")
    yield open_
    assert browser.title == "ivgbench: run table1"
    assert [one for one in browser.get_log("browser") if one["level"] == "SEVERE"] == []
    browser.execute_script("localStorage.clear()")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def js(browser, script, *arguments):
    return browser.execute_script(script, *arguments)


def until(browser, script):
    """Waits for what a script returns to be true."""
    end = time.monotonic() + 20
    while not js(browser, script):
        assert time.monotonic() < end, script
        time.sleep(0.02)


def click(browser, selector):
    """In the middle of the window: its head may cover what is above."""
    element = browser.find_element("css selector", selector)
    js(browser, "arguments[0].scrollIntoView({ block: 'center' })", element)
    element.click()


def choose(browser, name, value):
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("name", name)).select_by_value(value)


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def pause(browser, frame=0):
    js(browser, "play(false); toFrame(arguments[0])", frame)


def drawn(browser):
    """The frame that each canvas of the stage shows."""
    return js(browser, "return stage.panels.flatMap((one) => [one.canvas, one.chart]).map((one) => one.dataset.frame)")


def listed(browser):
    """Split and id of the listed cases."""
    return js(browser, "return listed.map((n) => run.cases[n].split + ' ' + run.cases[n].case)")


def picture(browser, number=0):
    return browser.find_elements("css selector", "canvas.clip")[number].screenshot_as_png


def test_a_click_sorts_a_table_and_a_third_one_leaves_it(page):
    browser = page()
    head = "table.sortable th:nth-child(7) button"  # mIoU all
    column = """return [...document.querySelector("table.sortable").tBodies[0].rows]
        .map((row) => row.cells[6].dataset.sort || null)"""
    order = js(browser, column)
    numbers = sorted((float(one) for one in order if one), reverse=True)
    assert None in order and len(set(numbers)) == 3
    for way, expected in (("descending", numbers), ("ascending", numbers[::-1])):
        click(browser, head)
        assert js(browser, f"return document.querySelector({head!r}).parentElement.ariaSort") == way
        found = js(browser, column)
        assert [float(one) for one in found if one] == expected and found[-1] is None
    click(browser, head)
    assert js(browser, column) == order


def test_a_table_is_sorted_by_keyboard_and_lower_is_better_comes_first(page):
    from selenium.webdriver.common.keys import Keys

    browser = page()
    js(browser, "document.querySelector('table.sortable th:nth-child(9) button').focus()")  # CD
    press(browser, Keys.ENTER)
    head, values = js(browser, """const table = document.querySelector("table.sortable");
        return [table.tHead.rows[0].cells[8].ariaSort,
            [...table.tBodies[0].rows].map((row) => row.cells[8].dataset.sort).filter(Boolean)]""")  # fmt: skip
    assert head == "ascending" and values == sorted(values, key=float)
    press(browser, Keys.SPACE)
    assert js(browser, "return document.querySelector('table.sortable th:nth-child(9)').ariaSort") == "descending"


def test_all_clips_play_in_step(page):
    browser = page({"case": "pocket-dynamic/dynamic/case-03/0"})
    js(browser, "play(true)")
    seen = set()
    end = time.monotonic() + 20
    while len(seen) < FRAMES and time.monotonic() < end:
        frames = drawn(browser)
        assert len(frames) == 6 and len(set(frames)) == 1
        seen.add(frames[0])
    assert len(seen) == FRAMES
    click(browser, "#play")
    still = drawn(browser)
    time.sleep(0.4)
    assert drawn(browser) == still and js(browser, "return byId('play').textContent") == "Play"


def test_a_slower_clock(page):
    browser = page()
    frames = {}
    for speed in ("0.25", "4"):
        js(browser, "byId('speed').value = arguments[0]; byId('speed').dispatchEvent(new Event('change'))", speed)
        js(browser, "window.shown = 0; play(true)")
        frames[speed] = js(browser, """const start = performance.now(); let at = clock.frame, count = 0;
            for (let now = start; now < start + 2000; now += 10) {
              tick(now);
              count += (clock.frame - at + stage.frames) % stage.frames;
              at = clock.frame;
            }
            return count""")  # fmt: skip
    assert 3 <= frames["0.25"] <= 6 and 60 <= frames["4"] <= 80  # of 4 and 64: the page's own clock goes on beside


def test_scrubbing_and_steps(page):
    browser = page({"case": "pocket-static/static/case-02/0"})
    js(browser, "byId('scrub').value = 5; byId('scrub').dispatchEvent(new Event('input'))")
    assert set(drawn(browser)) == {"5"} and not js(browser, "return clock.playing")
    assert js(browser, "return byId('at').textContent") == f"6 / {FRAMES}"
    for button, frame in (("#on", "6"), ("#on", "7"), ("#on", "0"), ("#back", "7")):
        click(browser, button)
        assert set(drawn(browser)) == {frame}
    js(browser, """const chart = stage.panels[0].chart, place = chart.getBoundingClientRect();
        const at = { clientX: place.left + place.width * 2.5 / 8, clientY: place.top + 9 };
        chart.dispatchEvent(new MouseEvent("click", at));""")  # fmt: skip
    assert set(drawn(browser)) == {"2"}


def test_the_slider_has_the_arrows_for_itself_and_leaves_the_other_keys(page):
    from selenium.webdriver.common.keys import Keys

    browser = page({"case": "pocket-static/static/case-02/0"})
    pause(browser, 3)
    js(browser, "byId('scrub').focus()")
    press(browser, Keys.ARROW_RIGHT)
    assert set(drawn(browser)) == {"4"}
    press(browser, "d")
    assert not js(browser, "return state.detected")
    press(browser, " ")
    assert js(browser, "return clock.playing")


@pytest.mark.parametrize("width", [390, 1400])
def test_a_long_name_without_spaces_widens_no_page(page, width):
    browser = page(width=width)
    js(browser, """const one = { ...run.cases[state.case], case: "x".repeat(300), prompt: "y".repeat(300) };
        run.cases[state.case] = one; showAbout(one, null); showList();""")  # fmt: skip
    assert js(browser, "return document.documentElement.scrollWidth") <= width


def test_frames_differ_and_each_overlay_is_a_switch_of_its_own(page):
    browser = page({"case": "pocket-static/static/case-02/0"})
    pause(browser, 5)
    both = picture(browser)
    click(browser, "#detected")
    asked = picture(browser)
    click(browser, "#asked")
    none = picture(browser)
    click(browser, "#detected")
    found = picture(browser)
    assert len({both, asked, found, none}) == 4
    assert js(browser, "return byId('asked').ariaPressed + byId('detected').ariaPressed") == "falsetrue"
    click(browser, "#asked")
    assert picture(browser) == both
    pause(browser, 0)
    assert picture(browser) != both


def test_the_chart_marks_the_frame(page):
    browser = page({"case": "pocket-static/static/case-02/0"})
    values = js(browser, "return stage.panels[0].clip.iou[0]")
    shown = set()
    for frame in (1, 6):
        pause(browser, frame)
        shown.add(browser.find_element("css selector", "canvas.chart").screenshot_as_png)
        assert js(browser, "return stage.panels[0].value.textContent") == f"IoU {values[frame]:.2f}"
    assert len(shown) == 2


def test_filters(page):
    browser = page()
    assert len(listed(browser)) == 2 * CASES
    choose(browser, "group", "pocket-dynamic/dynamic")
    assert {one.split()[0] for one in listed(browser)} == {"dynamic"} and len(listed(browser)) == CASES
    choose(browser, "subject", "blue ring")
    assert listed(browser) == ["dynamic case-01"]
    assert js(browser, "return byId('count').textContent") == "1 of 30 cases"
    assert js(browser, "return byId('panels').dataset.case") == "pocket-dynamic/dynamic/case-01/0"
    click(browser, "#forget")
    browser.find_element("name", "text").send_keys("CASE-07")
    assert listed(browser) == ["static case-07", "dynamic case-07"]
    click(browser, "#forget")
    choose(browser, "order", "failed")
    assert listed(browser) == ["static case-00"]
    assert "2 failed" in js(browser, "return byId('rows').textContent")
    click(browser, "#forget")


def test_best_worst_and_disagreement(page):
    browser = page()
    clips = js(
        browser, "return run.cases.map((one) => [one.split + ' ' + one.case, ...one.clips.map((clip) => clip[0])])"
    )
    known = [one for one in clips if None not in one]
    choose(browser, "order", "best")
    choose(browser, "by", "mask-norm")
    assert listed(browser)[: len(known)] == [one[0] for one in sorted(known, key=lambda one: -one[2])]
    choose(browser, "order", "worst")
    assert listed(browser)[: len(known)] == [one[0] for one in sorted(known, key=lambda one: one[2])]
    assert js(browser, "return state.case === listed[0]")
    choose(browser, "order", "differ")
    choose(browser, "a", "plain")
    choose(browser, "b", "mask-norm")
    by = sorted(known, key=lambda one: -abs(one[1] - one[2]))
    assert listed(browser)[: len(known)] == [one[0] for one in by] and listed(browser)[-1] == "static case-00"
    told = js(browser, "return byId('rows').firstElementChild.querySelector('.key').textContent")
    assert told == f"Δ {100 * abs(by[0][1] - by[0][2]):.1f} %"


def test_methods_are_chosen(page):
    browser = page({"case": "pocket-static/static/case-04/0"})
    click(browser, "#methods button:nth-child(2)")
    shown = "return [...document.querySelectorAll('#panels figure:not([hidden])')].map((one) => one.dataset.row)"
    assert js(browser, shown) == ["plain", "ground-truth"]
    assert "method=plain&method=ground-truth" in browser.current_url
    click(browser, "#all")
    assert js(browser, shown) == ["plain", "mask-norm", "ground-truth"] and "method=" not in browser.current_url


def test_keys(page):
    from selenium.webdriver.common.keys import Keys

    browser = page({"case": "pocket-static/static/case-02/0"})
    pause(browser)
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert set(drawn(browser)) == {"1"}
    press(browser, "a")
    assert js(browser, "return [state.asked, state.detected]") == [False, True]
    press(browser, "d", "a")
    assert js(browser, "return [state.asked, state.detected]") == [True, False]
    press(browser, "j", "j", "k")
    until(browser, "return stage !== null && stage.number === 3")
    press(browser, " ")
    assert js(browser, "return clock.playing")
    press(browser, "?")
    assert js(browser, "return byId('keys').open")
    press(browser, "j", Keys.ESCAPE)
    assert not js(browser, "return byId('keys').open") and js(browser, "return state.case") == 3
    js(browser, "document.querySelector('[name=text]').focus()")
    press(browser, "jad")  # what is typed is a text
    assert js(browser, "return [state.text, state.asked]") == ["jad", True]


def test_an_address_shows_what_it_was_copied_from(page):
    browser = page({"case": "pocket-dynamic/dynamic/case-05/0"})
    choose(browser, "order", "worst")
    choose(browser, "by", "plain")
    click(browser, "#asked")
    press(browser, "j", "j")
    address, state = browser.current_url, js(browser, "return [state.case, state.order, state.by, state.asked]")
    browser.get("about:blank")
    browser.get(address)
    until(browser, "return stage !== null")
    assert js(browser, "return [state.case, state.order, state.by, state.asked]") == state
    assert js(browser, "return stage.number") == state[0] and state[1:] == ["worst", "plain", False]
    assert js(browser, "return byId('browser').getBoundingClientRect().top < innerHeight")
    js(browser, "location.hash = 'case=pocket-static/static/case-09/0&order=nothing&by=nobody'")
    until(browser, "return stage !== null && run.cases[stage.number].case === 'case-09'")
    assert js(browser, "return [state.order, state.by, state.asked]") == ["suite", "", True]


def test_only_what_is_seen_is_in_the_page(page):
    browser = page()
    assert 5 < js(browser, "return byId('rows').children.length") < 22
    js(browser, "byId('list').scrollTop = 1e6")
    until(browser, "return byId('rows').lastElementChild.textContent.includes('case-14')")
    assert js(browser, "return byId('rows').children.length") < 22
    for _ in range(12):
        press(browser, "j")
        until(browser, "return stage !== null && stage.number === state.case")
    assert js(browser, "return [details.size <= 7, pictures.size <= 7]") == [True, True]


def test_what_is_missing_says_why(page):
    browser = page({"case": "pocket-static/static/case-00/0"})
    told = [one.text for one in browser.find_elements("css selector", "#panels .none")]
    assert told[0].startswith("failed: no memory </script>") and told[1].startswith("damaged: ")
    assert len(browser.find_elements("css selector", "canvas.clip")) == 1


def test_each_of_several_subjects_has_a_colour(page):
    browser = page({"case": "pocket-static/static/case-01/0"})
    colours = js(browser, """return [...document.querySelectorAll(".legend > span")]
        .map((one) => [...one.querySelectorAll("span")].map((line) => line.style.borderColor))""")  # fmt: skip
    assert len(colours) == 2 and all(len(set(one)) == 1 for one in colours) and colours[0] != colours[1]


def test_no_markup_of_a_user_runs(page):
    browser = page({"case": "pocket-static/static/case-03/0"})
    assert "</script><img" in browser.find_element("css selector", "#about h3").text
    assert js(browser, "return document.images.length") == 0
    # Nor would it, if it came to stand in the page.
    js(browser, "document.body.insertAdjacentHTML('beforeend', arguments[0].slice(9))", EVIL)
    until(browser, "return document.images.length === 1")
    time.sleep(0.2)
    assert browser.title == "ivgbench: run table1"
    complaints = browser.get_log("browser")
    assert complaints and all(
        "Content Security Policy" in one["message"] or "ERR_" in one["message"] for one in complaints
    )


def test_light_and_dark(page):
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = js(page(), ground)
    browser = page(dark=True)
    dark = js(browser, ground)
    assert light != dark  # as the system has it
    click(browser, "#theme")
    assert js(browser, ground) == light
    assert js(page(dark=True), ground) == light  # and it stays
    click(browser, "#theme")
    assert js(browser, ground) == dark


def test_on_a_phone(page):
    browser = page({"case": "pocket-dynamic/dynamic/case-02/0"}, width=390, height=844)
    assert js(browser, "return document.documentElement.scrollWidth") == 390
    assert not js(browser, "return byId('choose').open")
    boxes = js(
        browser, "return [...document.querySelectorAll('canvas.clip')].map((one) => one.getBoundingClientRect().width)"
    )
    assert len(boxes) == 3 and min(boxes) > 140
    click(browser, "#play")
    pause(browser, 3)
    assert set(drawn(browser)[:4]) == {"3"}
    click(browser, "#choose summary")
    choose(browser, "order", "failed")
    assert listed(browser) == ["static case-00"] and js(browser, "return document.documentElement.scrollWidth") == 390


def test_one_file_with_a_few_cases(page):
    browser = page({"case": "pocket-static/static/case-02/0"}, file="alone/few.html")
    assert [one.split()[1] for one in listed(browser)] == ["case-01", "case-02"] * 2
    pause(browser, 4)
    pixels = """const one = stage.panels[0].canvas;
        return one.getContext("2d").getImageData(0, 0, one.width, one.height).data.join()"""
    before = js(browser, pixels)
    press(browser, "d")
    assert js(browser, pixels) != before
    press(browser, "j")
    until(browser, "return stage !== null && run.cases[stage.number].split === 'dynamic'")


def test_a_page_without_its_folder_says_so(browser, folder, tmp_path):
    (tmp_path / "index.html").write_bytes((folder / "out" / "index.html").read_bytes())
    browser.get((tmp_path / "index.html").as_uri())
    until(browser, "return document.querySelector('#panels .warning') !== null")
    assert "keep this page in its folder" in browser.find_element("css selector", "#panels .warning").text
    browser.get_log("browser")
