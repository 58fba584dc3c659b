# Every target first installs what this machine lacks; running it again does nothing twice.

export PYTHON

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

nightly:  ## Ten times as many random models, 50,000 layers, 10,000 broken files, a zoo of Keras models
	@scripts/setup test
	@scripts/setup train
	TINYDEPLOY_NIGHTLY=1 .venv/bin/pytest -n auto --dist worksteal

clean:  ## Remove the virtual environments and what the tools leave behind
	rm -rf .venv .venv-train .pio .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help demo test test-train nightly clean
