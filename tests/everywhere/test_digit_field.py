"""The field to write a digit in, in the page that `make run` writes, by mouse, finger and keys."""

import json
import re

import pytest
import torch
from playwright.sync_api import expect

from execute import page
from handwriting import PLAIN, SMALL, STROKES, Field, moments_in
from notebook_file import CHINESE, ROOT, code_cells, read

pytestmark = pytest.mark.timeout(600)
RECORDINGS = ROOT.parent / "shared" / "pen" / "recordings.json"
HTML = next(cell.outputs[0].data["text/html"] for cell in code_cells(read()) if cell.id == "draw")
PHONE = {"viewport": {"width": 390, "height": 664}, "has_touch": True, "is_mobile": True,
         "color_scheme": "dark"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory, stored):
    """The folder of both editions' pages."""
    folder = tmp_path_factory.mktemp("pages")
    for language, nb in {"en": stored, "zh": read(CHINESE)}.items():
        (folder / f"{language}.html").write_text(page(nb, language), encoding="utf-8")
    return folder


@pytest.fixture
def field(request, chromium, pages):
    """The field in the page without a network; the page asks for nothing, and no script fails."""
    language, device = getattr(request, "param", "en desktop").split()
    phone, troubles = device == "phone", []
    with chromium.new_context(offline=True, **(PHONE if phone else {})) as context:
        context.on("request", lambda it: it.url.startswith(("file:", "data:")) or troubles.append(it.url))
        context.on("weberror", lambda fault: troubles.append(fault.error))
        field = Field(context.new_page(), finger=phone)
        field.page.goto((pages / f"{language}.html").as_uri())
        field.part("canvas").evaluate("canvas => canvas.scrollIntoView()")
        yield field
    assert troubles == []


@pytest.mark.parametrize("field", ["en desktop", "en phone", "zh phone"], indirect=True)
def test_ten_digits(field):
    """And the page is no wider than the screen."""
    html = field.page.locator("html")
    assert html.evaluate("html => html.scrollWidth <= html.clientWidth")
    empty = {"en": "Write a digit", "zh-CN": "写一个数字"}[html.get_attribute("lang")]
    assert field.answer() == empty and field.n_read() >= 9
    field.part("moment").press("Home")
    assert "undefined" not in field.page.locator(".digit").inner_text()   # its sentences have their numbers
    field.part("clear").click()
    assert field.answer() == empty and field.bars()[0] == [0] * 10


def test_small_and_slanted_digits(field):
    """And slanted ones. Read right as they are prepared; unprepared, small ones aren't: pixels mean places."""
    slanted = [(digit, [[(x + 0.35 * (50 - y), y) for x, y in stroke] for stroke in strokes])
               for digit, strokes in STROKES.items()]
    assert field.n_read(SMALL) >= 9 and field.n_read(drawings=slanted) >= 9
    field.part("ready").select_option("a small 8")
    assert field.answer().startswith("8")
    field.part("centre").uncheck()
    assert not field.answer().startswith("8") and field.n_read(SMALL) < 5


@pytest.mark.skipif(not RECORDINGS.exists(), reason="the pen recordings are not there")
def test_what_people_wrote_with_a_pen(field):
    """Most are read right, small in a corner and large. Their points are from -0.5 to 0.5."""
    drawings = [(one["digit"], one["strokes"]) for one in json.loads(RECORDINGS.read_text())]
    n = sum(field.n_read((middle, middle, size), drawings[start::12])
            for start, middle, size in [(0, 245, 60), (6, 140, 220)])
    assert n >= 42   # of 50


def test_drawings_that_are_not_digits(field):
    """A digit's name is given all the same, and the bars show its probability."""
    full = [[(0, y), (100, y)] for y in range(0, 101, 4)]
    seventeen = [[(x / 3, y) for x, y in STROKES[1][0]], [(60 + x / 3, y) for x, y in STROKES[7][0]]]
    for strokes, place in [([[(50, 50)]], PLAIN), (full, (3, 3, 2.7)), (seventeen, PLAIN)]:
        field.part("clear").click()
        field.write(strokes, place)
        assert re.fullmatch(r"\d, (over 99|\d+) % sure", field.answer())
        assert sum(field.bars()[0]) == pytest.approx(1) and min(field.bars()[0]) >= 0


