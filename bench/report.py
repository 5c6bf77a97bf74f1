# SPDX-License-Identifier: Apache-2.0
"""Builds simdsoftmax_bench, runs it shape by shape, and prints one table. Started by bench/run."""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import npy
import peers
import table
import tune
from replacement import Unusable, replacement

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
PEERS = ROOT / "build" / "peers"  # where they are installed
OPERATORS = [("functions", "512x4096"), ("pre_ops", "512x4096"), ("positions", "1024x1024"), ("losses", "64x32000"),
             ("losses", "4096x10"), ("top_k", "4096x64"), ("top_k", "8x151936"), ("top_k", "1x128256"),
             ("row_state", "1x128256"), ("axes", "1000x1024@0"), ("axes", "1x21x512x512@1"), ("axes", "32x81x8732@1"),
             ("axes", "512x4096@1")]
QUICK_SHAPES = {"32x81x8732@1": "2x81x8732@1"}  # instead of those that take long to check
SHAPES = ["4096x8", "4096x64", "1024x1000", "16384x128", "8192x512", "4096x2048", "32x4096", "64x32000", "1x32000",
          "1x128256", "8x151936", "32x262144"]


class Failed(Exception):
    """Something that was run has failed, and has said why."""

    def __init__(self, status):
        super().__init__()
        self.status = status  # to end with


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def positive(text):
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number")
    return number


def parse_arguments(argv):
    parser = Parser(prog="bench/run", allow_abbrev=False, description="""
        Times every variant of softmax on every ISA of this CPU, checks each result before it is timed, and prints one
        table. With --operators all other functions, pre-operations and axes, in units of a plain softmax. With --peers
        the public function beside the other libraries that this system offers, installed into build/. Exit status:
        0; 1 if something went wrong or a result was wrong; 2 for bad arguments or files.""")
    parser.add_argument("--quick", action="store_true", help="all shapes in less than a minute, with more noise")
    parser.add_argument("--operators", action="store_true",
                        help="everything but the variants: functions, pre-operations, axes")
    parser.add_argument("--peers", action="store_true",
                        help="against other libraries; --dtype, --isa, --threads and --shape choose one table of many")
    parser.add_argument("--function", choices=("softmax", "log_softmax", "logsumexp"), default="softmax",
                        help="for --peers")
    parser.add_argument("--markdown", metavar="FILE", help="for --peers: write a page with the tables")
    parser.add_argument("--regret", action="store_true", help="only `auto` against the fastest variant of each shape")
    parser.add_argument("--tune", action="store_true",
                        help="whether other thresholds than those of kernels/plan would be better on this machine")
    parser.add_argument("--dtype", default="f32", metavar="TYPE",
                        help="f32 (default), f64, f16 or bf16; or two of them, such as f16:f32 for input and output")
    parser.add_argument("--isa", action="append", default=[], metavar="NAME", help="only this ISA; repeatable")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME", help="only this one; repeatable")
    parser.add_argument("--accuracy", default="", metavar="NAMES",
                        help="balanced (default), exact, fast; several with commas between, to compare them")
    parser.add_argument("--threads", type=positive, default=1, metavar="N", help="default 1")
    parser.add_argument("--shape", action="append", default=[], metavar="RxC", help="rows x columns; repeatable")
    parser.add_argument("--repetitions", type=positive, metavar="N", help="default 5; 9 with --shape or --logits")
    parser.add_argument("--json", default=BUILD / "results.json", metavar="FILE",
                        help="where to put the JSON of Google Benchmark (default build/bench/results.json)")
    parser.add_argument("--logits", metavar="FILE.npy",
                        help="instead of made-up logits: f32, f64 or f16, C order, softmax over the last axis")
    parser.add_argument("--out", metavar="FILE.npy", help="write the probabilities of --logits here")
    args = parser.parse_args(argv)
    if args.out and not args.logits:
        parser.error("--out needs --logits")
    if args.logits and (args.shape or args.dtype != "f32"):
        parser.error("--logits brings its own shape and dtype: leave out --shape and --dtype")
    if args.operators and (args.logits or args.variant):
        parser.error("--operators goes without --variant, --logits and --out")
    if args.peers and (args.logits or args.variant or len(args.isa) > 1):
        parser.error("--peers goes without --variant, --logits and a second --isa")
    if not args.peers and (args.markdown or args.function != "softmax"):
        parser.error("--markdown and --function need --peers")
    if sum([args.operators, args.peers, args.regret, args.tune]) > 1:
        parser.error("only one of --operators, --peers, --regret and --tune")
    if (args.regret or args.tune) and (args.logits or args.variant):
        parser.error("--regret and --tune go without --variant, --logits and --out")
    if args.accuracy and (args.operators or args.peers or args.regret or args.tune):
        parser.error("--accuracy goes without --operators, --peers, --regret and --tune")
    if args.tune and args.shape:
        parser.error("--tune has its own shapes")
    if args.threads > (os.cpu_count() or 1):
        parser.error(f"--threads {args.threads}: this machine has {os.cpu_count()}")
    return args


