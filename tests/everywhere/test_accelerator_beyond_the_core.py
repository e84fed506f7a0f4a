"""The whole notebook on the pretended accelerator; mutants.toml has the mistakes that it notices."""

import pytest

from execute import executed
from pretended_accelerator import REGISTER


@pytest.mark.mnist
@pytest.mark.timeout(1200)
def test_all_sections_on_an_accelerator(stored, folder_with_data, differing):
    assert differing(executed(stored, before_it=REGISTER, folder=folder_with_data)) == []
