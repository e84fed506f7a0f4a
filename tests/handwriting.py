"""Digits as plain strokes, and the notebook's field as a test writes into it and reads it."""

import base64
import json
import re

import numpy as np
import torch

# Each stroke is a list of points (x, y) in a square of 100, y downwards.
STROKES = {
    0: [[(50, 8), (25, 20), (15, 50), (25, 80), (50, 92), (75, 80), (85, 50), (75, 20), (50, 8)]],
    1: [[(50, 5), (50, 95)]],
    2: [[(20, 25), (35, 8), (65, 8), (80, 28), (20, 92), (82, 92)]],
    3: [[(20, 12), (60, 8), (75, 28), (45, 47), (78, 68), (60, 92), (18, 88)]],
    4: [[(55, 5), (15, 62), (85, 62)], [(65, 35), (65, 95)]],
    5: [[(78, 8), (28, 8), (24, 45), (60, 42), (80, 65), (62, 92), (20, 88)]],
    6: [[(65, 5), (30, 40), (20, 70), (40, 92), (68, 85), (72, 62), (50, 52), (25, 66)]],
    7: [[(15, 10), (82, 10), (40, 95)]],
    8: [[(50, 50), (25, 30), (50, 8), (75, 30), (50, 50), (22, 75), (50, 93), (78, 75), (50, 50)]],
    9: [[(75, 35), (50, 48), (28, 28), (50, 8), (75, 20), (75, 35), (65, 95)]],
}
PLAIN, SMALL = (40, 40, 2), (20, 15, 1)   # places in the field of 280 × 280: left, top, scale


class Field:
    """The field on a page. It is written in by mouse, or by finger if the page has touch."""

    def __init__(self, page, finger=False):
        self.page, self.finger = page, finger
        self.session = page.context.new_cdp_session(page)

    def part(self, name):
        return self.page.locator(f".digit-{name}")

    def write(self, strokes, place=PLAIN):
        (left, top, scale), box, mouse = place, self.part("canvas").bounding_box(), self.page.mouse
        for stroke in strokes:
            for i, (x, y) in enumerate(stroke):
                point = {"x": box["x"] + left + scale * x, "y": box["y"] + top + scale * y}
                if self.finger:
                    self.touch("touchMove" if i else "touchStart", [point])
                else:
                    mouse.move(**point)
                    if i == 0:
                        mouse.down()
            if self.finger:
                self.touch("touchEnd", [])
            else:
                mouse.up()

    def touch(self, kind, points):
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def n_read(self, place=PLAIN, drawings=STROKES.items()):
        """How many of the drawings, pairs of a digit and its strokes, are read right."""
        n = 0
        for digit, strokes in drawings:
            self.part("clear").click()
            self.write(strokes, place)
            n += self.answer().startswith(str(digit))
        return n

    def answer(self):
        return self.part("answer").inner_text()

    def bars(self):
        """The probabilities and the logits that the bars show."""
        bars = self.part("sure progress").evaluate_all("bars => bars.map(bar => [bar.value, bar.title])")
        return [value for value, _ in bars], [float(title.removeprefix("logit ")) for _, title in bars]

    def pixels(self, name):
        """What a canvas shows, [row, column, (red, green, blue, opacity)], from 0 to 1."""
        width, data = self.part(name).evaluate("""canvas => [canvas.width,
            [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]]""")
        return torch.tensor(data, dtype=torch.float64).reshape(-1, width, 4) / 255


def moments_in(html):
    """The moments of the training that the field holds: (step or None, four lists, their units)."""
    moments = json.loads(re.search(r"const moments = (\[.*?\]), last = ", html)[1])
    kinds = ["i1"] * (len(moments) - 1) + ["<i4"]

    def unpacked(part, unit, kind):
        return torch.tensor(np.frombuffer(base64.b64decode(part, validate=True), kind) * unit)

    return [(step, [unpacked(part, unit, kind) for part, unit in parts], [unit for _, unit in parts])
            for (step, parts), kind in zip(moments, kinds)]
