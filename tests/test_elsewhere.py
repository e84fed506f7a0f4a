"""The notebook away from its repository, as Colab and Kaggle have it, and in other programs than make's.

The whole notebook runs once, alone in an empty folder. The other programs run it with an epoch instead of five.
"""

import concurrent.futures
import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import nbformat
import papermill
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from cells import NOTEBOOK, ROOT, code_cells, has_tag, read
from outputs import same_outputs

RAW = ROOT / "data" / "MNIST" / "raw"
SHORT = {"epochs": 1, "fine_epochs": 1, "data_root": str(ROOT / "data")}

needs_packed_mnist = pytest.mark.skipif(len(list(RAW.glob("*.gz"))) < 4, reason="MNIST's .gz files are not in data/")


class Proxy(BaseHTTPRequestHandler):
    """A company's proxy: no https, and behind it one mirror that has MNIST."""

    MIRROR = "http://yann.lecun.com/exdb/mnist/"

    def do_CONNECT(self):
        self.send_error(403)

    def do_GET(self):
        file = RAW / self.path.removeprefix(self.MIRROR)
        if not self.path.startswith(self.MIRROR) or file not in RAW.glob("*.gz"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", file.stat().st_size)
        self.end_headers()
        with contextlib.suppress(ConnectionError):   # torchvision hangs up once to see where an address leads
            self.wfile.write(file.read_bytes())
        self.server.served.add(file.name)

    def log_message(self, *args):
        pass


@pytest.fixture
def proxy():
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.served = set()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def behind(port):
    """The environment of a process whose every download goes through a proxy on this port."""
    env = {name: value for name, value in os.environ.items()
           if name not in ("PYTHONPATH", "NO_PROXY", "no_proxy", "MNIST_MIRROR")}
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        env[name] = f"http://127.0.0.1:{port}"
    return env


def jupyter(*arguments, cwd, env=None, preexec_fn=None):
    done = subprocess.run([sys.executable, "-m", "jupyter", *arguments], cwd=cwd, env=env, capture_output=True,
                          text=True, timeout=1200, preexec_fn=preexec_fn)
    assert done.returncode == 0, done.stderr


def merged(outputs):
    """A cell's outputs with what it printed in one piece: some programs store it in several."""
    result = []
    for output in outputs:
        if result and output.output_type == result[-1].output_type == "stream" and output.name == result[-1].name:
            result[-1].text += output.text
        else:
            result.append(nbformat.from_dict(output))
    return result


def assert_same(expected, fresh, ignored=()):
    """The code cells of two executed notebooks have the same outputs; progress bars (stderr) of `ignored` left out."""
    fresh = {cell.id: cell for cell in fresh.cells}
    for cell in code_cells(expected):
        assert fresh[cell.id].execution_count is not None
        outputs = [output for output in merged(fresh[cell.id].outputs)
                   if not (cell.id in ignored and output.get("name") == "stderr")]
        assert same_outputs(merged(cell.outputs), outputs), f"the outputs of cell {cell.id} differ"


def short_notebook():
    """The notebook with fewer epochs."""
    nb = read()
    for cell in nb.cells:
        if has_tag(cell, "parameters"):
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in SHORT.items())
    return nb


def by_nbclient(folder):
    """As VS Code and other programs do it, through Jupyter's kernel protocol."""
    return NotebookClient(short_notebook(), timeout=600, resources={"metadata": {"path": folder}}).execute()


def by_papermill(folder):
    return papermill.execute_notebook(NOTEBOOK, folder / "executed.ipynb", parameters=SHORT, cwd=folder, progress_bar=False)


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
    nbformat.write(short_notebook(), folder / NOTEBOOK.name)
    jupyter("execute", "--inplace", NOTEBOOK.name, cwd=folder, preexec_fn=limits,
            env=os.environ | {"HOME": str(home), "USERPROFILE": str(home)})
    assert not list(home.iterdir()) or limits is None
    return read(folder / NOTEBOOK.name)


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The short notebook, executed by each of the programs, two at a time. By name."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:   # for a process; nbclient leaves event loops open in threads
        by_process = pool.submit(by_jupyter_execute, tmp_path_factory.mktemp("execute"))
        return {"nbclient": by_nbclient(tmp_path_factory.mktemp("nbclient")),
                "papermill": by_papermill(tmp_path_factory.mktemp("papermill")),
                "jupyter execute": by_process.result()}


@needs_packed_mnist
@pytest.mark.digits
def test_alone_in_an_empty_folder(tmp_path, proxy):
    """All of it, by `jupyter nbconvert`, with MNIST downloaded through a proxy: the stored results."""
    shutil.copy(NOTEBOOK, tmp_path)
    jupyter("nbconvert", "--to", "notebook", "--execute", "--inplace", NOTEBOOK.name, cwd=tmp_path,
            env=behind(proxy.server_port))
    assert proxy.served == {path.name for path in RAW.glob("*.gz")}
    assert_same(read(), read(tmp_path / NOTEBOOK.name), ignored=["get-data"])
    assert {path.name for path in tmp_path.iterdir()} == {NOTEBOOK.name, "data", "mnist-feedforward.pth"}


def test_without_data_or_network(tmp_path):
    """One clear sentence, in the cell that gets the data."""
    nb = read()
    client = NotebookClient(nb, timeout=600, resources={"metadata": {"path": tmp_path}})
    with pytest.raises(CellExecutionError) as failure:
        client.execute(env=behind(port=9))
    assert failure.value.ename == "RuntimeError"
    assert failure.value.evalue.startswith("MNIST could not be downloaded")
    failed, = [cell.id for cell in nb.cells if any(o.output_type == "error" for o in cell.get("outputs", []))]
    assert failed == "get-data"


@pytest.mark.mnist
@pytest.mark.parametrize("program", ["papermill", "jupyter execute"])
def test_the_same_results(executed, program):
    """As nbclient's. Without a home folder, matplotlib says on stderr where it keeps its cache."""
    assert_same(executed["nbclient"], executed[program], ignored=["imports"])
