"""How fast DIN (or, with --kind dien, DIEN) trains: dips against PyTorch, alternating in one run, on the
same samples in the same order from the same first state, by SGD. step.sh starts this; the current folder
takes data and runs.

Two models: A has 2 fields of 64 (goods, cate) and an MLP of 80-40; B 3 fields of 16 (goods, shop, cate)
and an MLP of 200-80; both an activation unit of 80-40, and a million goods, of which a batch has about
as many as if they followed Zipf's law with 1.05. Histories are of 50 events all, or uniform with 20 in
the mean; PyTorch pads those, but in the forms called ragged.

On one core: dips in one process, its reader and its server pinned there too, and PyTorch with one
thread. On two: two workers and a server, in step and with rows a step old (staleness 1); one process;
PyTorch with two threads. dips reads its samples from files, PyTorch has its batches ready in memory.
PyTorch goes as installed (stock), and tuned, in the forms of torch_din.py, with tcmalloc and huge pages.

The losses of the first steps must be those of dips in one process, but for staleness 1, or this ends
with status 1. A round's figure is of the middle half of its steps; figures are medians over the rounds,
ratios medians of each round's ratio. At the end all stand in one table, of markdown; what is "stolen" is
the share of the processors' time that a hypervisor gave to others. With --keep a run that was stopped
goes on behind the cells that it has: each number of cores of a cell by itself."""
import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

HERE = Path(__file__).resolve().parent
LR, ROWS_LR = 0.2, 1.0
TOLERANCE = 1e-3  # of a step's mean loss
WARM_UP = 3  # steps that are not timed
CHECKED = 102400  # samples: 100 steps of 1024

MODELS = {"A": (["goods", "cate"], 64, [80, 40]), "B": (["goods", "shop", "cate"], 16, [200, 80])}
LENGTHS = {50: "equal", 20: "uniform"}

# Samples/s of tuned PyTorch for each GFLOP/s of its sgemm, histories of 50, as measured on a quiet
# machine: whoever is far below has a bad day, and a ratio to it says nothing.
USUAL = {"din": {("A", 1): 4050 / 109, ("A", 2): 6250 / 215, ("B", 1): 7800 / 109, ("B", 2): 12010 / 215},
         "dien": {("A", 1): 800 / 109, ("A", 2): 1241 / 215, ("B", 1): 2527 / 109, ("B", 2): 3757 / 215}}
FORMS = {"din": "concat,split,bmm,ragged,raggedsplit,concat+compile,split+compile,bmm+compile",
         "dien": "loop,script"}
TEXTBOOK = {"din": ("concat", "concat+compile"), "dien": ("loop", "script")}
STALE = "dips, staleness 1"  # learns from older rows: its losses are its own
FAIR = 0.9  # of PyTorch's usual speed; below it a cell is void

# The columns of the table: which contenders, of which the fastest stands there.
COLUMNS = {"din": {"as installed": ["stock"], "tuned": ["concat"], "tuned, compiled": ["concat+compile"],
                   "by hand": ["split", "bmm", "ragged", "raggedsplit"],
                   "by hand, compiled": ["split+compile", "bmm+compile"]},
           "dien": {"as installed": ["stock"], "tuned": ["loop"], "tuned, compiled": ["script"]}}


@dataclass
class Cell:
    """One model on one data set with one size of batch; steps is what the data has."""

    model: str
    length: int
    batch: int
    data: Path
    config: Path
    first: Path
    steps: int

    def __str__(self):
        return f"{self.model}, histories of {self.length}, batch {self.batch}"


def say(*words):
    print(*words, flush=True)


def call(*words, **more):
    """Run a program; what it says is shown only if it fails."""
    done = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stderr}status {done.returncode}")
    return done.stdout


# ---- the data, the configurations, the first states: made once


def once(folder, make):
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        make(folder)
        (folder / "done").touch()
    return folder


def prepare(dips, kind, length, samples):
    flags = {"samples": samples, "test-samples": 0, "history": length, "lengths": LENGTHS[length], "users": "1M",
             "goods": "1M", "shops": "100K", "cates": 1000, "zipf": 1.4}
    if kind == "dien":
        flags["negatives"] = "uniform"
    words = [f"--{name}={value}" for name, value in flags.items()]
    return once(Path(f"data-{kind}-{length}-{samples}"),
                lambda folder: call(dips, "prepare", "synthetic", "--no-counts", "--out", folder, *words))


