"""The field to write a digit in, in the page that `make run` writes: no kernel, no network, mouse and finger."""

import json
import re

import pytest
import torch

from cells import BUILD, ROOT, code_cells
from execute import page
from handwriting import (
    PLAIN, SLANTED, SMALL, STROKES, WRITE, answer, logits, moments_in, n_read, seen, with_finger, with_mouse)

pytestmark = pytest.mark.timeout(600)
RECORDINGS = ROOT.parent / "shared" / "pen" / "recordings.json"


@pytest.fixture(scope="module")
def written(tmp_path_factory, stored):
    """The stored notebook as a page."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page(stored), encoding="utf-8")
    return path


@pytest.fixture
def html(stored):
    """The output of the cell `draw`."""
    return next(cell.outputs[0].data["text/html"] for cell in code_cells(stored) if cell.id == "draw")


@pytest.fixture(params=["desktop", "phone"])
def opened(request, chromium, written):
    """The page without a network, and whatever else it asks for refused; (page, how to write)."""
    phone = request.param == "phone"
    context = chromium.new_context(offline=True, has_touch=phone, is_mobile=phone, color_scheme="dark" if phone else "light",
                                   viewport={"width": 390, "height": 664} if phone else {"width": 1280, "height": 900})
    asked, faults = [], []
    context.route(re.compile("^(?!file:|data:)"), lambda route: (asked.append(route.request.url), route.abort()))
    opened = context.new_page()
    opened.on("pageerror", lambda fault: faults.append(fault))
    opened.goto(written.as_uri())
    opened.locator(".digit-canvas").evaluate("field => field.scrollIntoView()")
    yield opened, with_finger if phone else with_mouse
    assert asked == [] and faults == []
    context.close()


desktop = pytest.mark.parametrize("opened", ["desktop"], indirect=True)
phone = pytest.mark.parametrize("opened", ["phone"], indirect=True)


def probabilities(opened):
    return opened.eval_on_selector_all(".digit progress", "bars => bars.map(bar => bar.value)")


def test_ten_digits(opened):
    opened, write = opened
    assert answer(opened) == "Write a digit"
    assert n_read(opened, write, PLAIN) >= 9
    BUILD.mkdir(exist_ok=True)
    opened.locator(".digit").screenshot(path=BUILD / f"digit-{'phone' if write is with_finger else 'desktop'}.png")
    opened.locator(".digit-clear").click()
    assert answer(opened) == "Write a digit" and probabilities(opened) == [0] * 10


@desktop
def test_small_and_slanted_digits(opened):
    """Read right as they are prepared; without the preparation most small ones aren't, for the pixels mean places."""
    opened, write = opened
    assert n_read(opened, write, SMALL) >= 9 and n_read(opened, write, SLANTED) >= 9
    opened.locator(".digit-centre").uncheck()
    assert n_read(opened, write, SMALL) < 5


@desktop
@pytest.mark.skipif(not RECORDINGS.exists(), reason="the pen recordings are not there")
def test_what_people_wrote_with_a_pen(opened):
    """However large and wherever: of each size a third of the recordings, and of those in a corner all."""
    opened, _ = opened
    recordings = json.loads(RECORDINGS.read_text())

    def right(some, size, left, top):
        return sum(opened.evaluate(WRITE, [[[left + size * (x + 0.5), top + size * (y + 0.5)] for x, y in stroke]
                                           for stroke in one["strokes"]]).startswith(str(one["digit"]))
                   for one in some) / len(some)

    assert right(recordings, 60, 215, 215) >= 0.85
    third = recordings[::3]
    in_a_corner = right(third, 60, 5, 5)
    for size in (100, 180, 220):
        assert right(third, size, 140 - size / 2, 140 - size / 2) == pytest.approx(in_a_corner, abs=0.02)


