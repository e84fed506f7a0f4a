"""How the notebook is checked: executed once, by nbval; everything that needs a run asks that kernel.

A pytest plugin, which conftest.py at the top loads. test_check.py shows that nothing slips past it.
- tools/compare.py says what counts as the same output.
- What a cell's metadata has under `holds` must be true right after it; of an exercise, after its answer
  (answers.py), together with what it says of any seed. Pictures of durations: timing_pictures.py.
- At the end each figure in the text, of the Chinese edition too, is compared with the run (figures.py).
"""

import contextlib
import io
import json
from collections import defaultdict
from dataclasses import replace
from functools import partial

import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, RunningKernel
from nbval.plugin import IPyNbCell, IPyNbFile

import answers
import execute   # noqa: F401 - the user's own settings stay out from here on
import figures
from compare import difference, png
from notebook_file import FIND_OURS, ROOT, TAGS, code_cells, has_tag, read

NO_MNIST = "for want of MNIST in data/; `make everywhere` executes the notebook on the stand-in"
NOT_COMPARED = ("THE DIGITS WERE NOT COMPARED, for want of MNIST: get it with python data/prepare.py, "
                "and run this again.")


def has_mnist():
    """Whether MNIST lies under data/, where data/prepare.py has checked it."""
    return (ROOT / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte").exists()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """Every notebook is checked here, whatever nbval's options say."""
    found = yield
    return [Notebook.from_parent(parent, path=file_path)] if file_path.suffix == ".ipynb" else found


class Notebook(IPyNbFile):
    """A notebook: its cells, between them what must hold there, and at the end the figures in its text."""

    def collect(self):
        other = self.path.parent / "zh" / self.path.name
        try:
            self.nb = read(self.path)
            chinese = figures.claims(read(other)) if other.exists() else []
        except SystemExit as error:
            raise self.CollectError(str(error)) from None
        if faults := [*unchecked(self.nb)]:
            raise self.CollectError(f"{self.name} would not be checked in full: {'; '.join(faults)}.")
        for cell in self.nb.cells:
            if cell.cell_type == "code":
                yield Cell.from_parent(self, name=cell.id, cell_num=cell.execution_count, cell=cell,
                                       options=defaultdict(bool, check=True))
            if "holds" in cell.metadata:
                name = "holds after" if cell.cell_type == "code" else "answer to"
                yield Question.from_parent(self, name=f"{name} {cell.id}", ask=partial(self.holds, cell))
        for claim in figures.claims(self.nb) + [replace(claim, cell=f"zh {claim.cell}") for claim in chinese]:
            # Without the figure, which may be Chinese words: in locale C, pytest can't set such a name.
            yield Question.from_parent(self, name=f"figure in {claim.cell}: {claim.kind} {claim.expression}",
                                       ask=partial(self.figure, claim))

    def setup(self):
        self.kernel = RunningKernel(CURRENT_ENV_KERNEL_NAME, cwd=str(self.path.parent))
        self.kernel.kc.execute_interactive(f"{FIND_OURS}; __import__('timing_pictures').start()",
                                           store_history=False, timeout=300)

    def teardown(self):
        if hasattr(self.kernel, "km"):   # nbval has stopped one that didn't answer
            self.kernel.stop()

    def values_of(self, code):
        """What the kernel prints as JSON when it executes code."""
        if not self.kernel.is_alive():
            pytest.fail("the kernel died (out of memory?)")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            self.kernel.kc.execute_interactive(code, store_history=False, allow_stdin=False, timeout=300)
        try:
            return json.loads(printed.getvalue())
        except json.JSONDecodeError:
            pytest.fail(printed.getvalue())   # the traceback

    def holds(self, cell):
        """What doesn't hold after a cell, or an exercise's answer; "" if all does."""
        expected = [*cell.metadata.holds, *cell.metadata.get("any_seed", {}).values()]
        values = self.values_of(figures.question(expected) if cell.cell_type == "code" else
                                answers.question(cell, [*expected, "printed"]))
        printed = f" The answer printed:\n{values.pop('printed')}" if "printed" in values else ""
        wrong = "; ".join(f"{expression} is {value}" for expression, value in values.items()
                          if isinstance(value, str) or not value)
        return wrong and f"With the course's settings this must hold: {wrong}.{printed}"

    def figure(self, claim):
        """How a figure in the text differs from the run; "" if it doesn't."""
        value = self.values_of(figures.question([claim.expression]))[claim.expression]
        if isinstance(value, str):
            return f"{claim.expression} can't be evaluated: {value}"
        return "" if claim.holds(value) else f"the run gives {value:.6g}, but the text says: {claim.sentence}"


def unchecked(nb):
    """What of a notebook the check would miss."""
    cells = code_cells(nb)
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        yield "the code cells were not all executed once, top to bottom (run make refresh)"
    for cell in nb.cells:
        if unknown := set(cell.metadata.get("tags", [])) - TAGS:
            yield f"{cell.id} has an unknown tag, {', '.join(unknown)}"
        if cell.source.startswith("**Exercise ") and not cell.id.startswith("exercise-"):
            yield f"{cell.id} is an exercise, so its id must start with exercise-: its answer would not run"
        if cell.cell_type == "markdown" and cell.id.startswith("exercise-") != ("holds" in cell.metadata):
            yield f"{cell.id}: an exercise has `holds`, what its answer must make true; no other text has"
        says_what = any("draws(" in expression for expression in cell.metadata.get("holds", []))
        if has_tag(cell, "varies") and any(map(png, cell.outputs)) and not says_what:
            yield f"{cell.id} varies and draws, but doesn't say under `holds` what (tests/timing_pictures.py)"


class Question(pytest.Item):
    """Something else that is asked of the kernel than a cell's outputs."""

    def __init__(self, ask, **kwargs):
        super().__init__(**kwargs)
        self.ask = ask   # returns what is wrong, or ""

    def runtest(self):
        if wrong := self.ask():
            pytest.fail(wrong)

    def reportinfo(self):
        return self.path, 0, self.name

    def repr_failure(self, excinfo):
        return str(excinfo.value)


class Cell(IPyNbCell):
    """A code cell: executed by nbval, compared by our rule."""

    reportinfo, repr_failure = Question.reportinfo, Question.repr_failure

    def compare_outputs(self, fresh, stored, skip_compare=None):
        self.comparison_traceback = difference(self.cell, fresh)
        return not self.comparison_traceback

    def raise_cell_error(self, message, traceback=""):
        pytest.fail(f"{self.name}: {message}\n{traceback}\n\nThe cell:\n{self.cell.source}")


def pytest_collection_modifyitems(items):
    for item in items:
        if not has_mnist() and (isinstance(item.parent, Notebook) or item.get_closest_marker("mnist")):
            item.add_marker(pytest.mark.skip(reason=NO_MNIST))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    """What was skipped for want of MNIST is said last, below pytest's own counts."""
    result = yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")   # a worker of xdist has none
    if reporter and session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        reporter.write_line("Left out here: the notebook in other places, and mutants. Try make everywhere "
                            "and, before a release, make matrix and make mutants.")
    if reporter and any(NO_MNIST in str(report.longrepr) for report in reporter.stats.get("skipped", [])):
        reporter.write_line(NOT_COMPARED, red=True, bold=True)
    return result
