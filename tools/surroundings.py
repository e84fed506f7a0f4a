"""Settings of the user's own stay out of what is executed, checked and stored here.

They may take pictures away (MPLBACKEND), switch assertions off (PYTHONOPTIMIZE), show warnings (PYTHONDEVMODE) or more
outputs (IPython's configuration), or bring other packages and kernels in. The reader's own Jupyter keeps them.
"""

import os
import tempfile
from pathlib import Path

# The settings of Python, Jupyter, IPython and matplotlib go, but for encodings and for folders to write in.
FAMILIES = ("PYTHON", "JUPYTER", "IPYTHON", "MPL", "MATPLOTLIB")
ALLOWED = ["PYTHONUTF8", "PYTHONIOENCODING", "PYTHONPYCACHEPREFIX", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"]
EMPTY = tempfile.TemporaryDirectory(prefix="without-settings-", ignore_cleanup_errors=True)   # removed when this process ends


def shut_out():
    """Start the kernels of this process as on a fresh account; nobody watches their progress bars."""
    for name in [name for name in os.environ if name.upper().startswith(FAMILIES) and name not in ALLOWED]:
        del os.environ[name]
    style = Path(EMPTY.name) / "matplotlibrc"
    style.touch()
    os.environ |= {"IPYTHONDIR": EMPTY.name, "MATPLOTLIBRC": str(style), "TQDM_DISABLE": "1"}