@pytest.mark.parametrize("strokes, place", [
    ([[(50, 50)]], PLAIN),                                                              # a dot
    ([[(0, y), (100, y)] for y in range(0, 101, 4)], (3, 3, 2.7, 0)),                  # full of ink
    ([[(x / 3, y) for x, y in STROKES[1][0]], [(60 + x / 3, y) for x, y in STROKES[7][0]]], PLAIN)])
def test_what_is_no_digit(opened, strokes, place):
    """A digit's name is given all the same, and the bars show what they show."""
    opened, write = opened
    write(opened, strokes, *place)
    assert re.fullmatch(r"\d, (over 99|\d+) % sure", answer(opened))
    assert sum(probabilities(opened)) == pytest.approx(1) and min(probabilities(opened)) >= 0


@phone
def test_the_finger_does_not_move_the_page(opened):
    opened, write = opened
    before = opened.evaluate("scrollY")
    write(opened, [[(50, 90), (50, 10)]], *PLAIN)
    assert opened.evaluate("scrollY") == before and answer(opened)[0].isdigit()


def test_without_a_mouse(opened):
    """The switch and the button are reached by the keyboard and have names; the answer is announced."""
    opened, write = opened
    write(opened, STROKES[7], *PLAIN)
    opened.locator(".digit-clear").focus()
    opened.keyboard.press("Tab")
    opened.keyboard.press("Space")
    assert not opened.locator(".digit-centre").is_checked()
    opened.keyboard.press("Shift+Tab")
    opened.keyboard.press("Enter")
    assert answer(opened) == "Write a digit"
    assert opened.get_by_role("button", name="Clear").count() == 1
    assert opened.get_by_role("checkbox", name="scale and centre").count() == 1
    assert opened.get_by_role("status").and_(opened.locator(".digit-answer")).count() == 1
    assert opened.get_by_role("progressbar").count() == 10
    assert opened.get_by_role("button", name=re.compile("^(unit \\d+|Undo|Clear)$")).count() == 34
    assert opened.get_by_role("slider").count() == opened.get_by_role("combobox").count() == 1


@desktop
def test_the_page_reckons_as_pytorch_does(opened, html):
    """Of the pixels that it shows: logits, probabilities, and what ink and biases add to the lead; with units off as well."""
    opened, write = opened
    moments = [numbers for _, numbers, _ in moments_in(html)]
    assert len(moments) == 10
    units = opened.locator(".digit-units button")
    for digit, strokes in STROKES.items():
        moment = 9 if digit % 2 else digit
        opened.locator(".digit-moment").fill(str(moment))
        opened.locator(".digit-clear").click()
        write(opened, strokes, *[PLAIN, SLANTED, SMALL][digit % 3])
        units.nth(digit).click()   # off, one more each time
        x = (torch.tensor(seen(opened), dtype=torch.float64) / 255).requires_grad_()
        w1, b1, w2, b2 = moments[moment]
        w1, w2 = w1.reshape(-1, 784), w2.reshape(10, -1)
        on = torch.arange(len(b1)) > digit
        expected = (x @ w1.T + b1).relu() * on @ w2.T + b2
        assert logits(opened) == pytest.approx(expected.tolist(), abs=1e-4)
        chances = expected.softmax(dim=0)
        assert probabilities(opened) == pytest.approx(chances.tolist(), abs=1e-9)
        best, second = expected.topk(2).indices.tolist()
        sure = "over 99" if chances[best] > 0.99 else f"{'about ' if moment < 9 else ''}{100 * chances[best].item():.0f}"
        assert answer(opened) == f"{best}, {sure} % sure"
        lead = expected[best] - expected[second]
        lead.backward()
        ink = (x * x.grad).sum().item()
        told = re.fullmatch(rf"Why {best} and not {second}: lead (\S+) = ink (\S+) \+ biases (\S+)",
                            opened.locator(".digit-lead").inner_text())
        assert list(map(float, told.groups())) == pytest.approx([lead.item(), ink, lead.item() - ink], abs=1e-4)
        why = opened.evaluate("""() => [...document.querySelector('.digit-why').getContext('2d')
          .getImageData(0, 0, 28, 28).data]""")
        parts = torch.tensor(why).reshape(784, 4)
        strong = (x * x.grad).detach()
        strong = strong / strong.abs().max()
        assert ((parts[:, 3] / 255 - strong.abs()).abs() < 0.01).all()
        assert ((parts[:, 0] > parts[:, 2]) == (strong > 0))[strong.abs() > 0.1].all()   # red for, blue against
    assert opened.locator(".digit-units [aria-pressed=true]").count() == 10


