# SPDX-License-Identifier: Apache-2.0
"""bench/run --peers: this library beside what users could take instead."""

import collections
import dataclasses
import math
import os
import pathlib
import platform
import subprocess
import time

import table

ENVIRONMENT = {"OMP_DYNAMIC": "false"}
OURS = "simdsoftmax"


@dataclasses.dataclass
class Group:
    """Lines of one table. An ISA is a cap for everyone; without one it is the best of this CPU."""

    title: str
    shapes: list
    quick: list  # those that are left with --quick
    function: str = "softmax"
    dtype: str = "f32"
    threads: int = 1
    isa: str = ""
    calls: bool = False  # times are those of a whole call, not of 16 elements


CACHED = ["65536x2", "4096x8", "16384x10", "4096x16", "4096x21", "4096x32", "4096x64", "16384x128", "8192x256",
          "8192x512", "1024x1000", "32x4096", "512x4096", "64x32000", "1x128256", "8x151936", "1x262144"]
QUICK = ["4096x8", "4096x21", "16384x128", "1024x1000", "512x4096", "64x32000"]
MEMORY = ["65536x512", "16384x2048", "4096x8192"]
AXES = ["1000x1024@0", "1x21x512x512@1", "32x81x8732@1"]
GROUPS = [
    Group("softmax", CACHED, QUICK),
    Group("softmax, larger than the caches near a core", MEMORY, []),
    Group("softmax, one row, time of a call", ["1x16", "1x128", "1x1000"], ["1x16", "1x1000"], calls=True),
    Group("softmax on two threads", ["4096x8", "4096x64", "16384x128", "1024x1000", "512x4096", "64x32000", "1x128256",
                                     "8x151936", "1x262144"] + MEMORY, ["512x4096", "1x128256"], threads=2),
    Group("softmax, everyone limited to AVX2", ["65536x2", "4096x8", "4096x21", "4096x64", "16384x128", "1024x1000",
                                                "512x4096", "64x32000", "1x262144", "16384x2048"],
          ["4096x21", "512x4096"], isa="avx2"),
    Group("log_softmax", ["4096x21", "1024x1000", "512x4096", "64x32000"], ["512x4096"], function="log_softmax"),
    Group("logsumexp", ["4096x21", "1024x1000", "512x4096", "64x32000"], ["512x4096"], function="logsumexp"),
    Group("softmax of f16", ["4096x64", "1024x1000", "512x4096", "64x32000"], ["512x4096"], dtype="f16"),
    Group("softmax of bf16", ["4096x64", "1024x1000", "512x4096", "64x32000"], ["512x4096"], dtype="bf16"),
    Group("softmax of f64", ["4096x16", "1024x1000", "512x4096", "64x32000"], ["512x4096"], dtype="f64"),
    Group("softmax along another axis", AXES, ["1000x1024@0"]),
    Group("softmax along another axis, two threads", AXES, [], threads=2),
]


def groups(args):
    """The tables to make: all of them, or one of what the arguments ask for."""
    if args.shape or args.dtype != "f32" or args.threads != 1 or args.isa or args.function != "softmax":
        shapes = args.shape or (QUICK if args.quick else CACHED + MEMORY)
        title = f"{args.function} of {args.dtype}, {args.threads} thread{'s' * (args.threads > 1)}"
        title += f", everyone limited to {args.isa[0]}" if args.isa else ""
        return [Group(title, shapes, shapes, args.function, args.dtype, args.threads, *args.isa)]
    here = [group for group in GROUPS if group.threads <= (os.cpu_count() or 1)]
    return [group for group in here if not args.quick or group.quick]


