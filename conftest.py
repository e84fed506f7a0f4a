"""How the notebook is checked: tests/check_notebook.py. pyproject.toml says where pytest finds it."""

pytest_plugins = ["check_notebook", "pytester"]
