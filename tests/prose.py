"""Figures in the notebook's text, each tied to the run by a comment that readers don't see.

The comment stands right behind the figure and says what it is:

    96.5 %<!-- = 100 * metrics[-1] -->    to the digits that are written
    96 %<!-- < 100 * metrics[-1] -->      rounded down ("more than 96 %")
    92 %<!-- > 100 * linear_best -->      rounded up ("less than 92 %")
    13 times<!-- ~ plain / batched -->    about: within a factor of three
    86 %<!-- given -->                    from elsewhere: no run can tell

A figure in words is repeated in the comment: a million times<!-- 1e6 ~ ratio -->. The expressions are
Python, evaluated when the whole notebook has run.
"""

import json
import re
from dataclasses import dataclass

import in_kernel

IN_THE_KERNEL = in_kernel.module(__file__)
NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
CLAIM = re.compile(rf"(?:(?P<before>{NUMBER})[^\d.<>]{{0,20}})?<!--\s*(?P<inside>[\d.e-]+\s+)?"
                   r"(?:(?P<kind>[=<>~])\s*(?P<expression>[^=<>~\s].*?)|(?P<given>given))\s*-->")
COMMENT = re.compile(r"<!--.*?-->", re.S)
# Not prose: code, formulas, addresses, and the numbers of headings and lists.
NOT_PROSE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|^#+ .*$|^\d+\. ", re.S | re.M)
# A percentage, a decimal fraction, or three digits and more: a figure that must be tied.
FIGURE = re.compile(r"(?<![\w.,])(?:\d+(?:,\d{3})+|\d+\.\d+|\d{3,}|\d+(?= ?%))(?![\w,]|\.\d)")


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
                number = match["inside"] or match["before"]
                if match["kind"] and number:
                    found.append(Claim(cell.id, sentence_around(cell.source, match.start()), number.strip(),
                                       match["kind"], match["expression"]))
    return found


def unreadable_comments(nb):
    """Comments in the text that are neither a claim nor `given`."""
    return [f"{cell.id}: {comment}" for cell in nb.cells if cell.cell_type == "markdown"
            for comment in COMMENT.findall(cell.source)
            if not any(comment in match[0] and (match["inside"] or match["before"]) for match in CLAIM.finditer(cell.source))]


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