def settings(kind, fields, activation):
    """What a kind of model has of its own: more columns of the history, and options."""
    if kind == "din":
        return "", f"attention: {{units: [80, 40], activation: {activation}}}"
    negatives = [f"negative_{f}" for f in fields]
    more = "".join(f", {name}: {{table: {f}}}" for name, f in zip(negatives, fields))
    return more, f"auxiliary: {{units: [100, 50], mean_over: events, negatives: [{', '.join(negatives)}]}}"


def configure(kind, model, data, activation):
    fields, dim, mlp = MODELS[model]
    columns = ", ".join(f"{f}: {{table: {f}}}" for f in fields)
    more, own = settings(kind, fields, activation)
    table = f"{{dim: {dim}, optimizer: sgd, lr: {ROWS_LR}, init: {{scale: 0.1}}}}"
    tables = "\n".join(f"  {f}: {table}" for f in fields)
    path = Path(f"{kind}-{model}-{activation}-{data}.yaml")
    path.write_text(f"""tables:
{tables}
features: {{{columns}, history: {{columns: {{{columns}{more}}}}}}}
model:
  kind: {kind}
  candidate: [{", ".join(fields)}]
  history: history
  {own}
  mlp: {{units: {mlp}}}
data: {{train: {data}/train-*.safetensors, shuffle: false}}
dense: {{optimizer: sgd, lr: {LR}}}
checkpoint: {{every: never}}
""")
    return path


def first_state(dips, config):
    run = once(config.with_suffix(""), lambda run: call(dips, "train", config, "--run", run, "train.steps=0"))
    return run / "checkpoints" / "step-000000000000"


# ---- the contenders: what each gives is {"rate": samples/s, "losses": one for each step}


def rate_of(samples, spans):
    """Samples/s of steps of so many seconds, by the middle half of them: what a hypervisor takes away for
    a moment, and a step that waits for it, is nobody's slowness."""
    spans = sorted(spans[WARM_UP:])
    quarter = len(spans) // 4
    return samples / mean(spans[quarter : len(spans) - quarter])


def on_core(cores):
    return ["taskset", "-c", "0"] if cores == 1 else []


def train(o, cell, steps, cores, *options):
    """dips from its first state; time is of its own clock, step by step."""
    run = Path("run")
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(cell.first, run / "checkpoints" / cell.first.name, copy_function=os.link)
    call(*on_core(cores), o.dips, "train", cell.config, "--run", run, f"train.batch={cell.batch}",
         f"train.steps={steps}", *options)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["event"] == "step"]
    shutil.rmtree(run)
    spans = [x["samples"] / x["samples_per_s"] for x in lines]
    return {"rate": rate_of(cell.batch, spans), "losses": [x["loss"] for x in lines]}


def dips_figures(o, cell, steps, cores):
    if cores == 1:
        return {"dips": train(o, cell, steps, 1)}
    two = ["cluster.workers=2", "cluster.servers=1"]
    return {"dips": train(o, cell, steps, cores, *two),
            STALE: train(o, cell, steps, cores, *two, "train.mode=pipelined", "train.staleness=1"),
            "dips, one process": train(o, cell, steps, cores)}


def tuned_environment():
    allocator = next(Path("/usr/lib").rglob("libtcmalloc_minimal.so.4"), None)
    return {"THP_MEM_ALLOC_ENABLE": "1"} | ({"LD_PRELOAD": str(allocator)} if allocator else {})


def torch_figures(o, cell, forms, cores, tuned, steps=0):
    """By form; each with "sgemm", PyTorch's GFLOP/s of a large product right after it."""
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(Path("compiled").resolve())}
    words = ["--fields", ",".join(MODELS[cell.model][0]), "--forms", ",".join(forms), "--batch", cell.batch,
             "--lr", LR, "--rows-lr", ROWS_LR, "--seconds", o.seconds, "--steps", steps]
    if tuned:
        environment |= tuned_environment()
        words += ["--threads", cores]
    said = call(*on_core(cores), o.torch_python, HERE / f"torch_{o.kind}.py", cell.data, cell.first, *words,
                env=environment)
    figures = [x for x in map(json.loads, said.splitlines()) if "form" in x]
    return {x["form"]: x | {"rate": rate_of(cell.batch, x.pop("spans"))} for x in figures}


# ---- one cell


def check(name, losses, wanted):
    """The largest difference over the steps that both have made."""
    off = max(abs(a - b) for a, b in zip(losses, wanted))
    if not off <= TOLERANCE:
        sys.exit(f"{name}: a loss is {off:.1e} from that of dips in one process, more than {TOLERANCE:.0e}")
    return off


