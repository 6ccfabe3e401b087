"""A real JupyterLab in a real browser, for tests: Debian's Chromium, driven by Playwright.

    with Lab(folder) as lab, Chromium() as chromium:
        notebook = chromium.open(lab, "notebooks/00_start_here.ipynb")
        notebook.run_all()

The server has every directory of its own (settings, workspaces, kernels' runtime), so it neither
opens the tabs that this user had open last nor leaves any behind.
"""

import contextlib
import io
import json
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
import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-first-run",
]  # fmt: skip
# Of the console, what JupyterLab itself writes on a machine without a network
HARMLESS = re.compile(
    r"favicon|announcements|404 \(Not Found\)|Failed to load resource|ERR_|WebSocket"
)


def chromium():
    """Where the browser is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Lab:
    """A server on a copy of the notebooks and what they need beside them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def __enter__(self):
        shutil.copytree(ROOT / "notebooks", self.folder / "notebooks")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address, self.token = f"http://127.0.0.1:{port}", secrets.token_hex(16)
        command = [
            *(sys.executable, "-m", "jupyter", "lab", "--no-browser", f"--port={port}"),
            *(f"--IdentityProvider.token={self.token}", "--ServerApp.ip=127.0.0.1"),
            "--LabApp.expose_app_in_browser=True",
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-root")
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
                 "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")  # fmt: skip
        room = self.folder / "server"
        env = os.environ | {name: str(room / name.lower()) for name in names}
        quiet = room / "jupyterlab_settings_dir/@jupyterlab/apputils-extension"
        quiet.mkdir(parents=True)
        (quiet / "notification.jupyterlab-settings").write_text(
            json.dumps({"fetchNews": "false", "checkForUpdates": False})
        )
        self.log = open(room / "log", "w")
        self.server = subprocess.Popen(
            command, cwd=self.folder, env=env, stdout=self.log, stderr=self.log
        )
        for _ in range(240):
            try:
                self.ask("api/status")
                return self
            except OSError:
                assert self.server.poll() is None, (room / "log").read_text()
                time.sleep(0.5)
        raise AssertionError((room / "log").read_text())

    def __exit__(self, *error):
        self.server.terminate()
        self.server.wait(20)
        self.log.close()

    def ask(self, path, method="GET"):
        """What the server's REST interface answers."""
        request = urllib.request.Request(f"{self.address}/{path}?token={self.token}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")

    def write(self, name, *sources):
        """A notebook of these code cells; returns its path for `open`."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(book, self.folder / f"{name}.ipynb")
        return f"{name}.ipynb"

    def kill_kernels(self):
        for kernel in self.ask("api/kernels"):
            self.ask(f"api/kernels/{kernel['id']}", "DELETE")


class Chromium:
    """The browser; `.open` gives a notebook in a page of its own."""

    def __enter__(self):
        from playwright.sync_api import sync_playwright

        self.playwright = sync_playwright().start()
        self.browser = self.playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        return self

    def __exit__(self, *error):
        self.browser.close()
        self.playwright.stop()

    @contextlib.contextmanager
    def open(self, lab, path, width=1280, height=1000):
        """A Notebook; if the test fails, its screenshot is kept in $MINIGAN_SCREENSHOTS."""
        page = self.browser.new_page(viewport={"width": width, "height": height})
        notebook = Notebook(page)
        page.goto(f"{lab.address}/lab/tree/{path}?reset&token={lab.token}")
        try:
            page.wait_for_function(
                "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
                "?.status === 'idle'", timeout=90_000,
            )  # fmt: skip
            yield notebook
        except BaseException:
            notebook.keep(f"failed_{pathlib.Path(path).stem}")
            raise
        finally:
            page.close()
            for session in lab.ask("api/sessions"):
                with contextlib.suppress(OSError):
                    lab.ask(f"api/sessions/{session['id']}", "DELETE")


class Notebook:
    """A notebook in JupyterLab."""

    def __init__(self, page):
        self.page, self.errors, self.requests = page, [], []
        page.on("request", self._asked)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _heard(self, message):
        if message.type == "error" and not HARMLESS.search(message.text):
            self.errors.append(message.text)

    def _asked(self, request):
        if request.url.startswith("http"):  # and not data: or blob:
            self.requests.append(request.url)

    def run_all(self, seconds=240):
        """Run every cell; fails if one raises."""
        done = self.page.evaluate(
            """async (limit) => {
              const panel = window.jupyterapp.shell.currentWidget;
              await window.jupyterapp.commands.execute('notebook:run-all-cells');
              const cells = panel.content.model.cells;
              const end = Date.now() + 1000 * limit;
              const open = () => Array.from(cells).filter(
                c => c.type === 'code' && c.sharedModel.getSource().trim() && !c.executionCount);
              while (open().length || panel.sessionContext.session.kernel.status !== 'idle') {
                if (Date.now() > end) return `${open().length} cells had not run`;
                await new Promise(r => setTimeout(r, 100));
              }
              const bad = [];
              for (const cell of cells) for (const o of cell.outputs?.toJSON() ?? [])
                if (o.output_type === 'error') bad.push(o.ename + ': ' + o.evalue);
              return bad.join('; ');
            }""",
            seconds,
        )
        assert not done, done

    def picture(self, number=0):
        """The number-th live picture: uint8 [H, W, 3], as the browser got it."""
        # a picture that is being replaced is gone by the time it is asked for: then the next one
        data = (
            self.page.locator(".minigan-live img:visible")
            .nth(number)
            .evaluate(
                """async el => {
              for (let i = 0; ; i++) {
                try { return Array.from(new Uint8Array(await (await fetch(el.src)).arrayBuffer())) }
                catch (error) { if (i > 20) throw error }
                await new Promise(r => setTimeout(r, 20));
              }
            }"""
            )
        )
        return bytes(data)

    def pixels(self, number=0):
        return np.array(Image.open(io.BytesIO(self.picture(number))).convert("RGB"))

    def until(self, true, what, seconds=2.0):
        """Wait until true() is; fails after so many seconds."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{what}: not within {seconds} s"
            time.sleep(0.02)

    def changes(self, act, number=0, seconds=2.0):
        """act(), then wait until the picture is another."""
        before = self.picture(number)
        act()
        self.until(lambda: self.picture(number) != before, "the picture changes", seconds)

    def text(self):
        return self.page.locator(".minigan-live").first.inner_text()

    def press(self, handle, key, times=1):
        handle.focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def drag(self, handle, dx):
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + dx, y, steps=5)
        self.page.mouse.up()

    def keep(self, name):
        """A screenshot, if somebody wants it."""
        if folder := os.environ.get("MINIGAN_SCREENSHOTS"):
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{folder}/{name}.png")
