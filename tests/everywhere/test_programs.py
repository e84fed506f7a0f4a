"""The core in other programs than make's, alone as in Colab, with other settings, and on the stand-in."""

import os
import subprocess
import sys

import nbformat
import papermill
import pytest

from execute import executed
from notebook_file import NOTEBOOK, ROOT, code_cells, core, read
from proxy import RAW, behind, proxy  # noqa: F401  (a fixture)


@pytest.fixture
def folder(folder_with_data, stored):
    """A folder with the data and the core of the notebook, none of it executed."""
    nb = core(stored)
    for cell in code_cells(nb):
        cell.outputs, cell.execution_count = [], None
    nbformat.write(nb, folder_with_data / NOTEBOOK.name)
    return folder_with_data


def jupyter(*arguments, folder, **how):
    """The notebook afterwards, without what stands on stderr where others write: progress and caches."""
    command = [sys.executable, "-m", "jupyter", *arguments, "--inplace", NOTEBOOK.name]
    subprocess.run(command, cwd=folder, check=True, timeout=1200, **how)
    nb = read(folder / NOTEBOOK.name)
    for cell in nb.cells:
        if cell.id in ("imports", "gallery"):
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return nb


@pytest.mark.mnist
def test_papermill_with_a_reader_s_own_settings(folder, differing, monkeypatch):
    """Another backend, style and format of pictures: the notebook's stand above them."""
    profile = folder / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    svg = "get_config().InlineBackend.figure_formats = {'svg'}"
    (profile / "ipython_kernel_config.py").write_text(svg)
    (folder / "matplotlibrc").write_text("font.size: 20\nfigure.dpi: 50\naxes.facecolor: yellow\n")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    monkeypatch.setenv("MATPLOTLIBRC", str(folder / "matplotlibrc"))
    nb = papermill.execute_notebook(folder / NOTEBOOK.name, None, cwd=folder, progress_bar=False)
    assert differing(nb) == []


def small_machine():
    """In a process to be started: 3 GB of memory and one core."""
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (3 * 10 ** 9, 3 * 10 ** 9))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@pytest.mark.mnist
@pytest.mark.skipif(sys.platform != "linux", reason="how to make a machine small is Linux's")
def test_jupyter_execute_on_a_small_machine(folder, differing):
    """With a home folder that can't be written."""
    env = os.environ | {"HOME": "/dev/null/home"}   # root can't, either
    del env["IPYTHONDIR"], env["MATPLOTLIBRC"]   # Jupyter would move what execute.py made to this home folder
    assert differing(jupyter("execute", folder=folder, env=env, preexec_fn=small_machine)) == []


@pytest.mark.mnist
def test_nbconvert_alone_in_an_empty_folder(folder, proxy, differing):  # noqa: F811
    """With MNIST downloaded through a proxy, and the bars of that."""
    (folder / "data").unlink()
    nb = jupyter("nbconvert", "--to", "notebook", "--execute", folder=folder,
                 env=behind(proxy.server_port))
    assert proxy.served == {path.name for path in RAW.glob("*.gz")}
    assert differing(nb) == []
    assert {path.name for path in folder.iterdir()} == {NOTEBOOK.name, "data"}


def test_the_stand_in_with_other_settings(stored, tmp_path):
    subprocess.run([sys.executable, ROOT / "data" / "stand_in.py"], check=True)
    nb = core(stored)
    parameters, = [cell for cell in nb.cells if cell.id == "parameters"]
    parameters.source += f"\ndata_root = {str(ROOT / 'data' / 'stand-in')!r}" + """
bits, seed, fine_lr, epochs, fine_epochs = 32, 2 ** 32 - 1, 1, 1, 1
batch_size, hidden_size = 290, 1
"""
    nb = executed(nb, folder=tmp_path)
    outputs = {cell.id: cell.outputs[0] for cell in code_cells(nb) if cell.outputs}
    assert next(iter(outputs.values())).text.startswith("These are NOT the MNIST digits")
    assert "[1, 784]" in outputs["model-create"].text and outputs["logits"].text.startswith("[290, 10]")
