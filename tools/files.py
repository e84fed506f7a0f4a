"""Files of the user's are replaced whole: a full disk, or a stop on the way, leaves the old one as it was."""

import os
import re
import shutil


def replace(path, content):
    """Write bytes, or text as UTF-8, to a file beside `path`, then give it that name."""
    path = path.resolve()   # not a link in place of what it leads to
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        if path.exists():
            shutil.copymode(path, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_part(page, name, lines):
    """Write other lines into a page between <!-- NAME: written by … --> and <!-- end of NAME -->."""
    text = page.read_text(encoding="utf-8")
    part = re.search(rf"<!-- {name}: written by .* -->\n((?s:.*?))<!-- end of {name} -->", text)
    replace(page, text[:part.start(1)] + "\n".join([*lines, ""]) + text[part.end(1):])
