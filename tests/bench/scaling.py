"""What a step costs each thread of a run, and how long it takes: the figures that the costs of
launch/plan/pace.c are fitted to, and those that its predictions are compared with.

    scaling.py measure BUILD LINES DATA STALENESS [WxSxB ...]
        train DIN with W workers, S servers and B samples a worker, on known or new ids
    scaling.py fit BUILD LINES
        the costs that explain the CPU time of the runs with one worker, pipelined
    scaling.py check BUILD LINES
        steps of the other runs, as foretold from the costs, and as they were
    scaling.py picture BUILD OUT.svg NAME=VALUE ...
        what bench_scaling foretells for more workers and servers

measure adds a line of JSON to LINES for each run; the current folder takes data and runs. CPU time is the
scheduler's, for every thread (/proc/PID/task/*/schedstat), between two steps of a run; other programs hardly
change it. They do change how long a step takes, as does the host that lends this machine its cores: check
tells the model how many cores were left by both (/proc/stat)."""
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

FIELDS, DIM = ["goods", "shop", "cate"], 16
CROWDED = ["known", 2, 1, 256, 1]
# Of the ids of a step nearly all have rows, or nearly none.
DATA = {"known": {"goods": "200K", "shops": "20K", "zipf": 1}, "new": {"goods": "1000G", "shops": "1000G", "zipf": 0}}
WARM_UP_S, SECONDS = 1.5, 3.0


def call(*words):
    done = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stderr}status {done.returncode}")
    return done.stdout


# ---- data and configuration


def prepare(dips, kind):
    folder = Path(f"data-{kind}")
    if not (folder / "world.json").exists():
        call(dips, "prepare", "synthetic", "--no-counts", "--overwrite", "--out", folder, "--samples", 120000,
             "--test-samples", 0, "--history", 50, "--lengths", "equal", "--cates", 1000,
             *(f"--{name}={value}" for name, value in DATA[kind].items()))
    return folder


def configure(kind, data):
    columns = ", ".join(f"{f}: {{table: {f}}}" for f in FIELDS)
    tables = "\n".join(f"  {f}: {{dim: {DIM}, optimizer: rowwise_adagrad}}" for f in FIELDS)
    path = Path(f"{kind}.yaml")
    path.write_text(f"""tables:
{tables}
features: {{{columns}, history: {{columns: {{{columns}}}, max_len: 50}}}}
model:
  kind: din
  candidate: [{", ".join(FIELDS)}]
  history: history
  attention: {{units: [80, 40], activation: dice}}
  mlp: {{units: [200, 80], activation: dice}}
data: {{train: {data}/train-*.safetensors}}
train: {{steps: 1M}}
checkpoint: {{every: never}}
""".replace("1M", "1000000"))
    return path


# ---- one run


