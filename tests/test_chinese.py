"""The Chinese edition is complete, up to date, and the English one in all but its words.

Its figures: check_notebook.py.
Nothing is executed here: code, outputs and pictures are the English notebook's.
"""

import copy
import re
from collections import Counter

import nbformat
import polib
import pytest

import chinese
from chinese import built, missing, updated
from execute import files, page
from figures import COMMENT
from notebook_file import CHINESE, ROOT, read
from test_notebook_file import loaded
from texts import spans, texts, with_texts

GLOSSARY = ROOT / "zh" / "glossary.tsv"
CATALOGUE = chinese.load()
ENTRIES = {entry.msgctxt: entry for entry in CATALOGUE if not entry.obsolete}
HAN = "\u3400-\u9fff"
# What a translation keeps as it is, and how it is found.
KEPT = {"code": r"```.*?```", "names": r"(?<!`)`[^`\n]+`(?!`)", "formulas": r"\$\$.*?\$\$|\$[^$\n]+\$",
        "links": r"\]\(([^#)][^)]*)\)", "comments": r"<!--.*?-->", "expressions": r"(?<!\$)\{[^}]*\}",
        "folds and keys": r"</?\w+>", "headings": r"^#+ ", "list items": r"^- "}
# What is wrong in the words, and how it is found.
WRONG = {
    "half-width punctuation": rf"[{HAN}][,;:?!()]|[,;:?!()][{HAN}]|[{HAN}]\.(?!\w)",
    "no space": rf"[{HAN}][A-Za-z0-9]|[A-Za-z0-9%][{HAN}]",
    "a space too many": rf"[{HAN}] [{HAN}]|[\w*] [，。：；？！）]|[，。：；？！（] [\w]",
}
CODE = re.compile("|".join(KEPT[what] for what in ("code", "names", "formulas")), re.S)


def plain(text):
    """A text without code, formulas, addresses, comments and tags: an X where one stood in a sentence."""
    text = re.sub(r"\]\([^)]*\)", "]", COMMENT.sub("", CODE.sub("X", text)))
    return re.sub(r"</?\w+>", "", text)


def without_words(block):
    """A block of code without its comments and docstrings, which may be Chinese."""
    if block.startswith("```python"):
        code = block.removeprefix("```python\n").removesuffix("```")
        for start, end in reversed(spans(code)):
            code = code[:start] + code[end:]
        return code
    return block


def faults(english, chinese_text):
    """What is wrong with a translation, in words."""
    found = []
    for what, pattern in KEPT.items():
        counts = [Counter(map(without_words, re.findall(KEPT["code"], text, re.S))) if what == "code" else
                  Counter(re.findall(pattern, re.sub(KEPT["code"], "", text, flags=re.S), re.S | re.M))
                  for text in (english, chinese_text)]
        lost, added = counts[0] - counts[1], counts[1] - counts[0]
        if what == "names":   # a name may be said more or less often, and a path or a command be added
            lost, added = counts[0].keys() - counts[1].keys(), counts[1].keys() - counts[0].keys()
            added = {name for name in added if not re.search("[ /]", name)}
        if what in ("links", "list items"):   # reading in Chinese may stand beside the originals
            added = {each for each in added if what == "links" and not each.startswith("https://")}
        if lost or added:
            found.append(f"{what}: lost {[*lost]}, added {[*added]}")
    words = plain(chinese_text)
    for what, pattern in WRONG.items():
        found += [f"{what}: {match[0]}" for match in re.finditer(pattern, words)]
    # Titles, menus, links, and terms in brackets may be English.
    rest = re.sub(r"(?<!\*)\*[^*\n]+\*(?!\*)|\[[^\]\n]*\]|（[^）\n]*）", "", words)
    found += [f"English: {match[0]}" for match in re.finditer(r"(?:[A-Za-z]+[ ,]+){4,}[A-Za-z]+", rest)]
    return found


def glossary():
    """The glossary's lines: (English, Chinese, what must not stand for it, what else the field calls it)."""
    lines = GLOSSARY.read_text(encoding="utf-8").splitlines()
    return [(*line.split("\t"), "", "")[:4] for line in lines if line and not line.startswith("#")]


def test_every_text_has_its_chinese():
    assert missing(CATALOGUE) == []


def test_the_catalogue_is_of_this_notebook(stored):
    assert [(key, entry.msgid) for key, entry in ENTRIES.items()] == [*texts(stored).items()], "run make zh"


