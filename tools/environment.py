"""Write environment.yml, for conda and Binder, from pyproject.toml: what
students need.  --check says if it is stale."""

import pathlib
import sys
import tomllib

ROOT = pathlib.Path(__file__).parent.parent


def environment():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["lab"],
        *project["optional-dependencies"]["grade"],
    ]
    lines = [
        "# Made from pyproject.toml by tools/environment.py: change it there.",
        f"name: {project['name']}",
        "channels: [conda-forge]",
        "dependencies:",
        f'  - "python{project["requires-python"]}"',
        "  - pip",
        "  - pip:",
        *(f'      - "{requirement}"' for requirement in wanted),
        '      - "-e ."',
    ]
    return "\n".join(lines) + "\n"


def main():
    path = ROOT / "environment.yml"
    if "--check" in sys.argv:
        if not path.exists() or path.read_text() != environment():
            sys.exit("environment.yml does not match pyproject.toml; run: make environment")
    else:
        path.write_text(environment())


if __name__ == "__main__":
    main()
