"""Figures in the notebook's text, each tied to the run by a comment that readers don't see.

The comment stands right behind the figure and says what it is:

    96.5 %<!-- = 100 * metrics[-1] -->    to the digits that are written
    96 %<!-- < 100 * metrics[-1] -->      rounded down ("more than 96 %")
    92 %<!-- > 100 * linear_best -->      rounded up ("less than 92 %")
    13 times<!-- ~ plain / batched -->    about: within a factor of three
    86 %<!-- given -->                    from elsewhere: no run can tell

A figure may be in words: about a third<!-- ~ ratio -->, 几亿倍<!-- ~ ratio -->. The words are read, and stand for
the values from one number to another; < and > take one of the two. The expressions are Python, evaluated when the
whole notebook has run.
"""

import json
import re
from dataclasses import dataclass

import in_kernel

IN_THE_KERNEL = in_kernel.module(__file__)
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"

# Quantities in words, English and Chinese
COUNTS = {word: n for n, word in enumerate(
    "two three four five six seven eight nine ten eleven twelve".split(), 2)}
PARTS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10, "hundredth": 100, "thousandth": 1000,
         "millionth": 10**6}
SIZES = {"dozens": 12, "hundreds": 100, "thousands": 1000, "millions": 10**6}
HAN = {"两": 2} | {digit: n for n, digit in enumerate("一二三四五六七八九", 1)}
HAN_SIZES = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "百万": 10**6, "亿": 10**8}
WORDS = (rf"(?:\b(?i:(?P<share>a|an|one|{'|'.join(COUNTS)}) (?P<part>{'|'.join(PARTS)})s?|(?P<twice>twice)(?= as| the|<!)"
         rf"|(?P<size>{'|'.join(SIZES)})(?: of (?P<times>{'|'.join(SIZES)}))?|(?P<hundred>a hundred)"
         rf"|(?P<count>{'|'.join(COUNTS)})(?= (?:epochs|points|times)))\b"
         r"|(?P<of>[二三四五六七八九]?(?:百万|[十百千万亿])|[二三四五六七八九])分之(?P<han_share>[一二三四五六七八九])"
         r"|(?P<han_half>一半)|几(?P<han_size>[十百千万亿])|(?!一(?:倍|轮|个百分点))(?P<han_count>[一两二三四五六七八九十]+)(?=倍|轮|个百分点))")
# The figure nearest to the comment: no other one stands between.
BETWEEN = rf"(?:(?!{re.sub('[?]P<[a-z_]+>', '?:', WORDS)})[^\d.<>`\n]){{0,20}}"
CLAIM = re.compile(rf"(?:(?P<before>{NUMBER}|{WORDS}){BETWEEN})?"
                   r"<!--\s*(?:(?P<kind>[=<>~])\s*(?P<expression>[^=<>~\s].*?)|(?P<given>given))\s*-->")
COMMENT = re.compile(r"<!--.*?-->", re.S)
# Not prose: code, formulas, addresses, and the numbers of headings and lists.
NOT_PROSE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|^#+ [^\n]*$|^\d+\. ", re.S | re.M)
# A percentage, a decimal fraction, three digits and more, or words: a figure that must be tied.
FIGURE = re.compile(rf"(?<![\w.,])(?:\d+(?:,\d{{3}})+|\d+\.\d+|\d{{3,}}|\d+(?= ?%))(?![\w,]|\.\d)|{WORDS}")


def in_words(text):
    """The lowest and the highest value that a quantity in words stands for."""
    part = next(filter(None, (re.match(WORDS, text.lower() + after) for after in ("", " times", " as", "倍")))).groupdict()
    if part["count"]:
        return COUNTS[part["count"]] - 0.5, COUNTS[part["count"]] + 0.5
    if part["han_count"]:
        tens, _, ones = part["han_count"].rpartition("十")
        n = HAN.get(ones, 0) + ("十" in part["han_count"]) * 10 * HAN.get(tens, 1)
        return n - 0.5, n + 0.5
    if part["size"] or part["han_size"]:   # hundreds: from one hundred to a thousand
        n = SIZES[part["size"]] * SIZES.get(part["times"], 1) if part["size"] else HAN_SIZES[part["han_size"]]
        return n, 10 * n
    if part["twice"]:
        return 1.7, 2.3
    if part["hundred"]:
        return 75, 125
    if part["part"] or part["han_half"]:
        share, of = (COUNTS.get(part["share"], 1), PARTS[part["part"]]) if part["part"] else (1, 2)
    else:
        digit, size = re.fullmatch("(.??)(百万|[十百千万亿]?)", part["of"]).groups()
        share, of = HAN[part["han_share"]], HAN.get(digit, 1) * HAN_SIZES.get(size, 1)
    if of > 10:
        return share / of / 3, share / of * 3
    return share / of * 0.7, share / of * 1.4


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
            low, high = in_words(self.number)
            return {"<": low < value, ">": value < high}.get(self.kind, low <= value <= high)
        number = float(self.number.replace(",", ""))
        decimals = len(self.number.partition(".")[2])
        if self.kind == "=":
            return f"{value:.{decimals}f}" == f"{number:.{decimals}f}"
        if self.kind == "~":
            return number / 3 < value < number * 3
        step = 10.0 ** -decimals
        return number < value < number + step if self.kind == "<" else number - step < value < number


def sentence_around(text, position):
    """The sentence at a position of a markdown text, without the comments."""
    start = max(text.rfind(end, 0, position) for end in (". ", "\n", "? ", ": ", "。", "？", "："))
    stop = min((i for i in (text.find(end, position) for end in (". ", "\n", "? ", "。", "？")) if i >= 0), default=len(text))
    return COMMENT.sub("", text[start + 1:stop + 1]).strip()


def claims(nb):
    """Every tied figure of a notebook's text."""
    found = []
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            for match in CLAIM.finditer(cell.source):
                if match["kind"] and match["before"]:
                    found.append(Claim(cell.id, sentence_around(cell.source, match.start()), match["before"],
                                       match["kind"], match["expression"]))
    return found


def unreadable_comments(nb):
    """Comments in the text that are neither a claim nor `given`."""
    return [f"{cell.id}: {comment}" for cell in nb.cells if cell.cell_type == "markdown"
            for comment in COMMENT.findall(cell.source)
            if not any(comment in match[0] and match["before"] for match in CLAIM.finditer(cell.source))]


def untied_figures(nb):
    """Figures in the text that have no comment behind them, each with its sentence."""
    found = []
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            rest = CLAIM.sub("", cell.source)
            rest = NOT_PROSE.sub(" ", COMMENT.sub("", rest))
            found += [f"{cell.id}: {match[0]} in: {sentence_around(rest, match.start())}" for match in FIGURE.finditer(rest)]
    return found


def question(claims):
    """Code that evaluates the claims' expressions where the notebook has run, and prints them as JSON.

    Expression → value (a number, or a text that says what went wrong).
    """
    expressions = sorted({claim.expression for claim in claims})
    return f"{IN_THE_KERNEL}.evaluate({expressions!r}, globals())"


def evaluate(expressions, names):
    values = {}
    for expression in expressions:
        try:
            values[expression] = float(eval(expression, dict(names)))
        except Exception as error:
            values[expression] = repr(error)
    print(json.dumps(values))