class Modules:
    """The peers that can be run here."""

    def __init__(self, folder, command):
        command = [*command, "--suite", "peers", "--shape", "2x16", "--benchmark_list_tests=true"]
        listed = subprocess.run([str(word) for word in command], check=True, text=True, capture_output=True).stdout
        self.best_isa = next(name.split("/")[3] for name in listed.split() if name.endswith("/" + OURS))
        missing = pathlib.Path(folder) / "missing"  # written by CMake
        names = missing.read_text().split("\n") if missing.exists() else []
        self.left_out = {name: "not found" for name in names if name}  # reasons by name
        self._paths = []
        for path in sorted(pathlib.Path(folder).glob("*.so")):
            tried = subprocess.run([str(word) for word in [*command, "--peer", path]], check=False, text=True,
                                   capture_output=True)
            if tried.returncode == 0:
                self._paths.append(path)
            else:
                lines = tried.stderr.strip().splitlines() or [f"ended by signal {-tried.returncode}"]
                self.left_out[path.stem] = lines[-1].partition("simdsoftmax_bench: ")[2] or lines[-1]

    def words(self, isa):
        """Options for those that fit the ISA; without one, the best of this CPU."""
        return [word for path in self._paths if isa_of(path) in ("", isa or self.best_isa)
                for word in ("--peer", str(path))]


def isa_of(path):
    """Modules compiled for one ISA are called NAME-ISA."""
    return path.stem.partition("-")[2]


def words(group, shape, modules):
    """Options of the benchmark for one line."""
    isa = ["--isa", group.isa] if group.isa else []
    return (["--suite", "peers", "--function", group.function, "--dtype", group.dtype, "--threads",
             str(group.threads), "--tensor" if "@" in shape else "--shape", shape] + isa + modules.words(group.isa))


@dataclasses.dataclass
class Line:
    """One shape: this library, the fastest of the others, and all ratios."""

    shape: str
    ours: table.Measurement
    others: list
    limits: table.Limits

    @property
    def best(self):
        return min(self.others, key=lambda m: m.time, default=None)

    def ratio(self, m):
        return m.time / self.ours.time

    @property
    def best_ratio(self):
        return self.ratio(self.best) if self.best else None


def line_of(measured):
    """What one process has measured; none if this library was wrong."""
    ours = [m for m in measured if m.name == OURS]
    others = [m for m in measured if m.name != OURS and m.family != "limit"]
    return Line(ours[0].shape, ours[0], others, table.Limits(measured)) if ours else None


def errors(benchmarks):
    """The mistakes of this library; those of others are theirs."""
    return table.errors([b for b in benchmarks if b["run_name"].split("/")[4] == OURS])


def progress(measured):
    """The best of the others, in a few words."""
    line = line_of(measured)
    if line is None or line.best is None:
        return ""
    return f"   {line.best_ratio:.2f} x {line.best.name}"


def geometric_mean(ratios):
    return math.exp(sum(math.log(r) for r in ratios) / len(ratios)) if ratios else None


def number(value, spec=".2f", missing="-"):
    return missing if value is None else format(value, spec)


def error(max_ulp):
    return f"{max_ulp:.2f}" if max_ulp < 100 else f"{max_ulp:.3g}".replace("e+0", "e")


def head(group, names):
    unit = "ns" if group.calls else "ns/16"
    return ["shape", unit, "spread", "x memcpy", "x nt copy", "ULP", "best of the others", unit, "spread", "ULP",
            "ratio"] + names


def cells(group, line, names):
    def time_of(m):
        return number(m.time if group.calls else m.per_16, ".1f" if group.calls else ".3f")

    ours, best = line.ours, line.best
    by_name = {m.name: line.ratio(m) for m in line.others}
    return ([line.shape, time_of(ours), f"{ours.spread:.1%}", number(line.limits.memcpy_ratio(ours)),
             number(line.limits.nt_copy_ratio(ours)), error(ours.max_ulp)]
            + ([best.name, time_of(best), f"{best.spread:.1%}", error(best.max_ulp),
                number(line.best_ratio) + ("" if line.best_ratio >= 1 else " lost")] if best else ["-"] * 5)
            + [number(by_name.get(name)) for name in names])


def last_cells(lines, names):
    means = []
    for name in names:
        means.append(number(geometric_mean([line.ratio(m) for line in lines for m in line.others if m.name == name])))
    best = geometric_mean([line.best_ratio for line in lines if line.best])
    return ["geometric mean"] + [""] * 9 + [number(best)] + means


LEGEND = """\
ratio, and the columns behind it: the median time of another library over that of simdsoftmax in the same process, all
taking turns; below 1 simdsoftmax is the slower one. ns/16: time of 16 elements. spread: interquartile range over
median. x memcpy, x nt copy: time over that of copying as many bytes, through the caches or past them. ULP: worst error
in units in the last place of the output, of up to a million elements, against a wider type; for logarithms close to
zero it may be large where the absolute error is small. Everyone has the same number of threads, which wait for work as
they do by default; a turn begins when those of the others sleep. What the others can prepare before a call is not
timed."""


