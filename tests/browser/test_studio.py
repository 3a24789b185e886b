"""The studio in a real browser: drawn with the mouse, made, scored, cancelled, kept. Models only where it is slow."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import stepping_lab

from ivgbench.boxes import interpolate
from ivgbench.cases import load_suite_file

selenium = pytest.importorskip("selenium", reason="selenium is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the studio's packages are not installed")

from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

ROOT = Path(__file__).parents[2]


class Page:
    """The studio's page as one uses it. Boxes are fractions of the frame."""

    def __init__(self, driver, address):
        self.driver = driver
        driver.get(address)
        self.until("return document.body.dataset.ready === 'true'")

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def until(self, script, seconds=20):
        """Waits until a script gives something that counts, and returns it."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < end, f"never: {script}; the page: {self.find('body').text[:2000]}"
            time.sleep(0.05)
        return found

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def click(self, selector):
        self.run("arguments[0].scrollIntoView({block: 'center'})", self.find(selector))
        self.find(selector).click()

    def write(self, selector, text):
        self.find(selector).clear()
        self.find(selector).send_keys(text)

    def drag(self, start, end, shift=False):
        """With the mouse, from a point of the frame to another one."""
        stage = self.find("#stage")
        self.run("arguments[0].scrollIntoView({block: 'center'})", stage)
        width, height = stage.rect["width"], stage.rect["height"]
        way = [(end[0] - start[0]) * width / 2, (end[1] - start[1]) * height / 2]
        chain = ActionChains(self.driver, duration=20)
        if shift:
            chain.key_down(Keys.SHIFT)
        chain.move_to_element_with_offset(stage, round((start[0] - 0.5) * width), round((start[1] - 0.5) * height))
        chain.click_and_hold().move_by_offset(*map(round, way)).move_by_offset(*map(round, way)).release()
        if shift:
            chain.key_up(Keys.SHIFT)
        chain.perform()

    def go(self, frame):
        self.run("const f = document.getElementById('frame'); f.value = arguments[0];"
                 "f.dispatchEvent(new Event('input'))", frame)  # fmt: skip

    def keys(self, subject=0):
        """Keyframes of a subject as the page keeps them: frame -> box."""
        kept = self.run("return JSON.parse(sessionStorage.getItem('ivgbench-draft'))")
        return dict(map(tuple, kept["subjects"][subject]["keys"]))

    def states(self):
        return self.run("return [...document.querySelectorAll('.ticket:first-child .panel')].map(p => p.dataset.state)")

    def errors(self):
        """Field -> line."""
        return self.run(
            "return Object.fromEntries([...document.querySelectorAll('.error')].filter(e => e.textContent).map(e =>"
            " [e.dataset.error ?? e.closest('[data-field]').dataset.field, e.textContent]))"
        )

    def complaints(self):
        """What the browser's console holds against the page, but for refusals that the page tells itself."""
        told = [one for one in self.driver.get_log("browser") if one["level"] == "SEVERE"]
        return [one["message"] for one in told if "status of 4" not in one["message"]]


@pytest.fixture
def maker(tmp_path):
    return stepping_lab.maker(tmp_path)


@pytest.fixture(scope="session")
def choices():
    from ivgbench.studio import catalogue

    return catalogue.choices(["pocket"])


@pytest.fixture
def page(browser, choices, maker, tmp_path):
    """The page of a studio in this process, over the lab without models."""
    from ivgbench.studio import guard, server, serving
    from ivgbench.studio.saving import Suites
    from ivgbench.studio.tickets import Queue

    studio = server.Studio(choices, maker, Queue(maker.work), Suites(tmp_path / "studio"))
    listening = serving._listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    app = server.application(studio, guard.rules("127.0.0.1", port, [], ""))
    running = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    browser.set_window_size(1300, 1000)
    made = Page(browser, f"http://127.0.0.1:{port}/")
    yield made
    complaints = made.complaints()
    browser.get("about:blank")
    running.should_exit = True
    thread.join(20)
    assert not thread.is_alive() and complaints == []


