# SPDX-License-Identifier: Apache-2.0
"""bench/run --regret and --tune: what the choices of kernels/plan cost on this machine, and which would be better."""

import dataclasses
import math

REGRET_SHAPES = ["4096x8", "4096x32", "4096x64", "4096x128", "4096x129", "4096x192", "2048x256", "1024x512",
                 "1024x1000", "512x2048", "512x4096", "64x32000", "1x128256", "8x262144", "65536x512", "4x4194304", "1x33554432"]
QUICK_REGRET_SHAPES = ["4096x32", "4096x128", "4096x192", "1024x1000", "512x4096", "64x32000", "1x128256"]


@dataclasses.dataclass
class Question:
    """From which size on is the second of two ways faster?"""

    title: str
    place: str  # of the constant in kernels, or what it follows from
    unit: str
    first: str
    second: str
    shapes: dict  # by size
    suite: str = "variants"
    threads: int = 1

    def words(self):
        if self.suite == "variants":
            names = ["auto", self.first, self.second]
            return [word for name in names for word in ("--variant", name)] + ["--benchmark_filter=^softmax/"]
        return ["--suite", self.suite, "--threads", str(self.threads), "--benchmark_filter=/(one_thread|shared)"]


def questions(quick, threads):
    step = 2 if quick else 1
    columns = [256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192][::step]
    row_sizes = [2**k for k in range(16, 25 if quick else 26, step)]
    asked = [
        Question("narrow, then anchored", "narrow_row_bytes / 4", "columns", "narrow", "anchored",
                 {c: f"{2**18 // c}x{c}" for c in columns}),
        Question("anchored, then streaming", "the last-level cache", "columns", "anchored", "streaming",
                 {c: f"{max(1, 2**20 // c)}x{c}" for c in row_sizes})]
    if threads > 1:
        asked.append(Question(f"one thread, then {threads}", "least_per_thread", "elements a thread", "one_thread",
                              "shared", {2**k: f"{2**k * threads // 128}x128" for k in range(8, 18, step)}, "threads",
                              threads))
    return asked


@dataclasses.dataclass
class Size:
    size: int
    first: object  # Measurements
    second: object
    picked: str  # by the library: the name of one of the ways, or of another
    auto: object = None


def sizes_of(question, measured):
    """What has been measured for one question, by size."""
    found = []
    for size, shape in question.shapes.items():
        here = {m.name: m for m in measured if m.shape == shape and m.family in ("softmax", "threads")}
        if question.first in here and question.second in here:
            told = here.get("auto", here[question.first])
            found.append(Size(size, here[question.first], here[question.second], told.label, here.get("auto")))
    return found


def cost(sizes, takes_second):
    """Geometric mean of the time of what is taken over that of the faster way."""
    logs = []
    for s in sizes:
        taken = s.second if takes_second(s) else s.first
        logs.append(math.log(taken.time / min(s.first.time, s.second.time)))
    return math.exp(sum(logs) / len(logs))


def best_threshold(sizes):
    """The size from which the second way should be taken (infinite for never), and what that costs."""
    candidates = [s.size for s in sizes] + [math.inf]
    return min(((t, cost(sizes, lambda s, t=t: s.size >= t)) for t in candidates), key=lambda found: found[1])


def question_text(question, sizes):
    lines = [f"{question.title}  ({question.place})",
             f"{question.unit:>18} {question.first:>14} {question.second:>14} {'ratio':>6}  now"]
    for s in sizes:
        lines.append(f"{s.size:>18} {s.first.per_16:>14.3f} {s.second.per_16:>14.3f}"
                     f" {s.first.time / s.second.time:>6.2f}  {s.picked}")
    compared = [s for s in sizes if s.picked in (question.first, question.second)]
    if not compared:
        return "\n".join(lines + ["the library takes neither of the two"])
    threshold, least = best_threshold(compared)
    now = cost(compared, lambda s: s.picked == question.second)
    first = [s.size for s in compared if s.picked == question.second]
    since = min(first) if first else "no size"
    lines.append(f"now: {question.second} from {since} on, {now:.3f} of the faster one's time (geometric mean)")
    if now / least < 1.01:
        lines.append("no other threshold would be better by 1 %")
    else:
        since = threshold if threshold < math.inf else "no size"
        lines.append(f"better: {question.second} from {since} on, {least:.3f}")
    return "\n".join(lines)


def tune_table(asked, measured):
    """measured: the measurements of each question."""
    return "\n\n".join(question_text(question, sizes_of(question, of_it)) for question, of_it in zip(asked, measured)
                       ) + "\n\nns per 16 elements; now: what the library takes"


REGRET_HEADER = (f"{'shape':<12} {'isa':<7} {'auto is':<22} {'ns/16':>8} {'spread':>6}  {'fastest':<22} {'ns/16':>8}"
                 f" {'spread':>6} {'regret':>7}")


def regret_table(measured):
    """The time of `auto` over that of the fastest variant."""
    by_place = {}
    for m in measured:
        if m.family == "softmax":
            by_place.setdefault((m.shape, m.isa), {})[m.name] = m
    lines = [REGRET_HEADER, "-" * len(REGRET_HEADER)]
    regrets = []
    for (shape, isa), by_name in by_place.items():
        auto = by_name.pop("auto", None)
        if auto is None or not by_name:
            continue
        best = min(by_name.values(), key=lambda m: m.time)
        regrets.append(auto.time / best.time)
        lines.append(f"{shape:<12} {isa:<7} {auto.label:<22} {auto.per_16:>8.3f} {auto.spread:>6.1%}  {best.name:<22}"
                     f" {best.per_16:>8.3f} {best.spread:>6.1%} {regrets[-1]:>7.3f}")
    if regrets:
        mean = math.exp(sum(math.log(regret) for regret in regrets) / len(regrets))
        lines.append(f"regret: time of auto over that of the fastest variant by name; geometric mean {mean:.3f}, "
                     f"worst {max(regrets):.3f}")
    return "\n".join(lines)
