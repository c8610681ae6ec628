#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Find the places where mutate.py can break a source file, on its syntax tree.

libclang parses each file with the flags that kbuild gave to gcc for User Mode Linux:
the tree is the one of the kernel, with its macros. What a macro expands to is not in
the file, so only a macro as a whole is ever changed.
"""

import dataclasses
import hashlib
import itertools
import os
import re
import shlex

# What deletes to a missing release of something, or to a missing order or wake-up.
RELEASE = re.compile(
    r"unlock|put|free|unuse|release|uninit|destroy|unregister|barrier|smp_|wake|clear_bit|"
    r"_dec|complete|flush|cancel|signal")

# Nothing that a test could see: messages, assertions, hints to the scheduler, and what
# is there for lock debugging only.
SKIPPED = re.compile(
    r"(WARN(_ON)?(_ONCE)?|BUG_ON|BUILD_BUG_ON\w*|static_assert|lockdep_\w+|printk\w*|pr_\w+|"
    r"dev_(err|warn|info|dbg)\w*|MODULE_\w+|cond_resched|might_\w+|prefetch\w*|mutex_destroy|"
    r"tern_step_point)\s*\(")
ASSERTION = re.compile(r"\b(WARN_ON|BUG_ON)")

BOUNDS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
LOGIC = {"&&": "||", "||": "&&"}
ERRNO = re.compile(r"-\s*E[A-Z0-9]+")
ERROR = re.compile(r"(ret|err|error|rc)|-\s*E[A-Z0-9]+|PTR_ERR\(.*\)")

# gcc's flags that clang does not have, or that have nothing to do with the tree.
UNKNOWN = re.compile(
    r"-Wp,|-W|-fsanitize|-fasan|-fconserve-stack|-fno-allow-store|-fno-stack-clash|"
    r"-fno-stack-check|-ftrivial-auto-var-init|-mcmodel|-c$")


@dataclasses.dataclass(frozen=True)
class Place:
    """One change of one file. The text from @start to @end becomes @mutated."""

    path: str		# from the top of the tree
    function: str	# or the table outside of any function
    operator: str
    line: int
    start: int
    end: int
    original: str
    mutated: str
    occurrence: int	# among changes of the same words in the same function

    @property
    def base(self):
        return self.path.rpartition("/")[2]

    @property
    def key(self):
        """What stays when lines are added and when the file is moved."""
        return (self.base, self.function, self.operator, words(self.original),
                words(self.mutated), self.occurrence)

    @property
    def id(self):
        return hashlib.sha256("\0".join(map(str, self.key)).encode()).hexdigest()[:8]

    def apply(self, text):
        return text[:self.start] + self.mutated + text[self.end:]


def words(text):
    """The text without its line breaks and indentation."""
    return " ".join(text.split())


def clang_flags(command, source):
    """The flags for libclang, of the command that kbuild ran gcc with."""
    flags = []
    arguments = iter(shlex.split(command)[1:])
    for argument in arguments:
        if argument in ("-o", "--param"):
            next(arguments)
        elif argument != source and not UNKNOWN.match(argument):
            flags.append(argument)
    return flags


def parse(source, command, runs_in):
    """The translation unit of @source. An error in it is the caller's to report."""
    # Only here: what does not parse (lint) does without python3-clang.
    import clang.cindex as cindex

    unit = cindex.Index.create().parse(
        os.path.join(runs_in, source),
        [*clang_flags(command, source), f"-working-directory={runs_in}", "-w"],
        options=cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD)
    errors = [str(note) for note in unit.diagnostics if note.severity >= note.Error]
    if errors:
        raise SyntaxError(f"{source} does not parse: {errors[0]}")
    return unit


