"""Committing to Jovian and cloning from it: the real client against a stand-in of its service.

What the hosted service does is not checked here.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from cells import NOTEBOOK, ROOT, read
from jovian_server import JovianServer
from outputs import same_outputs

ATTACHED = ["environment.yml", "requirements.txt"]
SOURCES = {cell.id: cell.source for cell in read().cells}
CELL = SOURCES["jovian-function"] + "\n\n" + SOURCES["jovian-commit"]


def closed_port():
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


NOWHERE = f"http://127.0.0.1:{closed_port()}/"


@pytest.fixture(scope="module", autouse=True)
def real_home_left_alone():
    """The client keeps its key, and what it notes of the user, in ~/.jovian."""
    folder = Path.home() / ".jovian"
    before = {path: path.read_bytes() for path in folder.glob("*")} if folder.exists() else None
    yield
    after = {path: path.read_bytes() for path in folder.glob("*")} if folder.exists() else None
    assert after == before, "a test wrote into the user's own ~/.jovian"


@pytest.fixture
def jovian(tmp_path):
    """A project folder, a home folder with a key, and the service."""
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    (home / ".jovian").mkdir(parents=True)
    for name in [NOTEBOOK.name, *ATTACHED]:
        shutil.copy(ROOT / name, project)
    # Whatever else the client looks up (its newest version, four times in five) goes to a closed port.
    env = os.environ | {"HOME": str(home), "USERPROFILE": str(home), "no_proxy": "127.0.0.1"}
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        env[name] = NOWHERE
    with JovianServer() as server:
        place = types.SimpleNamespace(project=project, home=home, env=env, server=server)
        write_credentials(place, API_KEY=server.key)
        yield place


def write_credentials(jovian, **settings):
    settings = {"API_URL": jovian.server.url, "WEBAPP_URL": jovian.server.url} | settings
    (jovian.home / ".jovian" / "credentials.json").write_text(json.dumps(settings))


def run_cell(jovian, asked=True, seconds=None):
    """Execute the notebook's cell in a kernel of its own. Returns the one line it prints, or None."""
    sources = [f"commit_to_jovian = {asked}", CELL]
    if seconds is not None:
        sources = ["commit_to_jovian = False", CELL, f'print(commit_notebook("{NOTEBOOK.name}", seconds={seconds}))']
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(nb, kernel_name="python3", timeout=100, coalesce_streams=True,
                   resources={"metadata": {"path": jovian.project}}).execute(env=jovian.env)
    if not nb.cells[-1].outputs:
        return None
    output, = nb.cells[-1].outputs
    assert output.name == "stdout" and output.text.count("\n") == 1
    return output.text.strip()


def client(jovian, *arguments, cwd=None, answer=""):
    """Run the client's command line as a reader does, with what is typed in. Returns the finished process."""
    return subprocess.run([sys.executable, "-W", "ignore", "-m", "jovian", *arguments], cwd=cwd or jovian.project,
                          env=jovian.env, input=answer, capture_output=True, text=True, timeout=60, check=True)


def clone(jovian):
    """Clone into an empty folder. Returns the folder that the client makes in it."""
    place = jovian.project.parent / "empty"
    place.mkdir()
    done = client(jovian, "clone", "reader/04-feedforward-nn", cwd=place)
    assert "Cloned successfully" in done.stdout
    folder, = place.iterdir()
    return folder


def without_kernelspec(path):
    nb = json.loads(path.read_text(encoding="utf-8"))
    nb["metadata"].pop("kernelspec", None)
    return nb


def assert_holds(jovian, version):
    """The service holds our three files, byte for byte, as the newest version, which is number `version`."""
    gist, = jovian.server.gists.values()
    assert len(gist["versions"]) == version
    assert gist["versions"][-1] == {("", name): (jovian.project / name).read_bytes()
                                    for name in [NOTEBOOK.name, *ATTACHED]}


