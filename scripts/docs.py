#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Render the documentation, and hold it against the code.

    docs.py KERNEL-DOC OUT

KERNEL-DOC is the kernel's script of that name. Pages come to OUT as HTML, with
the functions' own documentation in OUT/api. Any warning of docutils fails. Says
in lines of TAP what it found.
"""

import pathlib
import re
import shutil
import subprocess
import sys

import docutils.core
import docutils.nodes
import docutils.utils
from docutils.parsers.rst import Directive, directives, roles

DOCS = pathlib.Path("Documentation")
ABI = DOCS / "ABI/testing/sysfs-bus-mdev-tern"
ABI_FIELDS = ["What", "Date", "KernelVersion", "Contact", "Description", "Users"]


class CObject(Directive):
    """What kernel-doc says of a function, a struct or an enum: its head, then its text."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self):
        head = docutils.nodes.paragraph()
        head += docutils.nodes.literal(text=self.arguments[0])
        body = docutils.nodes.block_quote()
        self.state.nested_parse(self.content, self.content_offset, body)
        return [head, body]


def reference(_name, _rawtext, text, _lineno, _inliner, options=None, content=None):
    return [docutils.nodes.literal(text=text)], []


def prepare():
    for kind in "function", "struct", "enum", "type", "macro", "union":
        directives.register_directive(f"c:{kind}", CObject)
    for role in "func", "type", "struct", "enum", "member", "expr", "macro":
        roles.register_local_role(f"c:{role}", reference)


def render(source, target, title=None):
    """Complaints of docutils, or none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = source if title else source.read_text()
    if title:
        text = f"{'=' * len(title)}\n{title}\n{'=' * len(title)}\n\n{text}"
    html = docutils.core.publish_string(
        text,
        source_path=title or str(source),
        writer_name="html5",
        settings_overrides={
            "report_level": 2,
            "halt_level": 2,
            "traceback": True,
            "warning_stream": False,
            "input_encoding": "utf-8",
            "embed_stylesheet": True,
            "file_insertion_enabled": False,
        },
    ).decode()
    # A page that another names as .rst is an .html here.
    html = re.sub(r'href="([^":]+)\.rst"', r'href="\1.html"', html)
    target.write_text(html)


def api(kernel_doc, source):
    """kernel-doc's reStructuredText of a file, without the line marks of Sphinx."""
    if "/**" not in source.read_text():
        return ""
    out = subprocess.run(
        ["perl", kernel_doc, "-rst", "-sphinx-version", "2.0", "-Werror", source], capture_output=True, text=True
    )
    if out.returncode:
        raise AssertionError(out.stderr)
    return re.sub(r"^\.\. LINENO .*\n", "", out.stdout, flags=re.MULTILINE)


def pages(_kernel_doc, out):
    for page in sorted(DOCS.rglob("*.rst")):
        render(page, out / page.relative_to(DOCS).with_suffix(".html"))
    for picture in sorted(DOCS.rglob("*.svg")):
        shutil.copy(picture, out / picture.relative_to(DOCS))


def functions(kernel_doc, out):
    index = []
    for folder in "src", "include":
        for source in sorted(pathlib.Path(folder).rglob("*.[ch]")):
            text = api(kernel_doc, source)
            if not text.strip():
                continue
            name = str(source).replace("/", "-") + ".html"
            render(text, out / "api" / name, title=str(source))
            index.append(f"- `{source} <{name}>`_")
    assert len(index) > 10, f"only {len(index)} files are documented"
    render("\n".join(index), out / "api/index.html", title="Functions")


def abi(*_):
    entries, field = [], None
    for line in ABI.read_text().splitlines():
        if match := re.match(r"(\w+):\s*(.*)", line):
            field = match[1]
            if field == "What":
                entries.append({})
            entries[-1][field] = match[2]
        elif line.strip():
            entries[-1][field] += line.strip() + " "
    for entry in entries:
        assert list(entry) == ABI_FIELDS, f"{entry.get('What')}: fields {list(entry)}"
        empty = [name for name, value in entry.items() if not value.strip()]
        assert not empty, f"{entry['What']}: nothing in {empty}"
    described = {pathlib.PurePath(entry["What"]).name for entry in entries}
    code = [name for source in sorted(pathlib.Path("src").rglob("*.c"))
            for name in re.findall(r"&dev_attr_(\w+)\.attr", source.read_text())]
    code += [name for source in sorted(pathlib.Path("src").rglob("*.c"))
             for name in re.findall(r"module_param\((\w+),", source.read_text())]
    code += re.findall(r'\[TERN_RULE_\w+\]\s*= \{ "(\w+)"',
                       pathlib.Path("src/lab/rule.c").read_text())
    same(described - {"tern-mem"}, set(code), "attributes and parameters")


def same(page, code, what):
    assert code, f"no {what} in the code"
    assert page == code, f"{what}: only described {page - code}, only there {code - page}"


