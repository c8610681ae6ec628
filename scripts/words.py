#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Report phrases that Documentation/style.rst advises against.

    words.py [FILE...]

Without FILE, checks what COVERED matches. Prints FILE:LINE for each phrase, and
fails if there is one. Only prose is checked: comments and strings of code, and in
documents all but literals and code blocks.
"""

import io
import pathlib
import re
import sys
import tokenize

PAGE = "Documentation/style.rst"

# What has been rewritten by the rules of the page. Patterns of pathlib.
COVERED = (
    "README.md",
    "Documentation/**/*",
    "tests/README.md",
    "src/**/*.[ch]",
    "include/**/*.h",
    "tests/migration/**/*.[chp]*",
    "tests/selftests/*.[ch]",
    "tests/host/*.[ch]",
    "tests/fuzz/*.c",
    "tests/bench/*.*",
    "tests/tools/*.py",
    "tools/*.[ch8]",
    "tests/vm/*.sh",
    "tests/uml/*.sh",
    "tests/lint/*",
    "tests/soak/*.[ch]",
    "scripts/*.*",
)

LITERAL = re.compile(r"``(.+?)``")

# Between the words of a phrase: a line may end there, and the next begin as a comment.
GAP = r"(?:[ \t]*\n[ \t*#]*|[ \t]+)"


def phrases(page):
    """Each phrase to avoid, what to write, and longer phrases that are correct."""
    table = page.split(".. word list\n")[1].split(".. end of the word list")[0]
    found = []
    for line in table.splitlines():
        first, *literals = LITERAL.findall(line) or [None]
        if line.startswith("``"):
            write = line.removeprefix(f"``{first}``").strip().split("  ")[0]
            found.append((first, write, literals))
        elif first:
            found[-1][2].extend([first, *literals])
    return found


def blank(text, spans):
    """The text with those spans replaced, line by line, by what no phrase contains."""
    for start, end in spans:
        text = text[:start] + re.sub(r"[^\n]", "\0", text[start:end]) + text[end:]
    return text


def keep(text, spans):
    """The text with all but those spans replaced."""
    edges = [0, *(edge for span in sorted(spans) for edge in span), len(text)]
    return blank(text, zip(edges[::2], edges[1::2]))


def spans(pattern, text, flags=0):
    return [match.span() for match in re.finditer(pattern, text, flags)]


def markdown(text):
    text = blank(text, spans(r"^```.*?^```$|<!--.*?-->", text, re.MULTILINE | re.DOTALL))
    return blank(text, spans(r"`[^`]+`|\]\([^)]*\)", text))


def restructured(text):
    # A block after "::" is as deep as its first line.
    text = blank(text, spans(r"(?<=::\n\n)([ \t]+)\S.*\n(?:\1.*\n|\n)*", text))
    return blank(text, spans(r"``.+?``|`[^`]+`_", text, re.DOTALL))


def c_source(text):
    return keep(text, spans(r'/\*.*?\*/|"(?:[^"\\\n]|\\.)*"', text, re.DOTALL))


def python(text):
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    prose = tokenize.COMMENT, tokenize.STRING
    return keep(text, [
        (starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1])
        for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type in prose
    ])


def shell(text):
    return keep(text, spans(r"""(?m:(?<!\S)#.*$)|"(?:[^"\\]|\\.)*"|'[^']*'""", text))


PROSE = {
    ".md": markdown, ".rst": restructured, ".c": c_source, ".h": c_source,
    ".py": python, ".sh": shell,
}


def covered():
    return sorted({path for pattern in COVERED for path in pathlib.Path().glob(pattern)
                   if path.is_file()})


def complaints(path, rules):
    original = path.read_text(encoding="utf-8")
    text = PROSE.get(path.suffix, lambda prose: prose)(original)
    for avoid, write, correct in rules:
        fine = [span for phrase in correct for span in spans(expression(phrase), text, re.IGNORECASE)]
        for start, end in spans(expression(avoid), text, re.IGNORECASE):
            if not any(left <= start and end <= right for left, right in fine):
                line = text.count("\n", 0, start) + 1
                yield line, f'{path}:{line}: "{avoid}": {write}'


def expression(phrase):
    return r"\b" + GAP.join(map(re.escape, phrase.split())) + r"\b"


def main():
    rules = phrases(pathlib.Path(PAGE).read_text(encoding="utf-8"))
    assert len(rules) > 20, f"only {len(rules)} phrases in {PAGE}"
    paths = [pathlib.Path(name) for name in sys.argv[1:]] or covered()
    found = [text for path in paths for _, text in sorted(complaints(path, rules))]
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