def test_the_page_computes_as_pytorch_does(field):
    """For the pixels that it shows, at several moments of the training, with one more unit off each time."""
    moments = [numbers for _, numbers, _ in moments_in(HTML)]
    assert len(moments) == 10
    for digit, strokes in STROKES.items():
        moment = 9 if digit % 2 else digit
        field.part("moment").fill(str(moment))
        field.part("clear").click()
        field.write(strokes, [PLAIN, SMALL][digit % 4 // 2])
        field.part("units button").nth(digit).click()
        x = field.pixels("seen")[..., 3].flatten().requires_grad_()
        w1, b1, w2, b2 = moments[moment]
        on = torch.arange(len(b1)) > digit
        logits = (x @ w1.reshape(-1, 784).T + b1).relu() * on @ w2.reshape(10, -1).T + b2
        chances = logits.softmax(dim=0)
        shown_chances, shown_logits = field.bars()
        assert shown_logits == pytest.approx(logits.tolist(), abs=1e-4)
        assert shown_chances == pytest.approx(chances.tolist(), abs=1e-9)
        best, second = logits.topk(2).indices.tolist()
        rounded = f"{'about ' * (moment < 9)}{100 * chances[best].item():.0f}"
        assert field.answer() == f"{best}, {'over 99' if chances[best] > 0.99 else rounded} % sure"
        lead = logits[best] - logits[second]
        lead.backward()
        ink = (x * x.grad).detach()   # what each pixel adds to the lead
        told = re.fullmatch(rf"Why {best} and not {second}: lead (\S+) = ink (\S+) \+ biases (\S+)",
                            field.part("lead").inner_text())
        expected = [lead.item(), ink.sum().item(), (lead - ink.sum()).item()]
        assert list(map(float, told.groups())) == pytest.approx(expected, abs=1e-4)
        red, _, blue, opacity = field.pixels("why").reshape(784, 4).T
        strength = ink / ink.abs().max()
        shown = torch.where(red > blue, opacity, -opacity)   # red for, blue against
        assert (shown - strength).abs().max() < 0.02


@pytest.mark.parametrize("place", [PLAIN, SMALL])
def test_it_is_drawn_as_mnist_was(field, place):
    """The longer side 20 pixels and the mass at 14.5, whatever the size."""
    field.write(STROKES[4], place)
    ink = field.pixels("seen")[..., 3]
    rows = (ink > 0.5).any(dim=1).nonzero().flatten()
    assert abs(len(rows) - 20) <= 1 and rows[-1] - rows[0] + 1 == len(rows)
    middles = [(ink.sum(dim=axis) @ torch.arange(0.5, 28).double() / ink.sum()).item() for axis in (0, 1)]
    assert middles == pytest.approx([14.5, 14.5], abs=0.1)


@pytest.mark.parametrize("style", ["width: 140px", "transform: scale(0.7)"])
def test_ink_lands_where_the_pen_is(field, style):
    """Also where the page makes the field smaller. The answer is spoken once the button is up."""
    canvas, mouse = field.part("canvas"), field.page.mouse
    canvas.evaluate("(canvas, style) => canvas.style = style", style)
    box = canvas.bounding_box()
    mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    for press, busy in [(mouse.down, "true"), (mouse.up, "false")]:
        press()
        assert field.part("answer").get_attribute("aria-busy") == busy
    place = field.pixels("canvas")[..., 3].nonzero().double().mean(dim=0)
    assert place.tolist() == pytest.approx([210, 70], abs=2)


@pytest.mark.parametrize("field", ["en phone"], indirect=True)
@pytest.mark.parametrize("palm_comes", [0, 3])
def test_a_palm_on_the_screen(field, palm_comes):
    """It lies there before the finger comes, or comes while it writes: the digit is read all the same."""
    box = field.part("canvas").bounding_box()
    palm = {"x": box["x"] + 250, "y": box["y"] + 260, "radiusX": 30, "radiusY": 40, "id": 0}
    if palm_comes == 0:
        field.touch("touchStart", [palm])
        field.touch("touchMove", [palm | {"x": palm["x"] + 4}])
    for i, (x, y) in enumerate([(15, 10), (40, 10), (82, 10), (70, 40), (55, 70), (40, 95)]):
        finger = {"x": box["x"] + 40 + 2 * x, "y": box["y"] + 20 + 2 * y, "id": 1}
        kind = "touchStart" if i in (0, palm_comes) else "touchMove"
        field.touch(kind, [palm, finger] if i >= palm_comes else [finger])
    field.touch("touchEnd", [])
    assert field.answer().startswith("7") and field.pixels("seen")[25, 25, 3] == 0


def test_buttons_and_keys(field):
    """Undo takes a stroke back. Another button of the mouse writes nothing. The keyboard reaches all."""
    field.write(STROKES[4][:1])
    before = field.answer(), field.bars()
    field.write(STROKES[4][1:])
    assert field.bars() != before[1]
    field.part("undo").click()
    assert (field.answer(), field.bars()) == before
    field.part("canvas").click(button="right")
    assert (field.answer(), field.bars()) == before
    field.part("clear").focus()
    for key in ("Tab", "Space", "Shift+Tab", "Enter"):
        field.page.keyboard.press(key)
    assert not field.part("centre").is_checked() and field.answer() == "Write a digit"
    names = {"button": "^(unit \\d+|Undo|Clear)$", "checkbox": "^scale and centre$", "progressbar": "^\\d ?$",
             "slider": "As it is now", "combobox": "Or take", "status": ""}
    counts = [field.page.get_by_role(role, name=re.compile(name)).count() for role, name in names.items()]
    assert counts == [34, 1, 10, 1, 1, 1]


@pytest.mark.parametrize("field", ["zh phone"], indirect=True)
def test_the_size_of_a_phone(field):
    """A finger doesn't move the page; answer and bars are in sight; what is to be touched is large enough."""
    before = field.page.evaluate("scrollY")
    field.write([[(50, 90), (50, 10)]])
    assert field.page.evaluate("scrollY") == before and field.answer()[0].isdigit()
    for part in [field.part("answer"), *field.part("sure progress").all()]:
        expect(part).to_be_in_viewport(ratio=1)
    for part in field.page.locator(".digit :is(button, select, label:has(input))").all():
        box = part.bounding_box()
        assert min(box["width"], box["height"]) >= 44


def test_two_fields_whose_scripts_stand_outside(chromium):
    """VS Code runs a copy of each script at the end of its output."""
    with chromium.new_page() as page:
        page.set_content(2 * HTML.replace("<script>", "</div><script>"))
        page.locator(".digit-canvas").nth(1).click()
        first, second = page.locator(".digit-answer").all_inner_texts()
        assert first == "Write a digit" and second[0].isdigit()
