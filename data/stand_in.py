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
STAND_IN_MARK = """\
These are not the MNIST digits: data/stand_in.py drew them from fonts, to stand in where MNIST can't be had.

Recipe 1. SHA-256 sums:
"""

FONTS = """
    DejaVuSans DejaVuSans-Bold DejaVuSans-Oblique DejaVuSans-BoldOblique
    DejaVuSansMono DejaVuSansMono-Bold DejaVuSansMono-Oblique DejaVuSansMono-BoldOblique
    DejaVuSerif DejaVuSerif-Bold DejaVuSerif-Italic DejaVuSerif-BoldItalic
    STIXGeneral STIXGeneralBol STIXGeneralItalic STIXGeneralBolIta
    cmb10 cmr10 cmss10 cmti10 cmtt10
""".split()
STROKES = (0, 1, 2)  # pixels added around a digit about 70 pixels high


def glyph(digit, font, stroke):
    """Draw one digit as MNIST has them: white on black, in a box of 20 × 20,
    its centre of mass in the middle of 28 × 28. Returns a uint8 array [28, 28].
    """
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
    """Draw the stand-in's digits: {part: (images, labels)} for each part in `sizes`,
    as uint8 arrays [n, 28, 28] and [n]. The same on every call.

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
        # Twenty different glyphs share a warp (one call draws one warp), so no
        # two images are the same; the shuffle parts them.
        for _ in range(-(-size // 20)):
            picks = torch.randperm(len(shapes))[:20]
            images.append((warp(shapes[picks]).squeeze(1) * 255).round().to(torch.uint8))
            labels.append((picks // per_digit).to(torch.uint8))
        order = torch.randperm(20 * len(images))[:size]
        parts[part] = torch.cat(images)[order].numpy(), torch.cat(labels)[order].numpy()
    return parts


def stand_in_fault(home):
    """Say what is wrong with the stand-in in the folder `home`; None if nothing."""
    if not os.path.lexists(home):
        return "is missing"
    try:
        text = (home / "STAND-IN.txt").read_text(encoding="utf-8")
        if not text.startswith(STAND_IN_MARK):
            return "was made by another recipe"
        sums = [line.split("  ") for line in text.removeprefix(STAND_IN_MARK).splitlines()]
        if len(sums) != 4:
            return "is damaged (STAND-IN.txt)"
        for sha256, name in sums:
            with open(home / name, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    return f"is damaged ({name})"
    except (OSError, ValueError) as error:
        return f"is damaged ({error})"


def make_stand_in():
    """Leave the stand-in, checked, in ROOT/stand-in, or raise NoData."""
    from filelock import FileLock

    home = ROOT / "stand-in"
    if stand_in_fault(home):
        try:
            # Another run waits until this one has drawn.
            with (FileLock(ROOT / ".lock"),
                  tempfile.TemporaryDirectory(prefix=".partial-", dir=ROOT) as folder):
                wrong = stand_in_fault(home)
                if wrong:
                    say("Drawing the stand-in: some seconds.")
                    write_stand_in(Path(folder, "stand-in"))
                    if os.path.lexists(home):
                        set_aside(home, wrong)
                    os.replace(Path(folder, "stand-in"), home)
        except OSError as error:
            raise NoData(f"The stand-in can't be made in {ROOT}: {error}.") from None
    say(f"The stand-in is in {home}. These are not the MNIST digits: they are drawn from fonts,")
    say("and the figures in the notebook's text won't match what it computes on them.")


def write_stand_in(home):
    """Draw the stand-in and write it to `home`, in MNIST's file format."""
    raw = home / "MNIST" / "raw"
    raw.mkdir(parents=True)
    mark = STAND_IN_MARK
    for part, (images, labels) in draw(SIZES).items():
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            path = raw / f"{part}-{kind}-ubyte"
            head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            data = head + array.tobytes()
            path.write_bytes(data)
            mark += f"{hashlib.sha256(data).hexdigest()}  {path.relative_to(home).as_posix()}\n"
    (home / "STAND-IN.txt").write_text(mark, encoding="utf-8", newline="\n")


def main(arguments=None):
    """Do what the command line asks; return the exit status."""
    return command(__doc__, make_stand_in, 1, arguments)


if __name__ == "__main__":
    sys.exit(main())
