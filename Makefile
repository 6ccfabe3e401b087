## make lab      JupyterLab on the first lesson
## make check    a quick proof that this machine runs the course
## make test     everything but the slow tests
## make slow     the slow tests, and those in a browser (chromium)
## make nightly  every table and model card made again, by the sources of today (hours)
## make gpu      with an NVIDIA GPU and CuPy: every op test on it, then the table benchmarks/gpu.md
## make release  exercises/ from solutions/
## Each installs what it needs into .venv the first time, and nothing the second: lab and check
## what a student needs, the others the tests' tools, too.

PYTHON ?= python3
BIN := .venv/bin
STUDENT := .venv/.installed-lab-grade
ALL := .venv/.installed-test
# Small matrices: one thread each is fastest, and two test workers do not get in each other's way.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1

.PHONY: help lab check test slow gpu lint nightly release environment
.DEFAULT_GOAL := help

help:
	@sed -n 's/^## //p' Makefile

$(STUDENT): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python {v[0]}.{v[1]} found; 3.11 or newer is needed. Name one: make PYTHON=python3.11 lab")'
	@echo "Installing into .venv (once; some minutes) …"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[lab,grade]'
	@touch $@
	@echo "Installed."

$(ALL): $(STUDENT)
	$(BIN)/python -m pip install --quiet --editable '.[lab,grade,test]'
	@touch $@

# Jupyter will not start as root, as one is in many containers, unless told to.
ROOT_FLAG := $(if $(filter 0,$(shell id -u 2>/dev/null)),--allow-root)

lab: $(STUDENT)
	$(BIN)/python -m minigan warm
	$(BIN)/jupyter lab $(ROOT_FLAG) --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb

# The operations and a network against the reference vectors, an exercise graded, a lesson run.
check: $(STUDENT)
	$(BIN)/python -m minigan warm
	$(BIN)/python -m pytest -q tests/test_ops_golden.py tests/test_stylegan2.py
	$(BIN)/python -m pytest -q --nbval solutions/02_mapping_and_adain.ipynb notebooks/01_the_latent_problem.ipynb
	@echo "This machine runs the course.  Next: make lab"

lint: $(ALL)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/environment.py --check
	$(BIN)/python -m minigan.grading release --check

test: $(ALL) lint
	$(BIN)/python -m minigan warm --all
	$(BIN)/python -m pytest -q -n 2
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --nbval notebooks solutions

slow: $(ALL)
	$(BIN)/python -m minigan warm --all
	$(BIN)/python -m pytest -q -n 2 -m 'slow and not alone and not browser' -rs
	$(BIN)/python -m pytest -q -m 'slow and alone or browser' -rs

nightly: $(ALL)
	$(BIN)/python tools/made.py --make all

gpu: $(ALL)
	$(BIN)/python -m pytest -q -m gpu -rs
	@if command -v compute-sanitizer >/dev/null; then \
	    compute-sanitizer --error-exitcode 1 $(BIN)/python -m pytest -q -m gpu tests/test_gpu.py; \
	else echo "compute-sanitizer is not here: kernels ran, but nobody watched their memory."; fi
	$(BIN)/python benchmarks/gpu.py > benchmarks/gpu.md.new && mv benchmarks/gpu.md.new benchmarks/gpu.md

release: $(ALL)
	$(BIN)/python -m minigan.grading release

environment: $(ALL)
	$(BIN)/python tools/environment.py
