# `make` alone tells what there is. demo and test do their own set-up; scripts/setup says how.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-newer test-lowest lint format bench bench-scale torture torture-table docs constraints clean
BIN := .venv/bin
# Two files of tests at a time, for most of them wait for servers; ARGS="-n 0" takes one after the other.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

help:  ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## the development environment in .venv (KEYTURN_SETUP=1: and the Debian packages)
	@scripts/setup test

demo:  ## watch Keyturn do its job
	@scripts/setup demo
	@$(BIN)/keyturn demo

test:  ## the tests (ARGS="…" goes to pytest)
	@scripts/setup test
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-newer:  ## the tests on the newest Python that is found here
	@scripts/setup test-newer
	.venv-newer/bin/python -m pytest $(PARALLEL) $(ARGS)

test-lowest:  ## the tests with the lowest versions that pyproject.toml allows
	@scripts/setup test-lowest
	.venv-lowest/bin/python -m pytest $(PARALLEL) $(ARGS)

# (import-linter's cache remembers of a file that it found no module which came later.)
lint:  ## style, types (two checkers) and layers
	@scripts/setup test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

format:  ## let ruff put the code in order
	@scripts/setup test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench:  ## measure, against the neighbours
	@scripts/setup test
	$(BIN)/python -m benchmarks $(ARGS)

bench-scale:  ## what a refresh costs with 10,000 and 1,000,000 sessions (ARGS="10000000" for more)
	@scripts/setup test
	$(BIN)/python -m benchmarks.scale $(ARGS)

torture:  ## torture Keyturn on SQLite, on PostgreSQL and as keyturn serve (ARGS="serve --clients 50 --seconds 600")
	@scripts/setup test
	$(BIN)/python -m benchmarks.torture $(ARGS)

torture-table:  ## torture Keyturn and three neighbours (ARGS="--clients 50 --seconds 60")
	@scripts/setup test
	$(BIN)/python -m benchmarks.torture_table $(ARGS)

docs:  ## the parts of the documentation that come from code and tests
	@scripts/setup test
	@mkdir -p build
	$(BIN)/python -m pytest --collect-only -qq --ids-report=build/ids.json >build/collected.txt || { cat build/collected.txt; exit 1; }
	$(BIN)/python -m scripts.pages build/ids.json

constraints:  ## resolve both constraints files anew
	@scripts/setup test
	@scripts/constraints

clean:  ## what the targets above left
	rm -rf .venv .venv-newer .venv-lowest .venv-bench .venv-bench-django benchmarks/peers/oidc_provider/node_modules .bootstrap build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
