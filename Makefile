# The commands of this project; `make help` lists them.
# `exec` makes Python itself make's child, so that a signal to make reaches it.

PYTHON ?= python3
INSTALL = command -v $(PYTHON) >/dev/null || \
	{ echo "Tagger needs Python 3.11 or newer, and there is no $(PYTHON) here: install one."; exit 1; }; \
	exec $(PYTHON) tagger_site/install.py

.PHONY: help run test smoke lint types lock bench-queue bench-documents bench-intake fuzz-api
.DEFAULT_GOAL := help

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  \t/p' $(firstword $(MAKEFILE_LIST))

run: ## install what is missing, then start Tagger (PORT, HOST, TAGGER_ADMIN_PASSWORD)
	@$(INSTALL) run

test: ## install what the tests need, then run them (ARGS="-k pick" passes arguments on)
	@( $(INSTALL) test ) && exec .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

smoke: ## clone the last commit to an empty folder, start it there, pick, export, stop
	@exec $(PYTHON) tests/smoke.py

lint: ## style: ruff
	@( $(INSTALL) test ) && .venv/bin/ruff check . && .venv/bin/ruff format --check .

types: ## types: mypy
	@( $(INSTALL) test ) && .venv/bin/mypy .

lock: ## pin every version in requirements*.txt from requirements*.in
	@( $(INSTALL) test ) && for part in requirements requirements-dev; do \
		.venv/bin/python -m piptools compile --quiet --strip-extras --no-header \
			--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
			--no-emit-options --output-file=$$part.txt $$part.in || exit 1; done

bench-queue: ## next + pick over HTTP with many documents (DATABASE_URL, ARGS="--documents 1000000")
	@( $(INSTALL) test ) && export TAGGER_VAR=$$(mktemp -d) && \
		.venv/bin/python manage.py collectstatic --no-input -v0 && \
		.venv/bin/python -m tests.bench.queue $(ARGS)

bench-documents: ## the documents page with 1,000,000 documents (DATABASE_URL, ARGS="--documents 100000")
	@( $(INSTALL) test ) && export TAGGER_VAR=$$(mktemp -d) && \
		.venv/bin/python manage.py collectstatic --no-input -v0 && \
		.venv/bin/python -m tests.bench.documents $(ARGS)

bench-intake: ## load 100 MB of JSON lines, twice (DATABASE_URL, ARGS="--documents 300000" for 1 GB)
	@( $(INSTALL) test ) && export TAGGER_VAR=$$(mktemp -d) && \
		.venv/bin/python -m tests.bench.intake $(ARGS)

fuzz-api: ## schemathesis asks the API whatever its document allows, for ten minutes (SECONDS=600)
	@( $(INSTALL) test ) && export TAGGER_FUZZ_SECONDS=$(or $(SECONDS),600) && \
		exec .venv/bin/python -m pytest tests/test_openapi.py -s --show-capture=no $(ARGS)
