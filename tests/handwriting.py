"""Digits as plain strokes, how a test writes them into the notebook's field, and what the field holds and shows."""

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
# How the digits are written into the field of 280 × 280: left, top, scale, slant.
PLAIN, SMALL, SLANTED = (40, 40, 2, 0), (20, 15, 1, 0), (40, 40, 1.8, 0.35)


def points(page, strokes, left, top, scale, slant):
    """The strokes' points on the screen, with some more between them, as a hand makes them."""
    box = page.locator(".digit-canvas").bounding_box()
    for stroke in strokes:
        yield [(box["x"] + left + (x + slant * (50 - y)) * scale, box["y"] + top + y * scale)
               for (x0, y0), (x1, y1) in zip(stroke, stroke[1:] or stroke)
               for x, y in [(x0 + (x1 - x0) * i / 3, y0 + (y1 - y0) * i / 3) for i in range(4)]]


def with_mouse(page, strokes, *place):
    for stroke in points(page, strokes, *place):
        page.mouse.move(*stroke[0])
        page.mouse.down()
        for point in stroke[1:]:
            page.mouse.move(*point)
        page.mouse.up()


def with_finger(page, strokes, *place):
    """Needs a page that has touch."""
    session = page.context.new_cdp_session(page)
    for stroke in points(page, strokes, *place):
        for kind, (x, y) in zip(["touchStart"] + ["touchMove"] * (len(stroke) - 1), stroke):
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def answer(page):
    return page.locator(".digit-answer").inner_text()


def n_read(page, write, place):
    """How many of the ten digits are read right, written in this way."""
    n = 0
    for digit, strokes in STROKES.items():
        page.locator(".digit-clear").click()
        write(page, strokes, *place)
        n += answer(page).startswith(str(digit))
    return n


# Writes strokes, [stroke, point, x and y] in CSS pixels of the field, all in one call, and returns the answer.
WRITE = """strokes => {
  const field = document.querySelector('.digit-canvas'), {left, top} = field.getBoundingClientRect();
  document.querySelector('.digit-clear').click();
  field.setPointerCapture = () => {};   // there is no such pointer
  const send = (kind, [x, y]) => field.dispatchEvent(new PointerEvent(kind,
    {pointerId: 1, pointerType: 'mouse', bubbles: true, clientX: left + x, clientY: top + y}));
  for (const stroke of strokes) {
    send('pointerdown', stroke[0]);
    for (const point of stroke.slice(1)) send('pointermove', point);
    send('pointerup', stroke.at(-1));
  }
  return document.querySelector('.digit-answer').value;
}"""


def moments_in(html):
    """The moments that the field decodes, as it decodes them: what it says of each, four lists of numbers, their units."""
    moments = json.loads(re.search(r"const moments = (\[.*?\]), last = ", html)[1])
    kinds = ["i1"] * (len(moments) - 1) + ["<i4"]
    return [(text, [torch.tensor(np.frombuffer(base64.b64decode(part, validate=True), kind) * unit) for part, unit in parts],
             [unit for _, unit in parts]) for (text, parts), kind in zip(moments, kinds)]


def seen(page):
    """The 784 pixels that the page shows as what the network sees, from 0 to 255."""
    return page.evaluate("""() => [...document.querySelector('.digit-seen').getContext('2d')
      .getImageData(0, 0, 28, 28).data].filter((_, k) => k % 4 === 3)""")


def logits(page):
    titles = page.eval_on_selector_all(".digit progress", "bars => bars.map(bar => bar.title)")
    return [float(title.removeprefix("logit ")) for title in titles]
