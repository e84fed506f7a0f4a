"""Figures in the notebook's text, each tied to the run by a comment that readers don't see.

CONTRIBUTING.md says what a comment may be. A figure in words, about a third<!-- ~ ratio -->, stands for the
values from one number to another; < and > take one of the two.
"""

import json
import re
from dataclasses import dataclass

from timing_pictures import draws

NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
COUNTS = {word: n for n, word in enumerate(
    "two three four five six seven eight nine ten eleven twelve".split(), 2)}
PARTS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10, "hundredth": 100, "thousandth": 1000,
         "millionth": 10**6}
SIZES = {"dozens": 12, "hundreds": 100, "thousands": 1000, "millions": 10**6}
HAN = {"两": 2, "十一": 11, "十二": 12} | {digit: n for n, digit in enumerate("一二三四五六七八九十", 1)}
HAN_SIZES = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "百万": 10**6, "亿": 10**8}

# What words stand for, from the lowest to the highest value
around = lambda n: (n - 0.5, n + 0.5)
plural = lambda n: (n, 10 * n)   # hundreds: from one hundred to a thousand
share = lambda n, of: (n / of * 0.7, n / of * 1.4) if of <= 10 else (n / of / 3, n / of * 3)
count, part, sizes = ("|".join(names) for names in (COUNTS, PARTS, SIZES))
# Quantities in words, English and Chinese: the words, what must follow, what they stand for.
QUANTITIES = [
    (f"(a|one|{count}) ({part})s?", "", lambda n, part: share(COUNTS.get(n, 1), PARTS[part])),
    ("twice", " as| the|<!", lambda: (1.7, 2.3)),
    (f"({sizes})(?: of ({sizes}))?", "", lambda n, of: plural(SIZES[n] * SIZES.get(of, 1))),
    ("a hundred", "", lambda: (75, 125)),
    (f"({count})", " (?:epochs|points|times)", lambda n: around(COUNTS[n])),
    ("(?!分)([二三四五六七八九]?)(百万|[十百千万亿]?)分之([一二三四五六七八九])", "",
     lambda of, size, n: share(HAN[n], HAN.get(of, 1) * HAN_SIZES.get(size, 1))),
    ("一半", "", lambda: share(1, 2)),
    ("几([十百千万亿])", "", lambda n: plural(HAN_SIZES[n])),
    ("(?!一(?:倍|轮|个百分点))(十[一二]?|[一两二三四五六七八九])", "倍|轮|个百分点", lambda n: around(HAN[n])),
]
# The same as one pattern without groups
EITHER = re.sub(r"\((?!\?)", "(?:", "|".join(f"{words}(?={follows})" for words, follows, _ in QUANTITIES))
WORDS = rf"(?<![A-Za-z])(?i:{EITHER})(?![A-Za-z])"
# The figure nearest to the comment: no other one stands between.
BETWEEN = rf"(?:(?!{WORDS})[^\d.<>`\n]){{0,20}}"
CLAIM = re.compile(rf"(?:(?P<before>{NUMBER}|{WORDS}){BETWEEN})?"
                   r"<!--\s*(?:(?P<kind>[=<>~])\s*(?P<expression>[^=<>~\s].*?)|(?P<given>given))\s*-->")
COMMENT = re.compile(r"<!--.*?-->", re.S)
# Not prose: code, formulas, addresses, headings, and the numbers of lists.
NOT_PROSE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|^#+ [^\n]*$|^\d+\. ",
                       re.S | re.M)
# A percentage, a decimal fraction, three digits and more, or words: a figure that must be tied.
FIGURE = re.compile(rf"(?<![\w.,])(?:\d+(?:,\d{{3}})+|\d+\.\d+|\d{{3,}}|\d+(?= ?%))(?![\w,]|\.\d)|{WORDS}")


@dataclass
class Claim:
    cell: str
    sentence: str
    number: str
    kind: str
    expression: str

    def holds(self, value):
        """Whether the figure fits a value (a number) of the expression."""
        if not self.number[0].isdigit():
            low, high = next(values(*found.groups()) for words, _, values in QUANTITIES
                             if (found := re.fullmatch(words, self.number.lower())))
            return {"<": low < value, ">": value < high}.get(self.kind, low <= value <= high)
        number = float(self.number.replace(",", ""))
        decimals = len(self.number.partition(".")[2])
        step = 10.0 ** -decimals
        return {"=": f"{value:.{decimals}f}" == f"{number:.{decimals}f}",
                "~": number / 3 < value < number * 3,
                "<": number < value < number + step,
                ">": number - step < value < number}[self.kind]


def sentence_around(text, position):
    """The sentence at a position of a markdown text, without the comments."""
    start = max(text.rfind(end, 0, position) for end in (". ", "\n", "? ", ": ", "。", "？", "："))
    rest = re.split(r"(?<=[.?]) |\n|(?<=[。？])", text[position:])[0]
    return COMMENT.sub("", text[start + 1:position] + rest).strip()


def found_in(nb, pattern, change=lambda text: text):
    """The matches of a pattern in a notebook's changed texts: (the cell's id, the text, the match)."""
    texts = [(cell.id, change(cell.source)) for cell in nb.cells if cell.cell_type == "markdown"]
    return [(cell_id, text, match) for cell_id, text in texts for match in pattern.finditer(text)]


def claims(nb):
    """Every tied figure of a notebook's text."""
    return [Claim(cell_id, sentence_around(text, found.start()), *found.group("before", "kind", "expression"))
            for cell_id, text, found in found_in(nb, CLAIM) if found["kind"] and found["before"]]


def unreadable_comments(nb):
    """Comments in the text that are neither a claim nor `given`."""
    read = [(cell_id, found.end()) for cell_id, _, found in found_in(nb, CLAIM) if found["before"]]
    return [f"{cell_id}: {found[0]}" for cell_id, _, found in found_in(nb, COMMENT)
            if (cell_id, found.end()) not in read]


def untied_figures(nb):
    """Figures in the text that have no comment behind them, each with its sentence."""
    untied = lambda text: NOT_PROSE.sub(" ", COMMENT.sub("", CLAIM.sub("", text)))
    return [f"{cell_id}: {figure[0]} in: {sentence_around(text, figure.start())}"
            for cell_id, text, figure in found_in(nb, FIGURE, untied)]


def question(expressions):
    """Code that prints, where the notebook has run, the values of expressions in its variables."""
    return f"__import__('figures').evaluate({sorted(set(expressions))!r}, globals())"


def evaluate(expressions, names):
    """Print {expression: value} as JSON: a number, or a text that says what went wrong."""
    values, names = {}, names | {"draws": draws}
    for expression in expressions:
        try:
            value = eval(expression, dict(names))
            values[expression] = value if isinstance(value, str) else float(value)
        except Exception as error:
            values[expression] = repr(error)
    print(json.dumps(values))
