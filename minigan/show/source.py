"""Show a function of the package in a notebook, instead of a copy that would grow stale."""

import html
import inspect
import pathlib

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

    def __repr__(self):
        return f"# {self.where}\n{self.text}"

    def _repr_html_(self):
        from pygments import highlight  # comes with IPython, as does the colour scheme
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        # JupyterLab would wrap long lines in the middle of a word
        formatter = HtmlFormatter(
            noclasses=True, style="friendly", prestyles="white-space: pre; overflow-x: auto"
        )
        code = highlight(self.text, PythonLexer(), formatter)
        return f"<p><em>{html.escape(self.where)}</em></p>{code}"
