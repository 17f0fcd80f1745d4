# Two targets matter: `make demo` and `make test`. Each sets up all it needs: Python 3.11+, make and a compiler suffice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-out
export MPLBACKEND := Agg

# Keypoint conventions shown in docs/keypoints.md.
CONVENTIONS := coco coco_wholebody openpose_25 h36m mpii smpl smplx smplx_137 human_data

.PHONY: demo test lint format figures clean
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

$(VENV)/.installed: setup.cfg constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'ehps needs Python 3.11 or newer')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) $(OUT) .cache build *.egg-info
