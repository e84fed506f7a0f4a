"""How nbval checks the notebook here: what it lets through by itself is closed in this file.

tests/test_check.py shows each gap closed.
"""

import os
import sys
from pathlib import Path
from queue import Empty

import pytest

sys.path.insert(0, str(Path(__file__).parent / "tools"))

from nbval.kernel import RunningKernel  # noqa: E402
from nbval.plugin import IPyNbCell, IPyNbFile, get_sanitize_patterns  # noqa: E402

from cells import TAGS, code_cells, has_mnist  # noqa: E402
from outputs import VARIES, VARIES_REPLACED, is_varying_picture, kind, png, same_picture  # noqa: E402

os.environ["TQDM_DISABLE"] = "1"   # nobody watches the notebook's progress bars, and they are not to be stored

LEFT_OUT = "left out for want of MNIST: comparing the notebook's outputs, and the figures in its text, with a run"
NO_MNIST = "MNIST is not in data/"
NOT_ITS_OWN = "left out: Apple's GPU has no 64-bit numbers, so the stored digits are not its own"


def has_apple_gpu():
    """Whether the notebook trains on Apple's GPU here."""
    if sys.platform != "darwin":
        return False   # torch takes seconds to import, and this file is read at every start
    import torch
    return torch.backends.mps.is_available()


def pytest_configure(config):
    """Refuse to run in a way that would check less."""
    if not config.getoption("nbval", False) or config.getoption("nbval_lax"):
        raise pytest.UsageError("The notebook's outputs would not be compared: run pytest with --nbval, "
                                "as pyproject.toml does, and without --nbval-lax.")
    file = config.getoption("nbval_sanitize_with")
    text = Path(file).read_text(encoding="ascii") if file else ""
    rules = [line for line in text.splitlines() if line.strip() and not line.startswith(("#", "["))]
    if len(rules) != 2 or get_sanitize_patterns(text) != [(VARIES.pattern, VARIES_REPLACED)]:
        raise pytest.UsageError(f"{file} has one rule, which hides what stands in angle brackets and nothing else: "
                                f"'regex: {VARIES.pattern}' directly followed by 'replace: {VARIES_REPLACED}'.")


def pytest_collectstart(collector):
    if isinstance(collector, IPyNbFile):
        # By itself nbval compares no pictures.
        collector.skip_compare = tuple(key for key in collector.skip_compare if key not in ("image/png", "image/jpeg"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Refuse a notebook in which a cell would not be checked; skip what can't be had here."""
    notebooks = {}
    for item in items:
        if isinstance(item, IPyNbCell):
            notebooks.setdefault(item.parent, []).append(item)
    for notebook, collected in notebooks.items():
        cells = code_cells(notebook.nb)
        faults = [f"{item.name} ({item.cell.get('id')}) would not be compared" for item in collected
                  if item.options["skip"] or item.options["check_exception"] or not item.options["check"]]
        faults += [f"{cell.get('id')} has an unknown tag: {tag}" for cell in notebook.nb.cells
                   for tag in cell.metadata.get("tags", []) if tag not in TAGS]
        if len(collected) != len(cells) and not any("::" in arg for arg in config.args):
            faults.append(f"{len(collected)} of {len(cells)} code cells were collected")
        if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
            faults.append("the code cells were not all executed once, top to bottom: run make refresh")
        if faults:
            raise pytest.UsageError(f"{notebook.name}: {'; '.join(faults)}.")
    no_mnist, apple_gpu = not has_mnist(), has_apple_gpu()
    for item in items:
        digits = isinstance(item, IPyNbCell) or "fresh_and_values" in item.fixturenames or item.get_closest_marker("digits")
        if digits and (no_mnist or apple_gpu):
            item.add_marker(pytest.mark.skip(reason=LEFT_OUT if no_mnist else NOT_ITS_OWN))
        elif no_mnist and item.get_closest_marker("mnist"):
            item.add_marker(pytest.mark.skip(reason=NO_MNIST))


def pytest_terminal_summary(terminalreporter):
    if not has_mnist():
        terminalreporter.section("MNIST can't be had", yellow=True)
        terminalreporter.line(LEFT_OUT + ". The notebook was executed on the stand-in instead.")


def compare_outputs(cell, fresh, stored, skip_compare=None, nbval_compare=IPyNbCell.compare_outputs):
    """nbval's comparison, with the order of the outputs, and with pictures compared as pictures."""
    if [kind(output) for output in stored] != [kind(output) for output in fresh]:
        cell.comparison_traceback = [f"The outputs are {[kind(output) for output in fresh]}, "
                                     f"stored are {[kind(output) for output in stored]}."]
        return False
    for i, (before, after) in enumerate(zip(stored, fresh)):
        pictures = png(before), png(after)
        if pictures[0] is not None:
            name = f"{cell.cell.get('id')}-{i}"
            if not is_varying_picture(before) and not same_picture(*pictures, name=name):
                cell.comparison_traceback = [f"The picture differs: see build/{name}-stored.png, -fresh.png "
                                             "and -difference.png."]
                return False
            after.data["image/png"] = before.data["image/png"]
    return nbval_compare(cell, fresh, stored, skip_compare)


def get_message(kernel, stream, timeout=None, nbval_get_message=RunningKernel.get_message):
    """nbval's waiting for a message, which ends at once when the kernel has died."""
    waited = 0
    while True:
        try:
            return nbval_get_message(kernel, stream, min(timeout, 1))
        except Empty:
            waited += 1
            if not kernel.is_alive():
                raise RuntimeError("the kernel died (out of memory?)") from None
            if waited >= timeout:
                raise


IPyNbCell.compare_outputs = compare_outputs
RunningKernel.get_message = get_message
