"""The notebook gets MNIST by itself: alone in an empty folder, behind a proxy."""

import pytest
from nbclient import NotebookClient

from cells import before, code_cells
from compare import difference
from proxy import RAW, behind, proxy  # noqa: F401  (a fixture)


@pytest.mark.mnist
def test_a_download_through_a_proxy(stored, tmp_path, proxy):  # noqa: F811
    """The first section: the stored results, from the files that the proxy gave."""
    expected, nb = before(stored, "exercise-seed"), before(stored, "exercise-seed")
    client = NotebookClient(nb, timeout=600, resources={"metadata": {"path": tmp_path}})
    client.execute(env=behind(proxy.server_port))
    assert proxy.served == {path.name for path in RAW.glob("*.gz")}
    for cell, fresh in zip(code_cells(expected), code_cells(nb), strict=True):
        if cell.id == "gallery":   # torchvision's bars
            fresh.outputs = [output for output in fresh.outputs if output.get("name") != "stderr"]
        assert difference(cell, fresh.outputs) == [], cell.id
