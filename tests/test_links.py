"""Links: what they name in the repository exists, and the others are well-formed.

Whether the others lead somewhere is for the weekly workflow, which has a network.
"""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from badges import NOT_PUBLISHED, README, badges, links, published
from cells import NOTEBOOK, ROOT
from marked import with_part

PAGES = sorted(path for folder in (ROOT, *(ROOT / name for name in ("benchmarks", "data", "tests")))
               for path in folder.glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")


def addresses(text):
    return LINK.findall(re.sub(r"```.*?```", "", text, flags=re.S))


def test_badges_are_those_of_the_setting():
    text = README.read_text(encoding="utf-8")
    assert with_part(text, "badges", badges(**published())) == text


def test_badges_open_this_notebook():
    """Each address as its service documents it, with the repository, the branch and the file in it."""
    opened = {name: urlsplit(address) for name, (address, badge) in links("owner/name", "main").items()}
    file = f"/owner/name/blob/main/{NOTEBOOK.name}"
    assert {name: (url.scheme, url.netloc, url.path, parse_qs(url.query)) for name, url in opened.items()} == {
        "Open in Colab": ("https", "colab.research.google.com", f"/github{file}", {}),
        "Open in Kaggle": ("https", "kaggle.com", "/kernels/welcome", {"src": [f"https://github.com{file}"]}),
        "Launch on Binder": ("https", "mybinder.org", "/v2/gh/owner/name/main", {"labpath": [NOTEBOOK.name]}),
        "View on nbviewer": ("https", "nbviewer.org", f"/github{file}", {}),
    }
    assert "".join(badges("owner/name", "main")).count("[![") == 4 and badges("", "main") == [NOT_PUBLISHED]


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


def test_links_of_the_notebook(stored):
    """It is read alone, too: it links to no file of the repository."""
    found = [address for cell in stored.cells if cell.cell_type == "markdown" for address in addresses(cell.source)]
    assert len(found) > 5
    assert [address for address in found if not re.match(r"https?://[\w.-]+\.\w+(/|$)", address)] == []