def near(box, wanted):
    return all(abs(a - b) < 0.02 for a, b in zip(box, wanted, strict=True))


def test_boxes_are_drawn_moved_resized_and_removed_with_the_mouse(page):
    page.drag((0.1, 0.2), (0.4, 0.6))
    assert near(page.keys()[0], (0.1, 0.2, 0.4, 0.6))
    page.go(7)
    page.drag((0.25, 0.4), (0.75, 0.5))  # the box, which stands still so far
    assert list(page.keys()) == [0, 7] and near(page.keys()[7], (0.6, 0.3, 0.9, 0.7))
    page.drag((0.9, 0.7), (0.95, 0.9))  # its corner
    assert near(page.keys()[7], (0.6, 0.3, 0.95, 0.9))
    page.drag((0.7, 0.5), (0.9, 0.6), shift=True)  # another one over it
    assert near(page.keys()[7], (0.7, 0.5, 0.9, 0.6))
    page.drag((0.8, 0.55), (0.8, 1.1))  # it stays within the frame
    assert page.keys()[7][3] == 1
    page.find(".box").send_keys(Keys.DELETE)
    assert list(page.keys()) == [0] and not page.run("return document.querySelector('.box').classList.contains('key')")


def test_the_keyboard_is_enough(page):
    page.find("#stage").send_keys(Keys.ENTER)
    before = page.keys()[0]
    page.find(".box").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    moved = page.keys()[0]
    assert near(moved, [before[0] + 0.02, before[1] - 0.01, before[2] + 0.02, before[3] - 0.01]) and moved != before
    page.find(".box").send_keys(Keys.SHIFT, Keys.ARROW_DOWN)
    assert page.keys()[0][3] > moved[3] and page.keys()[0][:3] == moved[:3]
    page.find(".keyframe").send_keys(Keys.ARROW_RIGHT)
    assert list(page.keys()) == [1]
    page.find(".keyframe").send_keys(Keys.ARROW_RIGHT)  # it has kept the focus, and its place
    assert list(page.keys()) == [2]
    page.find(".keyframe").send_keys(Keys.DELETE)
    assert page.keys() == {} and "Drag here" in page.find("#stage").text


def test_what_is_shown_between_keyframes_is_what_is_asked(page):
    page.drag((0.1, 0.1), (0.3, 0.4))
    page.go(7)
    page.drag((0.2, 0.2), (0.7, 0.7))
    keys = page.keys()
    for frame, box in enumerate(interpolate(keys, 8)):
        page.go(frame)
        style = page.run("const s = document.querySelector('.box').style; return [s.left, s.top, s.width, s.height]")
        left, top, width, height = (float(one.rstrip("%")) / 100 for one in style)
        assert max(abs(box - [left, top, left + width, top + height])) < 1e-4


def test_two_subjects_each_with_words_colour_and_track(page):
    page.write("#prompt", "a red star and a blue ring on a navy background")
    page.drag((0.1, 0.1), (0.3, 0.4))
    page.click("#add-subject")
    page.find("#timeline .subject:last-child input[type=text]").send_keys("blue ring")
    page.drag((0.6, 0.5), (0.9, 0.9))
    assert near(page.keys(0)[0], (0.1, 0.1, 0.3, 0.4)) and near(page.keys(1)[0], (0.6, 0.5, 0.9, 0.9))
    colours = page.run("return [...document.querySelectorAll('.box')].map(b => getComputedStyle(b).borderTopColor)")
    assert len(set(colours)) == 2
    labels = [one.get_attribute("aria-label") for one in page.driver.find_elements("css selector", ".box")]
    assert [one.split(",")[0] for one in labels] == ["red star", "blue ring"]
    page.driver.refresh()  # a draft outlives it
    page.until("return document.querySelectorAll('.box').length === 2")
    page.click("#timeline .subject:first-child [aria-label='Remove this subject']")
    assert (
        near(page.keys(0)[0], (0.6, 0.5, 0.9, 0.9)) and page.run("return document.querySelectorAll('.box').length") == 1
    )


