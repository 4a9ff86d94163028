# Every target sets up what it needs; nothing has to be activated. `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check serve real bench clean

ZEUS := .venv/bin/zeus
PORT ?= 8000
STUDIES ?=
TARGET ?=
PROFILE ?=
MODEL ?=
FUSION ?=
STATE ?=

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: ## make .venv, install packages, fetch weights, make sample studies
	@PYTHON="$(PYTHON)" sh scripts/set_up.sh

demo: setup ## start a server on sample studies, segment, learn, segment again, write a report
	@$(ZEUS) demo

test: setup ## run the tests (PYTEST_ARGS="-k geometry" for some of them)
	@.venv/bin/python -m pytest $(PYTEST_ARGS)

check: setup ## lint and check types
	@.venv/bin/ruff check .
	@.venv/bin/mypy

serve: setup ## serve a folder: STUDIES=<dir> TARGET=<name> [PROFILE= MODEL= FUSION= STATE= PORT=8000]
	@$(ZEUS) serve "$(STUDIES)" --port "$(PORT)" \
	    $(if $(TARGET),--target "$(TARGET)") $(if $(PROFILE),--profile "$(PROFILE)") \
	    $(if $(MODEL),--model "$(MODEL)") $(if $(FUSION),--fusion "$(FUSION)") \
	    $(if $(STATE),--state "$(STATE)")

real: setup ## the same loop on the real MRI in ZEUS_REAL_DATA; [TARGET=abdomen] for one of them
	@$(ZEUS) real $(if $(TARGET),--target "$(TARGET)")

bench: setup ## measure the speed, in under 30 minutes: benchmarks/results/speed.json and docs/speed.md
	@.venv/bin/python -m benchmarks.speed

clean: ## remove what set-up made: .venv with packages and weights, the sample studies
	@PYTHON="$(PYTHON)" sh scripts/set_up.sh --clean
