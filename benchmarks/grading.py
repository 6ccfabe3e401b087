"""How long a class takes: submissions made of the wrong solutions in tests/mutants, graded for real.

    python benchmarks/grading.py [--students 100] [--exercise 02_mapping_and_adain] [--workers 2]

Prints the seconds, the largest memory of the grader's processes together, and whether a second run with
the same seed gives the same report.  `--each` grades one model solution of every exercise instead.
"""

import argparse
import importlib
import inspect
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

import nbformat
import psutil

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def students(exercise, count):
    """Notebooks, each a model solution with one function replaced by a mutant's source."""
    from minigan.grading.cells import is_solution

    module = importlib.import_module(f"tests.mutants.exercise_{exercise[:2]}")
    head = "\n".join(
        line
        for line in inspect.getsource(module).splitlines()
        if line.startswith(("import ", "from "))
    )
    helpers = [
        inspect.getsource(value)
        for name, value in vars(module).items()
        if name.startswith("_") and inspect.isfunction(value)
    ]
    head = "\n\n".join([head, *helpers])
    mutants = [
        (name, value)
        for name, value in vars(module).items()
        if "__" in name.strip("_") and inspect.isfunction(value)
    ]
    for number in range(count):
        name, function = mutants[number % len(mutants)]
        notebook = nbformat.read(ROOT / "solutions" / f"{exercise}.ipynb", as_version=4)
        target = name.split("__")[0]
        source = re.sub(rf"\b{name}\b", target, inspect.getsource(function))
        for cell in notebook.cells:
            if is_solution(cell) and re.search(rf"^def {target}\(", cell.source, re.M):
                cell.source = f"{head}\n\n{cell.source}\n\n{source}"
        yield f"{number:03} {name}", notebook


def grade(folder, workers, out):
    """Seconds and the peak of resident memory (MB) of one run."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", f"--submissions={folder}",
               "--grading-seed=1", f"--grades={out}", "-n", str(workers), "--dist=loadfile"]  # fmt: skip
    start, peak, done = time.perf_counter(), [0], threading.Event()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def watch():
        while not done.wait(0.2):
            try:
                tree = [
                    psutil.Process(process.pid),
                    *psutil.Process(process.pid).children(recursive=True),
                ]
                peak[0] = max(peak[0], sum(p.memory_info().rss for p in tree))
            except psutil.Error:
                pass

    thread = threading.Thread(target=watch)
    thread.start()
    code = process.wait()
    done.set()
    thread.join()
    assert code == 0, f"the run failed with {code}"
    return time.perf_counter() - start, peak[0] >> 20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", type=int, default=100)
    parser.add_argument("--exercise", default="02_mapping_and_adain")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--each", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if args.each:
            from minigan.grading import grade as g
            from minigan.grading import roster, submission

            for name, exercise in roster.exercises(ROOT / "solutions").items():
                start = time.perf_counter()
                g.grade(exercise, submission.read(ROOT / "solutions" / f"{name}.ipynb", 1 << 23))
                print(f"{name:32} {time.perf_counter() - start:5.1f} s", flush=True)
            return
        for name, notebook in students(args.exercise, args.students):
            (folder / "class" / name).mkdir(parents=True)
            nbformat.write(notebook, folder / "class" / name / f"{args.exercise}.ipynb")
        seconds, peak = grade(folder / "class", args.workers, folder / "a.json")
        print(
            f"{args.students} submissions of {args.exercise}, {args.workers} workers: {seconds:.0f} s, {peak:,} MB at most",
            flush=True,
        )
        grade(folder / "class", args.workers, folder / "b.json")
        same = (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()
        print(f"graded again with the same seed: the report is {'the same' if same else 'ANOTHER'}")


if __name__ == "__main__":
    main()
