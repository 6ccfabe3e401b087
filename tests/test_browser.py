"""Lessons in a real JupyterLab: every cell runs, and their widgets answer.

Needs Debian's chromium.  To keep what it saw: MINIGAN_SCREENSHOTS=folder.
"""

import pytest

pytestmark = pytest.mark.browser


def test_start_here_runs_and_its_slider_works(lab, browser):
    # so tall that no cell is scrolled out of sight: JupyterLab draws only what is visible
    with browser.open(lab, "notebooks/00_start_here.ipynb", height=7000) as notebook:
        notebook.run_all()
        notebook.keep("00_ran")
        page = notebook.page
        frame = page.locator(".jupyter-widgets.widget-html img:visible")
        assert frame.get_attribute("alt") == "Six generated signals at ψ = 1.0"
        notebook.press(page.locator(".noUi-handle").first, "ArrowLeft", 10)
        page.wait_for_selector('.widget-html img[alt="Six generated signals at ψ = 0.0"]:visible')
        assert frame.count() == 1
        notebook.keep("00_psi_0")
        assert not notebook.errors
