"""A copy of the project in another folder, to check it there without touching this one."""

import os
import shutil
import subprocess
import sys

import nbformat

from notebook_file import NOTEBOOK, ROOT


def copy_project(folder):
    """Copy every file that git knows, or would take, to a new folder; the data is linked, not copied."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for name in ("MNIST", "stand-in"):
        if (ROOT / "data" / name).exists():
            (folder / "data" / name).symlink_to(ROOT / "data" / name)


def run_pytest(folder, nb, arguments=[NOTEBOOK.name], python=sys.executable, **environment):
    """Run pytest in a copy of the project, with this notebook in place of its own, until a test fails."""
    nbformat.write(nb, folder / NOTEBOOK.name)
    options = ["-x", "-q", "--timeout=900", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return subprocess.run([python, "-m", "pytest", *options, *arguments], cwd=folder, capture_output=True,
                          env=os.environ | environment, encoding="utf-8", errors="replace")
