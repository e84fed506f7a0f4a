"""The words of a notebook, taken out of it and put into it: what its editions differ in."""

import ast
import copy
import io
import json
import re
import tokenize

import nbformat

TITLE = "# @title "   # what a folded cell begins with
SCRIPT_COMMENT = "(?<=   )// .+"   # and not Python's division
FIELD, FIELD_WORDS = "digit-field", "FIELD_WORDS"   # the cell, and its variable, with the field's words


def strings(tree):
    """The nodes of a cell's strings for readers alone: docstrings, sentences of errors, the field's words."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            yield node.body[0].value
        elif isinstance(node, ast.Assert) and node.msg:
            yield node.msg
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
            yield from node.args
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == FIELD_WORDS:
            yield from (each for value in node.value.values for each in ast.walk(value)
                        if isinstance(each, ast.Constant) and any(map(str.isalpha, each.value)))


def spans(source):
    """Where in a cell's code its comments, a script's comments and those strings stand: [(start, end)].

    Shapes (`# [batch, 784]`) are left out, and so is the title.
    """
    lines = source.splitlines(keepends=True)

    def offset(line, column):
        return sum(map(len, lines[:line - 1])) + column

    def offset_in_bytes(line, column):
        return offset(line, len(lines[line - 1].encode()[:column].decode()))

    comments = [token for token in tokenize.generate_tokens(io.StringIO(source).readline)
                if token.type == tokenize.COMMENT and not re.match(rf"{TITLE}|# \[[^]]*\]$", token.string)]
    return sorted([(offset(*token.start), offset(*token.end)) for token in comments]
                  + [(offset_in_bytes(node.lineno, node.col_offset),
                      offset_in_bytes(node.end_lineno, node.end_col_offset))
                     for node in strings(ast.parse(source))]
                  + [match.span() for match in re.finditer(SCRIPT_COMMENT, source)])


def texts(nb):
    """Every text of a notebook: {the cell's id, and what it is if not the cell itself: text}."""
    found = {}
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            found[cell.id] = cell.source
            continue
        if cell.source.startswith(TITLE):
            found[f"{cell.id}: title"] = cell.source.split("\n")[0].removeprefix(TITLE)
        for i, (start, end) in enumerate(spans(cell.source), 1):
            found[f"{cell.id}: words {i}"] = cell.source[start:end]
        if "alt" in cell.metadata:
            found[f"{cell.id}: alt"] = found[f"{cell.id}-caption"] = cell.metadata.alt
    return found


def with_texts(nb, others):
    """A copy of a notebook with other texts; where there is none, its own stands.

    Its pictures get a text cell with a caption below them, where there is a text for it.
    """
    nb = copy.deepcopy(nb)
    old_words, old_comments = field_words(nb)
    for cell in [*nb.cells]:
        if cell.cell_type == "markdown":
            cell.source = others.get(cell.id) or cell.source
            continue
        for i, (start, end) in reversed([*enumerate(spans(cell.source), 1)]):
            if other := others.get(f"{cell.id}: words {i}"):
                cell.source = cell.source[:start] + other + cell.source[end:]
        if title := others.get(f"{cell.id}: title"):
            cell.source = "\n".join([TITLE + title, *cell.source.split("\n")[1:]])
        if alt := others.get(f"{cell.id}: alt"):
            cell.metadata.alt = alt
        caption = f"{cell.id}-caption"
        if others.get(caption) and all(each.id != caption for each in nb.cells):
            below = nbformat.v4.new_markdown_cell(others[caption], id=caption)
            nb.cells.insert(nb.cells.index(cell) + 1, below)
    new_words, new_comments = field_words(nb)
    without_scripts = [(old_words[key], new_words[key]) for key in ("live", "alt", "still") if old_words]
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                html = output.data["text/html"].replace(in_script(old_words), in_script(new_words))
                for old, new in [*without_scripts, *zip(old_comments, new_comments)]:
                    html = html.replace(old, new)
                output.data["text/html"] = html
    return nb


def in_script(words_of_the_field):
    """The words of the field as its script has them."""
    return json.dumps(words_of_the_field, ensure_ascii=False)


def field_words(nb):
    """The words of the field to write in, as its cell defines them, and its script's comments."""
    for cell in nb.cells:
        if cell.id == FIELD:
            return next(ast.literal_eval(node.value) for node in ast.parse(cell.source).body
                        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == FIELD_WORDS), \
                re.findall(SCRIPT_COMMENT, cell.source)
    return {}, []
