"""What every lesson promises, read from the files; that they run is `pytest --nbval notebooks`."""

import json
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import tomllib

import nbformat
import pytest

ROOT = pathlib.Path(__file__).parent.parent
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EVERY = LESSONS + [
    p for d in ("exercises", "solutions") for p in sorted((ROOT / d).glob("*.ipynb"))
]
TAGS = {"nbval-ignore-output", "raises-exception"}
SHOWN = re.compile(r"show\.(source|kernel)\(")
CHANGING = re.compile(r"\btime\b|timeit|perf_counter|\.train\(|variance_split|linear_separability")


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_form_of_a_lesson(path):
    cells = read(path).cells
    assert 20 <= len(cells) <= 40
    assert re.match(r"# \d\d · .+\n+\*\d+ minutes · .+ · .+ of machine time\*", cells[0].source)
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert "Predict" in text and "## Recall" in text and "One step further" in text
    assert text.count("<details>") == text.count("</details>") >= 3
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 32, cell.source
        # what is wider is cut off beside JupyterLab's file browser, without a scroll bar to be seen
        assert max(map(len, cell.source.splitlines())) <= 96, cell.source


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_lesson_leads_on(path):
    """At its top and its foot: the lesson before, the map, the next one, and the exercise."""
    cells, at = read(path).cells, LESSONS.index(path)
    wanted = {p.name for p in LESSONS[max(0, at - 1) : at + 2]} - {path.name}
    if (ROOT / "exercises" / path.name).exists():
        wanted |= {f"../exercises/{path.name}"}
    for line in (cells[0].source.split("\n\n")[2], cells[-1].source.split("\n\n")[-1]):
        links = set(re.findall(r"\]\(([^)#]*)", line))
        assert wanted <= links and "#The-map)" in line, line


@pytest.mark.parametrize("path", EVERY, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_cells_are_tagged_and_clean(path):
    ids = [cell.id for cell in read(path).cells]
    assert len(set(ids)) == len(ids)
    for cell in code_cells(path):
        tags = set(cell.metadata.get("tags", ()))
        assert tags <= TAGS, tags
        if not tags:  # compared with the stored output: only what never changes
            assert not CHANGING.search(cell.source), cell.source
            assert all(o.output_type == "stream" and o.name == "stdout" for o in cell.outputs)
            assert sum(len(o.text.splitlines()) for o in cell.outputs) <= 40
        errors = [o for o in cell.outputs if o.output_type == "error"]
        assert not errors or "raises-exception" in tags
        assert all(o.get("name") != "stderr" for o in cell.outputs), cell.source


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_every_lesson_was_run_and_every_picture_has_alt_text(path):
    pictures = 0
    for cell in code_cells(path):
        assert cell.execution_count is not None
        assert "pyplot" not in cell.source and "plt." not in cell.source
        for output in cell.outputs:
            data = output.get("data", {})
            assert "image/png" not in data, "a figure that did not go through show.picture"
            for image in re.findall(r"<img [^>]*>", str(data.get("text/html", ""))):
                pictures += 1
                assert re.search(r'alt="[^"]{20,}"', image)
    assert pictures or path.stem.startswith("03")


@pytest.mark.parametrize("path", EVERY, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_no_path_of_a_machine(path):
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", path.read_text(encoding="utf-8"))
    assert not re.search(r"/(home|root|tmp|work|Users|usr)/", text)


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_no_widget_is_stored_that_needs_a_kernel(path):
    """Without a kernel it would be an error box; the still picture below it stands in."""
    assert "widgets" not in read(path).metadata
    assert "application/vnd.jupyter.widget-view+json" not in path.read_text(encoding="utf-8")
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("path", [*EVERY, ROOT / "README.md"], ids=lambda p: p.stem)
def test_links_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = read(path).cells
        for cell in cells:
            if cell.source.startswith("show.kernel("):
                cell.outputs = []  # C++ has "](", too
        text = json.dumps(cells)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", EVERY, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_whose_mistake_it_is_can_be_looked_up(path):
    """Nobody is blamed in general: a cell that speaks of others' code or texts links to one."""
    vague = (
        r"public (Style|code)|(many|some|most|often) (texts|code)|text ?books?\b|legend\b|re-impl"
    )
    for cell in read(path).cells:
        if cell.cell_type == "markdown" and re.search(vague, cell.source, re.IGNORECASE):
            assert "](http" in cell.source, cell.source


def test_the_map_names_every_lesson_with_its_minutes():
    maps = [(ROOT / "README.md").read_text(), read(ROOT / "notebooks/00_start_here.ipynb").cells]
    for text in (maps[0], "\n".join(cell.source for cell in maps[1])):
        for path in LESSONS:
            minutes = re.search(r"\*(\d+) minutes", read(path).cells[0].source)[1]
            number = path.stem[:2]
            assert re.search(rf"\*\*{number}\*\*.*\| {minutes} \|", text), number


def test_environment_lists_what_a_student_needs():
    import yaml

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["lab"],
              *project["optional-dependencies"]["grade"], "-e ."}  # fmt: skip
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert set(listed[-1]["pip"]) == wanted


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_the_sources_it_shows_are_those_of_the_package(path):
    seen = 0
    for cell in code_cells(path):
        if not SHOWN.search(cell.source):
            continue
        for output in cell.outputs:
            text = output.get("data", {}).get("text/plain", "")
            found = re.match(r"# (minigan/\S+\.(?:py|cuh?)), line (\d+)\n", text)
            if found:
                seen += 1
                shown = textwrap.dedent(text[found.end() :]).strip().splitlines()
                lines = (ROOT / found[1]).read_text().splitlines()
                there = lines[int(found[2]) - 1 :][: len(shown)]
                assert textwrap.dedent("\n".join(there)).rstrip() == "\n".join(shown).rstrip(), (
                    found[0]
                )
    assert seen == sum(bool(SHOWN.search(cell.source)) for cell in code_cells(path))


@pytest.mark.slow
def test_without_a_compiler_recorded_launches_are_replayed(tmp_path):
    """If this fails after a kernel or lesson 07 has changed, record anew:
    MINIGAN_RECORD=$PWD/notebooks/results/emulator.npz python tools/run_lessons.py notebooks/07*"""
    (tmp_path / "python3").symlink_to(sys.executable)  # and nothing else is found
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval",
               "notebooks/07_the_same_on_a_gpu.ipynb"]  # fmt: skip
    env = os.environ | {"PATH": str(tmp_path)}
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:]
