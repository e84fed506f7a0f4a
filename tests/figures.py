"""Figures in the notebook's text, each tied to the run by a comment that readers don't see.

CONTRIBUTING.md says what a comment may be. A figure in words, about a third<!-- ~ ratio -->, stands for the
values from one number to another; < and > take one of the two.
"""

import json
import re
from dataclasses import dataclass

NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"

# Quantities in words, English and Chinese
NUMBERS = "two three four five six seven eight nine ten eleven twelve"
COUNTS = {word: n for n, word in enumerate(NUMBERS.split(), 2)}
PARTS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10, "hundredth": 100, "thousandth": 1000,
         "millionth": 10**6}
SIZES = {"dozens": 12, "hundreds": 100, "thousands": 1000, "millions": 10**6}
HAN = {"两": 2} | {digit: n for n, digit in enumerate("一二三四五六七八九", 1)}
HAN_SIZES = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "百万": 10**6, "亿": 10**8}


# What words stand for, from the lowest to the highest value
around = lambda n: (n - 0.5, n + 0.5)
plural = lambda n: (n, 10 * n)   # hundreds: from one hundred to a thousand
share = lambda n, of: (n / of * 0.7, n / of * 1.4) if of <= 10 else (n / of / 3, n / of * 3)
han_share = lambda of, size, n: share(HAN[n], HAN.get(of, 1) * HAN_SIZES.get(size, 1))


def han_count(text):
    tens, ten, ones = text.rpartition("十")
    return around((10 * HAN.get(tens, 1) if ten else 0) + HAN.get(ones, 0))


count, part, sizes = ("|".join(names) for names in (COUNTS, PARTS, SIZES))
# The words, what must follow, what they stand for.
ENGLISH = [
    (f"(a|an|one|{count}) ({part})s?", "", lambda n, part: share(COUNTS.get(n, 1), PARTS[part])),
    ("twice", " as| the|<!", lambda: (1.7, 2.3)),
    (f"({sizes})(?: of ({sizes}))?", "", lambda n, of: plural(SIZES[n] * SIZES.get(of, 1))),
    ("a hundred", "", lambda: (75, 125)),
    (f"({count})", " (?:epochs|points|times)", lambda n: around(COUNTS[n])),
]
CHINESE = [
    ("(?!分)([二三四五六七八九]?)(百万|[十百千万亿]?)分之([一二三四五六七八九])", "", han_share),
    ("一半", "", lambda: share(1, 2)),
    ("几([十百千万亿])", "", lambda n: plural(HAN_SIZES[n])),
    ("(?!一(?:倍|轮|个百分点))([一两二三四五六七八九十]+)", "倍|轮|个百分点", han_count),
]


def either(table):
    """One pattern for a whole table, without groups."""
    return re.sub(r"\((?!\?)", "(?:", "|".join(f"{words}(?={follows})" for words, follows, _ in table))


WORDS = rf"(?:\b(?i:{either(ENGLISH)})\b|{either(CHINESE)})"
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


def bounds(text):
    """The lowest and the highest value that a quantity in words stands for."""
    return next(values(*found.groups()) for words, _, values in ENGLISH + CHINESE
                if (found := re.fullmatch(words, text.lower())))


@dataclass
class Claim:
    cell: str
    sentence: str
    number: str
    kind: str
    expression: str

    def __str__(self):
        return f"{self.cell}: {self.number} {self.kind} {self.expression}"

    def holds(self, value):
        """Whether the figure fits a value (a number) of the expression."""
        if not self.number[0].isdigit():
            low, high = bounds(self.number)
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
    stop = min((i for i in (text.find(end, position) for end in (". ", "\n", "? ", "。", "？")) if i >= 0),
               default=len(text))
    return COMMENT.sub("", text[start + 1:stop + 1]).strip()


def markdown(nb):
    return [(cell.id, cell.source) for cell in nb.cells if cell.cell_type == "markdown"]


def claims(nb):
    """Every tied figure of a notebook's text."""
    return [Claim(cell_id, sentence_around(text, found.start()), *found.group("before", "kind", "expression"))
            for cell_id, text in markdown(nb) for found in CLAIM.finditer(text)
            if found["kind"] and found["before"]]


def unreadable_comments(nb):
    """Comments in the text that are neither a claim nor `given`."""
    return [f"{cell_id}: {comment}" for cell_id, text in markdown(nb) for comment in COMMENT.findall(text)
            if not any(comment in match[0] and match["before"] for match in CLAIM.finditer(text))]


def untied_figures(nb):
    """Figures in the text that have no comment behind them, each with its sentence."""
    found = []
    for cell_id, text in markdown(nb):
        rest = NOT_PROSE.sub(" ", COMMENT.sub("", CLAIM.sub("", text)))
        found += [f"{cell_id}: {figure[0]} in: {sentence_around(rest, figure.start())}"
                  for figure in FIGURE.finditer(rest)]
    return found


def question(expressions):
    """Code that prints, where the notebook has run, the values of expressions in its variables."""
    return f"__import__('figures').evaluate({sorted(set(expressions))!r}, globals())"


def evaluate(expressions, names):
    """Print {expression: value} as JSON: a number, or a text that says what went wrong."""
    values = {}
    for expression in expressions:
        try:
            value = eval(expression, dict(names))
            values[expression] = value if isinstance(value, str) else float(value)
        except Exception as error:
            values[expression] = repr(error)
    print(json.dumps(values))


def untrue(values):
    """Those of some values that are not true, each with its expression, as one text."""
    return "; ".join(f"{expression} is {value}" for expression, value in values.items()
                     if isinstance(value, str) or not value)
