"""What dips prepare says of files with a line that is none, whatever the source.

usage: prepare_spoiled.py DIPS, in a folder of its own. Line 2 of a good file is spoiled in turn: every
time dips ends with one sentence that names file, line and value, and leaves nothing behind; or it takes
the line. What says the same in other bytes (CRLF, no last newline, gzip) gives the same shards."""
import gzip
import pathlib
import shutil
import subprocess
import sys

DIPS = sys.argv[1]
HUGE = "99999999999999999999999"
AVAZU = ("id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,"
         "device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21")
REVIEWS = [f'{{"reviewerID": "{u}", "asin": "{u}{i}", "unixReviewTime": {i}}}' for u in "AB" for i in range(4)]
META = [f"{{'asin': '{u}{i}', 'categories': [['all', '{u}']]}}" for u in "AB" for i in range(4)]
RATINGS = ["1::10::5::100", "1::20::3::200", "1::30::4::300", "2::10::2::50", "2::30::5::70"]
MOVIES = ["10::A::B", "20::C::D", "30::E::F"]
ADS = ["adgroup_id,cate_id,campaign_id,customer,brand,price", "7,6,8,1,,170.0", "9,6,8,1,NULL,17"]
SHOWN = ["user,time_stamp,adgroup_id,pid,nonclk,clk", "1,100,7,p,1,0", "1,200,7,p,0,1", "2,300,9,p,1,0"]

# source, its words, its files (the first is spoiled), separator, {field of line 2: values it cannot have}
NUMBER = ["", "x", "-1", "nan", "1.5", HUGE]
TIME = ["", "x", "nan", "1.5", HUGE]
SOURCES = [
    ("movielens", ["--ratings", "a", "--movies", "b"], [RATINGS, MOVIES], "::",
     {0: NUMBER, 1: NUMBER + ["77"], 2: ["", "x", "nan", "inf", "6", "-1", "4.2", HUGE], 3: TIME}),
    ("movielens", ["--ratings", "b", "--movies", "a"], [MOVIES, RATINGS], "::", {0: NUMBER}),
    ("taobao", ["--in", "a"], [["1,2,3,pv,100", "1,4,3,pv,200", "1,5,3,buy,300", "2,2,3,pv,100", "2,6,7,pv,300",
                                "3,8,3,pv,50"]], ",", {0: NUMBER, 1: NUMBER, 2: NUMBER, 3: ["", "PV", HUGE], 4: TIME}),
    ("taobao-ads", ["--samples", "a", "--ads", "b"], [SHOWN, ADS], ",",
     {0: NUMBER, 1: TIME, 2: NUMBER + ["8"], 4: NUMBER + ["0"], 5: NUMBER + ["1"]}),
    ("taobao-ads", ["--samples", "b", "--ads", "a"], [ADS, SHOWN], ",",
     {0: NUMBER, 1: NUMBER, 2: NUMBER, 3: NUMBER, 4: ["x", "-1", HUGE], 5: ["", "x", "nan", "inf"]}),
    ("dien", ["--train", "a"], [["1\tu\ta\tc\ta\x02b\tc\x02c", "0\tu\tb\tc\ta\x02b\tc\x02c", "1\tv\ta\tc\t\t"]], "\t",
     {0: ["", "2", "1.0", "nan", HUGE], 4: ["", "a", "a\x02b\x02c"], 5: ["", "c"]}),
    ("impressions", ["--in", "a"], [["label,user,time,page,ad", "0,u,5,p,x", "1,u,5,p,y", '1,"u,2",6,"p ""q""",y']],
     ",", {0: ["", "2", "nan", HUGE], 1: ['"u', '"u"x'], 2: TIME}),
    ("criteo", ["--in", "a"], [["\t".join([str(i)] + ["3"] * 13 + ["ab"] * 26) for i in (0, 1, 1)]], "\t",
     {0: ["", "2", "nan"], 1: ["x", "1.5", "nan", HUGE], 13: ["x", HUGE]}),
    ("avazu", ["--in", "a"], [[AVAZU, "1,0,14102100" + ",5" * 21, "2,1,14102123" + ",6" * 21]], ",",
     {1: ["", "2", HUGE], 2: ["", "x", "14133223", "14103224", HUGE]}),
    ("amazon", ["--reviews", "a", "--meta", "b"], [REVIEWS, META], None, {}),
    ("amazon", ["--reviews", "b", "--meta", "a"], [META, REVIEWS], None, {}),
]
room = pathlib.Path("spoiled")
failed = 0


def prepare(source, words, files, first):
    """Status and what it printed, with `first` (bytes) in place of the first file."""
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    for name, lines in zip("ab", files):
        (room / name).write_text("".join(line + "\n" for line in lines), newline="")
    (room / "a").write_bytes(first)
    done = subprocess.run([DIPS, "prepare", source, *words, "--out", "out"], cwd=room, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60)
    return done.returncode, done.stdout.decode(errors="replace")


def shards():
    return {path.name: path.read_bytes() for path in sorted(room.glob("out/*"))}


def fail(source, what, said):
    global failed
    failed += 1
    print(f"FAILED: {source}, {what}: {said.splitlines()[:2]}")


def refused(source, words, files, first, begins, has=""):
    status, said = prepare(source, words, files, first)
    left = [path.name for path in room.glob("out/*")]
    if status != 3 or said.count("\n") != 1 or not said.startswith(f"dips: {begins}") or has[:40] not in said or left:
        fail(source, f"wanted '{begins}' and {has!r}, status {status}, left {left}", said)


def text(lines, end="\n"):
    return "".join(line + end for line in lines).encode()


checks = 0
for source, words, files, separator, spoiled in SOURCES:
    lines = files[0]
    status, said = prepare(source, words, files, text(lines))
    good = shards()
    if status:
        fail(source, "a good file", said)
    for what, same in {"CRLF": text(lines, "\r\n"), "no last newline": text(lines)[:-1],
                       "CRLF, no last newline": text(lines, "\r\n")[:-2], "gzip": gzip.compress(text(lines)),
                       "two members of gzip": gzip.compress(text(lines[:1])) + gzip.compress(text(lines[1:]))}.items():
        if prepare(source, words, files, same)[0] or shards() != good:
            fail(source, what, "other shards")
        checks += 1

    def spoil(line, has=""):
        global checks
        checks += 1
        refused(source, words, files, text([lines[0], line, *lines[2:]]), "a:2: ", has)

    if separator:
        fields = lines[1].split(separator)
        spoil(separator.join(fields[:-1]))
        spoil("")
        if source != "movielens" or len(fields) != 3:  # a title may have any text
            spoil(lines[1] + separator + "7")
        for i, values in spoiled.items():
            for value in values:
                list_lengths = source == "dien" and i > 3
                spoil(separator.join(fields[:i] + [value] + fields[i + 1 :]), "" if list_lengths or '"' in value else value)
    else:
        for line in (lines[1][:-4], "[]", "7", "", lines[1] + lines[1], lines[1].replace("asin", "asim")):
            spoil(line)
    packed = gzip.compress(text(lines))
    refused(source, words, files, packed[:-6], "a is damaged after line", "ends too early")
    refused(source, words, files, b"\x1f\x8b" + 40 * b"junk", "a is damaged after line 0: unknown compression method")
    refused(source, words, files, text([lines[0], (20 << 20) * "z"]), "a:2: ", "")
    if lines is not META:  # of goods without metadata the cate is unknown
        refused(source, words, files, b"", "")
    checks += 4
print(f"{checks} files of {len(SOURCES)} sources, {failed} not as wanted")
sys.exit(failed > 0)