def test_the_notebook_is_built_from_it(stored):
    """Cell by cell, so that the one that differs is named; then the whole file."""
    fresh, there = nbformat.reads(built(stored, CATALOGUE), 4), read(CHINESE)
    assert [old.id for old, new in zip(there.cells, fresh.cells) if old != new] == [], "run make zh"
    assert CHINESE.read_text(encoding="utf-8") == built(stored, CATALOGUE), "run make zh"


def test_all_but_the_words_is_english(stored):
    """With English words, the Chinese notebook is the English one: code, outputs, metadata and ids."""
    english = {key: text for key, text in texts(stored).items() if not key.endswith("-caption")}
    back = with_texts(read(CHINESE), english)
    back.cells = [cell for cell in back.cells if not cell.id.endswith("-caption")]
    assert [cell.id for cell, english in zip(back.cells, stored.cells) if cell != english] == []
    assert back == stored


def test_each_picture_has_its_caption_below_it():
    cells = read(CHINESE).cells
    for cell, below in zip(cells, cells[1:]):
        if "alt" in cell.metadata:
            assert below.id == f"{cell.id}-caption" and below.source.startswith("**图**：")


@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry(key):
    assert faults(ENTRIES[key].msgid, ENTRIES[key].msgstr) == []


@pytest.mark.parametrize("english, text, fault", [
    ("It has `fit` and 5.", "里面有 `fit` 和 5。", None),
    ("A [link](https://a.org).", "一个[链接](https://a.org)。", None),
    ("A [link](https://a.org).", "一个链接。", "links: lost"),
    ("So $x^2$ it is.", "就是这样。", "formulas: lost"),
    ("So `x` it is.", "就是 `y`。", "names: lost"),
    ("```python\nx = 1\n```", "```python\nx = 2\n```", "code: lost"),
    ("```python\nx = 1   # one\n```", "```python\nx = 1   # 一\n```", None),
    ("96 %<!-- = a -->", "96%", "comments: lost"),
    ("<details><summary>Hint</summary></details>", "<details><summary>提示</summary>", "folds and keys: lost"),
    ("Yes, it is.", "是,就是它。", "half-width punctuation"),
    ("Yes (it is).", "是(就是它)。", "half-width punctuation"),
    ("Yes.", "是.", "half-width punctuation"),
    ("With 5 images.", "有5张图像。", "no space"),
    ("With 5 images.", "有 5 张 图像。", "a space too many"),
    ("So it is.", "就是 `x` ，没错。", "a space too many"),
    ("How do you do? Well.", "你好吗？How do you do, my friend?", "English"),
])
def test_faults_are_found(english, text, fault):
    found = " ".join(faults(english, text))
    assert found == "" if fault is None else fault in found


def test_terms_are_the_glossary_s():
    for english, term, others, named_once in glossary():
        found = [f"{key}: {other} ({english}: {term})" for other in filter(None, others.split("、"))
                 for key, entry in ENTRIES.items() if other in plain(entry.msgstr)]
        assert found == []
        parts = [part for part in re.split("[（）]", term) if part]
        assert any(part in entry.msgstr for part in parts for entry in ENTRIES.values()), f"no {term}"
        for other in filter(None, named_once.split("、")):   # but in titles of books
            where = [key for key, entry in ENTRIES.items()
                     if other in re.sub(r"\[[^]]*\]\(", "", entry.msgstr)]
            assert len(where) == 1, f"{other} ({english}: {term}) is to be named once, and stands in {where}"


def test_its_page(stored):
    """In its language, with a link to the English one and from there; it loads nothing from anywhere."""
    html = page(read(CHINESE), "zh")
    assert '<html lang="zh-CN">' in html and "<title>识别手写数字的神经网络</title>" in html
    to_english = 'href="04-feedforward-nn.html" hreflang="en" lang="en">English</a>'
    assert f'<a class="other-edition" {to_english}' in html
    assert 'href="04-feedforward-nn.zh.html" hreflang="zh" lang="zh">中文版</a>' in page(stored)
    assert loaded(html) == []
    address = "https://example.org/course/"
    published = page(read(CHINESE), "zh", address)
    assert f'<meta content="{address}04-feedforward-nn.zh.html" property="og:url"' in published
    description, = re.findall(r'<meta content="([^"]*)" name="description"', html)
    assert description.startswith("PyTorch 入门课程第四部分。") and ". " not in description


