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


def strings(tree):
    """The nodes of a cell's strings for readers alone: docstrings, sentences of errors, the field's words."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            yield node.body[0].value
        elif isinstance(node, ast.Assert) and node.msg:
            yield node.msg
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
            yield from node.args
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FIELD_WORDS":
            yield from (each for value in node.value.values for each in ast.walk(value)
                        if isinstance(each, ast.Constant) and any(map(str.isalpha, each.value)))


def spans(source):
    """Where the words in a cell's code stand, in order: {"title" or "words 1" …: (start, end)}.

    They are comments, without shapes (`# [batch, 784]`), a script's comments, and those strings.
    """
    lines = source.splitlines(keepends=True)
    one_byte_each = re.sub(r"[^\x00-\x7f]", "X", source)   # ast counts in bytes

    def offset(line, column):
        return sum(map(len, lines[:line - 1])) + column

    found = [match.span() for match in re.finditer(SCRIPT_COMMENT, source)]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not re.match(rf"{TITLE}|# \[[^]]*\]$", token.string):
            found.append((offset(*token.start), offset(*token.end)))
    for node in strings(ast.parse(one_byte_each)):
        found.append((offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)))
    title = {"title": (len(TITLE), len(lines[0].rstrip("\n")))} if source.startswith(TITLE) else {}
    return title | {f"words {i}": span for i, span in enumerate(sorted(found), 1)}


def texts(nb):
    """Every text of a notebook: {the cell's id, and what it is if not the cell itself: text}."""
    found = {}
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            found[cell.id] = cell.source
            continue
        for name, (start, end) in spans(cell.source).items():
            found[f"{cell.id}: {name}"] = cell.source[start:end]
        if "alt" in cell.metadata:
            found[f"{cell.id}: alt"] = found[f"{cell.id}-caption"] = cell.metadata.alt
    return found


def with_texts(nb, others):
    """A copy of a notebook with other texts, and captions below its pictures; without one, its own stands."""
    nb = copy.deepcopy(nb)
    before, cells = words_in_outputs(nb), []
    for cell in nb.cells:
        cells.append(cell)
        if cell.cell_type == "markdown":
            cell.source = others.get(cell.id) or cell.source
            continue
        for name, (start, end) in reversed(spans(cell.source).items()):
            other = others.get(f"{cell.id}: {name}") or cell.source[start:end]
            cell.source = cell.source[:start] + other + cell.source[end:]
        if alt := others.get(f"{cell.id}: alt"):
            cell.metadata.alt = alt
        if caption := others.get(f"{cell.id}-caption"):
            cells.append(nbformat.v4.new_markdown_cell(caption, id=f"{cell.id}-caption"))
    nb.cells = cells
    words = [*zip(before, words_in_outputs(nb))]
    for data in [output.data for cell in cells for output in cell.get("outputs", []) if "data" in output]:
        for old, new in words if "text/html" in data else []:
            data["text/html"] = data["text/html"].replace(old, new)
    return nb


def words_in_outputs(nb):
    """What outputs show of the words of the field to write in: in its script, three alone, its comments."""
    for cell in nb.cells:
        if cell.id == "digit-field":
            exec(cell.source, names := {})
            words = names["FIELD_WORDS"]
            return [json.dumps(words, ensure_ascii=False), words["live"], words["alt"], words["still"],
                    *re.findall(SCRIPT_COMMENT, cell.source)]
    return []