def check(command, **options):
    """Runs a command, which speaks for itself on stderr."""
    done = subprocess.run([str(word) for word in command], check=False, text=True, **options)
    if done.returncode != 0:
        if done.returncode < 0:
            print(f"bench/run: {command[0]} was ended by signal {-done.returncode}", file=sys.stderr)
        raise Failed(2 if done.returncode == 2 else 1)
    return done.stdout


def install_peers():
    """What cannot be had is left out, and the script says so."""
    subprocess.run([ROOT / "bench" / "peers" / "install", PEERS], check=False)


def build():
    print(f"== building in {os.path.relpath(BUILD)}", flush=True)
    check(["cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", "--log-level=WARNING", "-DCMAKE_BUILD_TYPE=Release",
           "-DSIMDSOFTMAX_BUILD_TESTS=OFF", "-DSIMDSOFTMAX_BUILD_EXAMPLES=OFF",
           f"-DSIMDSOFTMAX_PEERS={PEERS}"], stdout=subprocess.DEVNULL)
    check(["cmake", "--build", BUILD, "--target", "simdsoftmax_bench"])
    return BUILD / "bench" / "simdsoftmax_bench"


def bench_command(binary, args):
    repetitions = args.repetitions or (9 if args.peers or (not args.quick and (args.shape or args.logits)) else
                                       3 if args.quick else 5)
    seconds = (0.002 if args.quick else 0.02) if args.peers else 0.005 if args.quick else 0.05
    command = [binary, "--benchmark_format=json", "--benchmark_enable_random_interleaving=true",
               f"--benchmark_repetitions={repetitions}", f"--benchmark_min_time={seconds}",
               "--threads", args.threads]
    accuracies = args.accuracy.split(",") if args.accuracy else []
    for option, names in (("--isa", args.isa), ("--variant", args.variant), ("--accuracy", accuracies)):
        for name in names:
            command += [option, name]
    return command


def softmax_jobs(args):
    shapes, words = args.shape or SHAPES, []
    if args.regret:
        shapes = args.shape or (tune.QUICK_REGRET_SHAPES if args.quick else tune.REGRET_SHAPES)
        words = ["--benchmark_filter=^softmax/"]
    return [(shape, args.dtype, ["--shape", shape] + words) for shape in shapes]


def tune_jobs(args, questions):
    """The jobs, and the question of each."""
    chosen = [(question, shape) for question in questions for shape in question.shapes.values()]
    return ([(shape, args.dtype, question.words() + ["--shape", shape]) for question, shape in chosen],
            [question for question, _ in chosen])


def operator_jobs(args):
    chosen = [(suite, QUICK_SHAPES.get(shape, shape) if args.quick else shape) for suite, shape in OPERATORS]
    if args.shape:
        chosen = [(suite, f"{shape}@0" if suite == "axes" else shape)
                  for shape in args.shape for suite in dict(OPERATORS)]
    return [(shape, args.dtype, ["--suite", suite, "--tensor" if suite == "axes" else "--shape", shape])
            for suite, shape in chosen]


def peer_jobs(args, modules):
    """The jobs, and the group of each."""
    chosen = [(group, shape) for group in peers.groups(args)
              for shape in (group.quick if args.quick else group.shapes)]
    return ([(shape, group.dtype, peers.words(group, shape, modules)) for group, shape in chosen],
            [group for group, _ in chosen])


def progress_result(measured, seconds):
    text = f"{seconds:5.1f} s" + peers.progress(measured)
    calls = [m for m in measured if m.family == "softmax"]
    picked = [m for m in calls if m.label == "auto"] or calls
    if picked:
        text += f"   {picked[-1].isa} {picked[-1].name}: {picked[-1].per_16:.2f} ns per 16 elements"
    return text


def run_shapes(command, jobs):
    """Runs the jobs, (shape, dtype, further words) each; the merged JSON of all."""
    merged = {}
    for index, (shape, dtype, words) in enumerate(jobs, 1):
        suite = words[1] + " " if words[0] == "--suite" else ""
        print(f"[{index:>2}/{len(jobs)}] {suite}{shape:<12} {dtype:<4} ", end="", flush=True)
        start = time.monotonic()
        try:
            output = check(command + ["--dtype", dtype] + words, stdout=subprocess.PIPE)
        except Failed:
            print("failed", flush=True)
            raise
        result = json.loads(output)
        result["benchmarks"].sort(key=lambda b: b["family_index"])  # they come in the order of the interleaving
        measured = table.measurements(result["benchmarks"])
        print(progress_result(measured, time.monotonic() - start), flush=True)
        for benchmark in result["benchmarks"]:
            benchmark["job"] = index - 1
        merged.setdefault("context", result["context"])
        merged.setdefault("benchmarks", []).extend(result["benchmarks"])
    return merged