def assert_is_clone(jovian, folder):
    assert folder.name == "04-feedforward-nn"
    assert {path.name for path in folder.iterdir()} == {NOTEBOOK.name, *ATTACHED, ".jovianrc"}
    cloned = folder / NOTEBOOK.name
    assert without_kernelspec(cloned) == without_kernelspec(jovian.project / NOTEBOOK.name)
    nbformat.validate(read(cloned))
    for name in ATTACHED:
        assert (folder / name).read_bytes() == (jovian.project / name).read_bytes()


def change_title(path):
    nb = read(path)
    nb.cells[0].source = "# Changed\n\n" + nb.cells[0].source
    nbformat.write(nb, path)


def test_nothing_unasked(jovian):
    shutil.rmtree(jovian.home / ".jovian")
    assert run_cell(jovian, asked=False) is None
    assert jovian.server.requests == []
    assert not (jovian.home / ".jovian").exists() and not (jovian.project / ".jovianrc").exists()


def test_commit_from_the_notebook_twice_and_clone(jovian):
    link = f"{jovian.server.url}reader/04-feedforward-nn"
    assert run_cell(jovian) == f"Committed: {link}"
    assert_holds(jovian, version=1)
    change_title(jovian.project / NOTEBOOK.name)
    assert run_cell(jovian) == f"Committed: {link}"
    assert_holds(jovian, version=2)
    folder = clone(jovian)
    assert_is_clone(jovian, folder)
    change_title(folder / NOTEBOOK.name)
    jovian.project = folder
    assert run_cell(jovian) == f"Committed: {link}"
    assert_holds(jovian, version=3)


def test_commit_from_the_command_line_twice_and_clone(jovian):
    for version in (1, 2):
        done = client(jovian, "commit", NOTEBOOK.name, answer="\n")
        assert f"Committed successfully! {jovian.server.url}reader/04-feedforward-nn" in done.stdout
        gist, = jovian.server.gists.values()
        assert gist["versions"] == version * [{("", NOTEBOOK.name): (jovian.project / NOTEBOOK.name).read_bytes()}]
    folder = clone(jovian)
    assert without_kernelspec(folder / NOTEBOOK.name) == without_kernelspec(NOTEBOOK)


@pytest.mark.mnist
def test_the_clone_executes(jovian):
    """Its cells up to the split, which import everything and load MNIST."""
    run_cell(jovian)
    nb = read(clone(jovian) / NOTEBOOK.name)
    assert "kernelspec" not in nb.metadata
    last = [cell.id for cell in nb.cells].index("split-check")
    nb.cells = [nbformat.v4.new_code_cell(f"data_root = {str(ROOT / 'data')!r}") if cell.id == "settings-outro" else cell
                for cell in nb.cells[:last + 1]]
    NotebookClient(nb, timeout=100, resources={"metadata": {"path": jovian.project}}).execute()
    for name in ("get-data", "dataset", "split"):
        before, after = (next(cell for cell in book.cells if cell.id == name) for book in (read(), nb))
        assert same_outputs(before.outputs, after.outputs)


def no_network(jovian):
    write_credentials(jovian, API_KEY=jovian.server.key, API_URL=NOWHERE)


def rejected_key(jovian):
    write_credentials(jovian, API_KEY="a-wrong-key")


def no_key(jovian):
    write_credentials(jovian)


def no_home(jovian):
    shutil.rmtree(jovian.home)
    jovian.home.write_text("a file, in which no folder can be made\n")


def error_page(jovian):
    jovian.server.trouble = "page"


def page_instead_of_data(jovian):
    jovian.server.trouble = "wrong page"


def hangs_up(jovian):
    jovian.server.trouble = "gone"


def no_client(jovian):
    """A folder before the installed packages that hides them, as where jovian was never installed."""
    (jovian.project / "jovian.py").write_text("raise ModuleNotFoundError(\"No module named 'jovian'\")\n")


def no_notebook(jovian):
    (jovian.project / NOTEBOOK.name).unlink()


def broken_settings(jovian):
    (jovian.project / ".jovianrc").write_text("not JSON")


