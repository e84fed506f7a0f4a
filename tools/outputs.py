"""What counts as the same output of a notebook cell: used to check the stored outputs and to refresh them."""

import base64
import io
import re

import numpy as np
from PIL import Image, ImageChops

from cells import BUILD

# What is left out of the comparison in a cell tagged `varies`: a number or a list of numbers with the spaces
# before it, the type of a device, and whether there is one. Its words are compared.
NUMBER = r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?!\w|\.\d)"
VARIES = re.compile(rf" *(?:(?<![\w.]){NUMBER}|\[(?:{NUMBER}(?:, {NUMBER})*)?\])"
                    r"|\b(?:cpu|cuda|mps|xpu|pretended)(?::\d+)?\b|\b(?:True|False)\b")
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


def words(text):
    """A text without what differs from run to run."""
    return VARIES.sub("#", text)


def same_picture(stored, fresh, name=None):
    """Whether two PNG files (bytes) show the same picture.

    If they don't and a name is given, build/ gets both and their difference, as NAME-stored.png and so on.
    """
    if stored == fresh:
        return True
    images = [Image.open(io.BytesIO(data)).convert("RGBA") for data in (stored, fresh)]
    same_size = images[0].size == images[1].size
    difference = ImageChops.difference(*images)
    if same_size and np.asarray(difference).max() <= PIXEL_TOLERANCE:
        return True
    if name is not None:
        BUILD.mkdir(exist_ok=True)
        for which, image in zip(("stored", "fresh", "difference"), (*images, difference)):
            image.save(BUILD / f"{name}-{which}.png")
    return False


def comparable(output, varies):
    """An output's kind and texts; of a cell that varies, their words."""
    texts = output.get("data", {"text": output.get("text")}).items()
    return kind(output), {mime: words(text) if varies else text for mime, text in texts if mime != "image/png"}


def same_outputs(stored, fresh, varies=False):
    """Whether two lists of a cell's outputs are the same; of a cell that varies, their words and their kinds."""
    return ([comparable(output, varies) for output in stored] == [comparable(output, varies) for output in fresh]
            and all(png(before) is None or varies or same_picture(png(before), png(after))
                    for before, after in zip(stored, fresh)))