def reference(o, cell):
    """What dips in one process gives, whose losses PyTorch's textbook form has too."""
    steps = min(100, o.checked // cell.batch)
    mine = train(o, cell, steps, 2)
    if o.torch_python:
        textbook = TEXTBOOK[o.kind][0]
        theirs = torch_figures(o, cell, [textbook], max(o.cores), True, steps)[textbook]
        off = check("PyTorch", theirs["losses"], mine["losses"])
        first, *_, last = mine["losses"]
        say(f"losses of {steps} steps, from {first:.4f} to {last:.4f}: {off:.1e} apart at most")
    return mine


def processor_time():
    """Ticks that were wanted of all processors, and those of them that a hypervisor gave to others."""
    user, nice, system, _, _, hard, soft, stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
    return user + nice + system + hard + soft + stolen, stolen


def one_round(o, cell, cores, steps):
    figures = dips_figures(o, cell, steps, cores)
    if o.torch_python:
        forms = [f for f in o.forms.split(",") if cell.length == 20 or not f.startswith("ragged")]
        textbook = TEXTBOOK[o.kind][0]
        figures["stock"] = torch_figures(o, cell, [textbook], cores, False)[textbook]
        figures |= torch_figures(o, cell, forms, cores, True)
    return figures


def measure(o, cell, cores):
    """By number of cores: the figures of each round, and the share of the processors' time that was stolen."""
    wanted = reference(o, cell)
    steps = min(cell.steps, max(2 * WARM_UP, int(o.seconds * wanted["rate"] / cell.batch)))
    rounds, ticks = {n: [] for n in cores}, {n: [0, 0] for n in cores}
    for _ in range(o.rounds):
        for n in cores:
            before = processor_time()
            figures = one_round(o, cell, n, steps)
            ticks[n] = [sum(x) - y for *x, y in zip(ticks[n], processor_time(), before)]
            for name, figure in figures.items():
                if name != STALE:
                    check(name, figure["losses"], wanted["losses"])
            rounds[n].append(figures)
    return {n: (rounds[n], ticks[n][1] / max(1, ticks[n][0])) for n in cores}


def of_usual(kind, cell, cores, rounds):
    """PyTorch's speed by that of its sgemm, as a share of what is usual; None where nothing is."""
    textbook = [name for name in TEXTBOOK[kind] if name in rounds[0]]
    if cell.length != 50 or not textbook:
        return None
    best = max(median(f[name]["rate"] / f[name]["sgemm"] for f in rounds) for name in textbook)
    return best / USUAL[kind][cell.model, cores]


def result_of(kind, cell, cores, rounds, stolen):
    """What is told of a cell, and kept."""
    gflops = [figure["sgemm"] for figures in rounds for figure in figures.values() if "sgemm" in figure]
    return {"model": cell.model, "length": cell.length, "batch": cell.batch, "cores": cores,
            "rates": {name: median(f[name]["rate"] for f in rounds) for name in rounds[0]},
            "ratios": {name: median(f["dips"]["rate"] / f[name]["rate"] for f in rounds) for name in rounds[0]},
            "sgemm": median(gflops) if gflops else None, "of_usual": of_usual(kind, cell, cores, rounds),
            "stolen": stolen}


def is_void(result):
    return result["of_usual"] is not None and result["of_usual"] < FAIR


def show(result):
    cores = result["cores"]
    say(f"{result['model']}, histories of {result['length']}, batch {result['batch']}, {cores} "
        f"core{'s' * (cores > 1)}" + (f", sgemm {result['sgemm']:.0f} GFLOP/s" if result["sgemm"] else "")
        + f", {result['stolen']:.0%} of the processors' time given to other machines")
    for name, rate in result["rates"].items():
        say(f"  {name:20s} {rate:8.0f} samples/s   dips {result['ratios'][name]:5.2f} x")
    if is_void(result):
        say(f"  void: tuned PyTorch reached {result['of_usual']:.2f} of its usual speed relative to sgemm, {FAIR} "
            "at least makes a fair opponent: the machine is busy, or of another kind")
    say()


# ---- all cells


def table_entry(result, names):
    """The fastest of these contenders, and how often over dips has it."""
    there = [name for name in names if name in result["rates"]]
    if not there:
        return ""
    best = max(there, key=result["rates"].get)
    return f"{result['rates'][best]:,.0f} ({result['ratios'][best]:.1f} ×)"


def show_table(kind, results):
    columns = COLUMNS[kind]
    say("| samples/s | cores | dips | staleness 1 | " + " | ".join(columns) + " | of usual | stolen |")
    say("| --- | --- | --- | --- | " + "--- | " * len(columns) + "--- | --- |")
    for r in results:
        lengths = "50 events" if r["length"] == 50 else f"{r['length']} in the mean"
        words = [f"{r['model']}, {lengths}, batch {r['batch']}", str(r["cores"]), f"{r['rates']['dips']:,.0f}",
                 f"{r['rates'][STALE]:,.0f}" if STALE in r["rates"] else "",
                 *(table_entry(r, names) for names in columns.values()),
                 "" if r["of_usual"] is None else f"{r['of_usual']:.2f}" + ", void" * is_void(r),
                 f"{r['stolen']:.0%}"]
        say("| " + " | ".join(words) + " |")
    void = sum(map(is_void, results))
    if void:
        say(f"\n{void} cells are void: tuned PyTorch was below {FAIR} of its usual speed relative to sgemm")
    say()


class Kept:
    """Results, by what they are of, in a file that a later run goes on from."""

    def __init__(self, path):
        self.path, self.results = path, {}
        if path and path.exists():
            for line in path.read_text().splitlines():
                self.take(json.loads(line))

    @staticmethod
    def name(cell, cores):
        return cell.model, cell.length, cell.batch, cores

    def take(self, result):
        self.results[tuple(result[x] for x in ("model", "length", "batch", "cores"))] = result

    def add(self, result):
        self.take(result)
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps(result) + "\n")