def test_each_change_can_be_taken_back_and_brought_again(page):
    assert page.find("#undo").get_property("disabled")
    page.drag((0.1, 0.2), (0.4, 0.6))
    page.go(7)
    page.drag((0.25, 0.4), (0.75, 0.5))
    both = page.keys()
    page.click("#add-subject")
    page.find("#timeline .subject:last-child input[type=text]").send_keys("grey")
    page.drag((0.1, 0.6), (0.3, 0.9))
    page.click("#timeline .subject:first-child [aria-label='Remove this subject']")
    subjects = "return JSON.parse(sessionStorage.getItem('ivgbench-draft')).subjects.map(s => s.phrase)"
    assert page.run(subjects) == ["grey"]
    page.click("#undo")
    assert page.run(subjects) == ["red star", "grey"] and page.keys(0) == both
    press = ActionChains(page.driver).key_down(Keys.CONTROL)
    for _ in range(3):  # the box of the second subject, that subject with its words, the second box of the first one
        press.send_keys("z")
    page.run("document.activeElement.blur()")
    press.key_up(Keys.CONTROL).perform()
    assert page.run(subjects) == ["red star"] and list(page.keys()) == [0]
    page.click("#redo")
    assert page.keys() == both
    page.click("#clear")
    page.click("#undo")
    assert page.keys() == both and page.find("#prompt").get_property("value") == "a red star on a grey background"


@pytest.mark.parametrize(
    ("seeds", "count"), [("0", 2), ("0-2", 6), ("0 3", 4), ("1, 1, 0-1", 4), ("0-99999999999", 2000)]
)
def test_clips_are_counted_as_they_will_be_made(page, seeds, count):
    page.write("#seeds", seeds)
    assert page.find("#count").text == f"{count} clips"


def test_methods_play_side_by_side_in_step_with_their_scores(page):
    page.drag((0.1, 0.2), (0.4, 0.6))
    page.click("#generate")
    page.until("return document.querySelectorAll('.panel[data-state=done] .scores').length === 2")
    titles = [one.text for one in page.driver.find_elements("css selector", ".panel h3")]
    assert titles == ["Plain", "Mask Norm + TID"]
    scores = page.run(
        "return [...document.querySelectorAll('.panel:first-child .scores > div')].map(d => d.dataset.score)"
    )
    assert scores == ["CLIP-SIM", "covered", "mIoU all %", "NFE", "seconds"]
    frames = "return new Set([...document.querySelectorAll('.panel canvas')].map(c => c.dataset.frame))"
    first = page.until("const f = [...document.querySelectorAll('.panel canvas')].map(c => c.dataset.frame);"
                       "return f.every(one => one !== undefined && one === f[0]) && f[0]")  # fmt: skip
    page.until(f"return document.querySelector('.panel canvas').dataset.frame !== '{first}'")  # it plays
    page.click(".playing")
    assert len(page.run(f"{frames.replace('return ', 'return [...')}]")) == 1
    pixel = "const c = document.querySelector('.panel canvas'), b = 0.1 * c.width;" \
            "return [...c.getContext('2d').getImageData(b, 0.4 * c.height, 1, 1).data]"  # fmt: skip
    page.run(
        "const s = document.querySelector('.ticket input[type=range]');s.value = 0; s.dispatchEvent(new Event('input'))"
    )
    drawn = page.run(pixel)
    page.click(".transport input.asked")
    page.click(".transport input.detected")
    assert page.run(pixel) != drawn  # the boxes are gone