def processes(run):
    """{pid: "server" or "worker"} of the run in the folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if len(words) > 2 and words[1] in (b"server", b"worker") and str(run).encode() in words:
                found[int(entry.name)] = words[1].decode()
    return found


def role(pid, tid, comm, process):
    if comm.startswith("ZMQ"):
        return f"{process} io"
    if process == "worker":
        return "worker compute" if tid == pid else "worker reader"
    return "server watch" if tid == pid else "server shard"


def clocks(members):
    """{role: (seconds of CPU, seconds ready without a core)}, over all processes."""
    sums = {}
    for pid, process in members.items():
        for task in Path(f"/proc/{pid}/task").iterdir():
            ran, waited, _ = (task / "schedstat").read_text().split()
            name = role(pid, int(task.name), (task / "comm").read_text().strip(), process)
            cpu, ready = sums.get(name, (0, 0))
            sums[name] = cpu + int(ran) * 1e-9, ready + int(waited) * 1e-9
    return sums


def machine():
    """Seconds of CPU that the machine has worked, and those that its host gave to others."""
    user, nice, system, _, _, irq, soft, stolen, *_ = map(int, open("/proc/stat").readline().split()[1:])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + soft) / tick, stolen / tick


class Steps:
    """The steps in a metrics.jsonl that grows."""

    def __init__(self, path):
        self.path, self.file, self.rest, self.step = path, None, "", 0

    def read(self):
        if self.file is None:
            if not self.path.exists():
                return self.step
            self.file = open(self.path)
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        for line in map(json.loads, lines):
            if line["event"] == "step":
                self.step = line["step"]
        return self.step

    def next(self, until):
        """Wait for the first step after the time `until`; it and when."""
        while time.monotonic() < until:
            time.sleep(0.01)
        self.read()
        before, limit = self.step, time.monotonic() + 60
        while self.read() == before:
            if time.monotonic() > limit:
                sys.exit(f"{self.path}: no step for a minute")
            time.sleep(0.0005)
        return self.step, time.monotonic()


def train(dips, config, workers, servers, batch, words):
    """Figures of a step: seconds of the wall, and of CPU and of waiting for a core by role; cores that were left."""
    run = Path("run").resolve()
    call("rm", "-rf", run)
    job = subprocess.Popen([str(dips), "train", str(config), "--run", str(run), f"cluster.workers={workers}",
                            f"cluster.servers={servers}", f"train.batch={workers * batch}", *words],
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        steps = Steps(run / "metrics.jsonl")
        first, begin = steps.next(0)
        first, begin = steps.next(time.monotonic() + WARM_UP_S)
        members = processes(run)
        before, busy_before = clocks(members), machine()
        last, end = steps.next(begin + SECONDS)
        after, busy_after = clocks(members), machine()
    finally:
        job.send_signal(signal.SIGINT)
        job.communicate()
    n = last - first
    own = sum(after[name][0] - before[name][0] for name in after)
    summary = [line for line in map(json.loads, open(run / "metrics.jsonl")) if line["event"] == "summary"][-1]
    return {
        "steps": n,
        "cores": os.cpu_count() - max(0, busy_after[0] - busy_before[0] - own + busy_after[1] - busy_before[1]) / (end - begin),
        "wall": (end - begin) / n,
        "cpu": {name: (after[name][0] - before[name][0]) / n for name in after},
        "ready": {name: (after[name][1] - before[name][1]) / n for name in after},
        "phases": {k: summary[k] / summary["steps"] for k in summary if k.endswith("_s") and k != "samples_per_s"},
    }


def measure(build, lines, kind, staleness, cells):
    dips = build / "dips"
    config = configure(kind, prepare(dips, kind))
    words = [f"train.mode={'pipelined' if staleness else 'sync'}", f"train.staleness={staleness}"]
    for cell in cells:
        workers, servers, batch = map(int, cell.split("x"))
        plan = json.loads(call(dips, "plan", config, "--json", "--ids", "10M", f"cluster.workers={workers}",
                               f"cluster.servers={servers}", f"train.batch={workers * batch}"))
        figures = train(dips, config, workers, servers, batch, words)
        step = plan["step"]
        line = {"data": kind, "workers": workers, "servers": servers, "batch": batch, "staleness": staleness,
                "looked_up": sum(t["looked_up"] for t in plan["tables"]),
                "distinct": sum(t["distinct"] for t in plan["tables"]), "dense_bytes": step["reduce_bytes"],
                **{k: step[k] for k in ("pull_bytes", "rows_bytes", "push_bytes")}, **figures}
        with open(lines, "a") as out:
            print(json.dumps(line), file=out)
        print(f"{kind} {cell} staleness {staleness}: {figures['wall'] * 1e3:.2f} ms a step, {figures['cores']:.2f} cores;",
              ", ".join(f"{k} {v * 1e3:.2f}" for k, v in figures["cpu"].items()), flush=True)


# ---- the fit: CPU time of a role = sum of cost x number, by least squares of relative errors


def least_squares(rows, wanted):
    n = len(rows[0])
    a = [[sum(r[i] * r[j] / y / y for r, y in zip(rows, wanted)) for j in range(n)] +
         [sum(r[i] / y for r, y in zip(rows, wanted))] for i in range(n)]
    for i in range(n):
        a[i] = [x / a[i][i] for x in a[i]]
        for k in range(n):
            if k != i:
                a[k] = [x - a[k][i] * y for x, y in zip(a[k], a[i])]
    return [row[n] for row in a]


def births(line):
    return line["distinct"] if line["data"] == "new" else 0


def wire(line):
    return line["pull_bytes"] + line["rows_bytes"] + line["push_bytes"]


ROLES = [  # role, [(cost, unit, its number in a line)]
    ("server shard", [("server_message_us", 1e-6, lambda x: x["servers"]),
                      ("server_row_ns", 1e-9, lambda x: x["distinct"]), ("server_birth_ns", 1e-9, births)]),
    ("server io", [("io_message_us", 1e-6, lambda x: 3 * x["servers"]), ("io_byte_ns", 1e-9, wire)]),
    ("worker io", [("io_message_us", 1e-6, lambda x: 3 * x["servers"]), ("io_byte_ns", 1e-9, wire)]),
    ("worker reader", [("id_ns", 1e-9, lambda x: x["looked_up"]), ("distinct_ns", 1e-9, lambda x: x["distinct"])]),
    ("worker compute", [("step_us", 1e-6, lambda x: 1), ("sample_us", 1e-6, lambda x: x["batch"]),
                        ("row_ns", 1e-9, lambda x: x["distinct"])]),
]


def fit(lines):
    """{role: {cost: value}} of the runs with one worker, and how far the CPU times are off. Of the same run
    made several times the one that took least counts: the others were disturbed."""
    least = {}
    for x in lines:
        run = x["data"], x["servers"], x["batch"]
        if x["workers"] == 1 and x["staleness"] > 0:
            least[run] = min(x, least.get(run, x), key=lambda x: sum(x["cpu"].values()))
    alone = list(least.values())
    found = {}
    for role, costs in ROLES:
        rows = [[number(x) * unit for _, unit, number in costs] for x in alone]
        values = least_squares(rows, [x["cpu"][role] for x in alone])
        off = [abs(sum(v * r for v, r in zip(values, row)) / x["cpu"][role] - 1) for row, x in zip(rows, alone)]
        found[role] = dict(zip((name for name, *_ in costs), values)) | {"off": median(off)}
    return found


def show_fit(lines):
    for role, costs in fit(lines).items():
        print(f"{role:16s}", "  ".join(f"{k} {v:.3g}" for k, v in costs.items() if k != "off"),
              f"  within {costs['off']:.0%} in the median")


# ---- the check


def foretell(build, words):
    """The step in ms by the closed form, and simulated."""
    said = call(build / "tests" / "bench_scaling", "one", *(f"{k}={v}" for k, v in words.items())).split()
    return float(said[3]), float(said[6])


def load(line, costs):
    """A worker's part of a step, for bench_scaling."""
    compute, reader = costs["worker compute"], costs["worker reader"]
    usual = 50e-9 * line["distinct"] + 30e-6 * line["servers"]  # worker_row, worker_message
    arithmetic = compute["step_us"] * 1e-6 + compute["sample_us"] * 1e-6 * line["batch"] + (
        compute["row_ns"] * 1e-9 * line["distinct"]) - usual
    reading = (reader["id_ns"] * line["looked_up"] + reader["distinct_ns"] * line["distinct"]) * 1e-9
    shares = {"samples": line["batch"], "arithmetic_ms": arithmetic * 1e3, "reading_ms": reading * 1e3,
              "births": births(line)}
    return shares | {k: line[k] for k in ("distinct", "pull_bytes", "rows_bytes", "push_bytes", "dense_bytes")}


