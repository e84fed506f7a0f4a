"""The core, alone in an empty folder as Colab and Kaggle have it, and in other programs than make's: the stored results."""

import ctypes
import os
import subprocess
import sys

import nbformat
import papermill
import pytest
from nbclient import NotebookClient

from cells import NOTEBOOK, ROOT, code_cells, core, read
from compare import difference
from proxy import RAW, behind, proxy  # noqa: F401  (a fixture)

pytestmark = pytest.mark.mnist


def jupyter(*arguments, cwd, env=None, preexec_fn=None):
    done = subprocess.run([sys.executable, "-m", "jupyter", *arguments], cwd=cwd, env=env, capture_output=True,
                          text=True, timeout=1200, preexec_fn=preexec_fn)
    assert done.returncode == 0, done.stderr


def assert_as_stored(fresh, ignored):
    """The core's outputs are the stored ones; what `ignored` print on stderr is left out."""
    for stored, cell in zip(code_cells(core(read())), code_cells(fresh), strict=True):
        assert cell.execution_count is not None
        outputs = [output for output in cell.outputs
                   if not (cell.id in ignored and output.get("name") == "stderr")]
        assert difference(stored, outputs) == [], stored.id


def by_nbclient(folder):
    """As VS Code and other programs do it, through Jupyter's kernel protocol."""
    nb = read(folder / NOTEBOOK.name)
    return NotebookClient(nb, timeout=600, resources={"metadata": {"path": folder}}).execute()


def by_nbclient_with_settings_of_ones_own(folder):
    """A reader's own Jupyter: without inline pictures, with a style and formats of its own. The notebook's stand above them."""
    profile = folder / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(
        "c = get_config()\nc.InlineBackend.figure_formats = {'svg'}\n")
    (folder / "matplotlibrc").write_text("font.size: 20\nfigure.dpi: 50\nlines.linewidth: 5\naxes.facecolor: yellow\n")
    nb = read(folder / NOTEBOOK.name)
    own = {"MPLBACKEND": "agg", "IPYTHONDIR": str(folder / "ipython"), "MATPLOTLIBRC": str(folder / "matplotlibrc")}
    return NotebookClient(nb, timeout=600, resources={"metadata": {"path": folder}}).execute(env=os.environ | own)


def by_papermill(folder):
    return papermill.execute_notebook(folder / NOTEBOOK.name, folder / "executed.ipynb", cwd=folder, progress_bar=False)


def small_machine():
    """In a process to be started: 3 GB of memory, one processor core, and no right to write where root alone may."""
    import resource
    resource.setrlimit(resource.RLIMIT_DATA, (3 * 10 ** 9, 3 * 10 ** 9))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    drop_from_bounding_set, prctl = 24, ctypes.CDLL(None).prctl
    for capability in range(64):
        prctl(drop_from_bounding_set, capability, 0, 0, 0)


def by_jupyter_execute(folder):
    """By `jupyter execute`; on Linux on a small machine, with a home folder that can't be written."""
    home, limits = folder / "home", None
    home.mkdir()
    if sys.platform == "linux":
        home.chmod(0o555)
        limits = small_machine
    # Not the folder of settings that surroundings.py made: Jupyter would move it to this home folder.
    own = {name: value for name, value in os.environ.items() if name not in ("IPYTHONDIR", "MATPLOTLIBRC")}
    jupyter("execute", "--inplace", NOTEBOOK.name, cwd=folder, preexec_fn=limits,
            env=own | {"HOME": str(home), "USERPROFILE": str(home)})
    assert not list(home.iterdir()) or limits is None
    return read(folder / NOTEBOOK.name)


@pytest.fixture
def folder(tmp_path):
    """A folder with nothing but the core of the notebook, none of it executed."""
    nb = core(read())
    for cell in code_cells(nb):
        cell.outputs, cell.execution_count = [], None
    nbformat.write(nb, tmp_path / NOTEBOOK.name)
    return tmp_path


def test_alone_in_an_empty_folder(folder, proxy):  # noqa: F811
    """By `jupyter nbconvert`, with MNIST downloaded through a proxy."""
    jupyter("nbconvert", "--to", "notebook", "--execute", "--inplace", NOTEBOOK.name, cwd=folder,
            env=behind(proxy.server_port))
    assert proxy.served == {path.name for path in RAW.glob("*.gz")}
    assert_as_stored(read(folder / NOTEBOOK.name), ignored=["gallery"])
    assert {path.name for path in folder.iterdir()} == {NOTEBOOK.name, "data"}


@pytest.mark.parametrize("program", [by_nbclient, by_nbclient_with_settings_of_ones_own, by_papermill, by_jupyter_execute])
def test_other_programs(folder, program):
    """Without a home folder, matplotlib says on stderr where it keeps its cache."""
    (folder / "data").symlink_to(ROOT / "data", target_is_directory=True)
    assert_as_stored(program(folder), ignored=["imports"])