def report(merged, threads, operators=False):
    """Prints the tables; false if a result was wrong."""
    benchmarks = merged["benchmarks"]
    print(f"\nmedians of {benchmarks[0]['repetitions']}, {threads} thread{'s' * (threads > 1)}, out of place\n")
    measured = table.measurements(benchmarks)
    if operators:
        print(table.operator_table(measured))
    else:
        print(table.softmax_table(measured))
    passes = table.pass_table(measured)
    if passes:
        print("\n" + passes)
    wrong = table.errors(benchmarks)
    for line in wrong:
        print(f"bench/run: {line}", file=sys.stderr)
    return not wrong


def report_choices(merged, asked, owners, threads):
    """Prints what --regret (nothing asked) or --tune is about; false if a result was wrong."""
    benchmarks = merged["benchmarks"]
    print(f"\nmedians of {benchmarks[0]['repetitions']}, {threads} thread{'s' * (threads > 1)}, out of place\n")
    if asked:
        measured = [table.measurements([b for b in benchmarks if owners[b["job"]] is question]) for question in asked]
        print(tune.tune_table(asked, measured))
    else:
        print(tune.regret_table(table.measurements(benchmarks)))
    wrong = table.errors(benchmarks)
    for line in wrong:
        print(f"bench/run: {line}", file=sys.stderr)
    return not wrong


def report_peers(merged, groups, modules, markdown, argv):
    """Prints the tables, and fills the page if there is one; false if a result of this library was wrong."""
    benchmarks = merged["benchmarks"]
    results = [(group, table.measurements([b for b in benchmarks if b["job"] == job]))
               for job, group in enumerate(groups)]
    made = peers.Report(results, modules, merged["context"])
    print(f"\nmedians of {benchmarks[0]['repetitions']}, out of place\n\n{made.text()}")
    if markdown:
        markdown.write(made.page(" ".join(["bench/run", *argv])).encode())
    wrong = peers.errors(benchmarks)
    for line in wrong:
        print(f"bench/run: {line}", file=sys.stderr)
    return not wrong


def main(argv):
    args = parse_arguments(argv)
    BUILD.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as files:
        logits = npy.read_logits(args.logits) if args.logits else None
        json_file = files.enter_context(replacement(args.json))
        out_file = files.enter_context(replacement(args.out)) if args.out else None
        page_file = files.enter_context(replacement(args.markdown)) if args.markdown else None
        scratch = pathlib.Path(files.enter_context(tempfile.TemporaryDirectory(dir=BUILD)))
        if args.peers:
            install_peers()
        binary = build()
        command = bench_command(binary, args)
        if args.peers or args.tune:
            os.environ.update(peers.ENVIRONMENT)
        if args.peers:
            modules = peers.Modules(pathlib.Path(binary).parent / "peers", [binary])
            jobs, groups = peer_jobs(args, modules)
        elif args.tune:
            asked = tune.questions(args.quick, args.threads if args.threads > 1 else min(os.cpu_count() or 1, 2))
            jobs, owners = tune_jobs(args, asked)
        else:
            jobs = operator_jobs(args) if args.operators else softmax_jobs(args)
        if args.logits:
            npy.write_raw(logits, scratch / "logits")
            words = ["--logits", scratch / "logits"] + (["--out", scratch / "output"] if args.out else [])
            shape = "{}x{}".format(*npy.rows_and_columns(logits))
            jobs = [(shape, npy.dtype_name(logits), ["--shape", shape] + words)]
        merged = run_shapes(command, jobs)
        json_file.write(json.dumps(merged, indent=1).encode())
        if args.out:
            npy.raw_to_npy(scratch / "output", logits, out_file)
        if args.peers:
            right = report_peers(merged, groups, modules, page_file, argv)
        elif args.regret or args.tune:
            right = report_choices(merged, asked if args.tune else [], owners if args.tune else [], args.threads)
        else:
            right = report(merged, args.threads, args.operators)
    print(f"\nJSON: {os.path.relpath(args.json)}" + (f"; probabilities: {args.out}" if args.out else ""))
    return 0 if right else 1


def start(argv):
    """The exit status of bench/run."""
    try:
        return main(argv)
    except Failed as failed:
        return failed.status
    except (Unusable, OSError) as error:
        print(f"bench/run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(start(sys.argv[1:]))