def name_of(line):
    return [line[k] for k in ("data", "workers", "servers", "batch", "staleness")]


def crowding(build, lines, costs):
    """What work grows by where all cores are at it, by the one run that is fitted to that."""
    for x in lines:
        if name_of(x) == CROWDED:
            return x["wall"] * 1e3 / foretell(build, words_of(x, costs) | {"crowding": 1})[0]
    sys.exit(f"there is no run {CROWDED} that tells how crowded cores are")


def words_of(line, costs):
    server = {k: v for k, v in costs["server shard"].items() if k != "off"}
    return load(line, costs) | server | {k: line[k] for k in ("workers", "servers", "staleness", "cores")}


def check(build, lines):
    costs, off = fit(lines), []
    busy = crowding(build, lines, costs)
    print(f"crowding {busy:.2f}")
    print("ids    workers x servers x batch  staleness  cores  measured ms  closed form    simulated")
    for x in lines:
        if x["workers"] == 1 and x["staleness"] > 0 or name_of(x) == CROWDED:
            continue
        measured = x["wall"] * 1e3
        closed, played = foretell(build, words_of(x, costs) | {"crowding": busy})
        off.append((abs(closed / measured - 1), abs(played / measured - 1)))
        print(f"{x['data']:6s} {x['workers']:7d} x {x['servers']:d} x {x['batch']:<12d} {x['staleness']:9d}  {x['cores']:5.2f}"
              f"  {measured:11.1f}  {closed:6.1f} {closed / measured - 1:+4.0%}  {played:6.1f} {played / measured - 1:+4.0%}")
    for i, name in enumerate(["closed form", "simulated"]):
        print(f"{name}: off by {median(r[i] for r in off):.0%} in the median, {max(r[i] for r in off):.0%} at most")


