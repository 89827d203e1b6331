"""What dips prepare makes of logs, computed again from the raw lines.

usage: prepare_logs.py DIPS, in a folder of its own. Random logs with ties of time, missing fields,
CRLF and gzip; every tensor of every shard is compared. Hashes are read back through names-*."""
import gzip
import json
import math
import random
import struct
import subprocess
import sys
import time

DIPS = sys.argv[1]
TYPES = {"U64": "Q", "I64": "q", "F32": "f", "U32": "I", "U8": "B"}
chance = random.Random(1)


def read(path):
    """The tensors of a safetensors file, as lists."""
    data = open(path, "rb").read()
    size = struct.unpack_from("<Q", data)[0]
    tensors = {}
    for name, about in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = about["data_offsets"]
        letter = TYPES[about["dtype"]]
        count = (end - begin) // struct.calcsize(letter)
        tensors[name] = list(struct.unpack_from(f"<{count}{letter}", data, 8 + size + begin))
    return tensors


def names(folder, table):
    """id -> string."""
    t = read(f"{folder}/names-{table}.safetensors")
    text = bytes(t["bytes"])
    return {i: text[a:b].decode() for i, a, b in zip(t["ids"], t["offsets"], t["offsets"][1:])}


def prepare(*words):
    subprocess.run([DIPS, "prepare", *words], check=True, stdout=subprocess.DEVNULL)


def same(what, got, want):
    if got != want:
        place = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
        sys.exit(f"FAILED: {what}: {len(got)} elements, wanted {len(want)}; first difference at {place}: "
                 f"{got[place:place + 3]}, wanted {want[place:place + 3]}")


def lists(tensors, name, column):
    """A ragged column as a list of lists."""
    offsets = tensors[f"{name}.offsets"]
    return [tensors[column][a:b] for a, b in zip(offsets, offsets[1:])]


# ---- taobao ----

def check_taobao():
    items = {100 + i: 7 * (i % 5) for i in range(30)}
    rows = [(chance.randrange(6), chance.choice(list(items)), chance.choice(["pv", "cart", "fav", "buy"]),
             1000 * chance.randrange(40)) for _ in range(160)]
    with gzip.open("behavior.csv.gz", "wt", newline="") as f:
        for user, item, what, when in rows:
            f.write(f"{user},{item},{items[item]},{what},{when}" + chance.choice(["\n", "\r\n"]))
    prepare("taobao", "--in", "behavior.csv.gz", "--out", "taobao", "--behaviors", "pv,buy", "--newest", "4",
            "--max-len", "5", "--history-days", "0.2", "--negatives", "popularity")
    behaviors = names("taobao", "behavior")
    kept = [r for r in rows if r[2] in ("pv", "buy")]
    want = {"train": [], "test": []}
    for user in sorted({r[0] for r in kept}):
        mine = sorted((r for r in kept if r[0] == user), key=lambda r: r[3])
        for i in range(max(1, len(mine) - 4), len(mine)):
            before = [r for r in mine[:i] if mine[i][3] - r[3] <= 0.2 * 86400][-5:]
            want["train" if i + 1 < len(mine) else "test"].append((mine[i], before))
    for split, samples in want.items():
        t = read(f"taobao/{split}-00000.safetensors")
        history = lists(t, "history", "history.item")
        same("taobao labels", t["label"], [1.0, 0.0] * len(samples))
        same("taobao users", t["user"][::2], [s[0][0] for s in samples])
        same("taobao twins' users", t["user"][1::2], t["user"][::2])
        same("taobao items", t["item"][::2], [s[0][1] for s in samples])
        same("taobao cates", t["cate"], [items[i] for i in t["item"]])
        same("taobao times", t["time"][::2], [s[0][3] for s in samples])
        same("taobao histories", history[::2], [[r[1] for r in s[1]] for s in samples])
        same("taobao twins' histories", history[1::2], history[::2])
        same("taobao history cates", t["history.cate"], [items[i] for i in t["history.item"]])
        same("taobao history times", lists(t, "history", "history.time")[::2],
             [[r[3] for r in s[1]] for s in samples])
        same("taobao behaviors", [[behaviors[b] for b in x] for x in lists(t, "history", "history.behavior")][::2],
             [[r[2] for r in s[1]] for s in samples])
        for user, item in zip(t["user"][1::2], t["item"][1::2]):
            assert item not in {r[1] for r in kept if r[0] == user}, "a twin is the user's own"
        assert all(a != b for a, b in zip(t["history.negative_item"], t["history.item"])), "a negative is the item"
        same("taobao negatives' cates", t["history.negative_cate"], [items[i] for i in t["history.negative_item"]])
    drawn = read("taobao/train-00000.safetensors")
    counts = read("taobao/counts.safetensors")
    seen = {}
    for item, history, negative in zip(drawn["item"], lists(drawn, "history", "history.item"),
                                       lists(drawn, "history", "history.negative_item")):
        for i in {item, *history, *negative}:
            seen[i] = seen.get(i, 0) + 1
    same("taobao counts", sorted(zip(counts["item.ids"], counts["item.count"])), sorted(seen.items()))


