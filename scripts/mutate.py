#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Break src/ by rule, and list the changes that no test detects.

    mutate.py [-n N] [--seed SEED] [--files GLOB] [--again | --list | --table]
    mutate.py --only ID | --show ID | --check

Draws N changes (mutants) from all places of src/ outside of src/compat, and runs for each
locks.py of `make lint`, the host tests if it is in them, and the selftests on User Mode
Linux, until one fails. The draw depends on the seed, N and the tree only. What was judged
is kept in build/mutate/SEED-N: started again, it continues there.

    --files GLOB   draw from these files only, by name or by path
    --again        judge the survivors again, with the tests as they are now
    --list         print the draw, and run nothing
    --table        print the score of each file as a table for tests/README.md
    --only ID      judge one change, and print what the tests print
    --show ID      print one change, and its entry for tests/mutate/equivalent
    --check        check that the entries of tests/mutate/equivalent match the tree
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import difflib
import fnmatch
import hashlib
import itertools
import json
import os
import pathlib
import queue
import random
import re
import subprocess
import sys
import threading
import time

import mutate_judge
import mutate_places
import mutate_reach
from mutate_places import Place, words

TOP = pathlib.Path(__file__).resolve().parent.parent
OUT = TOP / "build/mutate"
EQUIVALENT = TOP / "tests/mutate/equivalent"
ORDER = TOP / "tests/mutate/order"
CORE = "src/core/"
WORKERS = 2
# After so many jobs of User Mode Linux what leaked is looked for.
LIKELY = 5
# A test that takes long, and loads the module again and again: for files that load it.
LOADS = "load_that_fails_leaves_nothing"

# What a change can turn out to be. The first two are judged, the last two are not mutants:
# others are drawn for them.
KILLED, SURVIVED, EQUAL, BROKEN, SAME = "killed", "survived", "equivalent", "broken", "same"


def output(*command):
    return subprocess.check_output(command, text=True, cwd=TOP).strip()


# The places


def sources():
    """The files that are mutated, by name."""
    return sorted(path.relative_to(TOP).as_posix() for path in TOP.glob("src/**/*.c")
                  if not path.is_relative_to(TOP / "src/compat"))


def places_of_file(path, module, runs_in):
    """The places of one file, from the cache unless it or a header of ours changed."""
    command = mutate_judge.command_of(module / (path.removesuffix(".c") + ".o"))
    text = (module / path).read_text("latin-1")
    headers = [header.read_text("latin-1") for header in sorted((module / "src").glob("**/*.h"))]
    tool = pathlib.Path(mutate_places.__file__).read_text()
    digest = hashlib.sha256("\0".join([path, command, text, tool, *headers]).encode()).hexdigest()
    cache = OUT / "places" / digest[:16]
    if cache.exists():
        return [Place(**place) for place in json.loads(cache.read_text())]
    source = path if runs_in == module else str(module / path)
    found = mutate_places.find(path, source, text, command, runs_in)
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps([dataclasses.asdict(place) for place in found]))
    return found


def all_places(module, kdir):
    """The places of all files, by path. A file without any is an error of the finder."""
    paths = sources()
    runs_in = mutate_judge.runs_in(module, kdir)
    with concurrent.futures.ProcessPoolExecutor(WORKERS) as pool:
        found = dict(zip(paths, pool.map(places_of_file, paths, [module] * len(paths),
                                         [runs_in] * len(paths))))
    for path, places in found.items():
        # A file that is only a table (models.c) has no function, and no place.
        if not places and "\n{\n" in (TOP / path).read_text():
            raise SystemExit(f"mutate: {path} has no place to change: does it parse?")
    found = {path: places for path, places in found.items() if places}
    ids = collections.Counter(place.id for places in found.values() for place in places)
    twice = [name for name, count in ids.items() if count > 1]
    if twice:
        raise SystemExit(f"mutate: two places have the id {twice[0]}")
    return found


# The draw


def quotas(places, n):
    """How many of @n each file gets, by its number of places."""
    total = sum(map(len, places.values()))
    n = min(n, total)
    share = {path: n * len(found) / total for path, found in places.items()}
    counts = {path: int(part) for path, part in share.items()}
    by_rest = sorted(share, key=lambda path: (counts[path] - share[path], path))
    for path in by_rest[:n - sum(counts.values())]:
        counts[path] += 1
    return counts


