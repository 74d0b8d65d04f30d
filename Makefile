# The whole workflow. Every target sets up what it needs first; see tools/setup.py.
N ?= 10
SECONDS ?= 60
BIN := .venv/bin
CACHE := $(or $(COLO_CACHE),.cache)

.PHONY: setup test check fuzz demo bench bench-compare bench-xcolo soak lock clean

setup:
	python3 tools/setup.py

# colo-core needs Python to link against; pytest covers it. Live tests are two at a time: each has two VMs, and deadlines.
test: setup
	COLO_QEMU=$(or $(COLO_QEMU),$(abspath $(CACHE))/qemu/10.0/qemu-system-x86_64) \
		cargo test --quiet --workspace --exclude colo-core
	$(BIN)/python -m pytest -m "not live" --numprocesses auto --dist loadfile
	$(BIN)/python -m pytest -m live --numprocesses 2 --dist loadfile

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy -p bench
	$(BIN)/mypy tools
	cargo fmt --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings

# Each fuzz target for a while: make fuzz SECONDS=600
fuzz:
	python3 tools/fuzz.py $(SECONDS)

demo: setup
	$(BIN)/colo demo --qemu $(CACHE)/qemu/10.0/qemu-system-x86_64 --guest $(CACHE)/guest

bench: setup
	$(BIN)/python -m bench

bench-compare: setup
	$(BIN)/python -m bench.compare

# QEMU's own COLO and ours; needs root.
bench-xcolo: setup
	$(BIN)/python -m bench.xcolo

# N failovers in a row: make soak N=100
soak: setup
	$(BIN)/python -m bench.soak $(N)

# Newest versions of all Python dependencies, with hashes.
lock: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target .cache/uv uv
	.cache/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --group dev \
		--generate-hashes --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .cache target src/colo/_core*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis
