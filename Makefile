# Rollcall. `make demo` and `make test` need Python 3.11 and nothing else: everything comes from package registries.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FAULTS_MINUTES ?= 30
SOAK_MINUTES ?= 60

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit lint bench bench-full faults soak schemas lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## the virtual environment, with everything pinned and checked by hash

$(READY): requirements.lock pyproject.toml requirements-installer.lock
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "make: Python 3.11 is needed: install it, or name it: make PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-installer.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q schemas infra producers stream_jobs console  # where Python may not write it itself
	@touch $@

demo: $(READY)  ## real logins through Kafka, the worker and ClickHouse; months closed and compared with the truth
	@$(BIN)/python -m examples.demo

test: $(READY)  ## lint, then every test against real Kafka and the real ClickHouse engine
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart=0

unit: $(READY)  ## the tests without servers, in seconds
	@$(BIN)/python -m pytest tests/unit

lint: $(READY)  ## ruff, mypy --strict, and the arrows between rooms
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports

bench: $(READY)  ## the worker and the producer beside their peers on the same topic, 200,000 events; minutes
	@$(BIN)/python -m bench

bench-full: $(READY)  ## the same with a million events, and freshness, storage, memory, an outage; 30 min
	@$(BIN)/python -m bench --full

faults: $(READY)  ## kills, freezes and starves workers and servers, and compares what is stored with the truth; 30 min
	@$(BIN)/python -m tests.faults --minutes $(FAULTS_MINUTES)

soak: $(READY)  ## the same for an hour (SOAK_MINUTES=60) under load: memory flat, nothing left to read at the end
	@$(BIN)/python -m tests.faults --soak $(SOAK_MINUTES)

schemas: $(READY)  ## writes the JSON Schema files anew from the models
	@$(BIN)/python -m schemas.generate

lock: $(READY)  ## resolves the dependencies anew
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--all-extras pyproject.toml -o requirements.lock

clean:  ## removes the virtual environment (not .rollcall: that is data)
	@rm -rf $(VENV)