def drawn(places, seed):
    """The places of one file in the order they are drawn: each operator in its turn."""
    chance = random.Random(f"{seed} {places[0].base}")
    groups = collections.defaultdict(list)
    for place in places:
        groups[place.operator].append(place)
    operators = sorted(groups)
    chance.shuffle(operators)
    for operator in operators:
        chance.shuffle(groups[operator])
    order = []
    while len(order) < len(places):
        order += [groups[operator].pop() for operator in operators if groups[operator]]
    return order


class Draw:
    """Hands out places until each file has its quota of those that can be judged."""

    def __init__(self, places, n, seed):
        self.quotas = quotas(places, n)
        self.orders = {path: drawn(found, seed) for path, found in places.items()}
        self.lock = threading.Lock()
        self.next = dict.fromkeys(places, 0)

    def slots(self):
        """A file name for each place to judge, those of one file far apart."""
        slots = [(number / quota, path) for path, quota in self.quotas.items()
                 for number in range(quota)]
        return [path for _, path in sorted(slots)]

    def take(self, path):
        """The next place of a file, or None. What is known already is taken, too."""
        with self.lock:
            at = self.next[path]
            self.next[path] += 1
        return self.orders[path][at] if at < len(self.orders[path]) else None

    def first(self):
        """What is drawn if each place can be judged."""
        return [place for path, quota in self.quotas.items()
                for place in self.orders[path][:quota]]


# What a person has judged


@dataclasses.dataclass
class Entry:
    """An entry of tests/mutate/equivalent."""

    line: int
    fields: dict

    @property
    def key(self):
        names = "file", "function", "operator", "original", "mutated"
        return *(self.fields.get(name, "") for name in names), int(self.fields["occurrence"])


def entries():
    found = []
    for number, line in enumerate(EQUIVALENT.read_text().splitlines(), 1):
        name, colon, value = line.partition(":")
        if line.startswith("#") or not colon:
            continue
        if name == "file":
            found.append(Entry(number, {}))
        found[-1].fields[name] = value.strip()
    return found


def entry_text(place):
    names = "file", "function", "operator", "original", "mutated", "occurrence"
    return "\n".join(f"{name}: {value}".rstrip() for name, value in zip(names, place.key))


def function_text(path, function):
    """What a file has from the line that names a function first, to its end."""
    text = (TOP / path).read_text("latin-1")
    found = re.search(rf"^[^\s*#/][^\n;]*\b{re.escape(function)}\b.*?^}}", text,
                      re.MULTILINE | re.DOTALL)
    return words(found[0]) if found else ""


def check():
    """The entries and the order are held against the tree, without a parser."""
    complaints = []
    paths = sources()
    for entry in entries():
        where = f"{EQUIVALENT.relative_to(TOP)}:{entry.line}"
        missing = [name for name in ("function", "operator", "original", "occurrence", "reason")
                   if not entry.fields.get(name)]
        if missing:
            complaints.append(f"{where}: no {missing[0]}")
            continue
        base, function, _, original, _, occurrence = entry.key
        count = sum(function_text(path, function).count(original) for path in paths
                    if path.endswith(f"/{base}"))
        if count < occurrence:
            complaints.append(f"{where}: {base} has no such place in {function}()")
    known = host_words("TESTS") | {job.split()[0] for job in uml_jobs()}
    for base, programs in order().items():
        complaints += [f"{ORDER.relative_to(TOP)}: {base}: no program {program}"
                       for program in programs if program not in known]
    missing = known - set(order()["*"])
    complaints += [f"{ORDER.relative_to(TOP)}: the last line lacks {name}" for name in missing]
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return bool(complaints)


# The programs


def order():
    """The programs of tests/mutate/order, by the name of a file."""
    lines = [line.split() for line in ORDER.read_text().splitlines() if not line.startswith("#")]
    return {base: programs for base, *programs in filter(None, lines)}


def host_words(variable):
    makefile = (TOP / "tests/host/Makefile").read_text()
    return set(re.search(rf"^{variable}\s*:= (.*)", makefile, re.MULTILINE)[1].split())


def hosted():
    """The sources that the host tests consist of."""
    return {f"src/{folder.lower()}/{name}.{suffix}" for folder in ("CORE", "LAB")
            for name in host_words(folder) for suffix in "ch"}


def uml_jobs():
    return output("scripts/check-uml.sh", "jobs", "all").splitlines()


