# make demo, make test: each does its own set-up in .venv, without root. `make help` lists what there is.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# A path in a .pth file; the finder that is the default costs every start of a process 30 ms.
EDITABLE := --no-build-isolation --constraint constraints.txt --config-settings editable_mode=compat --editable

.PHONY: help venv demo test dropin image-test attacks fuzz simulate mutations chaos bench bench-reference bench-node-red bench-beside bench-report check docs pictures dist format clean

## help: this list
help:
	@echo "make TARGET; each sets up what it needs in .venv, without root:"
	@sed -n 's/^## \([a-z-]*\): \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
	  printf '%s\n' "$$text" | fold -s -w 61 | sed 's, *$$,,' | { IFS= read -r line; printf '  %-16s %s\n' "$$name" "$$line"; \
	  while IFS= read -r line || [ -n "$$line" ]; do printf '  %-16s %s\n' '' "$$line"; done; }; done
## venv: a virtual environment with what serialgw needs to run
venv: .venv/.run
## demo: real frames from virtual serial lines to an MQTT broker, and a call answered by a device
demo: .venv/.demo
	$(BIN)/serialgw demo $(DEMO_ARGS)
## test: the whole test suite but for the attacks, three tests at a time (ten to fifteen minutes); PYTEST_ARGS="tests/unit -q" runs a part, WORKERS=0 one test after the other
WORKERS ?= 3
test: .venv/.dev
	$(BIN)/python -m pytest --ignore=tests/attacks -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)
## dropin: users' converters and connectors where ThingsBoard's own package is installed too, in an environment of its own
dropin: .venv/beside/.made
	.venv/beside/bin/python -m pytest tests/dropin/beside_the_real_package.py $(DROPIN) $(PYTEST_ARGS)
DROPIN := $(addprefix tests/dropin/test_,converter_files.py converters_page.py converter_host.py connectors_page.py connector_requests.py hosted_connectors.py \
  classes_of_the_guide.py which_connectors_are_hosted.py coming_from_thingsboard_page.py)
## image-test: builds the image on a fresh Debian, and runs every service's command in it (as root; needs buildah, debootstrap)
image-test: .venv/.dev
	tests/image.sh
## attacks: what other users, hostile peers, full disks, flipped bits and hanging processes can do, tried; ATTACKS=short in CI
attacks: export ATTACKS ?= full
attacks: .venv/.dev
	$(BIN)/python -m tests.attacks $(PYTEST_ARGS)
## fuzz: junk from everywhere for SECONDS a kind: KINDS="lines shapes mqtt planes configurations journals"
fuzz: .venv/.dev
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(KINDS:%=--kind %)
## simulate: all cores under faults drawn from seeds; SEEDS=n runs so many, SEED=n replays one, STEPS=1 shows each step
simulate: .venv/.dev
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED) $(if $(STEPS),--steps),$(if $(SEEDS),--seeds $(SEEDS)))
## mutations: breaks the rules of the design one by one; the simulation must notice each (docs/reliability.md)
mutations: .venv/.dev
	$(BIN)/python -m tests.simulation.proving
## chaos: the gateway on talking lines, hurt at random for SECONDS; exit 0 only if nothing was lost
SECONDS ?= 60
chaos: .venv/.dev
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(CHAOS_ARGS)
## bench: frames a second, latency, CPU and memory of the whole; SCENARIOS="flat8 slow8" runs some (needs mosquitto)
bench: .venv/.dev
	$(BIN)/python -m bench $(SCENARIOS)
## bench-reference: the same beside ThingsBoard IoT Gateway, installed in an environment of its own, and mosquitto_pub
REFERENCE ?= thingsboard-gateway==3.8.5
bench-reference: .venv/.dev bench/.reference-venv/.made
	$(BIN)/python -m bench.reference $(REFERENCE_ARGS)
## bench-node-red: serialgw where little is said, beside Node-RED with its serial nodes (needs Node.js 18.5 or later, npm)
NODE_RED ?= node-red@4.1.8 node-red-node-serialport@2.0.3
bench-node-red: .venv/.dev bench/.node-red/.made
	@if [ -e bench/.node-red/.made ]; then $(BIN)/python -m bench.beside --gateway serialgw-50 --gateway serialgw-0 --gateway node-red \
	  slow8 chorus8 mid8 slow64 $(BESIDE_ARGS); fi
