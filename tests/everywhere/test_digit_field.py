"""The field to write a digit in, in the page that `make run` writes: no kernel, no network, mouse and finger."""

import base64
import re

import pytest
import torch

from cells import BUILD, code_cells
from execute import page
from handwriting import LOGITS, PLAIN, SLANTED, SMALL, STROKES, answer, n_read, with_finger, with_mouse

pytestmark = pytest.mark.timeout(600)


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
                                   viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 900})
    asked, faults = [], []
    context.route(re.compile("^(?!file:|data:)"), lambda route: (asked.append(route.request.url), route.abort()))
    opened = context.new_page()
    opened.on("pageerror", lambda fault: faults.append(fault))
    opened.goto(written.as_uri())
    opened.locator(".digit-clear").scroll_into_view_if_needed()
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


@pytest.mark.parametrize("strokes, place", [
    ([[(50, 50)]], PLAIN),                                                              # a dot
    ([[(0, y), (100, y)] for y in range(0, 101, 4)], (0, 0, 2.8, 0)),                   # full of ink
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


@desktop
def test_what_the_network_sees_is_what_python_prepares(opened, functions):
    """Pixel by pixel, for each digit."""
    opened, write = opened
    for strokes in STROKES.values():
        opened.locator(".digit-clear").click()
        write(opened, strokes, *SLANTED)
        ink, seen = opened.evaluate("""() => ['.digit-canvas', '.digit-seen'].map(name => {
          const canvas = document.querySelector(name);
          const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          return [...data].filter((_, k) => k % 4 === (canvas.width === 28 ? 3 : 0));
        })""")
        prepared = functions["prepare_digit"](torch.tensor(ink).reshape(280, 280) / 255)
        assert torch.allclose(torch.tensor(seen).reshape(28, 28) / 255, prepared, atol=0.6 / 255)


@desktop
@pytest.mark.mnist
def test_the_page_reckons_as_pytorch_does(opened, functions, html):
    """On the first hundred validation images, with the weights that the page holds."""
    opened, _ = opened
    torch.manual_seed(1)
    _, val_indices = functions["split_indices"](60_000, 0.2)
    images = functions["load_mnist"]("data").data[val_indices[:100]]
    w1, b1, w2, b2 = [torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.int32) / 2**16
                      for text in re.findall(r"'([\w+/=]{40,})'", html)]
    w1, w2 = w1.reshape(-1, 784), w2.reshape(10, -1)
    logits = (images.flatten(1) / 255 @ w1.T + b1).relu() @ w2.T + b2
    found = torch.tensor(opened.evaluate(LOGITS, images.flatten(1).tolist()))
    assert (found - logits).abs().max() < 1e-4 and found.argmax(dim=1).unique().numel() == 10
    chances = logits[-1].softmax(dim=0)   # of the image that is there now
    assert torch.allclose(torch.tensor(probabilities(opened)), chances, rtol=0, atol=1e-4)
    sure = "over 99" if chances.max() > 0.99 else round(100 * chances.max().item())
    assert answer(opened) == f"{chances.argmax()}, {sure} % sure"


def test_two_fields_whose_scripts_are_moved(chromium, html):
    """VS Code runs a copy of each script, which it puts at the end of the output; two fields don't disturb each other."""
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
          output.append(copy);
        }
      }
    }""", html)
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
    assert "Run this cell" in text and "it is read as a 7" in text and still.locator(".digit canvas").count() == 0
    picture = still.locator(".digit img")
    assert picture.get_attribute("alt") and picture.bounding_box()["width"] == 112
    context.close()
