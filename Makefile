# One word for each thing that a person does with this checkout; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Tests wait for servers more than they compute; the tests of one file stay together.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check format-check lint types imports house tests test-all bench format clean

help: ## list these words
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# Installed again whenever pyproject.toml changes.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "fedcore needs Python 3.11 or newer: name one with make PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "== install: fedcore and what it needs into $(VENV) (the first time takes minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[flows,party,hub,dev]'
	@touch $@

demo: $(INSTALLED) ## a whole small federation on this machine
	@$(BIN)/fedcore demo

# Everything that CI runs, in this order; the first stage that fails ends it.
test: format-check lint types imports ## everything that CI runs
	@echo "== passed: format, lint, types, imports; now the tests"
	@$(PYTEST)

check: format-check lint types imports house ## the quick part of it, before a commit
	@echo "== passed: format, lint, types, imports, house"

format-check: $(INSTALLED) ## are all files formatted?
	@echo "== format"
	@$(BIN)/ruff format --check --quiet . || \
		{ echo "== format failed: run make format" >&2; exit 1; }

lint: $(INSTALLED) ## ruff's rules
	@echo "== lint"
	@$(BIN)/ruff check --quiet .

types: $(INSTALLED) ## mypy, strict
	@echo "== types"
	@$(BIN)/mypy --no-error-summary

imports: $(INSTALLED) ## the floors and the wall of the house
	@echo "== imports"
	@$(BIN)/lint-imports --no-logo

house: $(INSTALLED) ## the rules of the house
	@echo "== house"
	@$(BIN)/python -m pytest tests/house

test-all: $(INSTALLED) ## pytest with the tests that take minutes
	@$(PYTEST) -m "long or not long"

tests: $(INSTALLED) ## pytest alone
	@$(PYTEST)

bench: $(INSTALLED) ## own figures beside this machine's limits: under three minutes
	@$(BIN)/python tests/benchmarks/bench.py

format: $(INSTALLED) ## format all files
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

clean: ## remove what was installed and what the tools remember
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache
