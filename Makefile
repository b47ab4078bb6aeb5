# What a developer does, each as one word.  Nothing but Python 3.11 or later and make is needed:
# the first call installs the rest into .venv.
#
# Variables given to make (make run SAMPLES=0 PORT=8080) reach the commands as environment variables.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
STAGE ?= prod
UV := uv==0.13.8

.DEFAULT_GOAL := help
.PHONY: help venv run test verify check bench docs package lock clean

# Packages are installed uncompiled, which halves the wait; Python must keep what it compiles later.
unexport PYTHONDONTWRITEBYTECODE

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(READY) ## Install what the other targets need (they do it by themselves)

# Lambda's own version is preferred, so that packages are built for it.
$(READY): requirements-dev.txt
	@found=; for each in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
		if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			found=$$each; \
			if $$each -c 'import ensurepip' >/dev/null 2>&1; then break; fi; \
		fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Python 3.11 or later is needed: install it, or name it with make PYTHON=/path/to/python" >&2; \
		exit 2; \
	fi; \
	exec $$found infra/bootstrap.py $(VENV)

# exec and infra.foreground: Ctrl-C ends the hub, not make, and the hub's exit code is make's.
run: $(READY) ## Run the hub on this machine (PORT, MQTT_PORT, STATE, SAMPLES, RETRY_SCHEDULE, PRIVATE_TARGETS, AWS_ENDPOINT_URL)
	@exec $(BIN)/python -m infra.foreground infra.local

test: check $(VENV)/clients ## Run all checks and tests
	$(BIN)/python -m pytest

# One package of theirs is published as source alone.  Where that cannot be had, the test that wants it is skipped.
$(VENV)/clients: $(READY) infra/requirements-clients.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--only-binary :all: --no-binary demjson3 -r infra/requirements-clients.txt && touch $@ || \
		echo "the clients of infra/requirements-clients.txt could not be installed: their tests are skipped" >&2

verify: $(READY) ## Verify a big run id by id, under faults and beside bad endpoints (RECORDS=100000)
	@$(BIN)/python -m tests.support.verification $(RECORDS)

check: $(READY) ## Check format, lint, import contracts and types
	$(BIN)/ruff format --check --output-format concise .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

bench: $(READY) ## Measure: CPU of a payload, imports of a cold start
	@$(BIN)/python -m benchmarks

docs: $(READY) ## Write the pages of docs that are made of the code
	@$(BIN)/python -m infra.problems_page

package: $(READY) ## Build what CloudFormation deploys into build/ (STAGE=prod)
	@$(BIN)/python -m infra.package build --stage $(STAGE)

# The order matters: what is deployed is what was tested.
COMPILE = build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock"

lock: $(READY) ## Lock the dependencies again (UPGRADE=1 for newer versions)
	@$(BIN)/python -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check $(UV)
	$(COMPILE) $(if $(UPGRADE),--upgrade) infra/requirements-dev.in -o requirements-dev.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) -c requirements-dev.txt infra/requirements.in -o requirements.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) -c requirements-dev.txt --no-binary demjson3 \
		infra/requirements-clients.in -o infra/requirements-clients.txt

clean: ## Remove what make can make again (not .local, which holds data)
	rm -rf build $(VENV) .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
