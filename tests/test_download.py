"""The notebook gets MNIST by itself: alone in an empty folder, behind a proxy, and without a network."""

import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from cells import before, code_cells, read
from compare import difference
from proxy import RAW, behind, proxy  # noqa: F401  (a fixture)


def by_nbclient(nb, folder, port):
    NotebookClient(nb, timeout=600, resources={"metadata": {"path": folder}}).execute(env=behind(port))


@pytest.mark.mnist
def test_a_download_through_a_proxy(tmp_path, proxy):  # noqa: F811
    """The first section: the stored results, from the files that the proxy gave."""
    expected = before(read(), "exercise-seed")
    nb = before(read(), "exercise-seed")
    by_nbclient(nb, tmp_path, proxy.server_port)
    assert proxy.served == {path.name for path in RAW.glob("*.gz")}
    for stored, fresh in zip(code_cells(expected), code_cells(nb), strict=True):
        if stored.id == "gallery":   # torchvision's bars
            fresh.outputs = [output for output in fresh.outputs if output.get("name") != "stderr"]
        assert difference(stored, fresh.outputs) == [], stored.id


def test_without_data_or_network(tmp_path):
    """One clear sentence, in the cell that gets the data."""
    nb = read()
    with pytest.raises(CellExecutionError) as failure:
        by_nbclient(nb, tmp_path, port=9)
    assert failure.value.ename == "RuntimeError"
    assert failure.value.evalue.startswith("MNIST can't be had: Error downloading train-images-idx3-ubyte.gz")
    assert failure.value.evalue.endswith("Check the connection and run this again.")
    failed, = [cell.id for cell in nb.cells if any(o.output_type == "error" for o in cell.get("outputs", []))]
    assert failed == "gallery"
