"""Run lessons anew and keep what they print, as their files must be: no widget that needs a kernel,
only the still pictures beside it, in 256 colours; no path of this machine.

    python tools/run_lessons.py                       all of notebooks/
    python tools/run_lessons.py solutions/05*.ipynb   some; then: python -m minigan.grading release
"""

import base64
import io
import os
import pathlib
import re
import sys
import time

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent
WIDGET = "application/vnd.jupyter.widget-view+json"
PNG = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def smaller(found):
    """A PNG in a page, in 256 colours: a third as large, and a lesson stays below a megabyte."""
    image, file = Image.open(io.BytesIO(base64.b64decode(found[1]))), io.BytesIO()
    if image.mode == "RGBA" and image.getextrema()[3][0] == 255:
        image = image.convert("RGB")  # opaque, for which there is a better way to choose colours
    if image.mode != "P":
        image = image.quantize(256, dither=Image.Dither.NONE)
    image.save(file, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def run(path):
    """Run the notebook in its own folder and write it back, if no cell failed that should not."""
    book = nbformat.read(path, as_version=4)
    begun = time.perf_counter()
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(book, timeout=600, resources=resources, store_widget_state=False).execute()
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            data.pop(WIDGET, None)
            if "text/html" in data:
                data["text/html"] = PNG.sub(smaller, data["text/html"])
            if "traceback" in output:
                output["traceback"] = [t.replace(f"{ROOT}/", "") for t in output["traceback"]]
    book.metadata = nbformat.from_dict(METADATA)
    nbformat.write(book, path)
    print(f"{path.name}: {time.perf_counter() - begun:.0f} s")


def main():
    os.environ["MINIGAN_QUIET"] = "1"
    paths = [pathlib.Path(p).resolve() for p in sys.argv[1:]]
    for path in paths or sorted((ROOT / "notebooks").glob("*.ipynb")):
        run(path)


if __name__ == "__main__":
    main()
