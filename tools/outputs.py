"""What counts as the same output of a notebook cell: used to check the stored outputs and to refresh them."""

import base64
import io
import re

import numpy as np
from PIL import Image, ImageChops

from cells import BUILD

# What the notebook's helper `varies` prints: durations, devices. Nothing else is left out of a comparison.
VARIES = re.compile(r"⟨[^⟩]*⟩")
# The text of a picture whose points vary, as the notebook's helper `show_varying` stores it.
VARYING_PICTURE = "⟨picture⟩"
# Brightness levels, of 255. The same curve, calculated on another processor, may shift an edge by less
# than a hundredth of a pixel; a point that moves by a tenth of a pixel changes an edge by more than this.
PIXEL_TOLERANCE = 4


def png(output):
    """The bytes of an output's PNG picture, or None."""
    data = output.get("data", {}).get("image/png")
    return None if data is None else base64.b64decode(data)


def is_varying_picture(output):
    return output.get("data", {}).get("text/plain", "").startswith(VARYING_PICTURE)


def same_picture(stored, fresh, name=None):
    """Whether two PNG files (bytes) show the same picture.

    If they don't and a name is given, build/ gets both and their difference, as NAME-stored.png and so on.
    """
    if stored == fresh:
        return True
    images = [Image.open(io.BytesIO(data)).convert("RGB") for data in (stored, fresh)]
    same_size = images[0].size == images[1].size
    difference = ImageChops.difference(*images)
    if same_size and np.asarray(difference).max() <= PIXEL_TOLERANCE:
        return True
    if name is not None:
        BUILD.mkdir(exist_ok=True)
        for kind, image in zip(("stored", "fresh", "difference"), (*images, difference)):
            image.save(BUILD / f"{name}-{kind}.png")
    return False


def comparable(output):
    """An output without what may differ between two runs that are the same."""
    result = {key: value for key, value in output.items() if key not in ("execution_count", "metadata")}
    if "text" in result:
        result["text"] = VARIES.sub("⟨⟩", result["text"])
    if "data" in result:
        result["data"] = {mime: VARIES.sub("⟨⟩", value) if isinstance(value, str) else value
                          for mime, value in result["data"].items() if mime != "image/png"}
    return result


def same_outputs(stored, fresh):
    """Whether two lists of a cell's outputs are the same but for what varies."""
    if [comparable(output) for output in stored] != [comparable(output) for output in fresh]:
        return False
    for before, after in zip(stored, fresh):
        pictures = png(before), png(after)
        if (pictures[0] is None) != (pictures[1] is None):
            return False
        if pictures[0] is not None and not is_varying_picture(before) and not same_picture(*pictures):
            return False
    return True