def test_progress_is_told_by_steps_and_a_cancel_ends_it(page, maker):
    step, go = threading.Event(), threading.Event()

    def gate(number):
        if number == 3:
            step.set()
            assert go.wait(30)

    maker.fake.gate = gate
    page.drag((0.1, 0.2), (0.4, 0.6))
    page.click("#generate")
    assert step.wait(20)
    page.until("return document.querySelector('.panel .state').textContent.includes('step 2 of 3')")
    # What is not there yet has its name and no bars, and there is nothing to play.
    assert [one.text for one in page.driver.find_elements("css selector", ".panel h3")] == ["Plain", "Mask Norm + TID"]
    assert not page.find(".ticket .transport").is_displayed() and not page.find(".ious").is_displayed()
    page.click(".cancel")
    page.until("return !document.querySelector('.cancel').disabled")  # the server has heard of it
    go.set()
    page.until("return document.querySelector('.ticket .state').textContent.startsWith('cancelled')")
    assert page.states() == ["cancelled", "cancelled"] and maker.fake.made() == []
    maker.fake.gate = lambda step: None
    page.click("#generate")
    page.until("return document.querySelectorAll('.ticket:first-child .panel[data-state=done]').length === 2")


def test_what_is_wrong_is_told_where_it_is(page):
    page.click("#generate")
    page.until("return [...document.querySelectorAll('.error')].some(e => e.textContent)")
    assert page.errors() == {"subjects.0.boxes": "'red star' has no box: draw one"}
    page.drag((0.1, 0.2), (0.4, 0.6))
    page.write("#timeline input[type=text]", "green ring")
    page.click("#generate")
    page.until("return [...document.querySelectorAll('.error')].some(e => e.textContent.includes('not in the prompt'))")
    assert list(page.errors()) == ["subjects.0.phrase"]
    page.write("#timeline input[type=text]", "red star")
    page.click('[data-field="methods.mask-norm-tid"] summary')
    page.write('[data-field="methods.mask-norm-tid.gamma"] input', "5")
    page.click("#generate")
    page.until("return [...document.querySelectorAll('.error')].some(e => e.textContent.includes('between 0 and 2'))")
    assert list(page.errors()) == ["methods.mask-norm-tid.gamma"]
    assert page.find('[data-field="methods.mask-norm-tid.gamma"] input').get_attribute("aria-invalid") == "true"


def test_methods_that_do_not_fit_are_off_and_say_why(page):
    assert page.find('[data-field="methods.ditraj"] input.pick').get_property("disabled")
    assert "needs rotary positions" in page.find('[data-field="methods.ditraj"] .reason').text
    page.click("#all")
    assert page.find("#count").text == "10 clips"
    page.click("#none")
    assert page.find("#count").text == "pick a method"


def test_a_case_is_saved_and_shown_as_a_line_whatever_is_in_the_prompt(page, tmp_path):
    prompt = "a red star <img src=x onerror=\"document.title='taken'\"> $(id) 'and' more"
    page.write("#prompt", prompt)
    page.drag((0.1, 0.2), (0.4, 0.6))
    page.click("#command")
    line = page.until("return document.querySelector('#commands code')?.textContent")
    assert shlex.split(line)[:3] == ["ivgbench", "compare", prompt]
    page.write("#suite", "../out")
    page.click("#save")
    page.until("return document.querySelector('[data-field=suite] .error').textContent")
    assert list(page.errors()) == ["suite"]
    page.write("#suite", "mine")
    page.click("#save")
    page.until("return document.querySelector('#saved').textContent.includes('1 case')")
    (case,) = load_suite_file(tmp_path / "studio" / "mine.jsonl").cases
    assert case.id == "case-1" and case.prompt == prompt and page.find("#case").get_property("value") == "case-2"
    page.click("#generate")
    page.until("return document.querySelectorAll('.panel[data-state=done]').length === 2")
    assert page.find(".ticket h2").text == prompt and page.driver.title == "ivgbench studio"
    assert page.run("return document.querySelectorAll('main img').length") == 0


def test_command_lines_go_where_the_page_asks_for_something_else(page):
    page.drag((0.1, 0.2), (0.4, 0.6))
    shown = "return document.querySelectorAll('#commands code').length"
    page.click("#command")
    page.until(shown)
    page.go(5)  # looking at another frame asks for nothing else
    assert page.run(shown)
    page.write("#seeds", "7")
    assert not page.run(shown)
    page.click("#command")
    page.until(shown)
    page.write("#prompt", " ")
    page.click("#command")
    page.until("return document.querySelector('[data-field=prompt] .error')?.textContent")
    assert not page.run(shown)


