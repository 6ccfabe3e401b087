"""Each widget in JupyterLab, by keyboard and by mouse: the picture changes, and changes rightly."""

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


@pytest.mark.parametrize("name", WIDGETS)
def test_each_moves_by_keyboard_and_by_mouse(opened, name):
    notebook = opened(name, WIDGETS[name])
    handle = notebook.page.locator(".minigan-live .noUi-handle").first
    key = "ArrowRight" if name == "latent_walk" else "ArrowLeft"
    notebook.changes(lambda: notebook.press(handle, key))
    notebook.changes(lambda: notebook.drag(handle, -60))
    for width in (1280, 800):
        notebook.page.set_viewport_size({"width": width, "height": 1000})
        notebook.page.wait_for_timeout(500)
        notebook.keep(f"{name}_{width}")
        # what sticks out of the notebook could not be seen at all
        outside = notebook.page.locator(".minigan-live").evaluate(
            """live => {
              const edge = live.closest('.jp-OutputArea-output').getBoundingClientRect().right;
              return Array.from(live.querySelectorAll('img, input, button, .noUi-target'))
                .map(el => [el.className, el.getBoundingClientRect().right - edge])
                .filter(([name, beyond]) => beyond > 0.5);
            }"""
        )
        assert not outside, (width, outside)
    assert not notebook.errors


def test_at_psi_0_all_samples_are_equal(opened):
    notebook = opened("psi_0", WIDGETS["psi_slider"])
    handle = notebook.page.locator(".minigan-live .noUi-handle").first
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
    handle = notebook.page.locator(".minigan-live .noUi-handle").first
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
    for role, name in [("spinbutton", "ψ (psi)"), ("spinbutton", "cutoff"), ("textbox", "seeds"),
                       ("textbox", "rows"), ("checkbox", "layer 3 · 16²"), ("spinbutton", "crossover"),
                       ("button", "middle (layers 3–4)"), ("combobox", "b8.conv0"),
                       ("button", "draw the noise again"), ("img", "6 generated pictures at ψ = 1.00"),
                       ("img", "Variety against ψ, now at ψ = 1.00")]:  # fmt: skip
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
    handle = page.locator(".minigan-live .noUi-handle").first
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
    handle = live.first.locator(".noUi-handle").first
    notebook.press(handle, "ArrowLeft", 3)
    frame = live.nth(1).locator(
        ".widget-play ~ * .noUi-handle, .jupyter-widget-play ~ * .noUi-handle"
    )
    before = live.nth(1).locator("img:visible").first.get_attribute("src")
    notebook.press(frame.first, "ArrowRight", 3)
    notebook.until(
        lambda: live.nth(1).locator("img:visible").first.get_attribute("src") != before,
        "the frames drawn ahead still switch",
    )


def test_play_plays(opened):
    notebook = opened("play", WIDGETS["latent_walk"])
    shown = notebook.page.locator(".minigan-live img:visible").first
    before = shown.get_attribute("src")
    notebook.page.locator(".jupyter-widget-play button, .widget-play button").first.click()
    notebook.until(lambda: shown.get_attribute("src") != before, "it plays")
    later = shown.get_attribute("src")
    notebook.until(lambda: shown.get_attribute("src") != later, "it goes on")
    assert not notebook.errors


def test_style_mixing_is_right(opened):
    notebook = opened("mixing", WIDGETS["style_mixer"])
    notebook.changes(lambda: notebook.page.get_by_role("button", name="fine").click())
    fine = split(notebook.pixels(), 5, 32).astype(int)
    for layer in ("layer 5", "layer 6", "layer 7"):
        box = notebook.page.get_by_role("checkbox", name=layer)
        notebook.changes(lambda box=box: box.uncheck())
    notebook.until(lambda: "no layer" in notebook.text(), "nothing comes from the columns")
    none = split(notebook.pixels(), 5, 32).astype(int)
    for row in range(1, 4):  # with no layer from above, each row is the picture on its left
        assert np.abs(none[5 * row : 5 * row + 5] - none[5 * row]).max() <= 1
    assert np.abs(fine[6] - none[6]).max() > 5