class Finder:
    """Walks the tree of one file and collects its places."""

    def __init__(self, unit, path, text):
        self.unit = unit
        self.path = path
        self.text = text
        self.found = []
        self.function = None
        self.returns_number = False
        self.macros = []
        for cursor in unit.cursor.get_children():
            if cursor.kind.name == "MACRO_INSTANTIATION" and self.is_here(cursor):
                self.macros.append(span(cursor))

    def is_here(self, cursor):
        file = cursor.location.file
        return file is not None and file.name == self.unit.spelling

    def in_macro(self, start, end):
        return any(left <= start and end <= right for left, right in self.macros)

    def add(self, operator, start, end, mutated):
        original = self.text[start:end]
        if words(original) == words(mutated):
            return
        self.found.append(Place(
            self.path, self.function, operator, self.text.count("\n", 0, start) + 1,
            start, end, original, mutated, 0))

    def places(self):
        for cursor in self.unit.cursor.get_children():
            if not self.is_here(cursor) or self.in_macro(*span(cursor)):
                continue
            if cursor.kind.name == "FUNCTION_DECL" and cursor.is_definition():
                self.of_function(cursor)
            elif cursor.kind.name == "VAR_DECL":
                self.function = cursor.spelling
                for child in cursor.get_children():
                    if child.kind.name == "INIT_LIST_EXPR":
                        self.expression(child)
        return numbered(self.found)

    def of_function(self, cursor):
        self.function = cursor.spelling
        returned = cursor.result_type.get_canonical().spelling
        self.returns_number = returned in ("int", "long")
        for child in cursor.get_children():
            if child.kind.name == "COMPOUND_STMT":
                self.statement(child, None)

    def statement(self, node, check):
        """@check: whether the statement is what an if does, and its condition."""
        start, end = span(node)
        kind = node.kind.name
        children = list(node.get_children())
        if kind == "COMPOUND_STMT":
            for child in children:
                self.statement(child, check if child == children[-1] else None)
        elif kind == "IF_STMT":
            self.condition(children[0])
            for child in children[1:]:
                self.statement(child, self.slice(children[0]))
        elif kind in ("WHILE_STMT", "SWITCH_STMT"):
            if kind == "WHILE_STMT":
                self.condition(children[0])
            else:
                self.expression(children[0])
            self.statement(children[1], None)
        elif kind == "DO_STMT" and not self.in_macro(start, end):
            self.statement(children[0], None)
            self.condition(children[1])
        elif kind in ("FOR_STMT", "CASE_STMT", "DEFAULT_STMT", "LABEL_STMT"):
            for child in children[:-1] if kind == "FOR_STMT" else []:
                self.expression(child)
            if children:
                self.statement(children[-1], None)
        elif kind == "RETURN_STMT":
            self.returned(node, children)
            self.leave(start, end, check)
        elif kind == "GOTO_STMT":
            self.leave(start, end, check)
        elif node.kind.is_expression() or self.in_macro(start, end):
            self.delete(start, end)
            self.expression(node)
        else:
            for child in children:
                self.expression(child)

    def slice(self, node):
        start, end = span(node)
        return self.text[start:end]

    def delete(self, start, end):
        original = self.text[start:end]
        if not self.text[end:].lstrip().startswith(";") or SKIPPED.match(original):
            return
        called = re.match(r"[\w>.-]*?(\w+)\s*\(", original)
        operator = "release" if called and RELEASE.search(called[1]) else "delete"
        self.add(operator, start, end, "")

    def leave(self, start, end, check):
        """A return or goto of a check. One of an assertion is never reached."""
        if check and not ASSERTION.search(check):
            self.add("check", start, end, "")

    def returned(self, node, children):
        if not children:
            return
        start, end = span(children[0])
        if self.returns_number and ERROR.fullmatch(self.text[start:end]):
            self.add("success", start, end, "0")
        self.expression(children[0])

    def condition(self, node):
        start, end = span(node)
        original = self.text[start:end]
        if ASSERTION.search(original):
            return
        # A macro as a whole can be negated, but not what is in the middle of one.
        if not self.in_macro(start, end) or (start, end) in self.macros:
            self.add("negate", start, end, f"!({original})")
        self.expression(node)

    def expression(self, node):
        start, end = span(node)
        if self.in_macro(start, end):
            return
        kind = node.kind.name
        children = list(node.get_children())
        if kind == "CXX_UNARY_EXPR":	# sizeof
            return
        if kind == "UNARY_OPERATOR" and ERRNO.fullmatch(self.text[start:end]):
            other = "-EPERM" if self.text[start:end] == "-EINVAL" else "-EINVAL"
            self.add("errno", start, end, other)
            return
        if kind == "INTEGER_LITERAL":
            self.constant(start, end)
        elif kind == "BINARY_OPERATOR" and len(children) == 2:
            self.binary(start, end, *children)
        elif kind == "CONDITIONAL_OPERATOR":
            self.condition(children.pop(0))
        elif kind == "CALL_EXPR" and not SKIPPED.match(self.text[start:end]):
            self.swap(start, end, list(node.get_arguments()))
        for child in children:
            self.expression(child)

    def constant(self, start, end):
        match = re.fullmatch(r"(0x[0-9a-fA-F]+|[0-9]+)([uUlL]*)", self.text[start:end])
        if match:
            text = match[1]
            base = 16 if text.startswith("0x") else 8 if text[0] == "0" != text else 10
            number = {16: "0x%x", 8: "0%o", 10: "%d"}[base] % (int(text, base) + 1)
            self.add("constant", start, end, number + match[2])

    def binary(self, start, end, left, right):
        gap, then = span(left)[1], span(right)[0]
        operator = self.text[gap:then].strip()
        at = self.text.find(operator, gap)
        if operator in BOUNDS:
            self.add_operator("bound", at, operator, BOUNDS[operator], start, end)
        elif operator in LOGIC:
            self.add_operator("logic", at, operator, LOGIC[operator], start, end)
        elif operator in ("+", "-") and self.slice(right) == "1":
            self.add("bound", start, end, self.slice(left))

    def add_operator(self, name, at, old, new, start, end):
        """Shown with the whole expression: the operator alone is not much to read."""
        text = self.text
        self.add(name, start, end, text[start:at] + new + text[at + len(old):end])

    def swap(self, start, end, arguments):
        for one, other in itertools.combinations(arguments, 2):
            if one.type.get_canonical().spelling != other.type.get_canonical().spelling:
                continue
            (a, b), (c, d) = span(one), span(other)
            if start < a < b < c < d <= end:
                text = self.text
                self.add("swap", start, end, text[start:a] + text[c:d] + text[b:c] +
                         text[a:b] + text[d:end])


def span(cursor):
    return cursor.extent.start.offset, cursor.extent.end.offset


def numbered(found):
    """The places in the order of the file, each change once, and equal ones counted."""
    counts = {}
    unique = {(place.start, place.end, place.mutated): place for place in reversed(found)}
    places = []
    for place in sorted(unique.values(), key=lambda p: (p.start, p.end, p.operator, p.mutated)):
        count = counts[place.key] = counts.get(place.key, 0) + 1
        places.append(dataclasses.replace(place, occurrence=count))
    return places


def find(path, source, text, command, runs_in):
    """All places of one file.

    @path: of the file in the tree
    @source: its copy where kbuild has built it, as @command names it
    @text: its content, a character per byte
    @command: how kbuild ran gcc
    @runs_in: in which folder
    """
    return Finder(parse(source, command, runs_in), path, text).places()
