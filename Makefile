# Two targets matter: `make demo` and `make test`. Each sets up all it needs: Python 3.11+, make and a compiler suffice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-out
# What the tutorials run on: the demo's output where there is one, else that of a smaller one.
DEMO = $(if $(wildcard $(OUT)/report.html),$(OUT),build/small-demo)
export MPLBACKEND := Agg

# Keypoint conventions shown in docs/keypoints.md.
CONVENTIONS := coco coco_wholebody openpose_25 h36m mpii smpl smplx smplx_137 human_data

.PHONY: demo test lint format figures docs images wheel-check clean
demo: $(VENV)/.installed
	$(BIN)/ehps demo --out $(OUT)

test: $(VENV)/.installed
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy ehps

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

figures: $(VENV)/.installed
	for name in $(CONVENTIONS); do \
	  $(BIN)/ehps humandata keypoints $$name --figure docs/images/keypoints_$$name.png >/dev/null || exit 1; done
# The documentation as a site, build/docs/index.html; a warning is an error.
docs: $(VENV)/.docs-installed
	test -e $(DEMO)/report.html -o -e $(DEMO)/.complete || $(BIN)/python docs/small_demo.py build/small-demo
	EHPS_DEMO=$(abspath $(DEMO)) $(BIN)/sphinx-build -q -W --keep-going -j 2 -b html docs build/docs

# The images of the README, from the demo's output.
images: demo
	$(BIN)/python docs/make_images.py $(OUT)

# The wheel in a clean environment, without extras and with all of them.
wheel-check:
	PYTHON=$(PYTHON) .ci/wheel-check build/wheel-check

$(VENV)/.installed: setup.cfg constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'ehps needs Python 3.11 or newer')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

$(VENV)/.docs-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) $(OUT) .cache build *.egg-info
