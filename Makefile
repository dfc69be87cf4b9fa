# The commands of this project; `make help` lists them.
# `exec` makes Python itself make's child, so that a signal to make reaches it.

PYTHON ?= python3
INSTALL = command -v $(PYTHON) >/dev/null || \
	{ echo "Tagger needs Python 3.11 or newer, and there is no $(PYTHON) here: install one."; exit 1; }; \
	exec $(PYTHON) tagger_site/install.py

.PHONY: help run test smoke lint types lock bench-queue bench-documents bench-intake bench-propose fuzz-api \
	train-deps test-train
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
	@( $(INSTALL) test ) && for part in requirements requirements-dev requirements-train; do \
		.venv/bin/python -m piptools compile --quiet --strip-extras --no-header \
			--unsafe-package=pip --unsafe-package=setuptools --unsafe-package=torch \
			--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
			--no-emit-options --output-file=$$part.txt $$part.in || exit 1; done

train-deps: ## install into .venv-train what training needs (TORCH="pip's options for torch")
	@test -x .venv-train/bin/python || $(PYTHON) -m venv .venv-train
	@set -e; pip=".venv-train/bin/python -m pip install --disable-pip-version-check --quiet"; \
		$$pip $(TORCH) $$(grep ^torch== requirements-train.in); \
		$$pip -r requirements.txt -r requirements-dev.txt -r requirements-train.txt; \
		$$pip --no-deps -r requirements-embedded.txt

test-train: train-deps ## the tests that need them: of training, and of what it leaves
	@exec .venv-train/bin/python -m pytest tests/test_training.py $(ARGS)

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

bench-propose: ## documents a second beside a model server of 300 ms and 32 slots (DATABASE_URL)
	@( $(INSTALL) test ) && export TAGGER_VAR=$$(mktemp -d) && \
		.venv/bin/python -m tests.bench.propose $(ARGS)

fuzz-api: ## schemathesis asks the API whatever its document allows, for ten minutes (SECONDS=600)
	@( $(INSTALL) test ) && export TAGGER_FUZZ_SECONDS=$(or $(SECONDS),600) && \
		exec .venv/bin/python -m pytest tests/test_openapi.py -s --show-capture=no $(ARGS)