class Programs:
    """Which programs judge a change, those first that are likely to detect it."""

    def __init__(self):
        self.order = order()
        self.host_tests = host_words("TESTS")
        self.hosted = hosted()
        self.jobs = uml_jobs()

    def sorted(self, base, names, key):
        ranks = [*self.order.get(base, []), *self.order["*"]]
        return sorted(names, key=lambda name: ranks.index(key(name)))

    def host(self, base):
        return self.sorted(base, self.host_tests, str)

    def uml(self, base):
        """The jobs for a file, in their order."""
        return self.sorted(base, self.jobs, lambda job: job.split()[0])

    def judges(self, place, reach):
        """The jobs for a change, in rounds: each looks for leaks once the likely ones have run."""
        known = self.uml(place.base)
        rounds = [reach.jobs(place, known), reach.others(place, known)] if reach else [known]
        for jobs in filter(None, rounds):
            if "fault_life_test" not in self.order.get(place.base, []):
                jobs = [f"{job} -T {LOADS}" if job.startswith("fault_life_test") else job
                        for job in jobs]
            yield [*jobs[:LIKELY], "leaks.sh", *jobs[LIKELY:]]


# The results


class Results:
    """A line per change in results.jsonl, after a line that names the tree."""

    def __init__(self, folder, tree):
        self.folder = folder
        self.file = folder / "results.jsonl"
        self.lock = threading.Lock()
        self.lines = []
        head = {"tree": tree}
        if self.file.exists():
            first, *lines = map(json.loads, self.file.read_text().splitlines())
            if first == head:
                self.lines = lines
                return
            print("# src/ has changed since: from the beginning")
        folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(head) + "\n")

    def forget(self, status):
        """Drop the lines with that status."""
        head = self.file.read_text().splitlines()[0]
        self.lines = [line for line in self.lines if line["status"] != status]
        self.file.write_text("".join(f"{line}\n" for line in [head, *map(json.dumps, self.lines)]))

    def status(self):
        return {line["id"]: line["status"] for line in self.lines}

    def add(self, place, status, by, seconds):
        line = {"id": place.id, "status": status, "by": by, "seconds": round(seconds, 1),
                **dataclasses.asdict(place)}
        with self.lock:
            self.lines.append(line)
            with open(self.file, "a") as file:
                file.write(json.dumps(line) + "\n")


