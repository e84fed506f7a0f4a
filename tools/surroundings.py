"""Settings of the user's own stay out of what is executed, checked and stored here.

They may take pictures away (MPLBACKEND), switch assertions off (PYTHONOPTIMIZE), show more outputs (IPython's
configuration) or bring other packages and kernels in. The reader's own Jupyter keeps them.
"""

import os
import tempfile
from pathlib import Path

OWN = ["MPLBACKEND", "PYTHONOPTIMIZE", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONWARNINGS", "JUPYTER_PATH",
       "JUPYTER_PREFER_ENV_PATH"]
EMPTY = tempfile.TemporaryDirectory(prefix="without-settings-", ignore_cleanup_errors=True)   # removed when this process ends


def shut_out():
    """Start the kernels of this process as on a fresh account; nobody watches their progress bars."""
    for name in OWN:
        os.environ.pop(name, None)
    style = Path(EMPTY.name) / "matplotlibrc"
    style.touch()
    os.environ |= {"IPYTHONDIR": EMPTY.name, "MATPLOTLIBRC": str(style), "TQDM_DISABLE": "1"}
