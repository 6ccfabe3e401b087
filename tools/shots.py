"""Pictures of every widget as its readers meet it, to be looked at:  python -m tools.shots FOLDER

In JupyterLab at 1280 × 900 with the file browser open and at 800 × 700 without, in the light theme
and the dark, live and saved (opened without running); and rendered by nbconvert.  Each file is
NETWORK_WIDGET_WIDTH_THEME_KIND.png.  Needs Debian's chromium.
"""

import pathlib
import sys
import tempfile

from nbconvert import HTMLExporter

from tests.jupyter import Chromium, Lab
from tools import run_lessons

START = "import numpy as np, minigan\nfrom minigan import show, toy\n"
BOOKS = {
    "portraits64": (
        "G = minigan.load('portraits64')",
        "show.psi_slider(G)",
        "show.style_mixer(G)",
        "show.noise_lab(G)",
        "show.latent_walk(G, frames=12)",
        "show.layer_browser(G)",
        "show.direction_slider(G, np.linspace(-0.5, 0.5, G.w_dim))",
    ),
    "toy": (
        "G = toy.Generator.init(toy.Config(), np.random.default_rng(0), 0.1)",
        "show.psi_slider(G)",
        "show.style_mixer(G)",
        "show.noise_lab(G)",
        "show.latent_walk(G, frames=12)",
        "show.direction_slider(G, np.linspace(-0.5, 0.5, G.w_dim))",
    ),
    "portraits32-2021": (
        "G, G2 = minigan.load('portraits32-2021'), minigan.load('portraits32')",
        "show.canvas_slider({'StyleGAN2': G2, 'StyleGAN3': G}, '1-6', x=0.15)",
        "show.psi_slider(G)",
        "show.style_mixer(G)",
    ),
}
SIZES = {1280: 900, 800: 700}
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
TO_CELL = """async i => {
  const { content } = jupyterapp.shell.currentWidget;
  content.activeCellIndex = i;
  await content.scrollToItem(i, 'start');
  content.activeCell.node.scrollIntoView({ block: 'start' });
}"""


def photograph(notebook, folder, book, kind):
    """Each widget's cell at the top of the window, at each width and in each theme."""
    page = notebook.page
    for theme, name in THEMES.items():
        page.evaluate(
            "t => jupyterapp.commands.execute('apputils:change-theme', t)", {"theme": name}
        )
        for width, height in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("open => open === !jupyterapp.shell.leftCollapsed || "
                          "jupyterapp.commands.execute('application:toggle-left-area')",
                          width > 1000)  # fmt: skip
            page.wait_for_timeout(1500)
            for i, cell in enumerate(BOOKS[book][1:], 1):
                page.evaluate(TO_CELL, i)
                page.wait_for_timeout(700)
                widget = cell.split("(")[0].removeprefix("show.")
                page.screenshot(path=f"{folder}/{book}_{widget}_{width}_{theme}_{kind}.png")


def converted(browser, path, folder, book):
    """The saved notebook as a page of nbconvert's, whole."""
    for theme in THEMES:
        text, _ = HTMLExporter(theme=theme).from_filename(str(path))
        for width in SIZES:
            page = browser.browser.new_page(viewport={"width": width, "height": 900})
            page.route("**/*", lambda route: route.abort())  # nothing from outside
            page.set_content(text, wait_until="domcontentloaded")
            page.screenshot(path=f"{folder}/{book}_{width}_{theme}_nbconvert.png", full_page=True)
            page.close()


def main(folder):
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room, Lab(room) as lab, Chromium() as browser:
        for book, cells in BOOKS.items():
            path = pathlib.Path(room, lab.write(book, START + cells[0], *cells[1:]))
            run_lessons.run(path)
            converted(browser, path, folder, book)
            for kind in ("saved", "live"):
                with browser.open(lab, path.name) as notebook:
                    if kind == "live":
                        notebook.run_all()
                    photograph(notebook, folder, book, kind)


if __name__ == "__main__":
    main(sys.argv[1])
