"""The leaderboard in a browser, from disk: sorting, the metric that ranks, the cases, links, a narrow screen."""

import time

import pytest
from sent_records import changed, make_record, of_row

from ivgbench.report.leaderboard import build


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Three methods: `plain` is the best by mIoU all and the worst by CLIP-SIM in every case; broken records beside."""
    sent = tmp_path_factory.mktemp("sent")
    values = {"miou": 0.95, "clip_sim": 5.0, "nfe": 50.0}
    make_record(["plain", "mask-norm", "peekaboo"], cases=12, change=of_row("plain", changed(values=values))).save(
        sent / "a.json"
    )
    hostile = "<img src=x onerror=\"document.title='taken'\">"
    make_record(["plain"], run=hostile, by=hostile, cases=2, truth=False).save(sent / "hostile.json")
    (sent / "broken.json").write_text("{}")
    return build([sent], tmp_path_factory.mktemp("site"), {}).page.parent


@pytest.fixture
def page(browser, site):
    """A function (which page) -> the browser, there; afterwards nothing was refused or broken in any of them."""
    browser.get_log("browser")

    def open_(which):
        (path,) = [one for one in site.rglob("*.html") if one.relative_to(site).as_posix().startswith(which)]
        browser.get(path.as_uri())
        return browser

    yield open_
    assert [one["message"] for one in browser.get_log("browser")] == []


def main_board(site):
    return next(
        f"boards/{one.name}" for one in sorted((site / "boards").iterdir()) if "12 static" in one.read_text()
    )  # fmt: skip


def find(browser, css):
    return browser.find_elements("css selector", css)


def column(browser, number):
    """Texts of a column of the table that is shown, without their small print."""
    return browser.execute_script(
        """const table = document.querySelector("section:not([hidden]) table");
        return [...table.tBodies[0].rows].map((row) => row.cells[arguments[0]].firstChild.textContent.trim()
            || row.cells[arguments[0]].innerText.trim());""", number,
    )  # fmt: skip


def names(browser):
    return browser.execute_script(
        """return [...document.querySelectorAll("section:not([hidden]) table tbody tr")].map(
            (row) => (row.cells[1].querySelector("a") ?? row.cells[1]).textContent.trim());"""
    )


def test_a_click_sorts_and_another_turns_it_round(page, site):
    browser = page(main_board(site))
    heads = find(browser, "section:not([hidden]) thead th")
    nfe = next(head for head in heads if head.text.startswith("NFE"))
    nfe.find_element("css selector", "button").click()
    assert names(browser) == ["Mask Norm", "Peekaboo", "Plain", "Ground truth"]
    assert nfe.get_attribute("aria-sort") == "ascending"
    nfe.find_element("css selector", "button").click()
    assert names(browser) == ["Plain", "Peekaboo", "Mask Norm", "Ground truth"]  # what is fixed stays at the end
    assert nfe.get_attribute("aria-sort") == "descending"
    assert len(find(browser, "section:not([hidden]) th[aria-sort]")) == 1


def test_a_heading_sorts_by_keyboard(page, site):
    browser = page(main_board(site))
    button = next(one for one in find(browser, "section:not([hidden]) thead button") if one.text.startswith("CLIP-SIM"))
    button.send_keys("\ue007")
    numbers = [float(one) for one in column(browser, 2)[:-1]]
    assert numbers == sorted(numbers, reverse=True) and numbers[-1] == 5.0


def test_another_metric_ranks(page, site):
    browser = page(main_board(site))
    assert names(browser)[0] == "Plain" and column(browser, 0)[0] == "1"
    find(browser, "#metric option[value=clip_sim]")[0].click()
    assert names(browser)[2:] == ["Plain", "Ground truth"] and column(browser, 0)[2:] == ["3", "–"]
    assert [one.text[:4] for one in find(browser, "section:not([hidden]) th[aria-sort]")] == ["Rank"]
    shaded = find(browser, "section:not([hidden]) th.ranks")
    assert [one.text.split()[0] for one in shaded] == ["CLIP-SIM"]
    find(browser, "#metric option[value=miou_all]")[0].click()
    assert names(browser)[0] == "Plain" and column(browser, 0)[0] == "1"


def test_the_cases_of_a_split(page, site):
    browser = page(main_board(site))
    shown = "section:not([hidden]) h2"
    assert [one.text for one in find(browser, shown)] == ["All: 24 cases"]
    find(browser, "[data-show=dynamic]")[0].click()
    assert [one.text for one in find(browser, shown)] == ["Dynamic: 12 cases"]
    assert find(browser, "[data-show=dynamic]")[0].get_attribute("aria-pressed") == "true"
    find(browser, "#metric option[value=clip_sim]")[0].click()  # it ranks those that are not shown, too
    find(browser, "[data-show=static]")[0].click()
    assert names(browser)[2] == "Plain"


def test_a_methods_page_and_back(page, site):
    browser = page(main_board(site))
    find(browser, "section:not([hidden]) td.name a")[0].click()
    assert find(browser, "h1")[0].text == "Plain" and len(find(browser, "table.sortable tbody tr")) == 2
    find(browser, "td a[href*='boards/']")[0].click()
    assert "pocket on pocket-static, pocket-dynamic" in find(browser, "h1")[0].text
    find(browser, ".bar a")[0].click()
    assert find(browser, "h1")[0].text == "Leaderboard"


def test_every_record_is_listed_and_a_strangers_text_does_nothing(page, site):
    browser = page("index")
    rows = [one.text for one in find(browser, "#records ~ .wide tbody tr")]
    assert len(rows) == 3 and any("not a record of a run" in row for row in rows)
    assert any("<img src=x onerror" in row for row in rows)
    assert browser.title == "ivgbench leaderboard" and not find(browser, "img")


def test_every_link_leads_somewhere(page, site):
    for path in sorted(site.rglob("*.html")):
        browser = page(path.relative_to(site).as_posix())
        for link in browser.execute_script("return [...document.links].map((one) => one.href)"):
            assert link.startswith(site.as_uri()) and (site / link[len(site.as_uri()) + 1 :].split("#")[0]).is_file()


def test_a_narrow_screen_scrolls_tables_and_not_the_page(page, site):
    browser = page("index")
    try:
        for width, scheme in ((390, "light"), (390, "dark"), (1280, "dark")):
            metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            scheme = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
            for which in ("index", main_board(site), "methods/plain"):
                page(which)
                assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), which
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_page_without_scripts_has_its_first_ranks(browser, site):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((site / main_board(site)).as_uri())
        assert find(browser, "tbody tr td.rank")[0].text.startswith("1")
        assert not find(browser, ".controls")[0].is_displayed() and not find(browser, "thead button")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_light_that_was_chosen_stays_from_page_to_page(page, site):
    ground = "return getComputedStyle(document.body).backgroundColor"
    browser = page("index.html")
    before = browser.execute_script(ground)
    find(browser, "#theme")[0].click()
    chosen = browser.execute_script(ground)
    assert chosen != before
    try:
        # Another page from disk may be another process of the browser, which hears of it a moment later.
        end = time.monotonic() + 20
        while page(main_board(site)).execute_script(ground) != chosen:
            assert time.monotonic() < end, "the other page stays as the system has it"
            time.sleep(0.1)
    finally:
        browser.execute_script("localStorage.removeItem('ivgbench-theme')")
