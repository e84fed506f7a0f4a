"""Nothing slips past the check: each gap that nbval leaves by itself, shown closed on a small notebook."""

import base64
import copy
import io
import shutil
import subprocess
import sys
import time

import matplotlib
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from cells import NOTEBOOK, ROOT
from execute import executed, refreshed
from outputs import PIXEL_TOLERANCE, VARIES, VARIES_REPLACED, same_outputs, same_picture, varies

PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2, {}])\nplt.show()"
CELLS = [("number", "print('accuracy', 0.9652)"), ("duration", "print('it took ⟨0.3 s⟩')"),
         ("value", "{'a': 1}"), ("plot", PLOT.format(3)), ("quiet", "x = 1")]


@pytest.fixture(scope="module")
def good():
    """A small executed notebook."""
    nb = new_notebook(cells=[new_code_cell(source, id=id) for id, source in CELLS])
    NotebookClient(nb, kernel_name="python3", record_timing=False).execute()
    return nb


@pytest.fixture
def check(tmp_path, good):
    """Run pytest, with this project's settings, on a small notebook that `change` has changed."""
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "sanitize.cfg", tmp_path / "tests")
    # The small notebook needs no MNIST, but without it nothing would be compared.
    mnist = tmp_path / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte"
    mnist.parent.mkdir(parents=True)
    mnist.touch()

    def run(change=None, *options, sanitize=None):
        nb = nbformat.reads(nbformat.writes(good), as_version=4)
        if change is not None:
            change(nb.cells)
        nbformat.write(nb, tmp_path / NOTEBOOK.name)
        if sanitize is not None:
            (tmp_path / "tests" / "sanitize.cfg").write_text(sanitize, encoding="ascii")
        result = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", NOTEBOOK.name,
                                 *options], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        return result.returncode, result.stdout + result.stderr
    return run


def fails(outcome, saying):
    status, text = outcome
    assert status != 0 and saying in text, text
    return True


def test_the_small_notebook_passes(check):
    status, text = check()
    assert status == 0 and f"{len(CELLS)} passed" in text, text


def test_another_duration_passes(check):
    assert check(lambda cells: cells[1].outputs[0].update(text="it took ⟨17.2 s⟩\n"))[0] == 0


@pytest.mark.parametrize("index, text", [(0, "accuracy 0.9653\n"), (1, "it has taken ⟨0.3 s⟩\n")])
def test_another_text_fails(check, index, text):
    assert fails(check(lambda cells: cells[index].outputs[0].update(text=text)), "Cell outputs differ")


def test_another_value_fails(check):
    assert fails(check(lambda cells: cells[2].outputs[0].data.update({"text/plain": "{'a': 2}"})), "Cell outputs differ")


def test_another_picture_fails_and_leaves_both(check, tmp_path):
    assert fails(check(lambda cells: cells[3].update(source=PLOT.format(3.05))), "build/plot-0-stored.png")
    for kind in ("stored", "fresh", "difference"):
        with Image.open(tmp_path / "build" / f"plot-0-{kind}.png") as image:
            assert image.width > 100


def picture_only_in_the_text(cells):
    del cells[3].outputs[0].data["image/png"]


def test_a_missing_stored_picture_fails(check):
    assert fails(check(picture_only_in_the_text), "The outputs are")


def test_a_picture_no_longer_drawn_fails(check):
    assert fails(check(lambda cells: cells[3].update(source="x = 2")), "The outputs are")


def test_outputs_in_another_order_fail(check):
    def swap(cells):
        cells[3].source += "\nprint('done')"
        cells[3].outputs.insert(0, new_output("stream", name="stdout", text="done\n"))
    assert fails(check(swap), "The outputs are")


def test_something_printed_to_stderr_fails(check):
    assert fails(check(lambda cells: cells[4].update(source="import sys; print('oops', file=sys.stderr)")), "stderr")


@pytest.mark.parametrize("count", [None, 7])
def test_a_cell_not_run_in_order_fails(check, count):
    assert fails(check(lambda cells: cells[4].update(execution_count=count)), "not all executed once, top to bottom")


def test_a_new_cell_never_run_fails(check):
    assert fails(check(lambda cells: cells.insert(2, new_code_cell("print('new')", id="new"))), "not all executed once")


