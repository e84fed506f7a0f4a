"""What counts as the same output of a notebook cell: used to check the stored outputs and to refresh them."""

import base64
import io
import re

import nbformat
import numpy as np
from PIL import Image, ImageChops, ImageSequence

from cells import BUILD

# What is left out of the comparison in a cell tagged `varies`: a number or a list of numbers with the spaces
# before it, the type of a device, and whether there is one. Its words are compared.
NUMBER = r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?!\w|\.\d)"
VARIES = re.compile(rf" *(?:(?<![\w.]){NUMBER}|\[(?:{NUMBER}(?:, {NUMBER})*)?\])"
                    r"|\b(?:cpu|cuda|mps|xpu|pretended)(?::\d+)?\b|\b(?:True|False)\b")
# Brightness levels, of 255. The same curve, calculated on another processor, may shift an edge by less
# than a hundredth of a pixel; a point that moves by a tenth of a pixel changes an edge by more than this.
PIXEL_TOLERANCE = 4
EMBEDDED = re.compile(r"data:image/png;base64,([\w+/=]+)")   # a picture in HTML


def png(output):
    """The bytes of an output's PNG picture, or None."""
    data = output.get("data", {}).get("image/png")
    return None if data is None else base64.b64decode(data)


def pictures(output):
    """The bytes of every PNG of an output: its own, and those in its HTML."""
    embedded = [base64.b64decode(data) for data in EMBEDDED.findall(output.get("data", {}).get("text/html", ""))]
    return [data for data in (png(output), *embedded) if data is not None]


def kind(output):
    """What an output is, whatever it says: ("stream", "stdout") or ("display_data", "image/png", "text/plain")."""
    return output["output_type"], *sorted(output.get("data", {output.get("name"): None}))


def words(text):
    """A text without what differs from run to run."""
    return VARIES.sub("#", text)


def frames(data):
    """The frames of a PNG (bytes), one or a film's: each as RGBA, and how long it is shown, in milliseconds."""
    with Image.open(io.BytesIO(data)) as image:
        return [(frame.convert("RGBA"), frame.info.get("duration")) for frame in ImageSequence.Iterator(image)]


def same_picture(stored, fresh, name=None):
    """Whether two PNG files (bytes) show the same picture or, frame by frame, the same film.

    If they don't and a name is given, build/ gets the first frames that differ and their difference, as
    NAME-stored.png and so on.
    """
    if stored == fresh:
        return True
    films = frames(stored), frames(fresh)
    for (before, _), (after, _) in zip(*films):
        difference = ImageChops.difference(before, after)
        if before.size != after.size or np.asarray(difference).max() > PIXEL_TOLERANCE:
            if name is not None:
                BUILD.mkdir(exist_ok=True)
                for which, image in (("stored", before), ("fresh", after), ("difference", difference)):
                    image.save(BUILD / f"{name}-{which}.png")
            return False
    return [duration for _, duration in films[0]] == [duration for _, duration in films[1]]


def comparable(output, varies):
    """An output's kind and texts; of a cell that varies, their words."""
    texts = {mime: EMBEDDED.sub("", text) if mime == "text/html" else text
             for mime, text in output.get("data", {"text": output.get("text")}).items() if mime != "image/png"}
    return kind(output), {mime: words(text) if varies else text for mime, text in texts.items()}


def merged(outputs):
    """A cell's outputs with what it printed in one piece: a kernel sends a slow cell's prints in several."""
    result = []
    for output in outputs:
        if result and output.output_type == result[-1].output_type == "stream" and output.name == result[-1].name:
            result[-1].text += output.text
        else:
            result.append(nbformat.from_dict(output))
    return result


def same_outputs(stored, fresh, varies=False):
    """Whether two lists of a cell's outputs are the same; of a cell that varies, their words and their kinds."""
    stored, fresh = merged(stored), merged(fresh)
    return ([comparable(output, varies) for output in stored] == [comparable(output, varies) for output in fresh]
            and (varies or all(same_picture(*pair) for before, after in zip(stored, fresh)
                               for pair in zip(pictures(before), pictures(after)))))
