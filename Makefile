# make run         execute a copy of the notebook: build/04-feedforward-nn.ipynb and .html
# make lab         open the notebook in JupyterLab
# make refresh     execute the notebook in place
# make test        the checks (three minutes)
# make everywhere  the notebook in other places and programs, and a sample of mutants (ten to fifteen minutes)
# make matrix      the whole notebook in every way that this machine can run it (an hour the first time)
# make mutants     change the code in small ways: does a check notice? (an hour)
# make bench       compare with other libraries: benchmarks/README.md
PYTHON ?= python3
BIN := .venv/bin

TEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: run lab refresh test everywhere matrix mutants bench
run: .venv/installed
	@$(BIN)/python tools/execute.py run

# Without MNIST (status 3) the tests say themselves what they leave out.
test: .venv/installed-tests
	@$(BIN)/python data/prepare.py || [ $$? -eq 3 ]
	@$(TEST)

everywhere: .venv/installed-tests
	@$(BIN)/python data/prepare.py || [ $$? -eq 3 ]
	@$(TEST) tests/everywhere

lab: .venv/installed
	@$(BIN)/python data/prepare.py || [ $$? -eq 3 ]
	@$(BIN)/jupyter lab 04-feedforward-nn.ipynb

refresh: .venv/installed
	@$(BIN)/python data/prepare.py
	@$(BIN)/python tools/execute.py refresh

matrix mutants: .venv/installed-tests
	@$(BIN)/python data/prepare.py
	@$(BIN)/python tests/$@.py

.venv/installed: requirements.txt
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('Python 3.11 or newer is needed; this is ' + sys.version.split()[0] + '. Name a newer one: make PYTHON=python3.12 ...')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-tests: .venv/installed tests/requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -r tests/requirements.txt
	@touch $@

bench: .venv/installed .venv-bench/installed
	@$(BIN)/python data/prepare.py
	@.venv-bench/bin/python benchmarks/bench.py

.venv-bench/installed: benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@
