"""Draw the stand-in for MNIST: digits drawn from fonts, into data/stand-in.

    python data/stand_in.py

It is checked by its SHA-256 sums. Run again, it checks and does nothing more.

Exit status: 0 done; 1 anything else; 130 stopped.
"""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from prepare import ROOT, NoData, command, say, set_aside

SIZES = {"train": 60_000, "t10k": 10_000}  # images in the stand-in, as in MNIST
MARK = """\
These are not the MNIST digits: data/stand_in.py drew them from fonts, to stand in where MNIST can't be had.

Recipe 1. SHA-256 sums:
"""
NAMES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
FONTS = """
    DejaVuSans DejaVuSans-Bold DejaVuSans-Oblique DejaVuSans-BoldOblique
    DejaVuSansMono DejaVuSansMono-Bold DejaVuSansMono-Oblique DejaVuSansMono-BoldOblique
    DejaVuSerif DejaVuSerif-Bold DejaVuSerif-Italic DejaVuSerif-BoldItalic
    STIXGeneral STIXGeneralBol STIXGeneralItalic STIXGeneralBolIta
    cmb10 cmr10 cmss10 cmti10 cmtt10
""".split()
STROKES = (0, 1, 2)  # pixels added around a digit about 70 pixels high


def glyph(digit, font, stroke):
    """A digit as in MNIST, uint8 [28, 28]: white on black, in 20 × 20, its centre of mass in the middle."""
    import numpy as np
    from PIL import Image, ImageDraw
    sheet = Image.new("L", (256, 256))
    ImageDraw.Draw(sheet).text((128, 128), str(digit), fill=255, font=font, stroke_width=stroke, anchor="mm")
    ink = sheet.crop(sheet.getbbox())
    ink.thumbnail((20, 20), Image.Resampling.LANCZOS)
    weight = np.asarray(ink, dtype=float)
    y, x = ((np.indices(weight.shape) + 0.5) * weight).sum(axis=(1, 2)) / weight.sum()
    image = Image.new("L", (28, 28))
    image.paste(ink, (round(14 - x), round(14 - y)))
    return np.asarray(image)


def draw(sizes):
    """The stand-in's digits, always the same: {part: (images, labels)}, uint8 arrays [n, 28, 28] and [n].

    Sets torch's seed, number of threads and default dtype: for a process of its own.
    """
    import matplotlib
    import numpy as np
    import torch
    from PIL import ImageFont
    from torchvision.transforms import v2
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    fonts = [ImageFont.truetype(str(folder / f"{name}.ttf"), 96, layout_engine=ImageFont.Layout.BASIC)
             for name in FONTS]
    shapes = np.array([glyph(d, font, stroke) for d in range(10) for font in fonts for stroke in STROKES])
    torch.set_default_dtype(torch.float64)  # float32 rounds otherwise on other processors
    torch.set_num_threads(1)  # such small images gain nothing from a second one
    torch.manual_seed(0)
    shapes = torch.from_numpy(shapes).unsqueeze(1).double() / 255  # [glyphs, 1, 28, 28]
    per_digit = len(fonts) * len(STROKES)
    warp = v2.Compose([
        v2.RandomAffine(10, translate=(0.05, 0.05), scale=(0.75, 1.1), shear=(-25, 25),
                        interpolation=v2.InterpolationMode.BILINEAR),
        v2.ElasticTransform(alpha=24.0, sigma=3.0),
    ])
    parts = {}
    for part, size in sizes.items():
        images, labels = [], []
        # Twenty different glyphs share a warp (one call draws one), so no two images are the same.
        for _ in range(-(-size // 20)):
            picks = torch.randperm(len(shapes))[:20]
            images.append((warp(shapes[picks]).squeeze(1) * 255).round().to(torch.uint8))
            labels.append((picks // per_digit).to(torch.uint8))
        order = torch.randperm(20 * len(images))[:size]
        parts[part] = torch.cat(images)[order].numpy(), torch.cat(labels)[order].numpy()
    return parts


def mark(home):
    """The text of STAND-IN.txt for the files in the folder `home`; OSError if one is missing."""
    paths = [home / "MNIST" / "raw" / f"{name}-ubyte" for name in NAMES]
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(home).as_posix()}\n"
            for path in paths]
    return MARK + "".join(sums)


def stand_in_fault(home):
    """Say what is wrong with the stand-in in the folder `home`; None if nothing."""
    if not os.path.lexists(home):
        return "is missing"
    try:
        whole = (home / "STAND-IN.txt").read_text(encoding="utf-8") == mark(home)
    except (OSError, ValueError):
        whole = False
    return None if whole else "is damaged, or was made by another recipe"


def write_stand_in(home):
    """Draw the stand-in and write it to `home`, in MNIST's file format."""
    raw = home / "MNIST" / "raw"
    raw.mkdir(parents=True)
    arrays = [array for part in draw(SIZES).values() for array in part]
    for name, array in zip(NAMES, arrays):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (raw / f"{name}-ubyte").write_bytes(head + array.tobytes())
    (home / "STAND-IN.txt").write_text(mark(home), encoding="utf-8", newline="\n")


def make_stand_in():
    """Leave the stand-in, checked, in ROOT/stand-in, or raise NoData."""
    home = ROOT / "stand-in"
    try:
        if wrong := stand_in_fault(home):
            say("Drawing the stand-in: some seconds.")
            with tempfile.TemporaryDirectory(prefix=".partial-", dir=ROOT) as folder:
                write_stand_in(Path(folder, "stand-in"))
                if os.path.lexists(home) and stand_in_fault(home):
                    set_aside(home, wrong)
                os.replace(Path(folder, "stand-in"), home)
    except OSError as error:
        if stand_in_fault(home):   # otherwise another run has just drawn it
            raise NoData(f"The stand-in can't be made in {ROOT}: {error}.") from None
    say(f"The stand-in is in {home}. These are not the MNIST digits: they are drawn from fonts,")
    say("and the figures in the notebook's text won't match what it computes on them.")


def main(arguments=None):
    """Do what the command line asks; return the exit status."""
    return command(__doc__, make_stand_in, 1, arguments)


if __name__ == "__main__":
    sys.exit(main())
