"""The parts of a Markdown page that a command writes, between two comments that readers don't see."""

from replacing import replace


def with_part(text, name, lines):
    """A page's text with other lines between <!-- NAME: written by … --> and <!-- end of NAME -->."""
    before, rest = text.split(f"<!-- {name}: written by ", 1)
    command, rest = rest.split(" -->\n", 1)
    after = rest.split(f"<!-- end of {name} -->", 1)[1]
    return "\n".join([f"{before}<!-- {name}: written by {command} -->", *lines, f"<!-- end of {name} -->{after}"])


def write_part(page, name, lines):
    replace(page, with_part(page.read_text(encoding="utf-8"), name, lines))
