"""Each widget in JupyterLab, by keyboard and by mouse: the picture changes, and changes rightly."""

import re

import numpy as np
import pytest

from tests.test_widgets import split

pytestmark = pytest.mark.browser
START = "import numpy as np, minigan\nfrom minigan import show\nG = minigan.load('portraits32')"
WIDGETS = {
    "psi_slider": "show.psi_slider(G)",
    "style_mixer": "show.style_mixer(G)",
    "noise_lab": "show.noise_lab(G, mode='const')",
    "latent_walk": "show.latent_walk(G, frames=12)",
    "layer_browser": "show.layer_browser(G)",
    "direction_slider": "show.direction_slider(G, np.linspace(-0.5, 0.5, G.w_dim))",
    "canvas_slider": "show.canvas_slider(G)",
    "toy": "from minigan import toy\n"
    "show.psi_slider(toy.Generator.init(toy.Config(), np.random.default_rng(0), 0.1))",
}


@pytest.fixture
def opened(lab, browser):
    """opened("name", code, …) -> a Notebook that has run."""
    import contextlib

    with contextlib.ExitStack() as stack:

        def open(name, *cells, **size):
            notebook = stack.enter_context(
                browser.open(lab, lab.write(name, START, *cells), **size)
            )
            notebook.run_all()
            notebook.page.locator(".minigan-live img:visible").first.wait_for()
            return notebook

        yield open


@pytest.mark.parametrize("name", [name for name in WIDGETS if name != "style_mixer"])
def test_each_moves_by_keyboard_and_by_mouse(opened, name):
    notebook = opened(name, WIDGETS[name])
    handle = notebook.page.locator(".minigan-live [type=range]").first
    key = "ArrowRight" if name == "latent_walk" else "ArrowLeft"
    number = -1 if name == "layer_browser" else 0  # the picture stays, its maps change
    notebook.changes(lambda: notebook.press(handle, key), number)
    notebook.changes(lambda: notebook.drag(handle, -60), number)
    for width in (1280, 800):
        notebook.page.set_viewport_size({"width": width, "height": 1000})
        notebook.page.wait_for_timeout(500)
        notebook.keep(f"{name}_{width}")
        # what sticks out of the notebook could not be seen at all
        outside = notebook.page.locator(".minigan-live").evaluate(
            """live => {
              const edge = live.closest('.jp-OutputArea-output').getBoundingClientRect().right;
              return Array.from(live.querySelectorAll('img, input, button, .minigan-track'))
                .map(el => [el.className, el.getBoundingClientRect().right - edge])
                .filter(([name, beyond]) => beyond > 0.5);
            }"""
        )
        assert not outside, (width, outside)
    assert not notebook.errors


def test_at_psi_0_all_samples_are_equal(opened):
    notebook = opened("psi_0", WIDGETS["psi_slider"])
    handle = notebook.page.locator(".minigan-live [type=range]").first
    assert "ψ = 1.00 in all layers" in notebook.text()
    notebook.press(handle, "ArrowLeft", 20)
    notebook.until(
        lambda: "ψ = 0.00 in all layers: every w is the average w̄" in notebook.text(), "ψ = 0"
    )
    tiles = split(notebook.pixels(), 6, 32)
    assert (tiles == tiles[:1]).all()
    notebook.press(handle, "ArrowRight", 6)
    notebook.until(lambda: "ψ = 0.30" in notebook.text(), "ψ = 0.3")
    tiles = split(notebook.pixels(), 6, 32)
    assert (tiles[0] != tiles[1]).any()
    assert not notebook.errors


def test_a_fast_drag_does_not_queue_up(opened):
    notebook = opened("fast", WIDGETS["psi_slider"].replace("G)", "G, '0-15')"))
    handle = notebook.page.locator(".minigan-live [type=range]").first
    for _ in range(3):
        notebook.press(handle, "ArrowLeft", 40)
        notebook.press(handle, "ArrowRight", 40)
    notebook.press(handle, "Home")
    notebook.until(lambda: "ψ = -1.00" in notebook.text(), "the last position is shown")
    notebook.page.wait_for_timeout(500)
    assert "ψ = -1.00" in notebook.text() and not notebook.errors


