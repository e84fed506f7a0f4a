"""The core in other programs than make's, and alone in an empty folder as in Colab: the stored results."""

import ctypes
import os
import subprocess
import sys

import nbformat
import papermill
import pytest

from execute import executed
from notebook_file import NOTEBOOK, code_cells, core, read
from proxy import RAW, behind, proxy  # noqa: F401  (a fixture)

pytestmark = pytest.mark.mnist


def jupyter(*arguments, folder, **how):
    command = [sys.executable, "-m", "jupyter", *arguments, "--inplace", NOTEBOOK.name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1200, **how)
    assert done.returncode == 0, done.stderr
    return read(folder / NOTEBOOK.name)


def without_stderr(nb, cell_id):
    """In this cell: progress bars, or where matplotlib keeps its cache if there is no home folder."""
    for cell in nb.cells:
        if cell.id == cell_id:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return nb


def by_nbclient(folder, monkeypatch):
    """With a reader's own settings: another backend, style and format. The notebook's stand above them."""
    profile = folder / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(
        "get_config().InlineBackend.figure_formats = {'svg'}")
    (folder / "matplotlibrc").write_text(
        "font.size: 20\nfigure.dpi: 50\nlines.linewidth: 5\naxes.facecolor: yellow\n")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.setenv("MATPLOTLIBRC", str(folder / "matplotlibrc"))
    return executed(read(folder / NOTEBOOK.name), folder=folder)


def by_papermill(folder, monkeypatch):
    return papermill.execute_notebook(folder / NOTEBOOK.name, None, cwd=folder, progress_bar=False)


def small_machine():
    """In a process to be started: 3 GB of memory, one core, and no right to write where root alone may."""
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (3 * 10 ** 9, 3 * 10 ** 9))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    drop_from_bounding_set, prctl = 24, ctypes.CDLL(None).prctl
    for capability in range(64):
        prctl(drop_from_bounding_set, capability, 0, 0, 0)


def by_jupyter_execute(folder, monkeypatch):
    """On Linux on a small machine, with a home folder that can't be written."""
    home = folder / "home"
    home.mkdir()
    linux = sys.platform == "linux"
    if linux:
        home.chmod(0o555)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    # Not the folder of settings that execute.py made: Jupyter would move it to this home folder.
    for name in ("IPYTHONDIR", "MATPLOTLIBRC"):
        monkeypatch.delenv(name)
    nb = jupyter("execute", folder=folder, preexec_fn=small_machine if linux else None)
    assert not linux or not list(home.iterdir())
    return nb


@pytest.fixture
def folder(folder_with_data, stored):
    """A folder with the data and the core of the notebook, none of it executed."""
    nb = core(stored)
    for cell in code_cells(nb):
        cell.outputs, cell.execution_count = [], None
    nbformat.write(nb, folder_with_data / NOTEBOOK.name)
    return folder_with_data


@pytest.mark.parametrize("program", [by_nbclient, by_papermill, by_jupyter_execute])
def test_other_programs(folder, program, differing, monkeypatch):
    assert differing(without_stderr(program(folder, monkeypatch), "imports")) == []


def test_alone_in_an_empty_folder(folder, proxy, differing):  # noqa: F811
    """By `jupyter nbconvert`, with MNIST downloaded through a proxy."""
    (folder / "data").unlink()
    nb = jupyter("nbconvert", "--to", "notebook", "--execute", folder=folder, env=behind(proxy.server_port))
    assert proxy.served == {path.name for path in RAW.glob("*.gz")}
    assert differing(without_stderr(nb, "gallery")) == []
    assert {path.name for path in folder.iterdir()} == {NOTEBOOK.name, "data"}