def read_only_home(jovian):
    (jovian.home / ".jovian" / "credentials.json").chmod(0o400)
    (jovian.home / ".jovian").chmod(0o500)
    if os.access(jovian.home / ".jovian", os.W_OK):
        pytest.skip("this user may write everywhere")


NO_KEY = "no key; see the text above"


@pytest.mark.parametrize("failure, reason", [
    (no_network, "no connection to Jovian"),
    (rejected_key, "Jovian rejected the key, now deleted"),
    (no_key, NO_KEY),
    (no_home, NO_KEY),
    (error_page, "Jovian's server had an error"),
    (hangs_up, "no connection to Jovian"),
    (no_client, 'pip install jovian "setuptools<81" first'),
    (no_notebook, f"there is no {NOTEBOOK.name} in this folder"),
])
def test_failure(jovian, failure, reason):
    failure(jovian)
    assert run_cell(jovian) == f"Not committed: {reason}."
    assert jovian.server.gists == {}


@pytest.mark.parametrize("failure", [page_instead_of_data, broken_settings, read_only_home])
def test_another_failure(jovian, failure):
    failure(jovian)
    assert run_cell(jovian) == "Not committed: Jovian's client failed."
    assert jovian.server.gists == {}


def test_a_silent_server(jovian):
    jovian.server.trouble = "silent"
    start = time.perf_counter()
    assert run_cell(jovian, seconds=5).startswith("No answer in 5 s")
    assert time.perf_counter() - start < 30


@pytest.mark.parametrize("trouble", ["gone", "page"])
def test_a_server_gone_half_way(jovian, trouble):
    """The notebook has arrived, and the client says so, though nothing after it has."""
    jovian.server.trouble, jovian.server.trouble_from = trouble, "upload"
    assert run_cell(jovian) == f"Committed: {jovian.server.url}reader/04-feedforward-nn (without environment.yml) (without requirements.txt)"
    gist, = jovian.server.gists.values()
    assert list(gist["versions"][0]) == [("", NOTEBOOK.name)]


def test_a_server_that_falls_silent_half_way(jovian):
    jovian.server.trouble, jovian.server.trouble_from = "silent", "upload"
    assert "see on Jovian if it arrived" in run_cell(jovian, seconds=5)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no controlling terminals")
def test_never_asks_on_a_terminal(jovian):
    """The client asks for a key on the terminal itself, whatever stdin is; the cell keeps it away from there."""
    no_key(jovian)
    code = (f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); commit_to_jovian = False\n{CELL}\n"
            f"print(commit_notebook('{NOTEBOOK.name}', seconds=5))")
    terminal, inside = os.openpty()
    done = subprocess.run([sys.executable, "-c", code], stdin=inside, capture_output=True, text=True,
                          cwd=jovian.project, env=jovian.env, start_new_session=True, timeout=60)
    os.close(terminal)
    os.close(inside)
    assert done.stdout.splitlines()[-1] == f"Not committed: {NO_KEY}."


@pytest.mark.skipif(os.name == "nt", reason="the stub of conda is a shell script")
def test_install(jovian):
    """`jovian install` hands our environment.yml to conda, under our name, and leaves the file as it is."""
    folder, record = jovian.project.parent / "bin", jovian.project.parent / "conda-record"
    folder.mkdir()
    conda = folder / "conda"
    conda.write_text(f'#!/bin/sh\necho conda\nprintf "%s\\n" "$@" >> "{record}"\n')
    conda.chmod(0o755)
    jovian.env["PATH"] = f"{folder}{os.pathsep}{jovian.env['PATH']}"
    client(jovian, "install", answer="\n")
    asked = [line for line in record.read_text().splitlines() if line]
    assert asked == ["env", "update", "--file", "environment.yml", "--name", "04-feedforward-nn"]
    assert (jovian.project / "environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()
    assert yaml.safe_load((ROOT / "environment.yml").read_text())["channels"] == ["conda-forge"]