## bench-beside: the same beside ThingsBoard IoT Gateway too, with curves over the rate (ten minutes); without Node-RED where it is not to be had
bench-beside: .venv/.dev bench/.reference-venv/.made bench/.node-red/.made
	$(BIN)/python -m bench.beside $(BESIDE_ARGS)
## bench-report: docs/performance.md from the newest results
bench-report: .venv/.dev
	$(BIN)/python -m bench.report
## check: formatter, linter, types, and who may import whom
check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
## docs: the pages that are made from the code anew: keys, profiles, the man page
docs: .venv/.dev
	$(BIN)/python -m docs.generate
## pictures: docs/pictures anew, from a gateway that runs here (needs chromium, mosquitto)
pictures: .venv/.dev
	$(BIN)/python -m tests.web.pictures
## dist: the source archive and the wheel, in dist/
dist: .venv/.dev
	@$(PIP) install --only-binary=:all: --constraint constraints.txt build
	$(BIN)/python -m build --no-isolation
## format: what the formatter and the linter can mend by themselves
format: .venv/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
## clean: everything that make has made
clean:
	rm -rf .venv build dist *.egg-info

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "There is no program called $(PYTHON). serialgw needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "serialgw needs Python 3.11 or later; found $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
	  { echo "This Python has no venv module; on Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/.run: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing serialgw into .venv (once; a minute) ..."
	@$(PIP) install --only-binary=:all: --constraint constraints.txt setuptools wheel
	@$(PIP) install --only-binary=:all: $(EDITABLE) .
	@touch $@

# An MQTT broker in Python, which a gateway does not need.
.venv/.demo: .venv/.run
	@echo "Installing what the demo needs into .venv (once) ..."
	@$(PIP) install --only-binary=:all: $(EDITABLE) '.[demo]'
	@touch $@

.venv/.dev: .venv/.run
	@echo "Installing the test tools into .venv (once) ..."
	@$(PIP) install --only-binary=:all: --no-binary=tailer $(EDITABLE) '.[demo,dev]'
	@touch $@ .venv/.demo

# The package alone, over all that .venv has: nothing of it is ever run, so nobody needs what it needs.
.venv/beside/.made: .venv/.dev
	@echo "Installing $(REFERENCE) into .venv/beside (once) ..."
	@$(BIN)/python -m venv --without-pip .venv/beside
	@$(PIP) --python .venv/beside/bin/python install --no-deps --only-binary=:all: --retries 2 --timeout 20 '$(REFERENCE)'
	@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > "$$(.venv/beside/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/serialgw-environment.pth"
	@sed "1s|.*|#!$(CURDIR)/.venv/beside/bin/python|" $(BIN)/serialgw > .venv/beside/bin/serialgw && chmod +x .venv/beside/bin/serialgw
	@touch $@

# pyserial: the reference installs it only where it is already there. Not all it needs has wheels.
bench/.reference-venv/.made: .venv/bin/python
	@echo "Installing $(REFERENCE) into bench/.reference-venv (once) ..."
	@$(BIN)/python -m venv bench/.reference-venv
	@bench/.reference-venv/bin/python -m pip --disable-pip-version-check --quiet install --prefer-binary '$(REFERENCE)' pyserial
	@touch $@

# Node-RED 5 needs Node.js 22. No package of these runs anything when it is installed: what is compiled comes with them.
bench/.node-red/.made:
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
	  echo "There is no Node.js with npm here (Debian, Ubuntu: sudo apt-get install nodejs npm): nothing is measured beside Node-RED."; \
	else \
	  echo "Installing $(NODE_RED) into bench/.node-red (once) ..." && mkdir -p bench/.node-red && \
	  npm install --prefix bench/.node-red --save-exact --ignore-scripts --no-audit --no-fund --loglevel=error $(NODE_RED) && touch $@; \
	fi