@desktop
def test_it_is_drawn_as_mnist_was(opened):
    """The longer side 20 pixels and the mass at 14.5, whatever the size; unticked, a tenth of the field."""
    opened, write = opened
    for tick in (True, False):
        for place in (PLAIN, SMALL):
            opened.locator(".digit-centre").set_checked(tick)
            opened.locator(".digit-clear").click()
            write(opened, STROKES[4], *place)
            ink = torch.tensor(seen(opened)).reshape(28, 28) / 255
            rows = (ink > 0.5).any(dim=1).nonzero().flatten()
            left, top, scale, _ = place
            expected = 20 if tick else 0.1 * 90 * scale + 2.2   # the 4 is 90 high
            assert abs(len(rows) - expected) <= 1 and rows[-1] - rows[0] + 1 == len(rows)
            if tick:
                places = torch.arange(28) + 0.5
                assert (ink.sum(dim=1) @ places / ink.sum()).item() == pytest.approx(14.5, abs=0.1)
                assert (ink.sum(dim=0) @ places / ink.sum()).item() == pytest.approx(14.5, abs=0.1)


@desktop
def test_undo_takes_a_stroke_back(opened):
    opened, write = opened
    write(opened, STROKES[4][:1], *PLAIN)
    before = answer(opened), probabilities(opened)
    write(opened, STROKES[4][1:], *PLAIN)
    assert probabilities(opened) != before[1]
    opened.locator(".digit-undo").click()
    assert (answer(opened), probabilities(opened)) == before
    opened.locator(".digit-undo").click()
    opened.locator(".digit-undo").click()
    assert answer(opened) == "Write a digit"


@desktop
@pytest.mark.parametrize("style", ["width: 140px", "transform: scale(0.7)", "zoom: 1.3"])
def test_ink_lands_where_the_pen_is(opened, style):
    """Also where the page makes the field smaller or larger."""
    opened, _ = opened
    field = opened.locator(".digit-canvas")
    field.evaluate("(field, style) => field.style = style", style)
    box = field.bounding_box()
    opened.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    opened.mouse.down()
    opened.mouse.up()
    ink = field.evaluate("field => [...field.getContext('2d').getImageData(0, 0, 280, 280).data].filter((_, k) => k % 4 === 3)")
    place = torch.tensor(ink).reshape(280, 280).nonzero().double().mean(dim=0)
    assert place.tolist() == pytest.approx([210, 70], abs=2)


