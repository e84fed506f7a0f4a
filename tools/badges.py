"""README's badges, which open the notebook elsewhere. `make refresh` writes them.

They need the address of the published repository: `repository` in pyproject.toml holds it.
"""

import tomllib

from cells import NOTEBOOK, ROOT
from marked import write_part

README = ROOT / "README.md"
NOT_PUBLISHED = ("(Badges that open the notebook on Colab, Kaggle, Binder and nbviewer appear here once `repository` in "
                 "`pyproject.toml` says where it is published.)")


def links(repository, branch):
    """Where each service opens the notebook: name → (address, address of its badge)."""
    file = f"{repository}/blob/{branch}/{NOTEBOOK.name}"
    return {
        "Open in Colab": (f"https://colab.research.google.com/github/{file}",
                          "https://colab.research.google.com/assets/colab-badge.svg"),
        "Open in Kaggle": (f"https://kaggle.com/kernels/welcome?src=https://github.com/{file}",
                           "https://kaggle.com/static/images/open-in-kaggle.svg"),
        "Launch on Binder": (f"https://mybinder.org/v2/gh/{repository}/{branch}?labpath={NOTEBOOK.name}",
                             "https://mybinder.org/badge_logo.svg"),
        "View on nbviewer": (f"https://nbviewer.org/github/{file}",
                             "https://raw.githubusercontent.com/jupyter/design/main/logos/Badges/nbviewer_badge.svg"),
    }


def badges(repository, branch):
    """The badges as lines of Markdown; a sentence instead while there is no address."""
    if not repository:
        return [NOT_PUBLISHED]
    return [f"[![{name}]({badge})]({address})" for name, (address, badge) in links(repository, branch).items()]


def published():
    """Where the repository is published: {"repository": …, "branch": …}."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["published"]


def write_badges():
    write_part(README, "badges", badges(**published()))
