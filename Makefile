.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPEC ?= benchmarks/pocket.toml

.PHONY: help env table1 table2 figures test test-slow lint clean

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 18

env: $(VENV)/.ready ## make .venv with everything in it

# torch and torchvision in one call: they must come from the same build.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[all,dev]"
	touch $@

table1: env ## generate, measure and print Table 1 on the pocket lab
	$(BIN)/ivgbench run --spec $(SPEC)
	$(BIN)/ivgbench table 1

table2: env ## the same clips against reference sets: FID, KID, JEDi
	$(BIN)/ivgbench run --spec benchmarks/pocket-table2.toml
	$(BIN)/ivgbench table 2

figures: table1 ## draw what table1 generated, frame by frame
	$(BIN)/ivgbench figure 4

test: env ## the tests (a few minutes)
	$(BIN)/python -m pytest

test-slow: env ## the slow tests as well
	$(BIN)/python -m pytest -m 'slow or not slow'

lint: env ## ruff: style and imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean: ## forget generated clips and scores (tables and figures stay)
	rm -rf results/runs results/cache
