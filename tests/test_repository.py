"""Around the notebook: lists of packages and mutants in step, workflows that GitHub can read, links, ruff."""

import importlib.metadata
import re
import subprocess
import sys
from urllib.parse import unquote

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import mutants
from execute import contents
from install import CONSTRAINTS, LISTS
from notebook_file import CHINESE, NOTEBOOK, ROOT, read

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/*.md")])


def requirements(path):
    """The requirements of a list that are meant for this system: name → versions."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    found = [Requirement(line) for line in lines if line]
    return {canonicalize_name(each.name): str(each.specifier) for each in found
            if each.marker is None or each.marker.evaluate()}


PINNED = requirements(CONSTRAINTS)


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.parent.name)
def test_a_list_is_in_step_with_the_constraints(path):
    different = [name for name, versions in requirements(path).items() if versions != PINNED[name]]
    assert different == ["setuptools"] * (path == LISTS[0]), "run tools/pins.py"


def test_what_is_installed_is_what_the_constraints_say():
    """So one who installs in two years gets what was checked, from where pip looks."""
    installed = {canonicalize_name(each.metadata["Name"]): f"=={Version(each.version).public}"
                 for each in importlib.metadata.distributions()}
    assert {name: version for name, version in PINNED.items() if installed[name] != version} == {}
    assert not re.search(r"://|@|--|\+", CONSTRAINTS.read_text(encoding="utf-8"))


def test_conda_s_list_is_in_step():
    conda, listed = ({name.replace("pytorch", "torch") + versions.replace("==", "=") for name, versions in
                      re.findall(r"^[ -]*([\w-]+)([<>=].+)$", path.read_text(encoding="utf-8"), re.M)}
                     for path in (ROOT / "environment.yml", LISTS[0]))
    assert conda == {"python>=3.11"} | listed


def test_mutants_by_hand_are_of_the_cells_as_they_stand(stored):
    assert [*mutants.by_hand({cell.id: cell.source for cell in stored.cells})]


def found_by(*command):
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def test_ruff_finds_nothing():
    assert found_by("ruff", "check", "--no-cache", ROOT) == ""


def test_workflows():
    """They are as GitHub expects them, and the files that they name exist."""
    assert found_by("check_jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS) == ""
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    names = set(re.findall(r"(?<=[ \n])(?!\.venv|build/|site/)[\w./-]+\.(?:txt|py|ipynb|png)\b", text))
    assert len(names) > 5 and [name for name in names if not (ROOT / name).exists()] == []


def links(text):
    """Those that don't lead into the web: the weekly workflow follows those."""
    found = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S))
    return {link for link in found if "://" not in link}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page(page):
    found = links(page.read_text(encoding="utf-8"))
    assert [link for link in found if not (page.parent / link.split("#")[0]).exists()] == []


@pytest.mark.parametrize("path", [NOTEBOOK, CHINESE], ids=["English", "Chinese"])
def test_links_of_the_notebook(path):
    """It is read alone, too: it links to the web, to its headings and to its own picture."""
    nb = read(path)
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    attached = {f"attachment:{name}" for cell in nb.cells for name in cell.get("attachments", {})}
    assert attached < links(text) <= attached | {f"#{unquote(anchor)}" for _, _, anchor in contents(nb)}