# ---- dien ----

def check_dien():
    cates = {f"B{i:03}": f"cate {i % 4}" for i in range(20)}
    rows = []
    for i in range(60):
        history = [chance.choice(list(cates)) for _ in range(chance.choice([0, 1, 3, 9]))]
        rows.append((str(i % 2), f"A{i // 2}", chance.choice(list(cates)), history))
    for path, part in (("dien_train", rows[:40]), ("dien_test", rows[40:])):
        with open(path, "w", newline="") as f:
            for label, user, item, history in part:
                f.write("\t".join([label, user, item, cates[item], "\x02".join(history),
                                   "\x02".join(cates[h] for h in history)]) + chance.choice(["\n", "\r\n"]))
    prepare("dien", "--train", "dien_train", "--test", "dien_test", "--out", "dien", "--max-len", "4",
            "--negatives", "uniform")
    text = {table: names("dien", table) for table in ("user", "item", "cate")}
    for split, part in (("train", rows[:40]), ("test", rows[40:])):
        t = read(f"dien/{split}-00000.safetensors")
        same("dien labels", t["label"], [float(r[0]) for r in part])
        same("dien users", [text["user"][i] for i in t["user"]], [r[1] for r in part])
        same("dien items", [text["item"][i] for i in t["item"]], [r[2] for r in part])
        same("dien cates", [text["cate"][i] for i in t["cate"]], [cates[r[2]] for r in part])
        same("dien histories", [[text["item"][i] for i in x] for x in lists(t, "history", "history.item")],
             [r[3][-4:] for r in part])
        same("dien history cates", [[text["cate"][i] for i in x] for x in lists(t, "history", "history.cate")],
             [[cates[h] for h in r[3][-4:]] for r in part])
        assert all(a != b for a, b in zip(t["history.negative_item"], t["history.item"]))
        same("dien negatives' cates", [text["cate"][i] for i in t["history.negative_cate"]],
             [cates[text["item"][i]] for i in t["history.negative_item"]])


# ---- taobao-ads ----

CODES = ["cms_segid", "cms_group_id", "final_gender_code", "age_level", "pvalue_level", "shopping_level",
         "occupation", "new_user_class_level"]


