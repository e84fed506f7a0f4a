"""What counts as the same output of a notebook cell: the one rule, for `make refresh` and for the check."""

import base64
import difflib
import hashlib
import io
import re
from itertools import starmap, zip_longest

import nbformat
import numpy as np
from PIL import Image, ImageChops, ImageSequence

from notebook_file import BUILD, has_tag

# What is left out of the comparison in a cell tagged `varies`: a number or a list of numbers with the spaces
# before it, the type of a device, and whether there is one. Its words are compared.
NUMBER = r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?!\w|\.\d)"
VARIES = re.compile(rf" *(?:(?<![\w.]){NUMBER}|\[(?:{NUMBER}(?:, {NUMBER})*)?\])"
                    r"|\b(?:cpu|cuda|mps|xpu|pretended)(?::\d+)?\b|\b(?:True|False)\b")
# Brightness levels, of 255. The same curve, calculated on another processor, may shift an edge by less
# than a hundredth of a pixel; a point that moves by a tenth of a pixel changes an edge by more than this.
PIXEL_TOLERANCE = 4
EMBEDDED = re.compile(r"data:image/png;base64,([\w+/=]+)")   # a picture in HTML


def difference(stored, outputs):
    """How fresh outputs differ from those stored in a cell: the lines of a unified diff, [] if they don't."""
    varies = has_tag(stored, "varies")
    before, after = merged(stored.outputs), merged(outputs)
    lines = as_lines(before, varies), as_lines(after, varies)
    for number, pair in enumerate(zip(before, after)):
        name = f"{stored.get('id')}-{number}"
        if not varies and not all(same_picture(*films, name) for films in zip(*map(pictures, pair))):
            lines[1].append(f"picture differs: build/{name}-stored.png, -fresh.png and -difference.png")
    return list(difflib.unified_diff(*lines, "stored", "fresh", lineterm=""))


def in_words(diff):
    """A diff, one line for each change: "accuracy 0.9655 → 0.9661"."""
    before, after = ([line[1:] for line in diff[2:] if line.startswith(sign)] for sign in "-+")
    texts = [line for line in after if not line.startswith("picture differs")]   # pictures come last
    return [*starmap(one_line, zip_longest(before, texts, fillvalue="nothing")), *after[len(texts):]]


def one_line(before, after):
    words = [re.split(r"(\s|,(?!\d))", line) for line in (before, after)]
    if len(words[0]) != len(words[1]):
        return f"{before} → {after}"[:200]
    return "".join(was if was == becomes else f"{was} → {becomes}" for was, becomes in zip(*words))[:200]


def as_lines(outputs, varies):
    """Outputs without their pictures, as lines of text."""
    lines = []
    for output in outputs:
        data = output.get("data", {output.get("name"): output.get("text")})
        lines.append(f"[{output.output_type}: {', '.join(sorted(data))}]")
        for mime, text in sorted(data.items()):
            if mime != "image/png":
                digest = lambda block: f"<base64 {hashlib.sha256(block[0].encode()).hexdigest()[:16]}>"
                text = re.sub(r"[\w+/=]{40,}", digest, EMBEDDED.sub("", str(text)))
                lines += (without_numbers(text) if varies else text).split("\n")
    return lines


def without_numbers(text):
    """A text without what differs from run to run: numbers, devices."""
    return VARIES.sub("#", text)


def merged(outputs):
    """A cell's outputs with what it printed in one piece: a kernel sends a slow cell's prints in several."""
    result = []
    for output in outputs:
        if result and output.get("name") and output.name == result[-1].get("name"):
            result[-1].text += output.text
        else:
            result.append(nbformat.from_dict(output))
    return result


def png(output):
    """The bytes of an output's PNG picture, or None."""
    data = output.get("data", {}).get("image/png")
    return None if data is None else base64.b64decode(data)


def pictures(output):
    """The bytes of every PNG of an output: its own, and those in its HTML."""
    embedded = EMBEDDED.findall(output.get("data", {}).get("text/html", ""))
    return [*filter(None, [png(output)]), *map(base64.b64decode, embedded)]


def frames(data):
    """The frames of a PNG (bytes), one or a film's: each as RGBA, and how long it is shown (milliseconds)."""
    with Image.open(io.BytesIO(data)) as film:
        return [(frame.convert("RGBA"), frame.info.get("duration")) for frame in ImageSequence.Iterator(film)]


def same_picture(stored, fresh, name):
    """Whether two PNGs show the same picture or film. If not, build/ gets the first frames that differ."""
    films = frames(stored), frames(fresh)
    same_times = [duration for _, duration in films[0]] == [duration for _, duration in films[1]]
    for (before, _), (after, _) in zip(*films):
        differs = np.asarray(ImageChops.difference(before, after)).max(axis=2) > PIXEL_TOLERANCE
        if before.size != after.size or differs.any() or not same_times:
            BUILD.mkdir(exist_ok=True)
            before.save(BUILD / f"{name}-stored.png")
            after.save(BUILD / f"{name}-fresh.png")
            Image.fromarray(differs).save(BUILD / f"{name}-difference.png")
            return False
    return True