def test_controls_have_names_for_who_hears(opened):
    notebook = opened("names", WIDGETS["psi_slider"], WIDGETS["style_mixer"], WIDGETS["noise_lab"])
    find = notebook.page.get_by_role
    for role, name in [("spinbutton", "ψ (psi)"), ("slider", "which layers listen"), ("textbox", "seeds"),
                       ("textbox", "rows"), ("group", "layers from the top"), ("img", "seed 4"),
                       ("img", "seed 1 with layers 0–2 of seed 5"), ("combobox", "8²"),
                       ("button", "draw again"), ("group", "6 generated pictures at ψ = 1.00"),
                       ("img", "seed 3"), ("slider", "ψ (psi)")]:  # fmt: skip
        found = find(role, name=name, exact=True).first
        assert found.count() == 1, (role, name)
    field = find("spinbutton", name="ψ (psi)").first
    notebook.changes(lambda: (field.fill("0.3"), field.press("Enter")))
    notebook.until(lambda: "ψ = 0.30" in notebook.text(), "the typed number counts")


def test_mistakes_are_answered_and_nothing_hangs(opened):
    notebook = opened("mistakes", WIDGETS["psi_slider"])
    page = notebook.page
    seeds = page.get_by_role("textbox", name="seeds")
    seeds.fill("1" + "0" * 30)
    seeds.press("Enter")
    page.get_by_role("alert").wait_for(timeout=2000)
    assert "whole numbers below 2³²" in page.get_by_role("alert").inner_text()
    field = page.get_by_role("spinbutton", name="ψ (psi)")
    field.focus()
    field.select_text()
    page.keyboard.type("abc")
    page.keyboard.press("Enter")
    handle = page.locator(".minigan-live [type=range]").first
    notebook.press(handle, "ArrowLeft")  # still with the mistake in seeds, so still in words
    notebook.changes(lambda: (seeds.fill("3"), seeds.press("Enter")))
    assert page.get_by_role("alert").count() == 0
    notebook.changes(lambda: notebook.press(handle, "ArrowLeft"))


def test_a_dead_kernel_says_so_and_a_stack_goes_on(opened, lab):
    notebook = opened("dead", WIDGETS["psi_slider"], WIDGETS["latent_walk"])
    lab.kill_kernels()
    said = "el => getComputedStyle(el, '::after').content"
    live = notebook.page.locator(".minigan-live")
    notebook.until(lambda: "The kernel is gone" in live.first.evaluate(said), "it says so", 10)
    handle = live.first.locator("[type=range]").first
    notebook.press(handle, "ArrowLeft", 3)
    frame = live.nth(1).get_by_role("slider", name="frame")
    before = live.nth(1).locator("img:visible").first.get_attribute("src")
    notebook.press(frame.first, "ArrowRight", 3)
    notebook.until(
        lambda: live.nth(1).locator("img:visible").first.get_attribute("src") != before,
        "the frames drawn ahead still switch",
    )


def test_play_plays(opened):
    notebook = opened("play", WIDGETS["latent_walk"])
    find = notebook.page.get_by_role
    frame = find("slider", name="frame")
    at = lambda: int(frame.get_attribute("aria-valuetext"))  # noqa: E731
    seen = lambda: [notebook.picture(i) for i in (0, 2)]  # noqa: E731
    before = seen()  # the picture and the plot with the playhead
    find("button", name="play").click()
    notebook.until(lambda: at() > 2, "it plays")
    later = at()
    notebook.until(lambda: at() != later, "it goes on")
    notebook.until(lambda: at() < later, "it begins again", 5)
    notebook.until(lambda: at() > 2, "it goes on once more")
    find("button", name="pause").click()
    later = at()
    notebook.page.wait_for_timeout(300)
    assert at() == later > 0
    assert all(a != b for a, b in zip(before, seen(), strict=True))
    loop = find("button", name="loop")
    assert loop.get_attribute("aria-pressed") == "true"
    loop.click()
    assert loop.get_attribute("aria-pressed") == "false"
    find("button", name="play").click()
    notebook.until(lambda: at() == 11, "it comes to the end", 5)
    find("button", name="play").wait_for(timeout=2000)  # and stays there
    assert at() == 11
    find("button", name="stop").click()
    notebook.until(lambda: at() == 0, "it goes back")
    notebook.page.wait_for_timeout(300)
    assert seen() == before
    assert not notebook.errors


def test_a_walk_can_be_saved_from_the_page(opened):
    notebook = opened("film", WIDGETS["latent_walk"])
    notebook.page.get_by_role("button", name="save GIF").click()
    link = notebook.page.get_by_role("link", name="walk.gif")
    link.wait_for(timeout=5000)
    with notebook.page.expect_download() as download:
        link.click()
    assert download.value.path().read_bytes()[:6] == b"GIF89a"


