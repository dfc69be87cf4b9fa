# The commands of this project; `make help` lists them.
# `exec` makes Python itself make's child, so that a signal to make reaches it.

PYTHON ?= python3
INSTALL = command -v $(PYTHON) >/dev/null || \
	{ echo "Tagger needs Python 3.11 or newer, and there is no $(PYTHON) here: install one."; exit 1; }; \
	exec $(PYTHON) tagger_site/install.py

.PHONY: help run test smoke lint types audit lock bench-queue bench-documents bench-intake bench-propose bench-release bench-rank fit-compose fuzz-api \
	train-deps test-train test-jobs loop faults faults-quick
.DEFAULT_GOAL := help

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  \t/p' $(firstword $(MAKEFILE_LIST))

run: ## install what is missing, then start Tagger (PORT, HOST, TAGGER_ADMIN_PASSWORD)
	@$(INSTALL) run

test: ## install what the tests need, then run them (ARGS="-k pick" passes arguments on)
	@( $(INSTALL) test ) && exec .venv/bin/python -m pytest -n 3 --dist loadfile $(ARGS)

smoke: ## clone the last commit to an empty folder, start it there, pick, export, stop
	@exec $(PYTHON) tests/smoke.py

lint: ## style: ruff
	@( $(INSTALL) test ) && .venv/bin/ruff check . && .venv/bin/ruff format --check .

types: ## types: mypy
	@( $(INSTALL) test ) && .venv/bin/mypy .

audit: ## known vulnerabilities in what is pinned: pip-audit, strictly (needs the internet)
	@test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && \
		.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	@exec $(PYTHON) tests/audit.py .venv-audit/bin/pip-audit \
		requirements.txt requirements-dev.txt requirements-embedded.txt requirements-train.txt

lock: ## pin every version in requirements*.txt from requirements*.in, with hashes but for training
	@( $(INSTALL) test ) && for part in requirements requirements-dev requirements-train; do \
		case $$part in *-train) how=--unsafe-package=setuptools;; *) how=--generate-hashes;; esac; \
		.venv/bin/python -m piptools compile --quiet --strip-extras --no-header $$how \
			--unsafe-package=pip --unsafe-package=torch \
			--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
			--no-emit-options --output-file=$$part.txt $$part.in || exit 1; done && \
		.venv/bin/python -m tests.hash_embedded

train-deps: ## install into .venv-train what training needs (TORCH="pip's options for torch")
	@test -x .venv-train/bin/python || $(PYTHON) -m venv .venv-train
	@set -e; pip=".venv-train/bin/python -m pip install --disable-pip-version-check --quiet"; \
		$$pip $(TORCH) $$(grep ^torch== requirements-train.in); \
		$$pip -r requirements.txt -r requirements-dev.txt; \
		$$pip -r requirements-train.txt; \
		$$pip --no-deps -r requirements-embedded.txt

test-train: train-deps ## the tests that need them: of training, and of what it leaves
	@exec .venv-train/bin/python -m pytest tests/test_training.py tests/test_preferences.py tests/test_loaders.py \
		tests/test_narrower.py tests/test_train.py -m "not whole" $(ARGS)

test-jobs: train-deps ## whole trainings, by TRL's own trainers too, and the loop in its small form: ten minutes
	@exec .venv-train/bin/python -m pytest tests/test_train.py tests/test_loop.py -m whole $(ARGS)

loop: train-deps ## proposed, picked by simulated reviewers, trained, measured (LABELS=DIR OUT=DIR BASE=bare FOLDS=4)
	@exec .venv-train/bin/python -m tests.loop $(LABELS) --out $(or $(OUT),var/loop) \
		--base $(or $(BASE),shipped) --folds $(or $(FOLDS),0) $(ARGS)

faults: ## every fault on purpose, on both databases; writes docs/reliability.md (ARGS="1 2b" for some)
	@( $(INSTALL) test ) && .venv/bin/python -m tests.faults --database both \
		$(if $(ARGS),$(ARGS),--out docs/reliability.md)

faults-quick: ## the quick half of it, on both databases: some minutes
	@( $(INSTALL) test ) && .venv/bin/python -m tests.faults --quick --database both $(ARGS)

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

bench-release: ## a release of 100,000 pairs: pairs a second, memory (DATABASE_URL, ARGS="--pairs 1000000")
	@( $(INSTALL) test ) && export TAGGER_VAR=$$(mktemp -d) && \
		.venv/bin/python -m tests.bench.release $(ARGS)

bench-rank: ## how good and quick the ranker of tags is (ARGS="labels.jsonl", as for evaluate)
	@( $(INSTALL) test ) && .venv/bin/python -m tests.bench.rank $(ARGS)

fit-compose: ## what the embedded answer's parts should weigh (ARGS="labels.jsonl", as for evaluate)
	@( $(INSTALL) test ) && .venv/bin/python -m tests.bench.compose $(ARGS)

fuzz-api: ## schemathesis asks the API whatever its document allows, for ten minutes (SECONDS=600)
	@( $(INSTALL) test ) && export TAGGER_FUZZ_SECONDS=$(or $(SECONDS),600) && \
		exec .venv/bin/python -m pytest tests/test_openapi.py -s --show-capture=no $(ARGS)
