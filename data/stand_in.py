"""Draw the stand-in for MNIST, digits from fonts, into data/stand-in: python data/stand_in.py.
Exit status: 0 done; 1 anything else; 130 stopped."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from prepare import FILES, ROOT, NoData, command, say, set_aside

SIZES = (60_000, 10_000)  # images to train on and to test on, as in MNIST
MARK = """\
These are not the MNIST digits: data/stand_in.py drew them from fonts, to stand in where MNIST can't be had.

Recipe 1. SHA-256 sums:
"""
PATHS = [f"MNIST/raw/{name}" for name in FILES if not name.endswith(".gz")]
FONTS = """
    DejaVuSans DejaVuSans-Bold DejaVuSans-Oblique DejaVuSans-BoldOblique
    DejaVuSansMono DejaVuSansMono-Bold DejaVuSansMono-Oblique DejaVuSansMono-BoldOblique
    DejaVuSerif DejaVuSerif-Bold DejaVuSerif-Italic DejaVuSerif-BoldItalic
    STIXGeneral STIXGeneralBol STIXGeneralItalic STIXGeneralBolIta
    cmb10 cmr10 cmss10 cmti10 cmtt10
""".split()


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
    """The same digits each time, for each size n: uint8 arrays of images [n, 28, 28] and of labels [n]."""
    import matplotlib
    import numpy as np
    import torch
    from PIL import ImageFont
    from torchvision.transforms import v2
    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    fonts = [ImageFont.truetype(str(folder / f"{name}.ttf"), 96, layout_engine=ImageFont.Layout.BASIC)
             for name in FONTS]
    torch.set_default_dtype(torch.float64)  # float32 rounds otherwise on other processors
    torch.set_num_threads(1)  # such small images gain nothing from a second one
    torch.manual_seed(0)
    # In three thicknesses: so many pixels are added around a digit about 70 pixels high.
    shapes = np.array([glyph(d, font, stroke) for d in range(10) for font in fonts for stroke in range(3)])
    shapes = torch.from_numpy(shapes).unsqueeze(1) / 255  # [glyphs, 1, 28, 28]
    affine = v2.RandomAffine(10, translate=(0.05, 0.05), scale=(0.75, 1.1), shear=(-25, 25),
                             interpolation=v2.InterpolationMode.BILINEAR)
    elastic = v2.ElasticTransform(alpha=24.0, sigma=3.0)
    arrays = []
    for size in sizes:
        images, labels = [], []
        # Twenty different glyphs share a warp (one call draws one), so no two images are the same.
        for _ in range(-(-size // 20)):
            picks = torch.randperm(len(shapes))[:20]
            images.append((elastic(affine(shapes[picks])).squeeze(1) * 255).round().to(torch.uint8))
            labels.append((10 * picks // len(shapes)).to(torch.uint8))
        order = torch.randperm(20 * len(images))[:size]
        arrays += [torch.cat(images)[order].numpy(), torch.cat(labels)[order].numpy()]
    return arrays


def mark(home):
    """The content of STAND-IN.txt for the files in the folder `home`; OSError if one is missing."""
    sums = [f"{hashlib.sha256((home / path).read_bytes()).hexdigest()}  {path}\n" for path in PATHS]
    return (MARK + "".join(sums)).encode()


def is_whole(home):
    """Whether the stand-in is in the folder `home`, and its files have the sums of STAND-IN.txt."""
    try:
        return (home / "STAND-IN.txt").read_bytes() == mark(home)
    except OSError:
        return False


def write_stand_in(home):
    """Draw the stand-in and write it to `home`, in MNIST's file format."""
    (home / "MNIST" / "raw").mkdir(parents=True)
    for path, array in zip(PATHS, draw(SIZES)):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (home / path).write_bytes(head + array.tobytes())
    (home / "STAND-IN.txt").write_bytes(mark(home))


def make_stand_in():
    """Leave the stand-in, checked, in ROOT/stand-in, or raise NoData."""
    home = ROOT / "stand-in"
    try:
        if not is_whole(home):
            say("Drawing the stand-in: some seconds.")
            with tempfile.TemporaryDirectory(prefix=".partial-", dir=ROOT) as folder:
                write_stand_in(Path(folder, "stand-in"))
                if os.path.lexists(home) and not is_whole(home):
                    set_aside(home, "is damaged, or was made by another recipe")
                os.replace(Path(folder, "stand-in"), home)
    except OSError as error:
        if not is_whole(home):   # otherwise another run has just drawn it
            raise NoData(f"The stand-in can't be made in {ROOT}: {error}.") from None
    say(f"The stand-in is in {home}. These are not the MNIST digits: they are drawn from fonts,")
    say("and the figures in the notebook's text won't match what it computes on them.")


if __name__ == "__main__":
    sys.exit(command(__doc__, make_stand_in, 1))