def check_ads():
    ads = {10 + i: (i % 6, 100 + i, 200 + i % 3, chance.choice(["", "NULL", str(i % 4)]), i + 0.5) for i in range(25)}
    profiles = {u: [chance.choice(["", "0", "3"]) for _ in CODES] for u in range(5)}  # user 5 has none
    shown = [(chance.randrange(6), 900000 + 50000 * chance.randrange(20), chance.choice(list(ads)),
              chance.choice(["430548_1007", "430539_1007"]), chance.random() < 0.3) for _ in range(200)]
    log = [(chance.randrange(7), 850000 + 10000 * chance.randrange(110), chance.choice(["pv", "buy"]),
            chance.randrange(6), chance.randrange(4)) for _ in range(300)]
    with open("raw_sample.csv", "w", newline="") as f:
        f.write("user,time_stamp,adgroup_id,pid,nonclk,clk\n")
        for user, when, ad, place, click in shown:
            f.write(f"{user},{when},{ad},{place},{int(not click)},{int(click)}\n")
    with open("ad_feature.csv", "w", newline="") as f:
        f.write("adgroup_id,cate_id,campaign_id,customer,brand,price\r\n")
        for ad, (cate, campaign, customer, brand, price) in ads.items():
            f.write(f"{ad},{cate},{campaign},{customer},{brand},{price}\r\n")
    with open("user_profile.csv", "w") as f:
        f.write("userid," + ",".join(CODES) + " \n")
        for user, codes in profiles.items():
            f.write(f"{user}," + ",".join(codes) + "\n")
    with open("behavior_log.csv", "w") as f:
        f.write("user,time_stamp,btag,cate,brand\n")
        for row in log:
            f.write(",".join(map(str, row)) + "\n")
    prepare("taobao-ads", "--samples", "raw_sample.csv", "--ads", "ad_feature.csv", "--profiles", "user_profile.csv",
            "--log", "behavior_log.csv", "--out", "ads", "--test-from", "1600000", "--max-len", "6",
            "--history-days", "5", "--auxiliary", "3", "--auxiliary-days", "4")
    places, behaviors = names("ads", "place"), names("ads", "behavior")
    want = {"train": [], "test": []}
    for user in sorted({s[0] for s in shown}):
        mine = sorted((s for s in shown if s[0] == user), key=lambda s: s[1])
        for i, s in enumerate(mine):
            young = [x for x in mine[:i] if s[1] - x[1] <= 4 * 86400]
            lists_of = {"contextual": [x[2] for x in young if x[1] == s[1]][-3:],
                        "clicked": [x[2] for x in young if x[1] < s[1] and x[4]][-3:],
                        "unclicked": [x[2] for x in young if x[1] < s[1] and not x[4]][-3:]}
            before = sorted((d for d in log if d[0] == user and d[1] < s[1] and s[1] - d[1] <= 5 * 86400),
                            key=lambda d: d[1])[-6:]
            want["train" if s[1] < 1600000 else "test"].append((s, lists_of, before))
    for split, samples in want.items():
        t = read(f"ads/{split}-00000.safetensors")
        assert samples, "a split without samples tests nothing"
        same("ads labels", t["label"], [float(s[0][4]) for s in samples])
        for column, number in (("user", 0), ("time", 1), ("ad", 2)):
            same(f"ads {column}", t[column], [s[0][number] for s in samples])
        for column, number in (("cate", 0), ("campaign", 1), ("customer", 2), ("price", 4)):
            same(f"ads {column}", t[column], [ads[s[0][2]][number] for s in samples])
        same("ads brands", lists(t, "brand", "brand"),
             [[int(ads[s[0][2]][3])] if ads[s[0][2]][3].isdigit() else [] for s in samples])
        same("ads places", [places[p] for p in t["place"]], [s[0][3] for s in samples])
        for i, code in enumerate(CODES):
            same(f"ads {code}", lists(t, code, code),
                 [[int(c) for c in profiles.get(s[0][0], [""] * 8)[i:i + 1] if c] for s in samples])
        for kind in ("contextual", "clicked", "unclicked"):
            same(f"ads {kind}", lists(t, kind, f"{kind}.ad"), [s[1][kind] for s in samples])
            same(f"ads {kind} cates", t[f"{kind}.cate"], [ads[a][0] for a in t[f"{kind}.ad"]])
        for column, number in (("cate", 3), ("brand", 4), ("time", 1)):
            same(f"ads history {column}", lists(t, "history", f"history.{column}"),
                 [[d[number] for d in s[2]] for s in samples])
        same("ads behaviors", [behaviors[b] for b in t["history.behavior"]], [d[2] for s in samples for d in s[2]])


# ---- impressions ----

