"""The first lesson in a real JupyterLab: every cell runs, and the slider moves the picture.

Needs Debian's chromium.  To keep what it saw: MINIGAN_SCREENSHOTS=folder.
"""

import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).parent.parent
ERROR = '[data-mime-type="application/vnd.jupyter.error"]'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server on a copy of the notebooks: the address of its front page, with token."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", f"--port={port}"),
        *(f"--IdentityProvider.token={token}", "--ServerApp.ip=127.0.0.1"),
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    log = open(folder / "log", "w")  # noqa: SIM115
    # settings and workspaces of its own: else the tabs that this user last had open open too
    settings = {"JUPYTER_CONFIG_DIR": "config", "JUPYTERLAB_SETTINGS_DIR": "settings",
                "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}  # fmt: skip
    env = os.environ | {name: str(folder / part) for name, part in settings.items()}
    server = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/api?token={token}", timeout=1)
            break
        except OSError:
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.5)
    yield lambda path: f"{address}/lab/tree/{path}?token={token}"
    server.terminate()
    server.wait(20)
    log.close()


@pytest.fixture(scope="module")
def page():
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "this test needs chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
        )
        # so tall that no cell is scrolled out of sight: JupyterLab draws only what is visible
        yield browser.new_page(viewport={"width": 1280, "height": 7000})
        browser.close()


def keep(page, name):
    if folder := os.environ.get("MINIGAN_SCREENSHOTS"):
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{folder}/{name}.png")


def test_start_here_runs_and_its_slider_works(lab, page):
    page.goto(lab("notebooks/00_start_here.ipynb"))
    counts = page.locator(".jp-CodeCell .jp-InputPrompt")
    cells = nbformat.read(ROOT / "notebooks/00_start_here.ipynb", as_version=4).cells
    last = sum(cell.cell_type == "code" for cell in cells) - 1
    counts.nth(last).wait_for(timeout=60_000)
    page.click("text=Run >> nth=0")
    page.click("text=Run All Cells")
    deadline = time.monotonic() + 240
    # The stored prompts are numbers too, so first the kernel must have begun: a star somewhere
    while not any("*" in text for text in counts.all_inner_texts()):
        assert time.monotonic() < deadline, "no cell began to run"
        time.sleep(0.1)
    while not all(re.fullmatch(r"\[\d+\]:", text.strip()) for text in counts.all_inner_texts()):
        assert page.locator(ERROR).count() == 0, page.locator(ERROR).first.inner_text()
        assert time.monotonic() < deadline, counts.all_inner_texts()
        time.sleep(0.5)
    assert page.locator(ERROR).count() == 0
    keep(page, "00_ran")

    frame = page.locator(".jupyter-widgets.widget-html img:visible")
    assert frame.get_attribute("alt") == "Six generated signals at ψ = 1.0"
    handle = page.locator(".noUi-handle").first
    handle.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    page.wait_for_selector('.widget-html img[alt="Six generated signals at ψ = 0.0"]:visible')
    assert frame.count() == 1
    keep(page, "00_psi_0")