def tracepoints(*_):
    """Each with its fields, in their order, without the device's name."""
    text = pathlib.Path("src/lab/trace.h").read_text()
    fields, code = {}, set()
    for kind, name, body in re.findall(r"^(\w+)\((\w+),\n(.*?)^\);", text, re.MULTILINE | re.DOTALL):
        fields[name] = ", ".join(re.findall(r"__(?:array|field)\([^,]+, (\w+)", body)[1:])
        if kind != "DECLARE_EVENT_CLASS":
            code.add((name, fields[name]))
    for event, base in re.findall(r"DEFINE_EVENT\((\w+), (\w+),", text):
        code.add((base, fields[event]))
    page = (DOCS / "lab.rst").read_text()
    rows = re.findall(r"^(tern_\w+) +((?:\w+, )*\w+)  ?", page, re.MULTILINE)
    same(set(rows), code, "tracepoints and their fields")


def errors(*_):
    page = (DOCS / "stream.rst").read_text()
    table = re.search(r"^error .*?(?=^The first five)", page, re.MULTILINE | re.DOTALL)[0]
    code = set()
    for name in "stream", "loader":
        theory = pathlib.Path(f"src/core/{name}.c").read_text().split("*/")[0]
        code |= set(re.findall(r"-E[A-Z]+", theory))
    same(set(re.findall(r"^-E[A-Z]+", table, re.MULTILINE)), code, "errors of a stream")


def arcs(*_):
    """The table of the page is the table of the code."""
    text = pathlib.Path("src/core/phase.c").read_text()
    code, start = {}, None
    for line in re.search(r" arcs\[.*?^};", text, re.MULTILINE | re.DOTALL)[0].splitlines():
        if match := re.match(r"\t\[TERN_PHASE_(\w+)\] = \{", line):
            start = match[1]
        elif match := re.match(r"\t\t\[TERN_PHASE_(\w+)\]\s*= (\S)", line):
            kind = {"R": "-", "{": "."}.get(match[2], "yes")
            code[start, match[1]] = kind
    page = (DOCS / "state-machine.rst").read_text()
    rows = re.search(r"^from .*?\n=+ .*?\n(.*?)^=", page, re.MULTILINE | re.DOTALL)[1]
    names = page[page.index("\nfrom ") :].splitlines()[1].split()[1:]
    told = {}
    for row in rows.splitlines():
        start, *cells = row.replace("\\-", "-").split()
        told |= {(start, name): cell for name, cell in zip(names, cells)}
    same(set(told.items()), set(code.items()), "arcs")
    for (start, to), kind in code.items():
        if kind == "yes":
            assert f"\n{start} -> {to}\n" in page, f"{start} -> {to} has no paragraph"


def tool(*_):
    """Each command of the program has a row in its page, and a chapter in its manual."""
    code = set(re.findall(r'^\t\{ "(\w+)", "', pathlib.Path("tools/tern.c").read_text(), re.MULTILINE))
    page = (DOCS / "tern.rst").read_text()
    table = re.search(r"^command .*?^=+ =.*?\n(.*?)^=", page, re.MULTILINE | re.DOTALL)[1]
    same(set(re.findall(r"^(\w+) ", table, re.MULTILINE)), code, "commands")
    examples = "".join(re.findall(r"^\.\. example .*?^\.\. end", page, re.MULTILINE | re.DOTALL))
    same(set(re.findall(r"\btern (\w+)", examples)), code, "examples")
    manual = pathlib.Path("tools/tern.8").read_text()
    same(set(re.findall(r"^\.SS (\w+)", manual, re.MULTILINE)), code, "commands of the manual")


def rules(*_):
    """Each rule has a row, and what it names is there."""
    page = (DOCS / "design/rules.rst").read_text()
    wanted = set(re.findall(r"^S-\d+$", (DOCS / "requirements.rst").read_text(), re.MULTILINE))
    same(set(re.findall(r"\* - (S-\d+)", page)), wanted, "rules")
    row = re.compile(r"``(\w+)(?:\(\))?``\s+in\s+((?:src|tests)/[\w/.]+\.c)")
    found = row.findall(page)
    assert len(found) >= 2 * len(wanted), f"only {len(found)} places are named"
    for name, path in found:
        text = pathlib.Path(path).read_text()
        assert re.search(rf"\b{name}\b", text), f"{path} has no {name}"


CHECKS = [
    ("the pages", pages),
    ("the functions' own documentation", functions),
    ("the ABI has the kernel's form, and every attribute", abi),
    ("the tracepoints and their fields", tracepoints),
    ("stream.rst names the errors of the code", errors),
    ("state-machine.rst has the table of the code", arcs),
    ("tern.rst and tern.8 have the commands of the program", tool),
    ("rules.rst names what is there", rules),
]


def main():
    kernel_doc, out = sys.argv[1], pathlib.Path(sys.argv[2])
    prepare()
    failed = 0
    print(f"1..{len(CHECKS)}")
    for number, (name, check) in enumerate(CHECKS, 1):
        try:
            check(kernel_doc, out)
        except (AssertionError, docutils.utils.SystemMessage) as error:
            failed += 1
            print(*(f"# {line}" for line in str(error).splitlines()), sep="\n")
            print(f"not ok {number} {name}")
        else:
            print(f"ok {number} {name}")
    print(f"# {out}/index.html")
    print(f"{len(CHECKS) - failed} passed, {failed} failed, 0 skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
