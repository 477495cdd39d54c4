# Each target has one line of help: `make help`.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PYTHONPATH :=
SETUP_FILES := $(wildcard deploy/setup/*) requirements.lock pyproject.toml
# Half of the time tests wait for processes: three keep two cores busy.
PYTEST = $(BIN)/python -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder
CODE := common services tests deploy examples protos/generate.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check format format-check lint types layers rooms rooms-check protos proto-drift trace-picture bench portfolio chaos fuzz manifests lock clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/aimass-ready ## Set everything up, once: .venv, Horovod, MinIO
	@$(BIN)/python -m deploy.setup.report

.venv/aimass-ready: $(SETUP_FILES)
	@$(PYTHON) deploy/setup/check.py
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Setting up aimass in .venv (a few minutes the first time)"
	@$(BIN)/python -m deploy.setup.packages
	@$(BIN)/python -m deploy.setup.build_horovod
	@$(BIN)/python -m deploy.setup.build_store
	@touch $@

demo: .venv/aimass-ready ## Start the suite, tell its whole story on real data, write reports/story.html
	@$(BIN)/python -m common.cli demo

test: .venv/aimass-ready ## Run the tests
	@$(PYTEST) -m "not slow" $(ARGS)

test-slow: .venv/aimass-ready ## Run the tests that take minutes: faults, campaigns, the suite from end to end
	@$(PYTEST) -m slow $(ARGS)

check: format-check lint types layers rooms-check proto-drift ## Run all checks: format, lint, types, layers, protos

format: .venv/aimass-ready ## Format the code and mend what the linter can
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

format-check: .venv/aimass-ready
	@$(BIN)/ruff format --check $(CODE)

lint: .venv/aimass-ready ## Lint the code
	@$(BIN)/ruff check $(CODE)

types: .venv/aimass-ready ## Check types
	@$(BIN)/mypy

layers: .venv/aimass-ready ## Check who may import whom
	@$(BIN)/lint-imports

rooms: .venv/aimass-ready ## Draw the rooms of the code into ARCHITECTURE.md
	@$(BIN)/python -m deploy.rooms

rooms-check: .venv/aimass-ready
	@$(BIN)/python -m deploy.rooms --check

protos: .venv/aimass-ready ## Generate the stubs
	@$(BIN)/python protos/generate.py build/image.binpb 2>/dev/null

proto-drift: protos ## Check that stubs are up to date, and lint the contracts
	@git diff --exit-code --stat -- protos/gen || (echo "Run make protos and commit protos/gen"; false)
	@test -z "$$(git ls-files --others --exclude-standard protos/gen)"
	@$(BIN)/buf lint build/image.binpb --config protos/buf.yaml --path aimass
	@deploy/setup/breaking.sh

bench: .venv/aimass-ready ## Run a benchmark: make bench NAME=trainer [DATA=folder]
	@AIMASS_BENCH_DATA=$(DATA) $(BIN)/python -m tests.benchmarks.$(NAME)

trace-picture: .venv/aimass-ready ## Draw a trace through all services anew, from what a suite exports
	@$(BIN)/python -m deploy.tracing docs/trace.svg

portfolio: .venv/aimass-ready ## Make the tuner's portfolio anew: make portfolio DATA=folder [ARGS=--help]
	@nice -n 19 $(BIN)/python -m deploy.portfolio $(or $(DATA),../shared/data/tuner) $(ARGS)

chaos: .venv/aimass-ready ## Do 100 faults to one run, 100 to workers alone, 100 to a suite under load
	@$(BIN)/python -m tests.chaos.run
	@$(BIN)/python -m tests.chaos.worlds
	@$(BIN)/python -m tests.chaos.services

manifests: .venv/aimass-ready ## Render and validate the Kubernetes manifests
	@$(BIN)/python -m deploy.kubernetes.render

fuzz: .venv/aimass-ready ## Send malformed and extreme messages to every method: make fuzz [CALLS=100000] [ERRORS=file]
	@$(BIN)/python -m tests.fuzz $(or $(CALLS),100000) 0 $(ERRORS)

lock: ## Write the lock files anew (needs uv on PATH)
	@deploy/setup/lock.sh

clean: ## Remove .venv and all that was built here
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
