"""A real browser, for the tests that need one."""

import os
import shutil
import sys

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """One browser for all tests of a file, with a home folder of its own."""
    # In continuous integration on Linux, Chromium has to be there.
    if CHROMIUM is None and not (os.environ.get("CI") and sys.platform == "linux"):
        pytest.skip("there is no Chromium here")
    assert CHROMIUM, "Continuous integration needs Chromium: install it as chromium or google-chrome."
    env = os.environ | {"HOME": str(tmp_path_factory.mktemp("browser-home"))}
    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    with (sync_playwright() as playwright,
          playwright.chromium.launch(executable_path=CHROMIUM, env=env, args=arguments) as browser):
        yield browser
