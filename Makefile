# The commands of this project; `make run` and `make test` are all a newcomer needs.

PYTHON ?= python3
CHATAI_HOME ?= $(CURDIR)/.chatai
PORT ?= 3000
WORKERS ?= $(shell nproc)
BIN := .venv/bin
home := $(abspath $(CHATAI_HOME))
PICTURES := lineage failed_run backfill
LOCKS := requirements.lock deploy/requirements.lock deploy/requirements-browser.lock
LOCKING := --generate-hashes --no-emit-index-url --universal --no-strip-extras --python-version 3.11 --quiet \
    --custom-compile-command "make lock"

.PHONY: setup browser run test test-scenarios check bench docs pictures lock clean

setup: .venv/.ready

# Installs exactly what the lock file names, by hash.
.venv/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# What CHATAI_CRAWL=browser needs, from its own lock; it takes half a gigabyte, and a Chromium of the system.
browser: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements-browser.lock

# The UI on http://127.0.0.1:3000, sensors on, the inbox folder watched, samples on first start. Ctrl-C ends it.
run: setup
	@$(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", $(PORT)))' 2>/dev/null || \
	    { echo "Port $(PORT) is taken, perhaps by this program; another: make run PORT=3001" >&2; exit 1; }
	@mkdir -p "$(home)/dagster" "$(home)/inbox"
	@sed '$(if $(DAGSTER_DATABASE_URL),,1,/^# --- end of paths/d)' $(if $(DAGSTER_DATABASE_URL),deploy/)dagster.yaml \
	    > "$(home)/dagster/dagster.yaml"
	@echo "UI: http://127.0.0.1:$(PORT)   drop files into: $(home)/inbox"
	@exec env CHATAI_HOME="$(home)" DAGSTER_HOME="$(home)/dagster" CHATAI_SAMPLES="$${CHATAI_SAMPLES:-1}" \
	    $(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

# All tests but the scenarios, in WORKERS processes that share servers.
test: setup
	$(BIN)/python -m pytest -m "not scenario" -n $(WORKERS) --dist loadgroup $(ARGS)

# What takes long: real daemons, a real browser, crashes, the corpus. Needs make browser.
test-scenarios: setup
	$(BIN)/python -m pytest -m scenario -n $(WORKERS) --dist loadgroup $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/dagster definitions validate --workspace workspace.yaml

# Speed, memory and retrieval quality on the corpus at CHATAI_CORPUS; prints tables.
bench: setup
	$(BIN)/python -m chatai_assets_tests.benchmarks $(ARGS)

# Writes the table of settings in deploy/operations.md from the settings classes.
docs: setup
	$(BIN)/python -m chatai_assets.settings.reference

# Drives the real UI as the tests do, leaves what it saw in build/pictures, and takes the pictures of the README from there.
pictures: setup
	CHATAI_SCREENSHOTS=build/pictures $(BIN)/python -m pytest -m browser chatai_assets_tests/scenarios $(ARGS)
	cp $(PICTURES:%=build/pictures/%.png) deploy/

lock:
	$(BIN)/uv pip compile pyproject.toml --extra dev $(LOCKING) --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra k8s $(LOCKING) --constraint requirements.lock --output-file deploy/requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra browser $(LOCKING) --constraint requirements.lock \
	    --output-file deploy/requirements-browser.lock
	sed -i 's/^lxml\[html-clean\]==/lxml==/' $(LOCKS) # pip 23 stumbles over this extra, and needs all others

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