@phone
def test_a_palm_on_the_screen(opened):
    """It lies there before the finger comes, or comes while it writes: the digit is read all the same."""
    opened, _ = opened
    session, box = opened.context.new_cdp_session(opened), opened.locator(".digit-canvas").bounding_box()
    palm = {"x": box["x"] + 250, "y": box["y"] + 260, "radiusX": 30, "radiusY": 40, "id": 0}

    def touch(kind, *points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    stroke = [{"x": box["x"] + 40 + 2 * x, "y": box["y"] + 20 + 2 * y, "id": 1} for x, y in
              [(15, 10), (40, 10), (82, 10), (70, 40), (55, 70), (40, 95)]]
    for first in (True, False):
        opened.locator(".digit-clear").tap()
        if first:
            touch("touchStart", palm)
            touch("touchMove", palm | {"x": palm["x"] + 4})
        touch("touchStart", *[palm] * first, stroke[0])
        for i, point in enumerate(stroke[1:]):
            lying = [palm] if first or i > 2 else []
            touch("touchStart" if lying and not first and i == 3 else "touchMove", *lying, point)
        touch("touchEnd")
        assert answer(opened).startswith("7"), first
        assert opened.evaluate("document.querySelector('.digit-seen').getContext('2d').getImageData(25, 25, 1, 1).data[3]") == 0


@phone
def test_answer_and_bars_are_in_sight_and_buttons_large_enough(opened):
    opened, write = opened
    opened.locator(".digit-canvas").evaluate("field => field.scrollIntoView()")
    write(opened, STROKES[3], *PLAIN)
    height = opened.viewport_size["height"]
    for part in [opened.locator(".digit-answer"), *opened.locator(".digit progress").all()]:
        box = part.bounding_box()
        assert 0 <= box["y"] and box["y"] + box["height"] <= height
    for button in opened.locator(".digit :is(button, select, label:has(input))").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 44


@desktop
def test_the_answer_is_spoken_once_the_pen_rests(opened):
    opened, _ = opened
    box, output = opened.locator(".digit-canvas").bounding_box(), opened.locator(".digit-answer")
    opened.mouse.move(box["x"] + 90, box["y"] + 90)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 150, box["y"] + 190)
    assert output.get_attribute("aria-busy") == "true" and answer(opened)[0].isdigit()
    opened.mouse.up()
    assert output.get_attribute("aria-busy") == "false"


@desktop
def test_ready_digits_for_those_who_have_no_pen(opened):
    """By the keyboard alone; a plain 7 is read as one, and a small 8 only if it is scaled and centred."""
    opened, _ = opened
    ready = opened.locator(".digit-ready")
    names = [" ".join(name.split()) for name in ready.locator("option").all_inner_texts()]
    answers = {}
    for tick in (True, False):
        opened.locator(".digit-centre").set_checked(tick)
        for i, name in enumerate(names):
            ready.select_option(index=i)
            answers[name, tick] = answer(opened)
    assert answers["a 7", True].startswith("7") and answers["a small 8", True].startswith("8")
    assert not answers["a small 8", False].startswith("8")
    assert answers["a ready digit", True] == "Write a digit" and len(set(answers.values())) > 5


@pytest.mark.parametrize("to", ["output", "document.head"])
def test_two_fields_whose_scripts_are_moved(chromium, html, to):
    """VS Code runs a copy of each script, which it puts at the end of the output, and nbclassic one in the page's head;
    two fields don't disturb each other."""
    page = chromium.new_page()
    faults = []
    page.on("pageerror", lambda fault: faults.append(fault))
    page.evaluate("""html => {
      for (let i = 0; i < 2; i++) {
        const output = document.body.appendChild(document.createElement('div'));
        output.innerHTML = html;
        for (const script of output.querySelectorAll('script')) {
          const copy = document.createElement('script');
          copy.textContent = script.textContent;
          TO.append(copy);
        }
      }
    }""".replace("TO", to), html)
    assert faults == [] and page.locator(".digit-answer").all_inner_texts() == ["Write a digit"] * 2
    page.locator(".digit-canvas").nth(1).click()
    first, second = page.locator(".digit-answer").all_inner_texts()
    assert first == "Write a digit" and second[0].isdigit()
    page.close()


@desktop
def test_only_the_first_button_writes(opened):
    opened, write = opened
    opened.locator(".digit-canvas").click(button="right")
    opened.locator(".digit-canvas").click(button="middle")
    assert answer(opened) == "Write a digit"


def test_where_scripts_do_not_run(chromium, written):
    """A still picture of a drawing and its answer stand there, and the sentence that running the cell makes it live."""
    context = chromium.new_context(java_script_enabled=False, offline=True)
    still = context.new_page()
    still.goto(written.as_uri())
    text = still.locator(".digit").inner_text()
    assert "once this cell has run" in text and "it is read as a 7" in text and still.locator(".digit canvas").count() == 0
    picture = still.locator(".digit img")
    assert picture.get_attribute("alt") and picture.bounding_box()["width"] == 112
    context.close()
