"""The Chinese edition is complete, up to date, and the English one in all but its words."""

import contextlib
import re
from collections import Counter

import nbformat
import polib
import pytest

import chinese
from chinese import missing, update
from execute import files
from figures import COMMENT
from notebook_file import CHINESE, ROOT, before, read
from texts import texts, with_texts

TRANSLATED = {entry.msgctxt: entry for entry in chinese.load() if entry.translated()}
CODE = r"```.*?```"
# What a translation keeps as it is, and how it is found.
KEPT = {"code": CODE, "names": r"(?<!`)`[^`\n]+`(?!`)", "formulas": r"\$\$.*?\$\$|\$[^$\n]+\$",
        "links": r"\]\(([^#)][^)]*)\)", "comments": r"<!--.*?-->", "expressions": r"(?<!\$)\{[^}]*\}",
        "folds and keys": r"</?\w+>", "headings": r"^#+ ", "list items": r"^- "}
ADDED = {"names": "[ /]", "links": "^https://", "list items": "-"}   # but it may add paths, and more to read
HAN = "\u3400-\u9fff"
# What is wrong in the words, and how it is found.
WRONG = {
    "half-width punctuation": rf"[{HAN}][,;:?!()]|[,;:?!()][{HAN}]|[{HAN}]\.(?!\w)",
    "no space": rf"[{HAN}][A-Za-z0-9]|[A-Za-z0-9%][{HAN}]",
    "a space too many": rf"[{HAN}] [{HAN}]|[\w*] [，。：；？！）]|[，。：；？！（] [\w]",
    "English": r"(?:[A-Za-z]+[ ,]+){4,}[A-Za-z]+",
}
# Titles, menus, links, and terms in brackets may be English.
MAY_BE_ENGLISH = r"(?<!\*)\*[^*\n]+\*(?!\*)|\[[^\]\n]*\]|（[^）\n]*）"


def plain(text):
    """A text without code, formulas, addresses, comments and tags: an X where one stood in a sentence."""
    text = re.sub("|".join([CODE, KEPT["names"], KEPT["formulas"]]), "X", text, flags=re.S)
    return re.sub(r"(?<=\])\([^)]*\)|</?\w+>", "", COMMENT.sub("", text))


def kept(what, text):
    """How often a text has what is kept; code without its comments, and of names only which."""
    text = re.sub(CODE, lambda code: re.sub(r'#.*|""".*?"""', "", code[0]), text, flags=re.S)
    found = re.findall(KEPT[what], text, re.S | re.M)
    return Counter({*found} if what == "names" else found)


def faults(entry):
    """What is wrong with a translation, in words."""
    for what in KEPT:
        english, translated = kept(what, entry.msgid), kept(what, entry.msgstr)
        added = [each for each in translated - english if not re.search(ADDED.get(what, "(?!)"), each)]
        if added or english - translated:
            yield f"{entry.msgctxt}: {what}: lost {[*(english - translated)]}, added {added}"
    words = plain(entry.msgstr)
    for what, pattern in WRONG.items():
        searched = re.sub(MAY_BE_ENGLISH, "", words) if what == "English" else words
        yield from (f"{entry.msgctxt}: {what}: {match[0]}" for match in re.finditer(pattern, searched))


def test_every_text_has_its_chinese(stored):
    """Without some, this test alone fails."""
    catalogue = chinese.load()
    update(catalogue, texts(stored))
    assert missing(catalogue) == []


def test_it_is_as_make_zh_writes_it(monkeypatch):
    written = {}
    monkeypatch.setattr(chinese, "replace", written.__setitem__)
    with contextlib.suppress(SystemExit):   # of missing entries: see above
        chinese.main()
    old = [path.name for path, text in written.items() if path.read_text(encoding="utf-8") != text]
    assert [*written] == [chinese.CATALOGUE, CHINESE] and old == [], "run make zh"


