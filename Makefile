.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPEC ?= benchmarks/pocket.toml
# Threads that wait do not spin, whatever is started; your own setting stands.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help env table1 table2 figures field table1-dit claims-dit report leaderboard calibrate claims claims-quick publish \
	test test-slow soak snapshot lint docs package clean

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 18

env: $(VENV)/.ready ## make .venv with everything in it

# torch and torchvision in one call: they must come from the same build.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[all,dev,docs]"
	touch $@

# What these write goes into results/own (and results/quick), which git ignores.
table1: env ## generate, measure and print Table 1 on the pocket lab
	$(BIN)/ivgbench run --spec $(SPEC)
	$(BIN)/ivgbench table 1

table2: env ## the same clips against reference sets: FID, KID, JEDi
	$(BIN)/ivgbench run --spec benchmarks/pocket-table2.toml
	$(BIN)/ivgbench table 2

figures: table1 ## draw what table1 generated, and what masks do to the activations
	$(BIN)/ivgbench figure 1
	$(BIN)/ivgbench figure 2
	$(BIN)/ivgbench figure 3
	$(BIN)/ivgbench figure 4

field: env ## Table 1, Table 2 and Figure 4 with the field's other methods after the paper's rows
	$(BIN)/ivgbench run --spec benchmarks/field.toml
	$(BIN)/ivgbench table 1 --run field --out results/own/tables/field
	$(BIN)/ivgbench table 2 --run field --out results/own/tables/field
	$(BIN)/ivgbench figure 4 --run field --out results/own/figures/field

table1-dit: env ## Table 1 and 2 of the pocket lab's video DiT, and what of the UNet's carries over to it
	$(BIN)/ivgbench run --spec benchmarks/pocket-table2.toml
	$(BIN)/ivgbench run --spec benchmarks/dit.toml
	$(BIN)/ivgbench table 1 --run table1-dit --out results/own/tables/dit
	$(BIN)/ivgbench table 2 --run table1-dit --out results/own/tables/dit
	$(BIN)/ivgbench figure 4 --run table1-dit --out results/own/figures/dit
	$(BIN)/ivgbench study carried --out results/own/tables/dit

claims-dit: env ## the search and the paper's claims on the video DiT (goes on where it was stopped)
	$(BIN)/ivgbench study search --backbone pocket-dit
	$(BIN)/ivgbench study claims --backbone pocket-dit --seeds 1

report: table1 ## a page that opens from disk: the tables, and all methods playing side by side
	$(BIN)/ivgbench figure 1 --out results/own/report/figures
	$(BIN)/ivgbench figure 4 --out results/own/report/figures
	$(BIN)/ivgbench report

leaderboard: env ## a static site of the records in results/records: boards, ranks, methods
	$(BIN)/ivgbench leaderboard results/records

# Each line goes on where it was stopped, and shows how far it is.
claims: env ## the search, the paper's claims put to the test, the ablations (two to three hours; goes on where it was stopped)
	$(BIN)/ivgbench study search
	$(BIN)/ivgbench study reach
	$(BIN)/ivgbench study claims
	$(BIN)/ivgbench table 1 --run claims --out results/own/tables/claims
	$(BIN)/ivgbench table 2 --run claims --out results/own/tables/claims
	$(BIN)/ivgbench figure 2 --spec benchmarks/claims-run.toml --out results/own/figures/claims
	$(BIN)/ivgbench figure 3 --spec benchmarks/claims-run.toml --out results/own/figures/claims
	$(BIN)/ivgbench study ablations

calibrate: env ## facts known of real models, measured on the pocket lab (hours; goes on where it was stopped)
	$(BIN)/ivgbench study calibrate

claims-quick: env ## a rehearsal of the same into results/quick (minutes; every claim stays open)
	$(BIN)/ivgbench claims --quick
	$(BIN)/ivgbench figure 2 --spec benchmarks/claims-run.toml --cases 1 --out results/quick
	$(BIN)/ivgbench figure 3 --spec benchmarks/claims-run.toml --cases 1 --out results/quick
	$(BIN)/ivgbench study search --trials 2 --cases 1

publish: env ## write the committed tables, figures and claims anew, from the runs that are stored whole
	$(BIN)/python benchmarks/publish.py

test: env ## the tests (a few minutes)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: env ## the slow tests as well
	$(BIN)/python -m pytest -m 'slow or not slow'

soak: env ## kills, full disks, damage, two runs at once and more: tables must end as if nothing had happened (half an hour)
	$(BIN)/python tests/soak/soak.py

snapshot: env ## the regression gate: a small run from nothing, every metric against what it was (minutes)
	$(BIN)/ivgbench snapshot check

lint: env ## ruff: style and imports; mypy: types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: env ## the site of docs/ into site/; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

package: env ## wheel and sdist into dist/
	$(BIN)/python -m build --outdir dist

clean: ## forget generated clips and scores (tables and figures stay)
	rm -rf results/runs results/cache