# ---- the mixer's ladder --------------------------------------------------------------------------

MIXED = 5  # the pictures before the first mixture: three above, two on the left


def ladder(notebook):
    """(its layers, a function that gives the numbers of those that are ticked)."""
    chips = notebook.page.locator(".minigan-layer")
    ticked = "els => els.flatMap((el, i) => el.ariaChecked === 'true' ? [i] : [])"
    return chips, lambda: chips.evaluate_all(ticked)


def test_style_mixing_is_right(opened):
    notebook = opened("mixing", WIDGETS["style_mixer"])
    page, (_, ticked) = notebook.page, ladder(notebook)
    assert ticked() == [0, 1, 2]
    notebook.changes(lambda: page.get_by_role("button", name="fine").click(), MIXED)
    fine = notebook.pixels(MIXED).astype(int).reshape(2, 3, 32, 32, 3)
    assert ticked() == [5, 6, 7] and "layers 5–7 (fine)" in notebook.text()
    for layer in ("layer 5", "layer 6", "layer 7"):
        box = page.get_by_role("checkbox", name=layer)
        notebook.changes(lambda box=box: box.click(), MIXED)
    notebook.until(lambda: "no layer" in notebook.text(), "nothing comes from the columns")
    none = notebook.pixels(MIXED).astype(int).reshape(2, 3, 32, 32, 3)
    left = notebook.pixels(3).astype(int).reshape(2, 1, 32, 32, 3)
    assert np.abs(none - left).max() <= 1  # each row is the picture on its left
    assert np.abs(fine[0, 0] - none[0, 0]).max() > 5
    notebook.changes(lambda: page.get_by_role("button", name="new faces").click(), MIXED)
    page.get_by_role("img", name="seed 9", exact=True).wait_for()
    assert ticked() == [] and not notebook.errors


def test_the_ladder_by_keyboard(opened):
    notebook = opened("ladder", WIDGETS["style_mixer"])
    page, (chips, ticked) = notebook.page, ladder(notebook)
    cells = """() => {
      const { content } = window.jupyterapp.shell.currentWidget;
      return [content.model.cells.length, content.activeCellIndex, content.selectedCells.length];
    }"""
    page.locator(".jp-InputPrompt").nth(1).click()  # command mode, where letters are commands
    before = page.evaluate(cells)
    page.get_by_role("button", name="new faces").focus()
    page.keyboard.press("Tab")  # one stop for all, at the first that is ticked
    assert chips.nth(0).evaluate("el => el === document.activeElement")
    for keys, expected in [
        (["Space"], [1, 2]), (["ArrowRight", "ArrowDown", "Space"], [1]), (["End", "Space"], [1, 7]),
        (["Home", "Space"], [0, 1, 7]), (["2"], [3, 4]), (["2"], []), (["f"], [5, 6, 7]),
        (["Shift+ArrowLeft"], [4, 5, 6, 7]), (["Shift+ArrowRight"] * 9, []),
        (["Shift+ArrowUp"], [7]), (["1"], [0, 1, 2]), (["Shift+ArrowDown"], [0, 1, 2, 3]),
        (["Shift+ArrowLeft"] * 5, []), (["Shift+ArrowRight"], [0]),
        (["2", "Home", "ArrowRight", "Shift+ArrowRight"], [1, 2, 3, 4, 5, 6, 7]),
    ]:  # fmt: skip
        for key in keys:
            page.keyboard.press(key)
        assert ticked() == expected, keys
    notebook.until(lambda: "layers 1–7" in notebook.text(), "the kernel has followed")
    for key in ("b", "a", "j", "k", "d", "d", "x", "Shift+ArrowUp", "Shift+ArrowDown"):
        page.keyboard.press(key)  # commands of JupyterLab
    page.wait_for_timeout(300)
    assert page.evaluate(cells) == before and ticked() == [*range(1, 8)]
    assert chips.nth(1).evaluate("el => el === document.activeElement")
    page.keyboard.press("Tab")
    assert page.evaluate("() => !document.activeElement.closest('.minigan-ladder')")
    assert not notebook.errors


