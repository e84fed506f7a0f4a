"""The notebook gets MNIST by itself: alone in an empty folder, behind a proxy."""

import os
from unittest import mock

import pytest

from execute import executed
from notebook_file import before
from proxy import RAW, behind, proxy  # noqa: F401  (a fixture)


@pytest.mark.mnist
def test_a_download_through_a_proxy(stored, differing, tmp_path, proxy):  # noqa: F811
    """The first section: the stored results, from the files that the proxy gave."""
    with mock.patch.dict(os.environ, behind(proxy.server_port), clear=True):
        nb = executed(before(stored, "exercise-seed"), folder=tmp_path)
    assert proxy.served == {path.name for path in RAW.glob("*.gz")}
    gallery, = [cell for cell in nb.cells if cell.id == "gallery"]   # without torchvision's bars
    gallery.outputs = [output for output in gallery.outputs if output.get("name") != "stderr"]
    assert differing(nb) == []
