#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Does each function whose kernel-doc names a lock in its context assert that lock?

The context says "state_mutex", "the session lock" or "the io lock" (of a caller that holds
it), and not "takes" it. The function then has lockdep_assert_held() or
tern_assert_held() in its body. Prints what is missing, and fails if there is any.
"""

import pathlib
import re
import sys

DOC = re.compile(r"/\*\*\n(?P<doc>(?: \*[^\n]*\n)+?) \*/\n(?P<head>[a-z][^;{]*?)\n\{\n(?P<body>.*?)\n\}\n",
                 re.DOTALL)
LOCKS = ("state_mutex", "session lock", "io lock")


def context(doc):
    """The sentence after "Context:", without the comment's stars."""
    text = re.sub(r"\n \* ?", " ", "\n" + doc)
    match = re.search(r"Context: (.*)", text)
    return match[1] if match else ""


def needs(doc):
    """The locks that a caller has to hold."""
    found = []
    for part in re.split(r"[;.]", context(doc)):
        if re.search(r"\b(takes?|no|if|or)\b", part):
            continue
        found += [lock for lock in LOCKS if lock in part]
    return found


def main():
    missing = []
    for path in sorted(pathlib.Path("src").rglob("*.c")):
        for match in DOC.finditer(path.read_text()):
            locks = needs(match["doc"])
            name = re.search(r"(\w+)\(", match["head"])[1]
            asserts = len(re.findall(r"(?:lockdep|tern)_assert_held\(", match["body"]))
            if asserts < len(locks):
                missing.append(f"{path}: {name}() does not assert {', '.join(locks)}")
    print("\n".join(missing))
    return bool(missing)


sys.exit(main())
