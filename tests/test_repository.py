"""What stands around the notebook: workflows and citation as GitHub expects them, links, and ruff."""

import re
import subprocess
import sys
from urllib.parse import unquote

import pytest
import yaml

from execute import contents
from notebook_file import CHINESE, NOTEBOOK, ROOT, read

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FOLDERS = ("", "benchmarks", "data", "tests", "zh")
PAGES = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
WEB = r"https?://[\w.-]+\.\w+(/|$)"


def found_by(*command):
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


def test_ruff_finds_nothing():
    assert found_by("ruff", "check", "--no-cache", ROOT) == ""


@pytest.mark.parametrize("schema, files", [
    ("vendor.github-workflows", WORKFLOWS),
    ("custom.github-workflows-require-timeout", WORKFLOWS),
    ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
    ("vendor.citation-file-format", [ROOT / "CITATION.cff"]),
])
def test_schema(schema, files):
    assert found_by("check_jsonschema", "--builtin-schema", schema, *files) == ""


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow(path):
    """The files that it names exist. Actions are pinned to commits: a tag can be moved to other code."""
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    commands = "\n".join(step.get("run", "") for job in jobs for step in job["steps"])
    names = set(re.findall(r"(?<!\S)(?!\.venv|build/)\S+\.(?:txt|py|ipynb|png)\b", commands))
    assert names and [name for name in names if not (ROOT / name).exists()] == []
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
    assert [use for use in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}   # v\d+\.\d+\.\d+", use)] == []


def test_the_same_as_ci_run():
    """On Linux the workflow does what .ci/run does."""
    for path in (ROOT / ".ci" / "run", GITHUB / "workflows" / "test.yml"):
        commands = re.findall(r"^(?: +run: )?(make \w+)$", path.read_text(encoding="utf-8"), re.M)
        assert {"make test", "make everywhere"} <= set(commands)


def links(text):
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page(page):
    """To the web they are well-formed: whether they lead somewhere is for the weekly workflow."""
    found = links(page.read_text(encoding="utf-8"))
    assert [link for link in found if not (
        re.match(WEB, link) if "://" in link else (page.parent / link.split("#")[0]).exists())] == []


@pytest.mark.parametrize("path", [NOTEBOOK, CHINESE], ids=["English", "Chinese"])
def test_links_of_the_notebook(path):
    """It is read alone, too: it links to the web, to its headings and to its own picture."""
    nb = read(path)
    inside = {link for cell in nb.cells if cell.cell_type == "markdown" for link in links(cell.source)
              if not re.match(WEB, link)}
    attached = {f"attachment:{name}" for cell in nb.cells for name in cell.get("attachments", {})}
    headings = {f"#{unquote(anchor)}" for _, _, anchor in contents(nb)}
    assert attached and attached < inside <= attached | headings
