"""A copy of the project in another folder, to check it there without touching this one."""

import shutil
import subprocess

from cells import ROOT


def copy_project(folder):
    """Copy every file that git knows, or would take, to a new folder; the data is linked, not copied."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "data").mkdir(exist_ok=True)
    for name in ("MNIST", "stand-in"):
        if (ROOT / "data" / name).exists():
            (folder / "data" / name).symlink_to(ROOT / "data" / name)
