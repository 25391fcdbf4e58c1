# Semblance: `make run` opens it, `make test` checks it. Nothing but Python 3.11 and make is needed.
SHELL := /bin/sh
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$name" && break; \
	done)
VENV := .venv/bin/python
export BIND PORT SEMBLANCE_HOME TORCH_INDEX_URL

.PHONY: help run test lint types browser bench train-demo frontend screenshots environment python
.DEFAULT_GOAL := help

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: python ## start Semblance and print its address (PORT, BIND, SEMBLANCE_HOME, TORCH_INDEX_URL)
	@exec "$(PYTHON)" -m webapp.launch

test: environment ## lint, types, unit, contracts, property, integration and browser tests
	@exec $(VENV) -m tests.suite all

lint: environment ## format, lint, import directions, migrations, the front end's types
	@exec $(VENV) -m tests.suite lint

types: environment ## mypy
	@exec $(VENV) -m tests.suite types

browser: environment ## the journeys in a real Chromium
	@exec $(VENV) -m tests.suite browser

bench: environment ## measure speed and memory; a table, and JSON under var/bench
	@exec $(VENV) -m tests.bench

train-demo: environment ## train the shipped model from nothing (hours on two cores)
	@$(VENV) -m training.prepare training/recipes/abdomen-2d.yaml
	@$(VENV) -m training.train training/recipes/abdomen-2d.yaml
	@$(VENV) -m training.export abdomen-2d --out var/training/abdomen-2d/model
	@$(VENV) -m training.calibrate var/training/abdomen-2d/model
	@echo "The model lies in var/training/abdomen-2d/model; measure it with:"
	@echo "  $(VENV) -m training.evaluate var/training/abdomen-2d/model"

frontend: environment ## build the front end
	@exec $(VENV) frontend/build.py

screenshots: environment ## refresh docs/screenshots, every page in dark and light
	@exec $(VENV) -m tests.browser.screenshots

environment: python
	@"$(PYTHON)" -m webapp.launch environment

python:
	@test -n "$(PYTHON)" || { echo "Semblance needs Python 3.11 (Debian: apt-get install python3.11 python3.11-venv)."; exit 1; }
