# SPDX-License-Identifier: Apache-2.0
"""Tests of the command line of bench/run: driver_test.py BINARY, the path of simdsoftmax_bench."""

import collections
import contextlib
import io
import json
import pathlib
import re
import sys
import tempfile
import unittest
import unittest.mock

import numpy

import peers
import report
import table
import tune

DIGITS = pathlib.Path(__file__).parent / "data" / "digits_logits.npy"
BINARY = None


def run(*words):
    """Exit status, stdout and stderr of bench/run; what the binary itself says goes past this."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = report.start([str(word) for word in words])
        except SystemExit as ended:  # argparse
            status = ended.code
    return status, out.getvalue(), err.getvalue()


def softmax(logits):
    wide = logits.astype(numpy.float64)
    exponentials = numpy.exp(wide - wide.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


class DriverTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.enterPatch("report.BUILD", self.folder / "build")
        self.enterPatch("report.build", lambda: BINARY)
        self.enterPatch("report.install_peers", lambda: None)
        self.out = self.folder / "out.npy"
        self.json = self.folder / "results.json"

    def enterPatch(self, name, value):
        patch = unittest.mock.patch(name, value)
        patch.start()
        self.addCleanup(patch.stop)

    def run_logits(self, path):
        return run("--quick", "--repetitions", 1, "--logits", path, "--out", self.out, "--json", self.json)

    def assert_refused(self, result):
        status, _, err = result
        self.assertEqual(status, 2, err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("bench/run: "), err)
        left = [path.name for path in self.folder.iterdir() if "out" in path.name or "results" in path.name]
        self.assertEqual(left, [])


class Arguments(DriverTest):
    def test_bad_ones_get_one_line(self):
        for words in (["--nonsense"], ["--threads", "0"], ["--threads", "x"], ["--threads", "1000000"], ["--shape"],
                      ["--repetitions", "-1"], ["--out", "x.npy"], ["--logits", DIGITS, "--shape", "2x2"],
                      ["--logits", DIGITS, "--dtype", "f64"], ["stray"], ["--operators", "--variant", "online"],
                      ["--operators", "--logits", DIGITS], ["--operators", "--accuracy", "exact"], ["--peers", "--operators"],
                      ["--peers", "--variant", "online"], ["--peers", "--logits", DIGITS], ["--markdown", "x.md"],
                      ["--function", "logsumexp"], ["--peers", "--function", "exp"],
                      ["--peers", "--isa", "avx2", "--isa", "sse2"], ["--tune", "--regret"],
                      ["--tune", "--shape", "2x2"], ["--regret", "--variant", "online"]):
            with self.subTest(words):
                self.assert_refused(run(*words))

    def test_the_binary_refuses_what_it_knows_better(self):
        for words in (["--shape", "0x4"], ["--shape", "2x2x2"], ["--dtype", "f8"], ["--dtype", "f64:f32"],
                      ["--isa", "z80"], ["--peers", "--isa", "z80"], ["--peers", "--shape", "7"],
                      ["--variant", "fastest"], ["--accuracy", "fastest"], ["--accuracy", "exact,,fast"], ["--shape", f"{2**40}x{2**40}"]):
            with self.subTest(words):
                status, _, err = run(*words, "--json", self.json)
                self.assertEqual((status, err), (2, ""))  # its own line goes to the real stderr
                self.assertFalse(self.json.exists())


class Files(DriverTest):
    def write(self, array, **options):
        path = self.folder / "logits.npy"
        numpy.save(path, array, **options)
        return path

    def test_unsuitable_arrays_are_refused(self):
        floats = numpy.ones((3, 4), numpy.float32)
        for array in (numpy.asfortranarray(floats), floats.astype(int), floats.astype(complex), floats[0, 0],
                      floats[:0], floats[:, :0], floats.astype(numpy.longdouble), floats.astype(str),
                      floats.astype(object)):
            with self.subTest(dtype=array.dtype, shape=array.shape):
                self.assert_refused(self.run_logits(self.write(array, allow_pickle=True)))

    def test_broken_files_are_refused(self):
        whole = DIGITS.read_bytes()
        path = self.folder / "logits.npy"
        for content in (b"", b"no numbers\n", whole[:5], whole[:60], whole[:-1], whole.replace(b"'<f4'", b"'<q9'"),
                        whole.replace(b"(597, 10)", b"(597, 'a'"), whole.replace(b"descr", b"\xff\xff{[(")):
            with self.subTest(content[:70]):
                path.write_bytes(content)
                self.assert_refused(self.run_logits(path))

    def test_paths_that_cannot_be_used_are_refused(self):
        self.assert_refused(self.run_logits(self.folder / "missing.npy"))
        self.assert_refused(self.run_logits(self.folder))
        for out in (self.folder, self.folder / "missing" / "out.npy", "/dev/null"):
            with self.subTest(out):
                self.assert_refused(run("--quick", "--logits", DIGITS, "--out", out, "--json", self.json))
        self.assert_refused(run("--quick", "--logits", DIGITS, "--out", self.out, "--json", self.folder))

    def test_probabilities_keep_dtype_and_shape(self):
        logits = numpy.load(DIGITS)[:24]
        for dtype, tolerance in (("<f4", 1e-6), ("<f8", 1e-14), ("<f2", 1e-3), (">f4", 1e-6)):
            for shape in ((24, 10), (2, 3, 4, 10), (240,)):
                with self.subTest(dtype=dtype, shape=shape):
                    array = logits.reshape(shape).astype(dtype)
                    status, _, err = self.run_logits(self.write(array))
                    self.assertEqual((status, err), (0, ""))
                    got = numpy.load(self.out)
                    self.assertEqual((got.dtype.str, got.shape), (dtype, shape))
                    numpy.testing.assert_allclose(got, softmax(array), rtol=tolerance, atol=1e-7)

    def test_special_values_are_no_failure(self):
        logits = numpy.load(DIGITS)[:8]
        logits[0, 1] = numpy.nan
        logits[1, 2] = numpy.inf
        logits[2, 3] = -numpy.inf
        logits[3] = -numpy.inf
        logits[4] = 3e38
        status, _, err = self.run_logits(self.write(logits))
        self.assertEqual((status, err), (0, ""))
        with numpy.errstate(invalid="ignore"):
            numpy.testing.assert_allclose(numpy.load(self.out), softmax(logits), rtol=1e-6, atol=1e-37)


class Results(DriverTest):
    def test_table_and_json_hold_every_variant(self):
        status, out, err = run("--quick", "--shape", "3x40", "--shape", "7x5", "--json", self.json)
        self.assertEqual((status, err), (0, ""))
        merged = json.loads(self.json.read_text())
        self.assertIn("simdsoftmax_version", merged["context"])
        names = {b["run_name"] for b in merged["benchmarks"]}
        for shape in ("3x40", "7x5"):
            self.assertIn(f"limit/f32/{shape}/any/memcpy", names)
            for isa in {name.split("/")[3] for name in names} - {"any"}:
                variants = {name.split("/")[4] for name in names if name.startswith(f"softmax/f32/{shape}/{isa}/")}
                self.assertLessEqual(
                    {"auto", "three_pass", "three_pass_recompute", "online", "anchored", "narrow",
                     "streaming"}, variants)
                for variant in variants:
                    self.assertRegex(out, rf"\n[ 0-9x]+ {isa} +{variant} ")
        self.assertRegex(out, r" \* ")

    def test_narrowing(self):
        status, out, err = run("--quick", "--shape", "3x40", "--variant", "online", "--json", self.json)
        self.assertEqual((status, err), (0, ""))
        self.assertNotIn("anchored", out)

    def test_accuracies_stand_side_by_side(self):
        status, out, err = run("--quick", "--shape", "3x4000", "--variant", "auto", "--accuracy", "balanced,exact,fast",
                               "--json", self.json)
        self.assertEqual((status, err), (0, ""))
        measured = table.measurements(json.loads(self.json.read_text())["benchmarks"])
        for isa in {m.isa for m in measured} - {"any"}:
            errors = {m.name: m.max_ulp for m in measured if m.isa == isa and m.family == "softmax"}
            self.assertEqual(set(errors), {"auto", "auto:exact", "auto:fast"})
            self.assertLess(errors["auto:exact"], 0.501)
            self.assertGreater(errors["auto"], 0.501)
            if isa == "sse2":  # has no fast rows
                self.assertEqual(errors["auto:fast"], errors["auto"])
            else:
                self.assertGreater(errors["auto:fast"], 100)
            self.assertRegex(out, rf"\n[ 0-9x]+ {isa} +auto:exact ")

    def test_operators_stand_beside_softmax(self):
        status, out, err = run("--operators", "--quick", "--repetitions", 1, "--shape", "3x40", "--json", self.json)
        self.assertEqual((status, err), (0, ""))
        measured = table.measurements(json.loads(self.json.read_text())["benchmarks"])
        for isa in {m.isa for m in measured}:
            names = {m.name for m in measured if m.isa == isa}
            self.assertLessEqual({
                "softmax", "log_softmax", "logsumexp", "softmax_backward", "log_softmax_backward",
                "softmax_cross_entropy", "softmax_cross_entropy_grad", "sparse_softmax_cross_entropy",
                "sparse_softmax_cross_entropy_grad", "argmax", "softmax_top_k_1", "softmax_partial_sort_1",
                "row_state_two_slices", "scale", "softcap", "f16_mask", "f16_bias", "bool_mask", "lengths_half",
                "alibi", "sinks", "logsumexp_output", "causal", "causal_window_256", "axis_0", "axis_0_step_2"}, names)
            self.assertRegex(out, rf"\nfunctions +3x40 +f32 +{isa} +softmax +[0-9.]+ +1\.00 ")
        self.assertRegex(out, r"softmax_top_k_1 .* x softmax_partial_sort_1\n")

    def test_ratios_are_to_softmax_of_the_same_run(self):
        def benchmark(suite, name, time, label="softmax"):
            return {"run_name": f"{suite}/f32/2x3x4@1/avx2/{name}", "run_type": "iteration", "cpu_time": time,
                    "label": label, "max_ulp": 0.5}
        measured = table.measurements([
            benchmark("axes", "softmax", 12.0), benchmark("axes", "axis_1", 30.0), benchmark("other", "softmax", 1.0),
            benchmark("axes", "unlike", 18.0, "axis_1"), benchmark("alone", "axis_1", 24.0)])
        self.assertEqual(measured[0].per_16, 8)
        lines = table.operator_table(measured).splitlines()
        self.assertRegex(lines[3], r" axis_1 +20\.000 +2\.50 +0\.500 +0\.0%$")
        self.assertRegex("\n".join(lines), r" unlike +12\.000 +1\.50 .* 0\.600 x axis_1\n")
        self.assertRegex("\n".join(lines), r"\nalone .* axis_1 +16\.000 +- ")

    def test_a_wrong_result_is_a_failure(self):
        common = {"run_type": "iteration", "repetitions": 1, "cpu_time": 1.0}
        right = {"run_name": "limit/f32/1x1/any/memcpy"}
        wrong = {"run_name": "softmax/f32/1x1/any/auto", "error_occurred": True, "error_message": "off"}
        merged = {"context": {}, "benchmarks": [{**common, **right}, {**common, **wrong}]}
        with unittest.mock.patch("report.run_shapes", return_value=merged):
            status, _, err = run("--json", self.json)
        self.assertEqual((status, err), (1, "bench/run: softmax/f32/1x1/any/auto: off\n"))


class Peers(DriverTest):
    def test_what_is_compiled_here_stands_beside(self):
        page = self.folder / "page.md"
        status, out, err = run("--peers", "--quick", "--repetitions", 3, "--shape", "3x40", "--shape", "70x9", "--json",
                               self.json, "--markdown", page)
        self.assertEqual((status, err), (0, ""))
        times = collections.defaultdict(list)
        for b in json.loads(self.json.read_text())["benchmarks"]:
            if b["run_type"] == "iteration":
                times[b["run_name"].split("/")[2], b["run_name"].split("/")[4]].append(b["cpu_time"])
        for shape in ("3x40", "70x9"):
            ratio = numpy.median(times[shape, "loops"]) / numpy.median(times[shape, "simdsoftmax"])
            for text in (out, page.read_text()):
                lines = text.replace("|", "  ").splitlines()
                names = next(line for line in lines if "nt copy " in line)
                cells = next(line for line in lines if line.lstrip().startswith(shape))
                column = re.split("  +", names.strip()).index("loops")
                self.assertEqual(re.split("  +", cells.strip())[column], f"{ratio:.2f}")
        for fact in ("machine", "compiler", "date", "loops"):
            self.assertIn(f"\n| {fact} | ", page.read_text())

    def test_functions_and_axes(self):
        for function in ("softmax", "log_softmax", "logsumexp"):
            for shape in ("3x40", "5x6x7@1"):
                with self.subTest(function=function, shape=shape):
                    status, out, err = run("--peers", "--quick", "--repetitions", 1, "--shape", shape, "--function",
                                           function, "--json", self.json)
                    self.assertEqual((status, err), (0, ""))
                    names = {b["run_name"] for b in json.loads(self.json.read_text())["benchmarks"]}
                    self.assertTrue(any(n.startswith(f"peers:{function}/f32/{shape}/") for n in names), names)
                    self.assertIn(f"limit/f32/{shape}/any/memcpy", names)

    def test_modules_that_cannot_be_loaded_are_left_out(self):
        (self.folder / "broken.so").write_text("no library")
        (self.folder / "missing").write_text("One\nAnother One\n")
        modules = peers.Modules(self.folder, [BINARY])
        self.assertEqual(list(modules.left_out), ["One", "Another One", "broken"])
        self.assertIn("broken.so", modules.left_out["broken"])
        self.assertEqual(modules.words(""), [])

    def test_modules_of_one_isa_run_at_that(self):
        modules = peers.Modules(BINARY.parent / "peers", [BINARY])
        self.assertEqual(modules.left_out, {})
        for isa in ("", modules.best_isa):
            self.assertTrue(any(f"loops-{modules.best_isa}" in word for word in modules.words(isa)))
        self.assertFalse(any("loops" in word for word in modules.words("z80")))

    def result(self, shape, name, time, label="1", **more):
        return {"run_name": f"peers:softmax/f32/{shape}/avx2/{name}", "run_type": "iteration", "cpu_time": time,
                "label": label, "max_ulp": 1.0, "repetitions": 1, **more}

    def report(self, *processes):
        group = peers.GROUPS[0]
        modules = unittest.mock.Mock(left_out={"torch": "not here"})
        return peers.Report([(group, table.measurements(list(p))) for p in processes], modules, {})

    def test_the_best_of_the_others_counts(self):
        r = self.result
        text = self.report(
            [r("8x2", "simdsoftmax", 10.0), r("8x2", "one", 80.0), r("8x2", "other lib", 20.0)],
            [r("8x4", "simdsoftmax", 10.0), r("8x4", "one", 80.0), r("8x4", "other lib", 320.0)],
            [r("8x6", "simdsoftmax", 10.0), r("8x6", "one", 5.0)]).text()
        self.assertRegex(text, r"\n8x2 .* other lib +20\.000 +0\.0% +1\.00 +2\.00 +8\.00 +2\.00\n")
        self.assertRegex(text, r"\n8x4 .* one +40\.000 +0\.0% +1\.00 +8\.00 +8\.00 +32\.00\n")
        self.assertRegex(text, r"\n8x6 .* one +1\.667 +0\.0% +1\.00 +0\.50 lost +0\.50 +-\n")
        self.assertRegex(text, r"\ngeometric mean +2\.00 +3\.17 +8\.00\n")
        self.assertIn("left out: torch (not here)", text)
        self.assertIn("2.00 times as fast (geometric mean of 3), slower on 1.", text)

    def test_a_line_without_others(self):
        self.assertRegex(self.report([self.result("8x2", "simdsoftmax", 10.0)]).text(), r"\n8x2 .* - +-\n")

    def test_only_wrong_results_of_this_library_are_failures(self):
        off = {"error_occurred": True, "error_message": "off"}
        context = {"context": {"simdsoftmax_version": "1", "simdsoftmax_compiler": "c"}}
        for wrong, status in (("simdsoftmax", 1), ("other", 0)):
            results = [self.result("8x2", name, 1.0, job=0, **(off if name == wrong else {}))
                       for name in ("simdsoftmax", "other")]
            with unittest.mock.patch("report.run_shapes", return_value={**context, "benchmarks": results}):
                got, _, err = run("--peers", "--shape", "8x2", "--json", self.json)
            self.assertEqual((got, "simdsoftmax: off" in err), (status, status == 1))


class Choices(DriverTest):
    def measurement(self, shape, name, time, label="", family="softmax"):
        return table.Measurement(family, "f32", shape, "avx2", name, label, 1.0, [time], 0)

    def test_regret_is_relative_to_the_fastest_variant(self):
        m = self.measurement
        lines = tune.regret_table([
            m("1x16", "auto", 30.0, "three_pass"), m("1x16", "three_pass", 29.0), m("1x16", "online", 20.0),
            m("2x16", "auto", 24.0, "online"), m("2x16", "three_pass", 29.0), m("2x16", "online", 36.0)]).splitlines()
        self.assertRegex(lines[2], r"^1x16 +avx2 +three_pass +30\.000 +0\.0% +online +20\.000 +0\.0% +1\.500$")
        self.assertRegex(lines[3], r"^2x16 +avx2 +online +12\.000 +0\.0% +three_pass +14\.500 +0\.0% +0\.828$")
        self.assertIn("geometric mean 1.114, worst 1.500", lines[4])

    def test_a_better_threshold_is_found(self):
        m = self.measurement
        shapes = {size: f"1x{size}" for size in (16, 32, 64, 128)}
        question = tune.Question("a, then b", "limit", "columns", "three_pass", "anchored", shapes)

        def text(picked, second=(40.0, 20.0, 10.0, 5.0)):
            measured = []
            for (size, shape), now, time in zip(shapes.items(), picked, second):
                measured += [m(shape, "auto", 1.0, now), m(shape, "three_pass", 10.0 * size / 16),
                             m(shape, "anchored", time * size / 16)]
            return tune.tune_table([question], [measured])

        a, b = "three_pass", "anchored"
        self.assertIn("no other threshold would be better", text([a, a, b, b]))
        self.assertIn(f"better: {b} from 64 on, 1.000", text([a, a, a, a], (40.0, 20.0, 5.0, 5.0)))
        self.assertIn(f"better: {b} from 64 on, 1.000", text([a, b, b, b]))
        self.assertIn(f"now: {b} from 32 on, 1.189 of", text([a, b, b, b]))
        self.assertIn(f"better: {b} from no size on, 1.000", text([a, b, b, b], (40.0, 20.0, 20.0, 20.0)))
        self.assertIn("takes neither", text(["online"] * 4))

    def test_regret_and_tune_run(self):
        status, out, err = run("--regret", "--quick", "--repetitions", 1, "--shape", "3x200", "--json", self.json)
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\n3x200 +\w+ +narrow ")
        asked = [tune.Question("a, then b", "limit", "columns", "narrow", "anchored", {40: "3x40", 10000: "3x10000"}),
                 tune.Question("one, then 2", "limit", "elements", "one_thread", "shared", {64: "2x64"}, "threads", 2)]
        with unittest.mock.patch("tune.questions", return_value=asked):
            status, out, err = run("--tune", "--quick", "--repetitions", 1, "--json", self.json)
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\n +40 .* narrow\n +10000 .* anchored\n")
        self.assertRegex(out, r"\n +64 .* one_thread\n")


if __name__ == "__main__":
    BINARY = pathlib.Path(sys.argv.pop(1))
    unittest.main()