def test_the_ladder_by_mouse(opened):
    notebook = opened("handle", WIDGETS["style_mixer"])
    page, (chips, ticked) = notebook.page, ladder(notebook)
    band = lambda name: page.get_by_role("button", name=name)  # noqa: E731
    pressed = lambda: [band(name).get_attribute("aria-pressed")  # noqa: E731
                       for name in ("coarse", "middle", "fine")]  # fmt: skip
    band("fine").click(modifiers=["Shift"])
    assert ticked() == [0, 1, 2, 5, 6, 7] and pressed() == ["true", "false", "true"]
    band("coarse").click(modifiers=["Shift"])
    assert ticked() == [5, 6, 7]
    for width, rail in ((1280, True), (800, False)):
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_timeout(500)
        first, second = (chips.nth(i).bounding_box() for i in (0, 1))
        assert (second["y"] > first["y"]) == rail
        band("fine").click()
        if ticked() == []:
            band("fine").click()
        handle, goal = page.locator(".minigan-handle").bounding_box(), chips.nth(4).bounding_box()
        page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
        page.mouse.down()
        page.mouse.move(goal["x"] + 3, goal["y"] + 3, steps=5)
        page.mouse.up()
        assert ticked() == [4, 5, 6, 7] and pressed() == ["false", "mixed", "true"]
        page.mouse.move(goal["x"] + 200, goal["y"] + 200)
        assert ticked() == [4, 5, 6, 7]  # let go is let go
    assert not notebook.errors


def test_the_ladder_is_named_layer_by_layer(opened):
    notebook = opened("ladder_names", WIDGETS["style_mixer"])
    said = notebook.page.locator(".minigan-ladder").aria_snapshot()
    for words in (r'checkbox "layer 1, 8 by 8, from the top, changes \d+ percent" \[checked\]',
                  r'checkbox "layer 3, 16 by 16, from the left, changes \d+ percent":',
                  r'button "coarse \d+ %" \[pressed\]', r'group "middle"'):  # fmt: skip
        assert re.search(words, said), (words, said)


@pytest.mark.parametrize("name", ["portraits64", "portraits32"])
def test_the_whole_mixer_is_on_one_screen(opened, name):
    """At 800 × 700: from the fields to the last mixture, pixels magnified by a whole number."""
    notebook = opened("screen", f"show.style_mixer(minigan.load('{name}'))", width=800, height=700)
    page = notebook.page
    if page.locator(".jp-SideBar.jp-mod-left .lm-mod-current").count():
        page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    page.locator(".minigan-live").evaluate("el => el.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(500)
    boxes = page.locator(".minigan-live :is(input, button, .minigan-layer, img)").evaluate_all(
        """els => {
          const seen = document.querySelector('.jp-WindowedPanel-outer').getBoundingClientRect();
          return els.map(el => [el, el.getBoundingClientRect()]).filter(([el, box]) =>
            box.top < seen.top - 1 || box.bottom > seen.bottom + 1 || box.right > seen.right
          ).map(([el, box]) => [el.outerHTML.slice(0, 80), box.top, box.bottom, seen.bottom]);
        }"""
    )
    assert not boxes
    widths = page.locator(".minigan-live img").evaluate_all(
        "els => els.map(el => el.getBoundingClientRect().width / el.naturalWidth)"
    )
    assert len(widths) == 11 and all(width == round(width) >= 2 for width in widths)
    notebook.keep(f"mixer_{name}_800")


def test_letters_typed_at_a_control_are_no_commands(opened):
    notebook = opened("letters", WIDGETS["psi_slider"])
    page, find = notebook.page, notebook.page.get_by_role
    state = """() => {
      const book = window.jupyterapp.shell.currentWidget.content;
      return [book.model.cells.length, book.activeCellIndex, book.mode];
    }"""
    page.locator(".jp-InputPrompt").nth(1).click()  # command mode, where letters are commands
    before = page.evaluate(state)
    for control in (
        find("slider", name="ψ (psi)"),
        find("slider", name="which layers listen"),
        find("button", name="new faces"),
    ):
        control.focus()
        for key in ("b", "j", "Shift+M", "Escape"):
            page.keyboard.press(key)
            page.wait_for_timeout(200)
        assert page.evaluate(state) == before
        assert control.evaluate("el => el === document.activeElement")
    page.keyboard.press("Shift+Enter")
    notebook.until(lambda: page.evaluate(state)[0] == before[0] + 1, "a cell still runs")
    page.get_by_role("slider", name="ψ (psi)").focus()
    page.locator(".jp-InputPrompt").nth(1).click()
    page.keyboard.press("b")  # outside they are commands
    notebook.until(lambda: page.evaluate(state)[0] == before[0] + 2, "a cell is inserted")


def test_a_slider_by_keys_by_hand_and_in_words(opened):
    notebook = opened("slider", WIDGETS["psi_slider"])
    page = notebook.page
    handle = page.get_by_role("slider", name="ψ (psi)")
    said = lambda: handle.get_attribute("aria-valuetext")  # noqa: E731
    assert said() == "1.00, as trained"
    for key, words in [("PageDown", "0.75, every w at 0.75 of its"), ("Home", "-1.00, opposite"),
                       ("ArrowRight", "-0.95, every w"), ("End", "1.50, too far")]:  # fmt: skip
        notebook.press(handle, key)
        assert said().startswith(words)
        number = words.split(",")[0]
        notebook.until(lambda: f"ψ = {number} " in notebook.text(), f"{key} is drawn")  # noqa: B023
    heard = page.get_by_role("status")
    assert "ψ = 1.50" not in heard.inner_text()  # not before the thumb has rested
    notebook.until(lambda: "ψ = 1.50" in heard.inner_text(), "it is announced")
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 8 + 0.41 * (box["width"] - 16), box["y"] + 10, steps=5)
    page.mouse.up()
    assert said() == "0.00, average w̄"  # 0.02 beside it
    field = page.get_by_role("spinbutton", name="ψ (psi)")
    field.fill("0.333")
    field.press("Enter")
    notebook.until(lambda: "ψ = 0.33 " in notebook.text(), "a number between the steps")
    field.hover()
    page.mouse.wheel(0, 100)
    page.wait_for_timeout(300)
    assert field.input_value() == "0.333" and said().startswith("0.33,")
    assert not notebook.errors


