"""What all experiments have in common: rows measured in parallel, kept in a CSV file, summed up."""

import concurrent.futures
import csv
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable

import numpy as np

from minigan import atomic


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns, and how a row comes about."""

    columns: dict[str, type]  # {name: str, int or float}, in the order of the file
    run: Callable[..., dict | list[dict]]  # run(*task): a row, or several; a value may be None

    def make(self, tasks: Iterable[tuple], path: str | os.PathLike, jobs: int = 1) -> list[dict]:
        """Run all tasks, `jobs` processes at a time; their rows go to the CSV file `path`.

        Each row is written to PATH.part as soon as it and those before it are there, so that what
        was measured is not lost if a later task fails; the file takes its place at the end.
        Returns the rows, in the order of the tasks, as they were measured; a file has five digits.
        Raises: FileNotFoundError, IsADirectoryError, before any task, if path cannot be a file.
        """
        path = pathlib.Path(path)
        if not path.parent.is_dir():
            raise FileNotFoundError(
                f"the table goes to {path}, but there is no folder {path.parent}"
            )
        if path.is_dir():
            raise IsADirectoryError(f"the table goes to {path}, which is a folder; expected a file")
        part, rows = path.with_name(f"{path.name}.part"), []
        with (
            open(part, "w", newline="", encoding="utf-8") as file,
            concurrent.futures.ProcessPoolExecutor(jobs) as pool,
        ):
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            for found in pool.map(self.run, *zip(*tasks, strict=True)):
                for row in found if isinstance(found, list) else [found]:
                    writer.writerow({name: _text(value) for name, value in row.items()})
                    rows.append(row)
                file.flush()
        os.replace(part, path)
        return rows

    def write(self, rows: list[dict], path: str | os.PathLike) -> None:
        """The rows so far as the CSV file `path`, whole or not at all.  Raises: OSError."""
        with atomic.replacing(path, "w") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _text(v) for name, v in row.items()} for row in rows)

    def read(self, path: str | os.PathLike) -> list[dict]:
        """The rows of a file that `make` wrote, each value of its column's type; None if missing.

        Raises: FileNotFoundError; ValueError for a file with other columns.
        """
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != list(self.columns):
                raise ValueError(
                    f"{path} has the columns {rows.fieldnames}; expected {list(self.columns)}"
                )
            return [
                {
                    name: kind(row[name]) if row[name] else None
                    for name, kind in self.columns.items()
                }
                for row in rows
            ]


def _text(value):
    return f"{value:.5g}" if isinstance(value, float) else value


def mean_std(values: Iterable[float | None], digits: int) -> str:
    """ "mean ± standard deviation" of those that are not None; of one, itself; of none, "–"."""
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"
