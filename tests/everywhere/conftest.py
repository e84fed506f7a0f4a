"""A real browser, for the tests that need one."""

import os
import shutil
import sys

import pytest
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def chromium():
    """One browser for all tests of a file. In continuous integration on Linux, it has to be there."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None and not (os.environ.get("CI") and sys.platform == "linux"):
        pytest.skip("there is no Chromium here")
    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    with (sync_playwright() as playwright,
          playwright.chromium.launch(executable_path=path, args=arguments) as browser):
        yield browser