def names_in_order(all_lines):
    """Those that are fastest most often come first."""
    ratios = collections.defaultdict(list)
    for line in all_lines:
        for m in line.others:
            ratios[m.name].append(line.ratio(m))
    return sorted(ratios, key=lambda name: geometric_mean(ratios[name]))


class Report:
    """All tables as text or as a page."""

    def __init__(self, results, modules, context):
        """results: (group, measurements of one line) pairs."""
        tables = {}
        for group, measured in results:
            tables.setdefault(group.title, (group, []))[1].append(line_of(measured))
        self._tables = [(group, [line for line in lines if line]) for group, lines in tables.values()]
        every_line = [line for _, lines in self._tables for line in lines]
        self._names = names_in_order(every_line)
        self._lines = every_line
        self._modules = modules
        self._context = context
        self._versions = {m.name: m.label for line in every_line for m in line.others + [line.ours]}

    def _rows(self):
        for group, lines in self._tables:
            rows = [head(group, self._names)] + [cells(group, line, self._names) for line in lines]
            yield group, rows, last_cells(lines, self._names)

    def _summary(self):
        ratios = [line.best_ratio for line in self._lines if line.best]
        lost = sum(ratio < 1 for ratio in ratios)
        return (f"Against the fastest of the others on each line: {number(geometric_mean(ratios))} times as fast "
                f"(geometric mean of {len(ratios)}), slower on {lost}.")

    def _left_out(self):
        return [f"left out: {name} ({reason})" for name, reason in self._modules.left_out.items()]

    def _libraries(self):
        found = ", ".join(f"{name} {self._versions[name]}" for name in self._names)
        return "\n".join([found, *self._left_out()])

    def text(self):
        parts = []
        for group, rows, last in self._rows():
            columns = [max(len(row[i]) for row in rows + [last]) for i in range(len(last))]
            lines = ["  ".join(cell.ljust(w) if i in (0, 6) else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, columns))) for row in rows + [last]]
            parts.append("\n".join([group.title, "-" * len(group.title)] + lines))
        return "\n\n".join(parts + [LEGEND, self._libraries(), self._summary()])

    def page(self, command):
        """Markdown."""
        context = self._context
        facts = [("machine", machine()), ("compiler", context["simdsoftmax_compiler"]),
                 ("system", f"{system()}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}"),
                 ("date", time.strftime("%Y-%m-%d", time.gmtime())),
                 ("simdsoftmax", context["simdsoftmax_version"])]
        facts += [(name, self._versions[name]) for name in self._names]
        parts = ["# simdsoftmax and what there is beside it",
                 f"Written by `{command}`; do not edit.", self._summary(),
                 "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in facts),
                 "`loops` is the textbook in C++, compiled at -O3 -ffast-math; SLEEF is used in a kernel of three "
                 "passes; XNNPACK is the one inside ExecuTorch. Some cannot be limited to an ISA, or have no such "
                 "function or type: a dash.", LEGEND.replace("\n", " "), *self._left_out()]
        for group, rows, last in self._rows():
            align = "|".join("---" if i in (0, 6) else "---:" for i in range(len(last)))
            body = ["| " + " | ".join(row) + " |" for row in rows[1:]]
            last = [f"**{cell}**" if cell else "" for cell in last]
            lines = ["| " + " | ".join(rows[0]) + " |", f"|{align}|", *body, "| " + " | ".join(last) + " |"]
            parts.append("\n".join([f"## {group.title[0].upper()}{group.title[1:]}", "", *lines]))
        return "\n\n".join(parts) + "\n"


def machine():
    fields = dict(line.split(":", 1) for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    name = fields.get("model name", platform.machine())
    vectors = [isa for isa, flag in (("AVX-512", "avx512f"), ("AVX2", "avx2"), ("Neon", "asimd"))
               if flag in (fields.get("flags") or fields.get("Features", "")).split()]
    return f"{name}, {os.cpu_count()} cores" + (f", {vectors[0]}" if vectors else "")


def system():
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()
