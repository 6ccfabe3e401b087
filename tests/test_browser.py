"""Lessons in a real JupyterLab: every cell runs, and their widgets answer.

Needs Debian's chromium.  To keep what it saw: MINIGAN_SCREENSHOTS=folder.
"""

import pytest

from tests.test_widgets import split

pytestmark = pytest.mark.browser


def test_start_here_runs_and_its_first_slider_truncates(lab, browser):
    # so tall that no cell is scrolled out of sight: JupyterLab draws only what is visible
    with browser.open(lab, "notebooks/00_start_here.ipynb", height=8000) as notebook:
        notebook.run_all()
        notebook.keep("00_ran")
        live = notebook.page.locator(".minigan-live")
        assert live.count() == 3
        notebook.press(live.first.get_by_role("slider", name="ψ").first, "ArrowLeft", 20)
        notebook.until(lambda: "every w is the average w̄" in notebook.text(), "ψ = 0 is said")
        tiles = split(notebook.pixels(), 6, 64)
        assert (tiles == tiles[:1]).all()
        notebook.keep("00_psi_0")

        mixed = live.nth(1).locator("img").last
        before = mixed.get_attribute("src")
        live.nth(1).get_by_role("button", name="fine").click()
        notebook.until(lambda: mixed.get_attribute("src") != before, "the grid is mixed anew")

        toy = live.nth(2).locator("img").first
        before = toy.get_attribute("src")
        notebook.press(live.nth(2).get_by_role("slider", name="ψ").first, "ArrowLeft", 3)
        notebook.until(lambda: toy.get_attribute("src") != before, "the signals move")
        assert not notebook.errors


def test_truncation_and_mixing_runs_and_its_widgets_answer(lab, browser):
    with browser.open(lab, "notebooks/05_truncation_and_mixing.ipynb", height=11000) as notebook:
        notebook.run_all()
        notebook.keep("05_ran")
        live = notebook.page.locator(".minigan-live")
        assert live.count() == 4
        for i in range(4):
            picture = live.nth(i).locator("img").last
            before = picture.get_attribute("src")
            sliders = live.nth(i).get_by_role("slider")
            if sliders.count():
                notebook.press(sliders.first, "ArrowLeft")
            else:  # the mixer has a ladder instead
                live.nth(i).get_by_role("button", name="fine").click()
            notebook.until(lambda p=picture, b=before: p.get_attribute("src") != b, f"widget {i}")
        assert not notebook.errors