def tree_hash():
    """Names and content of what is built: with another tree no result counts."""
    digest = hashlib.sha256()
    for path in sorted([TOP / "Kbuild", *TOP.glob("src/**/*"), *TOP.glob("include/**/*")]):
        if path.is_file():
            digest.update(f"{path.relative_to(TOP)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


# Judging


class Run:
    """The workers and what they share."""

    def __init__(self, folder, results, draw, equivalent, traced=None):
        self.folder = folder
        self.traced = traced
        self.reach = None
        self.results = results
        self.draw = draw
        self.known = results.status()
        self.equivalent = equivalent
        self.programs = Programs()
        self.slots = queue.Queue()
        self.began = time.monotonic()
        self.done = 0
        self.total = 0
        self.failed = False

    def measure(self, number, worker, count):
        """The tests must pass without any change. What each of them has run."""
        failure = worker.measure(self.programs.host("")[number::count],
                                 self.programs.uml("")[number::count], count, self.traced)
        if failure:
            raise SystemExit(f"without any change: {failure} (see {worker.log})")
        print(f"# without any change the tests pass ({number + 1} of {count}), "
              f"{time.monotonic() - self.began:.0f} s", flush=True)
        return worker.hits()

    def work(self, worker):
        """Judge places until the slots are empty."""
        try:
            while not self.failed:
                self.fill(worker, self.slots.get_nowait())
        except queue.Empty:
            pass
        except BaseException:
            self.failed = True
            raise

    def fill(self, worker, path):
        """Take places of a file until one of them can be judged."""
        while place := self.draw.take(path):
            status = self.known.get(place.id)
            if not status:
                began = time.monotonic()
                status, by = self.judge(worker, place)
                self.results.add(place, status, by, time.monotonic() - began)
                self.say(place, status, by)
            if status not in (BROKEN, SAME):
                self.done += 1
                return

    def judge(self, worker, place):
        if place.key in self.equivalent:
            return EQUAL, self.equivalent[place.key]
        try:
            built = worker.compile(place)
            if built != "builds":
                return built, None
            by = worker.locks()
            if place.path in self.programs.hosted:
                by = by or worker.host(self.programs.host(place.base))
            for jobs in self.programs.judges(place, self.reach):
                by = by or worker.uml(jobs)
        finally:
            worker.restore(place)
        return (KILLED, by) if by else (SURVIVED, None)

    def say(self, place, status, by):
        print(f"{status:9} {place.id} {place.path}:{place.line} {place.operator}"
              f"{f': {by}' if by else ''} # {self.done + 1} of {self.total}, "
              f"{(time.monotonic() - self.began) / 60:.1f} min", flush=True)

    def run(self, workers):
        slots = self.draw.slots()
        self.total = len(slots)
        for slot in slots:
            self.slots.put(slot)
        with concurrent.futures.ThreadPoolExecutor(len(workers)) as pool:
            hits = collections.defaultdict(set)
            for part in pool.map(self.measure, itertools.count(), workers,
                                 itertools.repeat(len(workers))):
                for job, offsets in part.items():
                    hits[job] |= offsets
            self.reach = mutate_reach.Reach(self.traced / "tern.ko", hits)
            futures = [pool.submit(self.work, worker) for worker in workers]
            try:
                for future in futures:
                    future.result()
            except KeyboardInterrupt:
                self.failed = True	# the workers end after their current change
                raise


def kernel():
    """The folder of the module as kbuild has built it, and the kernel's."""
    uml = output("scripts/uml-kernel.sh")
    module = pathlib.Path(output("scripts/build-module.sh", f"uml-{uml}")).parent
    return module, pathlib.Path(output("scripts/cache.sh", "uml", uml)) / "kdir"


def build_selftests(folder):
    selftests = folder / "selftests"
    selftests.mkdir(parents=True, exist_ok=True)
    kselftest = output("scripts/cache.sh", "kselftest")
    subprocess.run(["make", "-s", "-C", TOP / "tests/selftests", f"OUTPUT={selftests}",
                    f"KSFT={kselftest}/tools/testing/selftests"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return selftests


def snapshot(folder):
    """The tree as it is now: it may change while the changes are judged."""
    names = ["Kbuild", "Makefile", "src", "include", "scripts", "tests", "tools"]
    subprocess.run(["rsync", "-a", "--delete", "--exclude=__pycache__",
                    *(TOP / name for name in names), folder / "tree/"], check=True)
    return folder / "tree"


def workers_in(folder, count, module, kdir):
    folder.mkdir(parents=True, exist_ok=True)
    tree, selftests = snapshot(folder), build_selftests(folder)
    # make check-uml may build the module again meanwhile.
    built = folder / "module"
    mutate_judge.Worker.copy(module, built)
    subprocess.run(f"grep -rlZ --include='*.cmd' --include=tern.mod '{module}' '{built}' | "
                   f"xargs -0r sed -i 's#{module}#{built}#g'", shell=True, check=True)
    return [mutate_judge.Worker(folder / str(number), tree, built, kdir, selftests)
            for number in range(count)]


# Reports


def diff(place):
    text = (TOP / place.path).read_text("latin-1")
    return "".join(difflib.unified_diff(
        text.splitlines(keepends=True), place.apply(text).splitlines(keepends=True),
        f"a/{place.path}", f"b/{place.path}"))


def place_of(line):
    return Place(**{field.name: line[field.name] for field in dataclasses.fields(Place)})


@dataclasses.dataclass
class Score:
    killed: int = 0
    survived: int = 0
    equivalent: int = 0
    broken: int = 0
    same: int = 0

    @property
    def judged(self):
        return self.killed + self.survived + self.equivalent

    @property
    def percent(self):
        meant = self.judged - self.equivalent
        return f"{100 * self.killed / meant:.1f} %" if meant else "-"

    def add(self, status):
        setattr(self, status, getattr(self, status) + 1)


def scores(lines, equivalent):
    """The score of each file. What a person has judged since is equivalent, too."""
    found = collections.defaultdict(Score)
    for line in lines:
        status = line["status"]
        if status == SURVIVED and place_of(line).key in equivalent:
            status = EQUAL
        found[line["path"]].add(status)
    return dict(sorted(found.items()))


def total(found, prefix="src/"):
    score = Score()
    for path, part in found.items():
        if path.startswith(prefix):
            for field in dataclasses.fields(Score):
                setattr(score, field.name, getattr(score, field.name) + getattr(part, field.name))
    return score


def table(results, equivalent, seed, n):
    found = scores(results.lines, equivalent)
    print(f"`make mutate N={n} SEED={seed}`:\n")
    print("| file | mutants | equivalent | killed | score |\n| --- | --- | --- | --- | --- |")
    # Without the folders: the table stays right when files are moved.
    rows = {**{f"`{path.rpartition('/')[2]}`": score for path, score in found.items()},
            "src/core": total(found, CORE), "all of src": total(found)}
    for name, score in rows.items():
        print(f"| {name} | {score.judged} | {score.equivalent} | {score.killed} | "
              f"{score.percent} |")


def report(results, equivalent):
    survivors = results.folder / "survivors"
    survivors.mkdir(exist_ok=True)
    for patch in survivors.glob("*.patch"):
        patch.unlink()
    for line in sorted(results.lines, key=lambda line: (line["path"], line["line"])):
        place = place_of(line)
        if line["status"] != SURVIVED or place.key in equivalent:
            continue
        patch = diff(place)
        (survivors / f"{place.id}.patch").write_text(f"{entry_text(place)}\n\n{patch}", "latin-1")
        print(f"\nsurvived: {place.path}:{place.line} {place.function}() "
              f"{place.operator} ({place.id})\n{patch}", end="")
    found = scores(results.lines, equivalent)
    print()
    for path, score in found.items():
        print(f"{path:28} {score.killed:3} of {score.judged - score.equivalent:3} killed, "
              f"{score.percent:>7}; {score.equivalent} equivalent")
    everything = total(found)
    print(f"# not counted: {everything.broken} that do not compile, {everything.same} that "
          "gcc compiles to the same code")
    for name, score in ("src/core", total(found, CORE)), ("src", everything):
        print(f"score: {name} {score.killed} of {score.judged - score.equivalent}, {score.percent}")
    (results.folder / "report.json").write_text(json.dumps({
        "files": {path: {**dataclasses.asdict(score), "score": score.percent}
                  for path, score in found.items()},
        "src/core": total(found, CORE).percent, "src": everything.percent,
        "mutants": results.lines}, indent=1))


def find(places, name):
    for place in (place for found in places.values() for place in found):
        if place.id == name:
            return place
    raise SystemExit(f"mutate: no change has the id {name}")


def only(place, module, kdir):
    """Judge one change, and print what the tests print."""
    worker, = workers_in(OUT / "only", 1, module, kdir)
    status, by = Run(OUT / "only", Results(OUT / "only", ""), None, {}).judge(worker, place)
    print(worker.log.read_text(errors="replace"), diff(place), sep="\n")
    print(f"{status}: {by}" if by else status)
    return status == SURVIVED


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--files")
    parser.add_argument("--only", metavar="ID")
    parser.add_argument("--show", metavar="ID")
    for name in "again", "list", "table", "check":
        parser.add_argument(f"--{name}", action="store_true")
    return parser.parse_args()


def main():
    asked = arguments()
    if asked.check:
        return check()
    module, kdir = kernel()
    places = all_places(module, kdir)
    equivalent = {entry.key: entry.fields["reason"] for entry in entries()}
    everywhere = {place.key for found in places.values() for place in found}
    for entry in entries():
        if entry.key not in everywhere:
            print(f"# {EQUIVALENT.relative_to(TOP)}:{entry.line}: no such change any more")
    if asked.show:
        place = find(places, asked.show)
        print(f"{entry_text(place)}\nreason:\n\n{diff(place)}", end="")
        return 0
    if asked.only:
        return only(find(places, asked.only), module, kdir)
    name = f"{asked.seed}-{asked.n}"
    if asked.files:
        places = {path: found for path, found in places.items()
                  if fnmatch.fnmatch(path, asked.files) or
                  fnmatch.fnmatch(path.rpartition("/")[2], asked.files)}
        name += "-" + re.sub(r"\W+", "-", asked.files)
    if asked.list:
        for place in Draw(places, asked.n, asked.seed).first():
            print(f"{place.id} {place.path}:{place.line} {place.function}() {place.operator}: "
                  f"{words(place.original)} -> {words(place.mutated) or 'nothing'}")
        return 0
    results = Results(OUT / name, tree_hash())
    if asked.table:
        table(results, equivalent, asked.seed, asked.n)
        return 0
    if asked.again:
        results.forget(SURVIVED)
    began = time.monotonic()
    draw = Draw(places, asked.n, asked.seed)
    workers = workers_in(OUT / name, WORKERS, module, kdir)
    traced = OUT / name / "traced"
    subprocess.run([workers[0].tree / "scripts/traced-module.sh", traced], check=True)
    Run(OUT / name, results, draw, equivalent, traced).run(workers)
    report(results, equivalent)
    print(f"# {(time.monotonic() - began) / 60:.1f} min")
    return 0


if __name__ == "__main__":
    os.chdir(TOP)
    sys.exit(main())