def test_what_is_chosen_outlives_a_reload(page):
    page.write("#seeds", "7, 3")
    page.write("#steps", "5")
    page.click("[value=plain]")
    page.click("[value=peekaboo]")
    gamma = '#methods [id="option-mask-norm-tid-gamma"]'
    page.run("arguments[0].closest('details').open = true", page.find(gamma))
    page.write(gamma, "0.25")
    page.click("#seeds")  # leaves the field
    page.driver.refresh()
    page.until("return document.body.dataset.ready")
    assert [page.find(f"#{one}").get_property("value") for one in ("seeds", "steps")] == ["7, 3", "5"]
    picked = "return [...document.querySelectorAll('input.pick:checked')].map(one => one.value)"
    assert page.run(picked) == ["peekaboo", "mask-norm-tid"] and page.find("#count").text == "4 clips"
    assert (
        page.find(gamma).get_property("value") == "0.25"
        and page.run("return document.querySelectorAll('.method .changed').length") == 1
    )


@pytest.mark.parametrize(
    ("prompt", "phrase"),
    [
        ("نجمة حمراء (star) على خلفية رمادية", "نجمة حمراء"),
        ("x" * 60 + " star", "x" * 60),
        ("a \u202ered star\u202c!", "red star"),
    ],
)
def test_any_script_and_length_is_laid_out_in_its_own_direction(page, prompt, phrase):
    page.run(
        "const s = (e, v) => { e.value = v; e.dispatchEvent(new Event('input', {bubbles: true})); };"
        "s(document.getElementById('prompt'), arguments[0]);"
        "s(document.querySelector('#timeline input[type=text]'), arguments[1]);", prompt, phrase
    )  # fmt: skip
    hint, stage = page.find(".stage .empty p").rect, page.find("#stage").rect
    assert stage["x"] <= hint["x"] and hint["x"] + hint["width"] <= stage["x"] + stage["width"]
    page.drag((0.1, 0.2), (0.4, 0.6))
    page.click("#generate")
    page.until("return document.querySelectorAll('.panel[data-state=done]').length === 2")
    rtl = prompt[0] > "\u0590"
    for one in ("#prompt", ".ticket h2", ".box .label"):
        assert page.run(f"return getComputedStyle(document.querySelector({one!r})).direction") == (
            "rtl" if rtl else "ltr"
        )
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [390, 1300])
def test_nothing_is_wider_than_the_window(page, width):
    page.drag((0.1, 0.2), (0.4, 0.6))
    page.click("#command")
    page.until("return document.querySelector('#commands code')")
    page.click("#generate")
    page.until("return document.querySelectorAll('.panel[data-state=done]').length === 2")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page.run("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.run("return document.documentElement.scrollWidth") <= width
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_from_the_command_to_a_scored_clip_of_the_pocket_lab_and_its_end(browser, tmp_path):
    command = [sys.executable, "-m", "ivgbench", "studio", "--port", "0", "--runs", "runs", "--suites", "kept"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://\S+", process.stdout.readline())[0]
        page = Page(browser, address)
        page.drag((0.1, 0.2), (0.4, 0.6))
        page.go(7)
        page.drag((0.25, 0.4), (0.75, 0.4))
        page.write("#steps", "4")
        page.click("#generate")
        page.until("return document.querySelectorAll('.panel[data-state=done]').length === 2", 120)
        assert page.run("return document.querySelectorAll('.ious:not([hidden])').length") == 2
        page.write("#steps", "500")
        page.click("#generate")
        page.until(
            "return document.querySelector('.ticket:first-child .panel .state').textContent.includes('step ')", 60
        )
        page.click(".ticket:first-child .cancel")
        page.until("return document.querySelector('.ticket:first-child .state').textContent.startsWith('cancelled')")
        page.click("#generate")  # it is at work when it is ended
        page.until(
            "return document.querySelector('.ticket:first-child .panel .state').textContent.includes('step ')", 60
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
