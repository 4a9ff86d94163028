# Every target but `quick` first runs set-up. Nothing has to be activated. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help setup demo hospital hospital-test quick check test fuzz coverage serve real bench clean

ZEUS := .venv/bin/zeus
PORT ?= 8000
STUDIES ?=
TARGET ?=
PROFILE ?=
MODEL ?=
FUSION ?=
STATE ?=
CASES ?= 1000

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: ## make .venv, install packages, fetch weights, make sample studies
	@PYTHON="$(PYTHON)" sh scripts/set_up.sh

demo: setup ## start a server on sample studies, segment, learn, segment again, write a report
	@$(ZEUS) demo

hospital: setup ## start a PACS with phantoms, Zeus and OHIF on this machine until Ctrl-C [PORT=8000]
	@$(ZEUS) hospital --port "$(PORT)"

quick: ## lint, types and the fast tests, in seconds: no set-up, server or weights
	@sh scripts/quick.sh

check: setup ## lint, format and types of all code
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

test: setup ## run the tests (PYTEST_ARGS="-k geometry" for some of them)
	@.venv/bin/python -m pytest --ignore=tests/hospital $(PYTEST_ARGS)

hospital-test: setup ## run the tests with a PACS and both viewers, in a browser
	@.venv/bin/python -m pytest tests/hospital $(PYTEST_ARGS)

fuzz: setup ## send a server 1,000 made requests and volumes, in about five minutes [CASES=1000]
	@ZEUS_FUZZ_CASES="$(CASES)" .venv/bin/python -m pytest tests/fuzz $(PYTEST_ARGS)

coverage: setup ## run the tests without real MRI and fail if they cover too little (.coverage/)
	@rm -rf .coverage && mkdir .coverage
	@env -u ZEUS_REAL_DATA .venv/bin/coverage run -m pytest $(PYTEST_ARGS)
	@.venv/bin/coverage combine --quiet
	@.venv/bin/coverage report

serve: setup ## serve a folder: STUDIES=<dir> TARGET=<name>, or no TARGET for a list of what fits [PROFILE= MODEL= FUSION= STATE= PORT=8000]
	@$(ZEUS) serve "$(STUDIES)" --port "$(PORT)" \
	    $(if $(TARGET),--target "$(TARGET)") $(if $(PROFILE),--profile "$(PROFILE)") \
	    $(if $(MODEL),--model "$(MODEL)") $(if $(FUSION),--fusion "$(FUSION)") \
	    $(if $(STATE),--state "$(STATE)")

real: setup ## run the same loop on the real MRI in ZEUS_REAL_DATA [TARGET=abdomen FOLD=0]
	@$(ZEUS) real $(if $(TARGET),--target "$(TARGET)") $(if $(FOLD),--fold "$(FOLD)")

bench: setup ## measure the speed, in under 30 minutes: benchmarks/results/speed.json and docs/speed.md
	@.venv/bin/python -m benchmarks.speed

clean: ## remove what set-up made: .venv with packages and weights, the sample studies
	@PYTHON="$(PYTHON)" sh scripts/set_up.sh --clean
