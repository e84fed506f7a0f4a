"""tools/install.py: which Python gets which packages; in real environments, with a package of our own."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

import install
from notebook_file import ROOT


@pytest.mark.parametrize("version, system, machine, macos, words", [
    ((3, 11), "Linux", "x86_64", "", None),
    ((3, 14), "Windows", "AMD64", "", None),
    ((3, 13), "Darwin", "arm64", "14.1", None),
    ((3, 10), "Linux", "x86_64", "", "This is Python 3.10: Python 3.11 or newer is needed."),
    ((3, 15), "Linux", "x86_64", "", "This is Python 3.15: the pinned numpy has no wheel for it yet."),
    ((3, 13), "Darwin", "x86_64", "15.0", "This is macOS 15.0 and a Python for x86_64."),
    ((3, 13), "Darwin", "arm64", "13.7.1", "This is macOS 13.7.1 and a Python for arm64."),
])
def test_which_python_on_which_system(version, system, machine, macos, words):
    """Python 3.6 and newer can read the program, so that it says that they are too old."""
    ast.parse((ROOT / "tools" / "install.py").read_text(encoding="utf-8"), feature_version=(3, 6))
    said = install.fault(version, system, machine, macos)
    assert said is None if words is None else words in said


@pytest.fixture
def project(tmp_path):
    """A folder with the program, lists of packages, and the only package that there is, in two builds."""
    folder = tmp_path / "project"
    for part in ("tools", "tests"):
        (folder / part).mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "install.py", folder / "tools")
    for name in ("requirements.txt", "tests/requirements.txt", "tests/constraints.txt"):
        (folder / name).write_text(f"demo==1  # {name}")
    for version in ("1", "1+cpu"):
        wheel, info = f"demo-{version}-py3-none-any.whl", f"demo-{version}.dist-info"
        index = tmp_path / version / "demo"
        index.mkdir(parents=True)
        (index / "index.html").write_text(f'<a href="{wheel}">{wheel}</a>')
        with zipfile.ZipFile(index / wheel, "w") as file:
            file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n")
            file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr(f"{info}/RECORD", "")
    return folder


def installed(folder, *arguments, **settings):
    """Run the program: (its status, what is said, what is installed). `settings` are pip's."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    env |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": (folder.parent / "1").as_uri()} | settings
    done = subprocess.run([sys.executable, folder / "tools" / "install.py", *arguments], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout, [path.name for path in (folder / ".venv").rglob("demo-*.dist-info")]


def test_an_environment(project):
    """README's setting chooses the build; settings that put packages elsewhere do not count."""
    settings = {"PIP_EXTRA_INDEX_URL": (project.parent / "1+cpu").as_uri(),
                "PIP_TARGET": str(project.parent / "elsewhere"), "PIP_USER": "1"}
    cpu = ["demo-1+cpu.dist-info"]
    assert installed(project, **settings)[::2] == (0, cpu)
    assert installed(project) == (0, "", cpu)   # what is installed stays
    assert "already satisfied" in installed(project, "--tests")[1]
    assert installed(project) == installed(project, "--tests") == (0, "", cpu)

    for path in [*(project / ".venv").rglob("site-packages/pip*")]:
        shutil.rmtree(path)   # as in one that uv made
    wanted = project / "requirements.txt"
    for text, status, words in [("demo==2", 1, "ERROR"), (wanted.read_text(), 0, "already satisfied")]:
        wanted.write_text(text)   # what failed, or was stopped, is taken up again
        said = installed(project)
        assert said[0] == status and words in said[1]

    # In one that was moved, only Python can be called: scripts name the folder of their making.
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"(?:\(BIN\)|/bin)/([\w.-]+)", makefile)) == {"python"}
    project = project.rename(project.with_name("moved and renamed"))
    assert installed(project) == (0, "", cpu)
    shutil.rmtree(project / ".venv" / install.PYTHON.parent.name)
    status, said, found = installed(project)
    assert status == 0 and said.startswith("The Python of .venv can't be used: making .venv anew.\n")
    assert found == ["demo-1.dist-info"]


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_somebody_s_stays(project, kind):
    mine = project / {"link": "mine", "folder": ".venv"}[kind]
    mine.mkdir()
    (mine / {"link": "pyvenv.cfg", "folder": "letter"}[kind]).touch()
    if kind == "link":
        (project / ".venv").symlink_to("mine")
    status, said, _ = installed(project)
    assert status == 1 and "Move it elsewhere" in said and len([*mine.iterdir()]) == 1