def test_all_but_the_words_is_english(stored):
    """With English words, the Chinese notebook is the English one: code, outputs, metadata and ids."""
    english = {key: text for key, text in texts(stored).items() if not key.endswith("-caption")}
    back = with_texts(read(CHINESE), english)
    back.cells = [cell for cell in back.cells if not cell.id.endswith("-caption")]
    assert [cell.id for cell, other in zip(back.cells, stored.cells, strict=True) if cell != other] == []
    assert back.metadata == stored.metadata


def test_translations_keep_what_is_no_word_and_are_well_set():
    assert [fault for entry in TRANSLATED.values() for fault in faults(entry)] == []


def test_terms_are_the_glossary_s():
    """Its columns: English, Chinese, what must not stand for it, what is named once. Titles may have any."""
    words = {key: plain(re.sub(r"\[[^]]*\]\(https", "](https", entry.msgstr))
             for key, entry in TRANSLATED.items()}
    for line in (ROOT / "zh" / "glossary.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        english, term, *others = line.split("\t")
        for most, column in enumerate(others):
            for other in filter(None, column.split("、")):
                where = [key for key, text in words.items() if other in text]
                assert len(where) <= most, f"{other} stands in {where}; {english} is {term}"


def test_make_run_writes_both_editions(stored):
    """A run's code and outputs, each edition's texts, linked pages; papermill may have put settings in."""
    fresh = before(stored, "data-intro")
    printed = nbformat.v4.new_output("stream", text="a fresh run\n")
    settings = nbformat.v4.new_code_cell("data_root = 'data/stand-in'", outputs=[printed])
    fresh.cells.insert(4, settings)
    written = {path.name: text for path, text in files(fresh, "https://example.org/").items()}
    assert [*written] == ["04-feedforward-nn.ipynb", "04-feedforward-nn.html",
                          "04-feedforward-nn.zh.ipynb", "04-feedforward-nn.zh.html"]
    english, english_page, chinese_run, page = written.values()
    assert nbformat.reads(english, 4) == fresh
    cells = nbformat.reads(chinese_run, 4).cells
    assert cells.pop(4) == settings and cells == before(read(CHINESE), "data-intro").cells
    assert 'href="04-feedforward-nn.zh.html" hreflang="zh" lang="zh">中文版</a>' in english_page
    for part in ['href="04-feedforward-nn.html" hreflang="en" lang="en">English</a>', '<html lang="zh-CN">',
                 "<title>识别手写数字的神经网络</title>", '<meta content="PyTorch 入门课程第四部分。', "a fresh run",
                 '<meta content="https://example.org/04-feedforward-nn.zh.html" property="og:url"']:
        assert part in page


def test_the_catalogue_follows_the_english_notebook():
    """A changed text is marked and keeps its old English, a new one is missed, a lost one is kept aside."""
    catalogue = polib.POFile()
    catalogue.append(polib.POEntry(msgctxt="a", msgid="One.", msgstr="一。"))
    for text in ("One!", "One?!"):
        update(catalogue, {"a": text})
        entry, = catalogue
        assert missing(catalogue) == ["a (fuzzy)"]
        assert (entry.msgid, entry.msgstr, entry.previous_msgid) == (text, "一。", "One.")
    update(catalogue, {"b": "Two."})
    assert missing(catalogue) == ["b (missing)"] and catalogue[1].obsolete and catalogue[1].msgstr == "一。"
    update(catalogue, {"a": "One?!", "b": "Two."})
    assert missing(catalogue) == ["a (fuzzy)", "b (missing)"]


@pytest.mark.parametrize("spoil, said", [
    (lambda text: text + b'\nmsgctxt "title"\nmsgid "a"\nmsgstr "b"\n', "two entries for title"),
    (lambda text: text.decode().encode("gb18030"), "in UTF-8"),
    (lambda text: b"<<<<<<< HEAD\n" + text, "catalogue")])
def test_a_spoilt_catalogue_is_said_and_not_written_over(tmp_path, monkeypatch, spoil, said):
    path = tmp_path / "a.po"
    path.write_bytes(spoilt := spoil(chinese.CATALOGUE.read_bytes()))
    monkeypatch.setattr(chinese, "CATALOGUE", path)
    with pytest.raises(SystemExit, match=said):
        chinese.main()
    assert path.read_bytes() == spoilt