@pytest.mark.parametrize("width, height", [(1280, 900), (800, 700)])
def test_psi_fits_one_screen_by_whole_pixels(opened, width, height):
    notebook = opened(f"fits_{width}", WIDGETS["psi_slider"], width=width, height=height)
    page = notebook.page
    if width == 800:
        page.keyboard.press("Control+b")  # the file browser takes half of so small a window
        page.wait_for_timeout(500)
    panel = page.locator(".minigan-live")
    panel.evaluate("el => el.scrollIntoView()")
    top, bottom = panel.evaluate(
        """el => {
          const inside = el.getBoundingClientRect();
          const room = el.closest('.jp-WindowedPanel-outer').getBoundingClientRect();
          return [inside.top - room.top, room.bottom - inside.bottom];
        }"""
    )
    assert min(top, bottom) > -1
    shown = panel.locator(".minigan-tiles img").evaluate_all(
        """all => all.map(el => {
          const box = el.getBoundingClientRect();
          return [box.width / el.naturalWidth, box.height / el.naturalHeight * all.length];
        })"""
    )
    assert len(shown) == 6 and all(times == [4, 4] for times in shown)


def contrast(a, b):
    """WCAG's, of two colours such as "rgb(1, 2, 3)"."""
    light = []
    for colour in (a, b):
        c = np.array(colour[colour.index("(") + 1 : -1].split(",")[:3], float) / 255
        c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        light.append(c @ [0.2126, 0.7152, 0.0722] + 0.05)
    return max(light) / min(light)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_a_mistake_can_be_read_in_both_themes(opened, theme):
    notebook = opened(theme.split()[1], WIDGETS["psi_slider"], height=700)
    page = notebook.page
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})",
                  theme)  # fmt: skip
    page.wait_for_timeout(1000)
    seeds = page.get_by_role("textbox", name="seeds")
    seeds.fill("abc")
    seeds.press("Enter")
    alert = page.get_by_role("alert")
    alert.wait_for(timeout=2000)
    assert alert.inner_text().startswith("seeds: 'abc'; expected")
    assert alert.bounding_box()["y"] < page.locator(".minigan-tiles").bounding_box()["y"]
    colour = "(el, which) => getComputedStyle(el)[which]"
    around = page.locator(".jp-Notebook").evaluate(colour, "backgroundColor")
    assert contrast(alert.evaluate(colour, "color"), around) > 4.5
    marked = page.locator(".minigan-error")
    assert marked.count() == 1 and marked.evaluate(colour, "borderLeftWidth") == "3px"