def check_impressions():
    rows = [(chance.randrange(2), f"user {chance.randrange(4)}", 500000 + 40000 * chance.randrange(12),
             f"q{chance.randrange(3)}", f"ad {chance.randrange(9)}", chance.choice(["", "a, b", "c"])) for _ in range(150)]
    with open("log.csv", "w", newline="") as f:
        f.write("time,label,user,ad,page,cate\r\n")
        for label, user, when, page, ad, cate in rows:
            f.write(f'{when},{label},{user},{ad},{page},"{cate}"' + chance.choice(["\n", "\r\n"]))
    prepare("impressions", "--in", "log.csv", "--out", "shown", "--auxiliary", "3", "--auxiliary-days", "2",
            "--test-from", "800000")
    text = {table: names("shown", table) for table in ("user", "ad", "cate")}
    count = 0
    for split, inside in (("train", lambda t: t < 800000), ("test", lambda t: t >= 800000)):
        t = read(f"shown/{split}-00000.safetensors")
        got = {kind: list(zip(lists(t, kind, f"{kind}.ad"), lists(t, kind, f"{kind}.cate")))
               for kind in ("contextual", "clicked", "unclicked")}
        at = 0
        users = list(dict.fromkeys(text["user"][u] for u in t["user"]))  # in the order of their hashes
        for user in users:
            mine = sorted((r for r in rows if r[1] == user), key=lambda r: r[2])
            for i, r in enumerate(mine):
                if not inside(r[2]):
                    continue
                young = [x for x in mine[:i] if r[2] - x[2] <= 2 * 86400]
                earlier = [x for x in young if x[2] < r[2] and x[3] != r[3]]
                want = {"contextual": [x for x in young if x[3] == r[3]][-3:],
                        "clicked": [x for x in earlier if x[0]][-3:],
                        "unclicked": [x for x in earlier if not x[0]][-3:]}
                same("impression", (t["label"][at], t["time"][at], text["ad"][t["ad"][at]], text["cate"][t["cate"][at]]),
                     (float(r[0]), r[2], r[4], r[5]))
                for kind in want:
                    ads, cates = got[kind][at]
                    same(f"impression's {kind}", [(text["ad"][a], text["cate"][c]) for a, c in zip(ads, cates)],
                         [(x[4], x[5]) for x in want[kind]])
                at += 1
        same("impressions", at, len(t["label"]))
        count += at
    same("all impressions", count, len(rows))


# ---- criteo and avazu ----

def bucket(text):
    if not text or int(text) <= 2:
        return text
    return f"log2-{int(math.log(int(text)) ** 2)}"


def check_criteo():
    rows = [[str(i % 2)] + [chance.choice(["", "-1", "0", "2", "3", "1234567"]) for _ in range(13)] +
            [chance.choice(["", "68fd1e64", "be589b51"]) for _ in range(26)] for i in range(50)]
    with open("criteo.txt", "w") as f:
        for row in rows:
            f.write("\t".join(row) + "\n")
    columns = [f"I{i}" for i in range(1, 14)] + [f"C{i}" for i in range(1, 27)]
    prepare("criteo", "--in", "criteo.txt", "--out", "criteo", "--test-part", "0")
    t, text = read("criteo/train-00000.safetensors"), names("criteo", "value")
    same("criteo labels", t["label"], [float(r[0]) for r in rows])
    for i, column in enumerate(columns, 1):
        same(f"criteo {column}", [text[v] for v in t[column]],
             [f"{column}=" + (bucket(r[i]) if i <= 13 else r[i]) for r in rows])
    prepare("criteo", "--in", "criteo.txt", "--out", "numbers", "--test-part", "0.5", "--integers", "numbers")
    parts = [read(f"numbers/{split}-00000.safetensors") for split in ("train", "test")]
    same("criteo numbers", sorted(x for p in parts for x in p["I3"]), sorted(float(r[3] or 0) for r in rows))
    assert all(p["label"] for p in parts)


def check_avazu():
    head = ("id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,"
            "device_id,device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21")
    rows = [[str(10 ** 19 + i), str(i % 2), f"1410{21 + i % 10:02}{i % 24:02}"] +
            [chance.choice(["a99f214a", "1005", ""]) for _ in range(21)] for i in range(40)]
    with open("avazu", "w") as f:
        f.write(head + "\n" + "".join(",".join(r) + "\n" for r in rows))
    prepare("avazu", "--in", "avazu", "--out", "avazu.out", "--test-part", "0")
    t, text = read("avazu.out/train-00000.safetensors"), names("avazu.out", "value")
    whens = [time.strptime("20" + r[2], "%Y%m%d%H") for r in rows]
    import calendar
    same("avazu labels", t["label"], [float(r[1]) for r in rows])
    same("avazu times", t["time"], [calendar.timegm(w) for w in whens])
    same("avazu hours", [text[v] for v in t["hour"]], [f"hour={w.tm_hour}" for w in whens])
    same("avazu weekdays", [text[v] for v in t["weekday"]], [f"weekday={(w.tm_wday + 1) % 7}" for w in whens])
    for i, column in enumerate(head.split(",")[3:], 3):
        same(f"avazu {column}", [text[v] for v in t[column]], [f"{column}={r[i]}" for r in rows])


check_taobao()
check_dien()
check_ads()
check_impressions()
check_criteo()
check_avazu()
print("taobao, dien, taobao-ads, impressions, criteo, avazu: every tensor as computed from the raw lines")
