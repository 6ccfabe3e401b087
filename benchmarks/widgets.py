"""How long a slider takes: python benchmarks/widgets.py

In Python, from the slider's message to the encoded pictures; and in a real JupyterLab in headless
Chromium, from the key press to the new picture on the page.  Needs Debian's chromium for the second.
"""

import pathlib
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import minigan
from minigan import show
from tests.jupyter import Chromium, Lab

# From the key to the decoded picture in the page; the screen shows it within one frame more.
KEY = """async ([key, number]) => {
  const live = document.querySelectorAll('.minigan-live')[number];
  const shown = () => Array.from(live.querySelectorAll('img')).find(e => e.offsetParent);
  const handle = Array.from(live.querySelectorAll('[type=range]')).at(number ? -1 : 0);
  const before = shown().src;
  await new Promise(r => setTimeout(r, 100));
  const begun = performance.now();
  const changed = new Promise((done, fail) => {
    new MutationObserver((_, observer) => {
      if (shown() && shown().src !== before) { observer.disconnect(); done() }
    }).observe(live, {attributes: true, childList: true, subtree: true});
    setTimeout(() => fail(new Error('no new picture')), 5000);
  });
  handle.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
  await changed;
  await shown().decode();
  return performance.now() - begun;
}"""


def message_to_bytes(G, n):
    """Milliseconds of each of 120 slider messages, n pictures drawn."""
    panel = show.psi_slider(G, f"0-{n - 1}")
    slider, took = panel.controls["psi"], []
    for i in range(120):
        begun = time.perf_counter()
        slider.set_state({"value": -1 + 2.5 * (i % 50) / 49})
        took.append(1000 * (time.perf_counter() - begun))
    return took[20:]


def key_to_pixels(cell, number, keys):
    """Milliseconds of each key press in JupyterLab.  number: of the widget on the page."""
    start = "import minigan\nfrom minigan import show\nG = minigan.load('portraits')"
    with tempfile.TemporaryDirectory() as folder, Lab(folder) as lab, Chromium() as chromium:
        path = lab.write("latency", start, "show.psi_slider(G, '0')", cell)
        with chromium.open(lab, path) as notebook:
            notebook.run_all()
            notebook.page.locator(".minigan-live img").last.wait_for(state="attached")
            notebook.page.wait_for_timeout(2000)
            return [notebook.page.evaluate(KEY, [key, number]) for key in keys][10:]


def report(name, took):
    print(f"{name:58} median {np.median(took):5.1f} ms   p95 {np.quantile(took, 0.95):5.1f} ms")


def main():
    for name, shipped in (("32²", "portraits32"), ("64²", "portraits64")):
        G = minigan.load(shipped)
        for n in (1, 6):
            report(f"message → bytes, ψ, {name}, {n} pictures", message_to_bytes(G, n))
    keys = ["ArrowLeft"] * 40 + ["ArrowRight"] * 40
    report("key → pixels, ψ live, portraits", key_to_pixels("1", 0, keys))
    keys = ["ArrowRight"] * 30 + ["ArrowLeft"] * 29
    report("key → pixels, frames drawn ahead (latent_walk)",
           key_to_pixels("show.latent_walk(G)", 1, keys))  # fmt: skip


if __name__ == "__main__":
    main()