def test_make_run_writes_both_editions(stored):
    """The outputs of a run, and its code, with each edition's texts; papermill may have put settings in."""
    fresh = copy.deepcopy(stored)
    injected = {"tags": ["injected-parameters"]}
    settings = nbformat.v4.new_code_cell("data_root = 'data/stand-in'", metadata=injected)
    fresh.cells.insert(4, settings)
    fresh.cells[-2].outputs = [nbformat.v4.new_output("stream", text="a fresh run\n")]
    written = files(fresh)
    assert [path.name for path in written] == ["04-feedforward-nn.ipynb", "04-feedforward-nn.html",
                                               "04-feedforward-nn.zh.ipynb", "04-feedforward-nn.zh.html"]
    english, _, chinese_run, html = written.values()
    assert nbformat.reads(english, 4) == fresh and "a fresh run" in html and "识别手写数字的神经网络" in html
    cells = nbformat.reads(chinese_run, 4).cells
    assert cells.pop(4).source == settings.source
    for cell, expected in zip(cells, read(CHINESE).cells, strict=True):
        assert (cell.source, cell.metadata) == (expected.source, expected.metadata)


# The catalogue follows the English notebook

@pytest.fixture
def small():
    """A notebook of two texts, and its catalogue, complete."""
    both = [("a", "One.", "一。"), ("b", "Two.", "二。")]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text, id=id) for id, text, _ in both])
    catalogue = polib.POFile(wrapwidth=0)
    catalogue.metadata = {"Language": "zh_CN"}
    catalogue.extend(polib.POEntry(msgctxt=id, msgid=text, msgstr=zh) for id, text, zh in both)
    return nb, catalogue


def test_nothing_changes_if_nothing_changed(small, stored):
    nb, catalogue = small
    before = str(catalogue)
    assert str(updated(catalogue, texts(nb))) == before
    assert missing(catalogue) == [] and "一。" in built(nb, catalogue)
    whole = f"{updated(chinese.load(), texts(stored))}\n"
    assert whole == chinese.CATALOGUE.read_text(encoding="utf-8"), "run make zh"


def test_a_changed_text_is_marked_and_keeps_its_old_english(small):
    nb, catalogue = small
    nb.cells[0].source = "One!"
    changed = updated(catalogue, texts(nb))
    assert missing(changed) == ["a (fuzzy)"]
    assert changed[0].previous_msgid == "One." and changed[0].msgstr == "一。"
    nb.cells[0].source = "One?!"
    assert updated(changed, texts(nb))[0].previous_msgid == "One."


def test_a_new_text_is_missed_and_a_lost_one_is_kept_aside(small):
    nb, catalogue = small
    nb.cells[0].id = "c"
    changed = updated(catalogue, texts(nb))
    assert missing(changed) == ["c (missing)"]
    assert [entry.msgctxt for entry in changed if entry.obsolete] == ["a"]
    assert "一。" not in built(nb, changed) and "One." in built(nb, changed)
    nb.cells[0].id = "a"
    assert missing(updated(changed, texts(nb))) == ["a (fuzzy)"]


@pytest.mark.parametrize("spoil, said", [
    (lambda text: text + '\nmsgctxt "title"\nmsgid "a"\nmsgstr "b"\n', "two entries for title"),
    (lambda text: text.encode("gb18030"), "in UTF-8"), (lambda text: "<<<<<<< HEAD\n" + text, "catalogue"),
    (lambda text: None, "catalogue")])
def test_a_spoilt_catalogue_is_said(tmp_path, monkeypatch, spoil, said):
    """And not written over."""
    path = tmp_path / "a.po"
    spoilt = spoil(chinese.CATALOGUE.read_text(encoding="utf-8"))
    if spoilt is not None:
        path.write_bytes(spoilt if isinstance(spoilt, bytes) else spoilt.encode("utf-8"))
    monkeypatch.setattr(chinese, "CATALOGUE", path)
    with pytest.raises(SystemExit, match=said):
        chinese.main()
    assert path.exists() == (spoilt is not None)


def test_a_live_entry_stands_above_an_obsolete_one():
    catalogue = polib.POFile()
    catalogue.append(polib.POEntry(msgctxt="a", msgid="x", msgstr="live"))
    catalogue.append(polib.POEntry(msgctxt="a", msgid="y", msgstr="dead", obsolete=True))
    assert [entry.msgstr for entry in updated(catalogue, {"a": "x"})] == ["live"]
