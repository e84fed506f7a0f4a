"""Links: what they name in the repository exists, and the others are well-formed.

Whether the others lead somewhere is for the weekly workflow, which has a network.
"""

import re
from urllib.parse import unquote, urlsplit

import pytest

from cells import CHINESE, NOTEBOOK, ROOT, read
from execute import contents

PAGES = sorted(path for folder in (ROOT, *(ROOT / name for name in ("benchmarks", "data", "tests", "zh")))
               for path in folder.glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def addresses(text):
    return LINK.findall(re.sub(r"```.*?```", "", text, flags=re.S))


def test_what_the_services_need_is_there():
    """Binder builds from environment.yml; Colab, Kaggle and nbviewer take the notebook alone."""
    assert NOTEBOOK.exists() and (ROOT / "environment.yml").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_page(page):
    for address in addresses(page.read_text(encoding="utf-8")):
        if "://" in address:
            assert urlsplit(address).scheme in ("http", "https") and "." in urlsplit(address).netloc, address
        else:
            assert (page.parent / address.split("#")[0]).exists(), address


@pytest.mark.parametrize("path", [NOTEBOOK, CHINESE], ids=["English", "Chinese"])
def test_links_of_the_notebook(path):
    """It is read alone, too: it links to no file of the repository, but to the web and to its own headings."""
    notebook = read(path)
    found = [address for cell in notebook.cells if cell.cell_type == "markdown" for address in addresses(cell.source)]
    assert len(found) > 5
    attached = {f"attachment:{name}" for cell in notebook.cells for name in cell.get("attachments", {})}
    within = {f"#{unquote(anchor)}" for _, _, anchor in contents(notebook)}
    inside = [address for address in found if not re.match(r"https?://[\w.-]+\.\w+(/|$)", address)]
    assert attached <= set(inside) <= attached | within and len(inside) == 2