# ---- the picture


COLORS = ["#c0392b", "#d68910", "#1e8449", "#2471a3", "#6c3483"]


def picture(build, out, words):
    said = call(build / "tests" / "bench_scaling", "grid", *words)
    print(said, end="")
    rates = {}  # {servers: [(workers, samples/s, held up by)]}
    for line in said.splitlines():
        part = line.split(maxsplit=11)
        rates.setdefault(int(part[2]), []).append((int(part[0]), float(part[8]), part[11]))
    top = max(rate for line in rates.values() for _, rate, _ in line)
    low = min(rate for line in rates.values() for _, rate, _ in line)
    x = lambda workers: 80 + 80 * math.log2(workers)
    y = lambda rate: 350 - 300 * math.log(rate / low) / math.log(top / low)
    with open(out, "w") as f:
        print("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 800 410' font-family='sans-serif' font-size='12'>"
              "<rect width='800' height='410' fill='white'/>", file=f)
        for workers, *_ in next(iter(rates.values())):
            print(f"<line x1='{x(workers)}' x2='{x(workers)}' y1='50' y2='350' stroke='#ddd'/>"
                  f"<text x='{x(workers)}' y='368' text-anchor='middle'>{workers}</text>", file=f)
        rate = 10 ** math.ceil(math.log10(low))
        while rate <= top:
            print(f"<line x1='80' x2='640' y1='{y(rate):.1f}' y2='{y(rate):.1f}' stroke='#ddd'/>"
                  f"<text x='74' y='{y(rate) + 4:.1f}' text-anchor='end'>{rate:,.0f}</text>", file=f)
            rate *= 10
        print("<text x='80' y='30'>samples/s</text><text x='360' y='392' text-anchor='middle'>workers</text>", file=f)
        for color, (servers, line) in zip(COLORS, rates.items()):
            points = " ".join(f"{x(w)},{y(r):.1f}" for w, r, _ in line)
            print(f"<polyline points='{points}' fill='none' stroke='{color}' stroke-width='2'/>"
                  f"<text x='648' y='{y(line[-1][1]) + 4:.1f}' fill='{color}'>{servers} server{'s' * (servers > 1)}"
                  "</text>", file=f)
        print("</svg>", file=f)


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in ("measure", "fit", "check", "picture"):
        sys.exit(__doc__)
    what, build, lines = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3])
    if what == "measure":
        measure(build, lines, sys.argv[4], int(sys.argv[5]), sys.argv[6:])
    elif what == "picture":
        picture(build, lines, sys.argv[4:])
    else:
        known = [json.loads(line) for line in open(lines)]
        show_fit(known) if what == "fit" else check(build, known)


main()
