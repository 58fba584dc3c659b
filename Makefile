# Every target first installs what this machine lacks; running it again does nothing twice.

export PYTHON
# The day: each night's random models are others; given, those of that night.
TINYDEPLOY_NIGHT ?= $(shell echo $$(($$(date +%s) / 86400)))

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo:  ## Deploy models/mnist on an emulated Cortex-M4F, and say where the report is
	@scripts/setup demo
	.venv/bin/tinydeploy run models/mnist --data models/mnist/test.npz

test:  ## Lint, check types, look for dead code, and run every test
	@scripts/setup test
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/vulture
	.venv/bin/pytest -n auto --dist worksteal

test-train:  ## The tests that train, in an environment of their own (TensorFlow: 2.5 GB)
	@scripts/setup test
	@scripts/setup train
	.venv/bin/pytest -m train

nightly:  ## All that `make test` takes in turns, ten times the random models (others each night), a zoo
	@scripts/setup test
	@scripts/setup train
	TINYDEPLOY_NIGHTLY=1 TINYDEPLOY_NIGHT=$(TINYDEPLOY_NIGHT) .venv/bin/pytest -n auto --dist worksteal

clean:  ## Remove the virtual environments and what the tools leave behind
	rm -rf .venv .venv-train .venv-torch .pio .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help demo test test-train nightly clean
