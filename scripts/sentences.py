#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Report sentences of more than 25 words (Documentation/style.rst).

    sentences.py [FILE...]

Without FILE, checks the comments of src and include, and the paragraphs of the
documents. Prints FILE:LINE for each sentence, and fails if there is one. Tables, code
and diagrams are left out; an item of a list stands for itself.
"""

import pathlib
import re
import sys

MOST = 25

COVERED = (
    "README.md", "tests/README.md", "Documentation/**/*.rst", "src/**/*.[ch]", "include/**/*.h",
    "tools/*.[ch]",
)

COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
END = re.compile(r"(?<=[.?!])\s+")
# What a paragraph of a comment may begin with: a tag of kernel-doc, or an item.
ITEM = re.compile(r"\s*(@[\w.]+:|Return:|Context:|[-*] |\d+\. |\w+\(\) - |(struct|enum) \w+ - )")
RULE = re.compile(r"=+( +=+)+")
# A line of a table, of a diagram or of code.
FIGURE = re.compile(r"^(\t| {3,})|\S\s{2,}\S|\S\t|^\s*(\||\+[-=]|\.\. |[=-]{3,})")


def emptied(text, pattern, flags=0):
    """The text with what matches as empty lines."""
    return re.sub(pattern, lambda match: "\n" * match[0].count("\n"), text, flags=flags)


def comments(text):
    """First line and text of each comment."""
    for match in COMMENT.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, re.sub(r"(?m)^[ \t]*\*+ ?", "", match[1])


def markdown(text):
    yield 1, emptied(text, r"^```.*?^```$|<!--.*?-->", re.MULTILINE | re.DOTALL)


def restructured(text):
    # A block after "::" is as deep as its first line.
    text = emptied(text, r"(?<=::\n\n)([ \t]+)\S.*\n(?:\1.*\n|\n)*")
    lines, is_table = text.split("\n"), False
    for number, line in enumerate(lines):
        border = RULE.fullmatch(line.strip())
        is_table = bool(border or is_table and line.strip())
        if is_table:
            lines[number] = ""
    yield 1, "\n".join(lines)


def paragraphs(text, is_comment):
    """Line and text of each; an item, a tag or a term of a list begins a new one."""
    start, words, depth = 0, [], 0
    for number, line in enumerate([*text.split("\n"), ""]):
        indent = len(line) - len(line.lstrip())
        # A row of a table has a tab; else only its first line can make a paragraph a figure.
        first = line if is_comment else line.strip()
        figure = re.search(r"\S\t", line) if words else FIGURE.search(first)
        deeper = not is_comment and words and indent != depth
        if not line.strip() or figure or ITEM.match(line) or deeper:
            if words:
                yield start, " ".join(words)
            words = []
        if line.strip() and not figure:
            if not words:
                start, depth = number, indent + 2 * bool(re.match(r"\s*[-*] ", line))
            words.append(re.sub(r"^\s*[-*] ", "", line).strip())


def long_sentences(path):
    text = path.read_text(encoding="utf-8")
    prose = {".md": markdown, ".rst": restructured}.get(path.suffix, comments)
    for first, body in prose(text):
        for line, paragraph in paragraphs(body, prose is comments):
            for sentence in END.split(paragraph):
                if len(sentence.split()) > MOST:
                    yield f"{path}:{first + line}: {len(sentence.split())} words: {sentence}"


def main():
    paths = [pathlib.Path(name) for name in sys.argv[1:]]
    paths = paths or sorted({path for each in COVERED for path in pathlib.Path().glob(each)})
    found = [report for path in paths for report in long_sentences(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
