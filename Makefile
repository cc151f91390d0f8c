# One word per chore. Each target does its own set-up; a second run skips it.
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.setup-stamp
# Tests wait for processes and sandboxes as much as they compute.
WORKERS ?= $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2))))

.PHONY: help demo test test-fast check bench setup recording clean
help:            ## this list
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:  +##' Makefile | sed -E 's/:[^#]*## */\t/' | expand -t 14

$(STAMP): pyproject.toml .ci/setup
	@VENV="$(VENV)" sh .ci/setup
	@touch "$@"

setup: $(STAMP)  ## virtual environment, dependencies, bubblewrap

demo: $(STAMP)   ## a real session in a real sandbox, from a recording
	@$(BIN)/glovebox demo

test: $(STAMP)   ## all tests
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -q $(ARGS)

test-fast: $(STAMP)  ## the tests that take no sandbox and little time
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -q -m "not slow and not sandbox" $(ARGS)

check: $(STAMP)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(STAMP)  ## the sample tasks, and speed as ratios
	$(BIN)/python -m benchmarks run local benchmarks/tasks
	$(BIN)/python -m benchmarks speed

recording: $(STAMP)  ## make the demo's recording again, after tools or prompts changed shape
	$(BIN)/python -m tests.demo_recording

clean:           ## everything that set-up and tests made
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis dist build
