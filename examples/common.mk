# What all examples share. `make -C examples/NAME` quantises the float model and runs the result on the boards of its
# tinydeploy.toml, within their limits; `make -C examples/NAME check` does the second alone; `make -C examples/NAME train`
# makes data and float model again. TINYDEPLOY and TRAIN_PYTHON name other programs than those of .venv and .venv-train.

REPO := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)

all: quantize check

ifdef TINYDEPLOY
ready:
else
TINYDEPLOY := $(REPO)/.venv/bin/tinydeploy
ready:
	@$(REPO)/scripts/setup examples
endif

ifdef TRAIN_PYTHON
train-ready:
else
TRAIN_PYTHON := $(REPO)/.venv-train/bin/python
train-ready:
	@$(REPO)/scripts/setup train
endif

check: ready
	$(TINYDEPLOY) check .

train: train-ready
	$(TRAIN_PYTHON) train.py

.PHONY: all ready train-ready quantize check train
