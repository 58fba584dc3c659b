# What all examples share. `make -C examples/NAME` quantises the float model and runs the result on the boards of its
# tinydeploy.toml, within their limits; `make -C examples/NAME check` does the second alone; `make -C examples/NAME train`
# makes data and float model again. See programs.mk for the programs.

all: quantize check

include ../programs.mk

check: ready
	$(TINYDEPLOY) check .

train: train-ready
	$(TRAIN_PYTHON) train.py

.PHONY: all ready train-ready quantize check train
