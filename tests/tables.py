"""Tables in tests/README.md that the long checks write themselves."""

from cells import ROOT


def write_table(name, lines):
    """Put lines between the marks <!-- NAME --> and <!-- end of NAME -->."""
    file = ROOT / "tests" / "README.md"
    start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = file.read_text(encoding="utf-8").split(start)
    after = rest.split(end)[1]
    file.write_text("\n".join([before + start, *lines, end + after]), encoding="utf-8")
