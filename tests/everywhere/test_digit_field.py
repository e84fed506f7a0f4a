"""The field to write a digit in, in the page that `make run` writes, by mouse and finger."""

import json
import re

import pytest
import torch

from execute import page
from handwriting import PLAIN, SLANTED, SMALL, STROKES, Field, moments_in
from notebook_file import CHINESE, ROOT, code_cells, read

pytestmark = pytest.mark.timeout(600)
RECORDINGS = ROOT.parent / "shared" / "pen" / "recordings.json"
HTML = next(cell.outputs[0].data["text/html"] for cell in code_cells(read()) if cell.id == "draw")
PHONE = {"viewport": {"width": 390, "height": 664}, "has_touch": True, "is_mobile": True,
         "color_scheme": "dark"}


@pytest.fixture(scope="module")
def address(tmp_path_factory, stored):
    """Of the stored notebook as a page."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page(stored), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(params=["desktop", "phone"])
def field(request, chromium, address):
    """The field in the page without a network; the page asks for nothing, and no script fails."""
    phone, troubles = request.param == "phone", []
    with chromium.new_context(offline=True, **(PHONE if phone else {})) as context:
        context.on("request", lambda it: it.url.startswith(("file:", "data:")) or troubles.append(it.url))
        context.on("weberror", lambda fault: troubles.append(fault.error))
        field = Field(context.new_page(), finger=phone)
        field.page.goto(address)
        field.part("canvas").evaluate("canvas => canvas.scrollIntoView()")
        yield field
    assert troubles == []


on_a_desktop = pytest.mark.parametrize("field", ["desktop"], indirect=True)
on_a_phone = pytest.mark.parametrize("field", ["phone"], indirect=True)


def test_ten_digits(field):
    assert field.answer() == "Write a digit"
    assert field.share_read() >= 0.9
    field.clear()
    assert field.answer() == "Write a digit" and field.bars()[0] == [0] * 10


def test_in_chinese(chromium, tmp_path):
    """On a phone, where the page is no wider than the screen."""
    (tmp_path / "page.html").write_text(page(read(CHINESE), "zh"), encoding="utf-8")
    with chromium.new_context(offline=True, **PHONE) as context:
        field = Field(context.new_page(), finger=True)
        field.page.goto((tmp_path / "page.html").as_uri())
        assert field.page.evaluate("document.documentElement.scrollWidth") == 390
        field.part("canvas").evaluate("canvas => canvas.scrollIntoView()")
        assert field.answer() == "写一个数字" and field.share_read() >= 0.9
        field.part("moment").press("Home")
        assert "约" in field.answer() and field.part("step").inner_text().startswith("0 步")


@on_a_desktop
def test_small_and_slanted_digits(field):
    """Read right as they are prepared; unprepared, most small ones aren't, for the pixels mean places."""
    assert field.share_read(place=SMALL) >= 0.9 and field.share_read(place=SLANTED) >= 0.9
    field.part("centre").uncheck()
    assert field.share_read(place=SMALL) < 0.5


@on_a_desktop
@pytest.mark.skipif(not RECORDINGS.exists(), reason="the pen recordings are not there")
def test_what_people_wrote_with_a_pen(field):
    """Most are read right in a corner, and of a third of them as many in other places and sizes."""
    recordings = json.loads(RECORDINGS.read_text())

    def share_read(recordings, *place):
        """All in one call, for there are 28,000 points."""
        return field.page.evaluate("""([recordings, left, top, size]) => {
          const canvas = document.querySelector('.digit-canvas'), box = canvas.getBoundingClientRect();
          canvas.setPointerCapture = () => {};   // there is no such pointer
          const send = (kind, [x, y]) => canvas.dispatchEvent(new PointerEvent(kind, {pointerId: 1,
            clientX: box.left + left + size * (x + 0.5), clientY: box.top + top + size * (y + 0.5)}));
          return recordings.filter(({digit, strokes}) => {
            document.querySelector('.digit-clear').click();
            for (const stroke of strokes) {
              stroke.forEach((point, i) => send(i ? 'pointermove' : 'pointerdown', point));
              send('pointerup', stroke.at(-1));
            }
            return document.querySelector('.digit-answer').value.startsWith(digit);
          }).length;
        }""", [recordings, *place]) / len(recordings)

    assert share_read(recordings, 215, 215, 60) >= 0.85
    third = recordings[::3]
    in_a_corner = share_read(third, 5, 5, 60)
    for size in (100, 180, 220):
        assert share_read(third, 140 - size / 2, 140 - size / 2, size) == pytest.approx(in_a_corner, abs=0.02)