# ---- the whole


def introduce(o):
    names = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    say(f"machine: {len(names)} x {names[0]}, load {os.getloadavg()[0]:.1f}")
    say("dips:", call(o.dips, "--version").strip())
    if o.torch_python:
        about = call(o.torch_python, "-c", "import torch; print(torch.__version__, torch.__config__.show())")
        version, *lines = about.splitlines()
        parts = [x.strip(" -") for x in lines if "Math Kernel" in x or "MKL-DNN v" in x or "capability" in x]
        say("PyTorch:", "; ".join([version.split()[0], *parts]))
        say("tuned:", *(f"{name}={value}" for name, value in tuned_environment().items()))
    say()


def show_reading(o, best):
    """How often over the reader gives what the fastest step needs."""
    program = o.build / "tests" / "bench_reading"
    if program.exists() and best > 0:
        lines = [line for line in call(program).splitlines() if line.startswith("pipeline")]
        rate = max(float(line.split()[1]) for line in lines) * 1e3
        say(f"reading: {rate:.0f} samples/s of 50 events, {rate / best:.1f} x what the fastest of these needs")


def cells(o):
    batches = [int(batch) for batch in o.batches.split(",")]
    samples = max(CHECKED, 50 * max(batches))
    for length in map(int, o.lengths.split(",")):
        data = prepare(o.dips, o.kind, length, samples)
        for model in o.models.split(","):
            config = configure(o.kind, model, data, o.activation)
            first = first_state(o.dips, config)
            for batch in batches:
                yield Cell(model, length, batch, data, config, first, samples // batch)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, help="folder of the executables")
    parser.add_argument("--torch-python", help="a Python that has PyTorch; without it dips goes alone")
    parser.add_argument("--kind", default="din", choices=["din", "dien"])
    parser.add_argument("--models", default="A,B")
    parser.add_argument("--lengths", default="50,20")
    parser.add_argument("--batches", default="256,1024,4096")
    parser.add_argument("--cores", default="1,2")
    parser.add_argument("--forms", help="see torch_din.py, torch_dien.py; with + a compiler is at work for a "
                        "minute each, once")
    parser.add_argument("--activation", default="dice", choices=["dice", "sigmoid"], help="of the activation unit")
    parser.add_argument("--checked", type=int, default=CHECKED, help="samples over which losses are compared first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of each figure, about")
    parser.add_argument("--keep", type=Path, help="a file of results: what it has is not measured again")
    o = parser.parse_args()
    o.forms = o.forms or FORMS[o.kind]
    o.dips, o.cores = o.build / "dips", [int(cores) for cores in o.cores.split(",")]
    return o


def main():
    o = options()
    kept, results = Kept(o.keep), []
    introduce(o)
    for cell in cells(o):
        missing = [n for n in o.cores if Kept.name(cell, n) not in kept.results]
        for cores, (rounds, stolen) in measure(o, cell, missing).items() if missing else ():
            kept.add(result_of(o.kind, cell, cores, rounds, stolen))
            show(kept.results[Kept.name(cell, cores)])
        results += [kept.results[Kept.name(cell, n)] for n in o.cores]
    show_table(o.kind, results)
    show_reading(o, max((r["rates"]["dips"] for r in results if r["length"] == 50), default=0))


main()
