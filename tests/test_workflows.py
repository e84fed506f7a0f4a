"""The files that GitHub reads are what GitHub expects, as far as their schemas say; and ruff finds nothing."""

import re
import subprocess
import sys

import pytest
import yaml

from cells import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def commands(workflow):
    """Every shell command of a workflow, as one text."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    return "\n".join(step["run"] for job in jobs for step in job["steps"] if "run" in step)


@pytest.mark.parametrize("schema, files", [
    ("vendor.github-workflows", WORKFLOWS),
    ("custom.github-workflows-require-timeout", WORKFLOWS),
    ("vendor.dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ("vendor.citation-file-format", [ROOT / "CITATION.cff"]),
])
def test_schema(schema, files):
    done = subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_named_files_exist(workflow):
    names = set(re.findall(r"\S+\.(?:txt|py|ipynb|png)\b", commands(workflow)))
    names = {name for name in names if not name.startswith((".venv", "build/"))}
    assert names and not [name for name in names if not (ROOT / name).exists()]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned(workflow):
    """To a commit, with its version behind it: a tag can be moved to other code."""
    used = re.findall(r"uses: (.*)", workflow.read_text(encoding="utf-8"))
    assert used and [each for each in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}   # v\d+\.\d+\.\d+", each)] == []


def test_ruff_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_same_as_ci_run():
    """On Linux the workflow does what .ci/run does."""
    for command in ("make test", "make everywhere"):
        assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
        assert command in commands(ROOT / ".github" / "workflows" / "test.yml")


def test_one_run_for_a_change():
    """A push to a pull request's branch doesn't start what the pull request starts; a newer push stops an older run."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    on = workflow[True]   # YAML 1.1 reads `on` as true
    assert on["push"]["branches"] == ["main"] and "pull_request" in on
    assert workflow["concurrency"]["cancel-in-progress"] is True