@pytest.mark.parametrize("strokes, place", [
    ([[(50, 50)]], PLAIN),
    ([[(0, y), (100, y)] for y in range(0, 101, 4)], (3, 3, 2.7, 0)),
    ([[(x / 3, y) for x, y in STROKES[1][0]], [(60 + x / 3, y) for x, y in STROKES[7][0]]], PLAIN),
], ids=["a dot", "full of ink", "two digits"])
def test_drawings_that_are_not_digits(field, strokes, place):
    """A digit's name is given all the same, and the bars show its probability."""
    field.write(strokes, place)
    assert re.fullmatch(r"\d, (over 99|\d+) % sure", field.answer())
    assert sum(field.bars()[0]) == pytest.approx(1) and min(field.bars()[0]) >= 0


@on_a_desktop
def test_the_page_computes_as_pytorch_does(field):
    """For the pixels that it shows, at several moments of the training, with one more unit off each time."""
    moments = [numbers for _, numbers, _ in moments_in(HTML)]
    assert len(moments) == 10
    for digit, strokes in STROKES.items():
        moment = 9 if digit % 2 else digit
        field.part("moment").fill(str(moment))
        field.clear()
        field.write(strokes, [PLAIN, SLANTED, SMALL][digit % 3])
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
        assert ((opacity - strength.abs()).abs() < 0.01).all()
        assert ((red > blue) == (strength > 0))[strength.abs() > 0.1].all()   # red for, blue against
    assert field.part("units [aria-pressed=true]").count() == 10


@on_a_desktop
@pytest.mark.parametrize("place", [PLAIN, SMALL])
@pytest.mark.parametrize("centred", [True, False])
def test_it_is_drawn_as_mnist_was(field, place, centred):
    """The longer side 20 pixels and the mass at 14.5, whatever the size; unprepared, a tenth of the field."""
    field.part("centre").set_checked(centred)
    field.write(STROKES[4], place)
    ink = field.pixels("seen")[..., 3]
    rows = (ink > 0.5).any(dim=1).nonzero().flatten()
    height = 20 if centred else 0.1 * 90 * place[2] + 2.2   # the 4 is 90 high
    assert abs(len(rows) - height) <= 1 and rows[-1] - rows[0] + 1 == len(rows)
    middles = [(ink.sum(dim=axis) @ torch.arange(0.5, 28).double() / ink.sum()).item() for axis in (0, 1)]
    assert not centred or middles == pytest.approx([14.5, 14.5], abs=0.1)


@on_a_desktop
@pytest.mark.parametrize("style", ["width: 140px", "transform: scale(0.7)", "zoom: 1.3"])
def test_ink_lands_where_the_pen_is(field, style):
    """Also where the page makes the field smaller or larger."""
    canvas = field.part("canvas")
    canvas.evaluate("(canvas, style) => canvas.style = style", style)
    box = canvas.bounding_box()
    field.page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    place = field.pixels("canvas")[..., 3].nonzero().double().mean(dim=0)
    assert place.tolist() == pytest.approx([210, 70], abs=2)


@on_a_desktop
def test_undo_takes_a_stroke_back(field):
    field.write(STROKES[4][:1])
    before = field.answer(), field.bars()
    field.write(STROKES[4][1:])
    assert field.bars() != before[1]
    field.part("undo").click()
    assert (field.answer(), field.bars()) == before
    field.part("undo").click()
    field.part("undo").click()
    assert field.answer() == "Write a digit"


@on_a_desktop
def test_a_mouse_button_that_is_down(field):
    """Only the first one writes, and the answer is spoken once it is up."""
    answer = field.part("answer")
    field.part("canvas").click(button="right")
    field.part("canvas").click(button="middle")
    assert field.answer() == "Write a digit"
    field.page.mouse.down()
    assert answer.get_attribute("aria-busy") == "true" and field.answer()[0].isdigit()
    field.page.mouse.up()
    assert answer.get_attribute("aria-busy") == "false"


