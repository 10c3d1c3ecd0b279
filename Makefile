# Needs only make and Python 3.11, 3.12 or 3.13. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The first Python on PATH that the lock covers. Another: make train PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& command -v $$p && break; done)

VENV := .venv
BIN := $(VENV)/bin
# --no-deps: the lock is complete, so pip need not resolve it again.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
UV_COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate \
	$(if $(UPGRADE),--upgrade)
# evidently asks for pandas[parquet]; with hashes pip wants that name pinned too, beside pandas.
REPEAT_PANDAS := /^[^ ]/ {pandas = /^pandas==/} pandas {block = block $$0 "\n"} {print} \
	END {sub(/^pandas/, "pandas[parquet]", block); printf "%s", block}

# Where the public tables are (docs: CONTRIBUTING.md); unset, the tests look in ../shared/data.
ifdef BENTOLINE_DATA
export BENTOLINE_DATA
endif

.PHONY: help train serve up test e2e check bench-train bench-data bench-serve docs engine lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

train: $(VENV)/.installed ## Train; PROBLEM=NAME, DATA=FILE your rows, with TARGET=COLUMN a new problem
	$(if $(TARGET),$(BIN)/python run.py --init "$(DATA)" --target "$(TARGET)" --name "$(PROBLEM)" --yes)
	$(BIN)/python run.py --train $(if $(PROBLEM),--problem $(PROBLEM)) $(if $(DATA),--data "$(DATA)")

serve: $(VENV)/.installed ## Answer over HTTP; PROBLEM=NAME, PORT=N
	$(BIN)/python run.py --serve $(if $(PROBLEM),--problem $(PROBLEM)) $(if $(PORT),--port $(PORT))

up: $(VENV)/.installed ## The whole system by Compose: checked, built, started, explained
	@$(BIN)/python -m deploy.system

test: $(VENV)/.installed-dev ## Run every test that can run here, and say why others are skipped
	$(BIN)/python -m pytest tests -ra

e2e: $(VENV)/.installed-dev ## Run the tests that need a container engine, and say why one is skipped
	$(BIN)/python -m pytest tests/e2e -ra

check: $(VENV)/.installed-dev ## Lint, format, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench-train: $(VENV)/.installed ## Measure training on the public tables, against the baselines
	$(BIN)/python -m benchmarks.train

bench-data: $(VENV)/.installed-dev ## Measure reading, auditing, splitting and scoring large tables
	$(BIN)/python -m benchmarks.mongo_read
	$(BIN)/python -m benchmarks.leak_audit
	$(BIN)/python -m benchmarks.big_table
	$(BIN)/python -m benchmarks.score

bench-serve: $(VENV)/.installed-dev ## Measure the service beside its peers; needs wrk
	$(BIN)/python -m benchmarks.serve

docs: $(VENV)/.installed-dev ## Build the site with its generated reference into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

engine: ## Start a container engine, and make a base image where none can be pulled
	bash deploy/engine.sh

lock: $(VENV)/.installed ## Pin pyproject.toml again into the hashed locks; UPGRADE=1 takes newer versions
	$(UV_COMPILE) pyproject.toml -o requirements.lock
	$(UV_COMPILE) pyproject.toml --group dev -o requirements-dev.lock
	$(UV_COMPILE) --group serve -c requirements.lock -o requirements-serve.lock
	for lock in requirements.lock requirements-dev.lock; do \
		awk '$(REPEAT_PANDAS)' $$lock > $$lock.new && mv $$lock.new $$lock; done

$(VENV)/pyvenv.cfg:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 on PATH. Install one, or name it: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock | $(VENV)/pyvenv.cfg
	$(INSTALL) -r requirements.lock
	touch $@

# The dev lock is a superset, so that it makes the plain stamp too.
$(VENV)/.installed-dev: requirements-dev.lock requirements.lock | $(VENV)/pyvenv.cfg
	$(INSTALL) -r requirements-dev.lock
	touch $(VENV)/.installed $@
