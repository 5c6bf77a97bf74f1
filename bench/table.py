# SPDX-License-Identifier: Apache-2.0
"""Tables from the JSON of simdsoftmax_bench."""

import collections
import dataclasses
import math

import numpy


@dataclasses.dataclass
class Measurement:
    """All repetitions of one benchmark; its name is FAMILY/TYPES/ROWSxCOLUMNS/ISA/NAME."""

    family: str
    types: str
    shape: str
    isa: str
    name: str
    label: str
    max_ulp: float
    times: list  # ns
    bytes: float  # moved in one iteration

    @property
    def rows(self):
        return int(self.shape.split("x")[0])

    @property
    def elements(self):
        return math.prod(int(size) for size in self.shape.split("@")[0].split("x"))

    @property
    def time(self):
        return float(numpy.median(self.times))

    @property
    def per_16(self):
        return 16 * self.time / self.elements

    @property
    def spread(self):
        low, high = numpy.percentile(self.times, [25, 75])
        return (high - low) / self.time


def errors(benchmarks):
    """One line for each benchmark that refused to give a time."""
    found = {b["run_name"]: b["error_message"] for b in benchmarks if b.get("error_occurred")}
    return [f"{name}: {message}" for name, message in found.items()]


def measurements(benchmarks):
    """All repetitions of each benchmark together; without those that have an error."""
    found = {}
    for b in benchmarks:
        if b["run_type"] != "iteration" or b.get("error_occurred"):
            continue
        names = b["run_name"].split("/")
        # With several threads the time on the clock counts; with one its CPU time, which other processes disturb less.
        time = b["real_time"] if names[-1] == "real_time" else b["cpu_time"]
        if b["run_name"] not in found:
            found[b["run_name"]] = Measurement(
                *names[:5], b.get("label", ""), b.get("max_ulp"), [], b.get("bytes_per_second", 0) * time * 1e-9)
        found[b["run_name"]].times.append(time)
    return list(found.values())


class Limits:
    """The times of memcpy and of the exp-only loop that belong to a measurement."""

    def __init__(self, all_measurements):
        self._times = {(m.types, m.shape, m.isa, m.name): m.time for m in all_measurements if m.family == "limit"}

    def memcpy_ratio(self, m):
        return self._ratio(m, "any", "memcpy")

    def nt_copy_ratio(self, m):
        return self._ratio(m, "any", "nt_copy")

    def exp_ratio(self, m):
        return self._ratio(m, m.isa, "exp_only")

    def _ratio(self, m, isa, name):
        limit = self._times.get((m.types, m.shape, isa, name))
        return m.time / limit if limit else None


def _number(value, spec):
    return "-" if value is None else format(value, spec)


HEADER = (f"{'shape':<12} {'isa':<7} {'variant':<29} {'ns/row':>11} {'ns/16':>7} {'Gelem/s':>8} {'GB/s':>7}"
          f" {'x memcpy':>8} {'x exp':>6} {'max ULP':>8} {'spread':>6}")

LEGEND = """\
*         the variant that `auto` picks for this shape
ns/row    median time of a row; ns/16: of 16 elements; spread: interquartile range over median
GB/s      bytes read and written, each once
x memcpy  time over that of memcpy of as many bytes in the same run
x exp     time over that of exp_only: load, exp and add alone on as many elements (f32) in L1, same ISA
max ULP   worst error, in units in the last place of the output type, against a wider type"""


def _line(m, limits, shape):
    name = m.name
    if m.family == "softmax" and m.label:
        name += " *" if m.label == "auto" else f" -> {m.label}"
    gigabytes = f"{m.bytes / m.time:.2f}" if m.bytes else "-"
    return (f"{shape:<12} {m.isa:<7} {name:<29} {m.time / m.rows:>11.1f} {m.per_16:>7.3f}"
            f" {m.elements / m.time:>8.3f} {gigabytes:>7} {_number(limits.memcpy_ratio(m), '.2f'):>8}"
            f" {_number(limits.exp_ratio(m), '.2f'):>6} {_number(m.max_ulp, '.3f'):>8} {m.spread:>6.1%}")


def softmax_table(all_measurements):
    limits = Limits(all_measurements)
    lines = [HEADER]
    shape = None
    for m in all_measurements:
        if m.family == "pass":
            continue
        if m.shape != shape:
            lines.append("-" * len(HEADER))
        lines.append(_line(m, limits, m.shape if m.shape != shape else ""))
        shape = m.shape
    return "\n".join(lines + [LEGEND])


OPERATOR_HEADER = (f"{'suite':<10} {'shape':<15} {'type':<5} {'isa':<7} {'operation':<34} {'ns/16':>8} {'x softmax':>9}"
                   f" {'max ULP':>8} {'spread':>6}")

OPERATOR_LEGEND = """\
ns/16      median time of 16 logits; spread: interquartile range over median
x softmax  time over that of simdsoftmax_softmax_rows in the same run, on dense rows of the same number and length, same
           ISA, dtype and threads; where another operation is named at the end, "0.5 x" is time over that of that one
suite      axes: SIZES@AXIS; step_2: every second element of memory
max ULP    worst error of all outputs, in units in the last place of the value, or for gradients of the larger of its
           two terms; against a wider type"""


def _operator_line(m, times, place):
    softmax, unit = (times.get((*place, m.isa, name)) for name in ("softmax", m.label))
    other = f"  {m.time / unit:.3f} x {m.label}" if unit and m.label != "softmax" else ""
    return (f"{m.family:<10} {m.shape:<15} {m.types:<5} {m.isa:<7} {m.name:<34} {m.per_16:>8.3f}"
            f" {_number(softmax and m.time / softmax, '.2f'):>9} {m.max_ulp:>8.3f} {m.spread:>6.1%}{other}")


def operator_table(all_measurements):
    times = {(m.family, m.types, m.shape, m.isa, m.name): m.time for m in all_measurements}
    lines = [OPERATOR_HEADER]
    last = None
    for m in all_measurements:
        place = (m.family, m.types, m.shape)
        if (place, m.isa) != last:
            lines.append("-" * len(OPERATOR_HEADER))
        last = (place, m.isa)
        lines.append(_operator_line(m, times, place))
    return "\n".join(lines + [OPERATOR_LEGEND])


def pass_table(all_measurements):
    """ns per 16 elements of each pass alone; empty without any."""
    cells = collections.defaultdict(dict)
    for m in all_measurements:
        if m.family == "pass":
            cells[m.shape, m.isa][m.name] = m
    if not cells:
        return ""
    names = list(next(iter(cells.values())))
    lines = ["the passes of three_pass alone, ns per 16 elements; max ULP: of the softmax that they give together",
             f"{'shape':<12} {'isa':<7}" + "".join(f" {name:>14}" for name in names) + f" {'max ULP':>8}"]
    for (shape, isa), row in cells.items():
        times = "".join(f" {row[name].per_16:>14.3f}" for name in names)
        lines.append(f"{shape:<12} {isa:<7}{times} {row[names[0]].max_ulp:>8.3f}")
    return "\n".join(lines)