def test_without_a_mouse(field):
    """The switch and the buttons are reached by the keyboard and have names; the answer is announced."""
    field.write(STROKES[7])
    field.part("clear").focus()
    for key in ("Tab", "Space", "Shift+Tab", "Enter"):
        field.page.keyboard.press(key)
    assert not field.part("centre").is_checked() and field.answer() == "Write a digit"
    assert field.page.get_by_role("status").and_(field.part("answer")).count() == 1
    names = {"button": "^(unit \\d+|Undo|Clear)$", "checkbox": "^scale and centre$", "progressbar": "^\\d ?$",
             "slider": "As it is now", "combobox": "Or take"}
    counts = [field.page.get_by_role(role, name=re.compile(name)).count() for role, name in names.items()]
    assert counts == [34, 1, 10, 1, 1]


@on_a_desktop
def test_ready_digits_for_those_who_have_no_pen(field):
    """A plain 7 is read as one, and a small 8 only if it is scaled and centred."""
    answers = {}
    for centred in (True, False):
        field.part("centre").set_checked(centred)
        for i, name in enumerate(field.part("ready option").all_inner_texts()):
            field.part("ready").select_option(index=i)
            answers[" ".join(name.split()), centred] = field.answer()
    assert answers["a 7", True].startswith("7") and answers["a small 8", True].startswith("8")
    assert not answers["a small 8", False].startswith("8")
    assert answers["a ready digit", True] == "Write a digit" and len(set(answers.values())) > 5


@on_a_phone
def test_the_size_of_a_phone(field):
    """A finger doesn't move the page; answer and bars are in sight; what is to be touched is large enough."""
    before = field.page.evaluate("scrollY")
    field.write([[(50, 90), (50, 10)]])
    assert field.page.evaluate("scrollY") == before and field.answer()[0].isdigit()
    for part in [field.part("answer"), *field.part("sure progress").all()]:
        box = part.bounding_box()
        assert 0 <= box["y"] and box["y"] + box["height"] <= PHONE["viewport"]["height"]
    for part in field.page.locator(".digit :is(button, select, label:has(input))").all():
        box = part.bounding_box()
        assert min(box["width"], box["height"]) >= 44


@on_a_phone
@pytest.mark.parametrize("palm_comes", [0, 3])
def test_a_palm_on_the_screen(field, palm_comes):
    """It lies there before the finger comes, or comes while it writes: the digit is read all the same."""
    seven = [(15, 10), (40, 10), (82, 10), (70, 40), (55, 70), (40, 95)]
    finger = [{"x": x, "y": y, "id": 1} for x, y in field.points(seven, 40, 20, 2, 0)]
    (x, y), = field.points([(250, 260)], 0, 0, 1, 0)
    palm = {"x": x, "y": y, "radiusX": 30, "radiusY": 40, "id": 0}
    if palm_comes == 0:
        field.touch("touchStart", palm)
        field.touch("touchMove", palm | {"x": x + 4})
    for i, point in enumerate(finger):
        field.touch("touchStart" if i in (0, palm_comes) else "touchMove", *[palm] * (i >= palm_comes), point)
    field.touch("touchEnd")
    assert field.answer().startswith("7") and field.pixels("seen")[25, 25, 3] == 0


@pytest.mark.parametrize("to", ["output", "document.head"])
def test_two_fields_whose_scripts_are_moved(chromium, to):
    """VS Code runs a copy of the script at the output's end, nbclassic one in the head."""
    with chromium.new_page() as page:
        for _ in range(2):
            page.evaluate("""html => {
              const output = document.body.appendChild(document.createElement('div'));
              output.innerHTML = html;
              const copy = document.createElement('script');
              copy.textContent = output.querySelector('script').textContent;
              TO.append(copy);
            }""".replace("TO", to), HTML)
        assert page.locator(".digit-answer").all_inner_texts() == ["Write a digit"] * 2
        page.locator(".digit-canvas").nth(1).click()
        first, second = page.locator(".digit-answer").all_inner_texts()
        assert first == "Write a digit" and second[0].isdigit()


def test_where_scripts_do_not_run(chromium, address):
    """A still picture of a drawing and how it is read, and what stands there elsewhere."""
    with chromium.new_context(java_script_enabled=False, offline=True) as context:
        page = context.new_page()
        page.goto(address)
        text = page.locator(".digit").inner_text()
        assert "Where scripts run" in text and "it reads as 7 /" in text
        assert page.locator(".digit canvas").count() == 0
        picture = page.locator(".digit img")
        assert picture.get_attribute("alt") and picture.bounding_box()["width"] == 112