@pytest.mark.parametrize("tag", ["raises-exception", "nbval-skip", "nbval-ignore-output", "nbval-raises-exception", "other"])
def test_a_tag_that_silences_fails(check, tag):
    assert fails(check(lambda cells: cells[0].metadata.update(tags=[tag])), "tag" if tag == "other" else "would not be compared")


@pytest.mark.parametrize("comment", ["# NBVAL_SKIP", "# NBVAL_IGNORE_OUTPUT", "# NBVAL_RAISES_EXCEPTION"])
def test_a_comment_that_silences_fails(check, comment):
    assert fails(check(lambda cells: cells[0].update(source=comment + "\n" + cells[0].source)), "would not be compared")


@pytest.mark.parametrize("options", [["--nbval-lax"], ["-o", "addopts="]])
def test_a_run_that_compares_less_is_refused(check, options):
    assert fails(check(None, *options), "would not be compared")


RULE = f"regex: {VARIES.pattern}\nreplace: {VARIES_REPLACED}\n"


@pytest.mark.parametrize("rules", [
    RULE.replace("\n", "\n\n"), RULE.replace("regex: ", "regex:"), "regex: \\d\\.\\d+\nreplace: NUMBER\n", "",
    RULE + "regex: accuracy .*\nreplace: accuracy\n"])
def test_another_sanitize_rule_is_refused(check, rules):
    assert fails(check(sanitize=rules), "has one rule")


def test_a_dead_kernel_is_noticed_at_once(check):
    start = time.monotonic()
    assert fails(check(lambda cells: cells[4].update(source="import os; os._exit(1)")), "the kernel died")
    assert time.monotonic() - start < 60   # the limit for a cell is 300 s


# Pictures

def drawn(y=3.0, title="title", dpi=100):
    """A line plot as PNG."""
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        fig = Figure(figsize=(6, 4), dpi=dpi)
        fig.subplots().plot([1, 2, y], "o-")
        fig.axes[0].set(title=title, ylim=(0, 4))
        file = io.BytesIO()
        fig.savefig(file)
        return file.getvalue()


def test_the_same_curve_drawn_again_passes():
    assert same_picture(drawn(), drawn())
    assert same_picture(drawn(3.0), drawn(3.0 + 1e-6))   # what another processor may make of it


@pytest.mark.parametrize("other", [dict(y=3.01), dict(title="titel"), dict(dpi=101)])
def test_another_picture_does_not_pass(other):
    """A height of 0.01 is three quarters of a pixel here."""
    assert not same_picture(drawn(), drawn(**other))


def shifted(levels):
    """A grey image, one pixel of which is brighter by so many levels."""
    pixels = np.full((20, 30), 100, dtype=np.uint8)
    pixels[10, 10] += levels
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_the_tolerance_is_for_a_single_pixel():
    assert same_picture(shifted(0), shifted(PIXEL_TOLERANCE))
    assert not same_picture(shifted(0), shifted(PIXEL_TOLERANCE + 1))


def picture_output(data, text="<Figure>"):
    return new_output("display_data", {"image/png": base64.b64encode(data).decode(), "text/plain": text})


def test_what_make_refresh_takes_for_the_same():
    words = "⟨picture⟩ | title"
    assert same_outputs([picture_output(drawn())], [picture_output(drawn())])
    assert not same_outputs([picture_output(drawn())], [picture_output(drawn(3.5))])
    assert same_outputs([picture_output(drawn(), words)], [picture_output(drawn(3.5), words)])
    assert not same_outputs([picture_output(drawn(), words)], [picture_output(drawn(3.5), words + "!")])
    assert not same_outputs([picture_output(drawn())], [])
    assert varies(picture_output(drawn(), words)) and not varies(picture_output(drawn()))
    took = [new_output("stream", name="stdout", text=f"it took ⟨{seconds} s⟩") for seconds in (1, 2)]
    assert same_outputs(took[:1], took[1:])


def test_make_refresh_keeps_the_figures_of_one_run_together():
    clock = "import time; print(f'⟨{time.perf_counter()}⟩')"
    cells = [new_code_cell(source, id=f"cell-{i}") for i, source in enumerate([clock, clock, "print(1)"])]
    first = executed(new_notebook(cells=cells))
    assert refreshed(first, executed(first)) == first
    changed = copy.deepcopy(first)
    changed.cells[2].source = "print(2)"
    second = refreshed(changed, executed(changed))
    assert [second.cells[i].outputs != first.cells[i].outputs for i in range(3)] == [True, True, True]
