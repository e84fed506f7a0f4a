"""`examples/ddp.py` with other sizes. `bench.py` starts it with torchrun and takes the time of each epoch's line.

    torchrun --standalone --nproc-per-node 2 benchmarks/ddp_with.py HIDDEN BATCH EPOCHS
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "examples"))
import ddp

ddp.nb.hidden_size, ddp.nb.batch_size, ddp.nb.epochs = map(int, sys.argv[1:])
ddp.main()
