# The programs that every example runs, from the environments that `ready` and `train-ready` make: what is missing is set
# up, for SETUP (a goal of scripts/setup). TINYDEPLOY and TRAIN_PYTHON name other programs, for which nothing is set up.

REPO := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
SETUP ?= examples

ifdef TINYDEPLOY
ready:
else
TINYDEPLOY := $(REPO)/.venv/bin/tinydeploy
ready:
	@$(REPO)/scripts/setup $(SETUP)
endif

ifdef TRAIN_PYTHON
train-ready:
else
TRAIN_PYTHON := $(REPO)/.venv-train/bin/python
train-ready:
	@$(REPO)/scripts/setup train
endif
