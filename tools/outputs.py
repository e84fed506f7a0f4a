"""What counts as the same output of a notebook cell: used to check the stored outputs and to refresh them."""

import base64
import io
import re

import numpy as np
from PIL import Image, ImageChops

from cells import BUILD

# What the notebook's helper `varies` prints: durations, devices. Nothing else is left out of a comparison.
VARIES = re.compile(r"\u27e8[^\u27e9]*\u27e9")   # ⟨…⟩
VARIES_REPLACED = "<>"
# The text of a picture whose points vary, as the notebook's helper `show_varying` stores it.
VARYING_PICTURE = "⟨picture⟩"
# Brightness levels, of 255. The same curve, calculated on another processor, may shift an edge by less
# than a hundredth of a pixel; a point that moves by a tenth of a pixel changes an edge by more than this.
PIXEL_TOLERANCE = 4


def png(output):
    """The bytes of an output's PNG picture, or None."""
    data = output.get("data", {}).get("image/png")
    return None if data is None else base64.b64decode(data)


def kind(output):
    """What an output is, whatever it says: ("stream", "stdout") or ("display_data", "image/png", "text/plain")."""
    return output["output_type"], *sorted(output.get("data", {output.get("name"): None}))


def is_varying_picture(output):
    return output.get("data", {}).get("text/plain", "").startswith(VARYING_PICTURE)


def varies(output):
    """Whether anything in an output may differ from run to run."""
    texts = output.get("data", {"text": output.get("text")}).items()
    return any(VARIES.search(text) for mime, text in texts if mime != "image/png" and isinstance(text, str))


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
        for which, image in zip(("stored", "fresh", "difference"), (*images, difference)):
            image.save(BUILD / f"{name}-{which}.png")
    return False


def comparable(output):
    """An output's kind and texts, without what varies."""
    texts = output.get("data", {"text": output.get("text")}).items()
    return kind(output), {mime: VARIES.sub(VARIES_REPLACED, text) for mime, text in texts if mime != "image/png"}


def same_outputs(stored, fresh):
    """Whether two lists of a cell's outputs are the same but for what varies."""
    return ([comparable(output) for output in stored] == [comparable(output) for output in fresh]
            and all(png(before) is None or is_varying_picture(before) or same_picture(png(before), png(after))
                    for before, after in zip(stored, fresh)))
