"""Show a function of the package in a notebook, instead of a copy that would grow stale."""

import html
import inspect
import pathlib
import re

import minigan


class source:
    """The source of a function or class, displayed with its file and line.

    Raises: TypeError for what has no Python source, such as NumPy's compiled functions.
    """

    def __init__(self, thing):
        try:
            lines, start = inspect.getsourcelines(thing)
            file = pathlib.Path(inspect.getsourcefile(thing))
        except (TypeError, OSError) as error:
            raise TypeError(f"source: {thing!r} has no Python source to show") from error
        root = pathlib.Path(minigan.__file__).parent.parent
        inside = file.is_relative_to(root)
        self.where = f"{file.relative_to(root) if inside else file.name}, line {start}"
        self.text = inspect.cleandoc("\n" + "".join(lines))
        self._language = "python"

    def __repr__(self):
        return f"# {self.where}\n{self.text}"

    def _repr_html_(self):
        from pygments import highlight  # comes with IPython, as does the colour scheme
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import get_lexer_by_name

        # JupyterLab would wrap long lines in the middle of a word
        formatter = HtmlFormatter(
            noclasses=True, style="friendly", prestyles="white-space: pre; overflow-x: auto"
        )
        code = highlight(self.text, get_lexer_by_name(self._language), formatter)
        return f"<p><em>{html.escape(self.where)}</em></p>{code}"


class kernel(source):
    """A CUDA kernel, or another function of a `.cu` file of the GPU engine, as `source` shows them.

    Raises: ValueError for a file or function that is not there.
    """

    def __init__(self, file, name):
        folder = pathlib.Path(minigan.__file__).parent / "ops" / "gpu"
        found = None
        if (folder / file).is_file():
            text = (folder / file).read_text(encoding="utf-8")
            # Its comment and template line, then from its name to the brace that ends it.
            before = r"(?:^(?://|template).*\n)*"
            found = re.search(rf"{before}^\w[\w ]*\b{name}\((?s:.*?)\n\}}$", text, re.MULTILINE)
        if found is None:
            raise ValueError(f"kernel: no function {name!r} in a file {file!r} of the GPU engine")
        self.where = f"minigan/ops/gpu/{file}, line {text[: found.start()].count(chr(10)) + 1}"
        self.text, self._language = found[0], "cpp"
