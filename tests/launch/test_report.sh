# `dips report`: the table, the page, and what it says about folders that are no runs.
set -eu
dips=$1
source=$2

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# refused STATUS SENTENCE WORDS...: the command ends with this status and sentence.
refused() {
    wanted=$1
    sentence=$2
    shift 2
    status=0
    "$dips" report "$@" 2> error.txt > /dev/null || status=$?
    [ "$status" -eq "$wanted" ] || fail "report $*: status $status, wanted $wanted"
    [ "$(cat error.txt)" = "dips: $sentence" ] || fail "$(cat error.txt)"
}

rm -rf base 'a<b&"c' empty report.html page.html
for run in base 'a<b&"c'; do
    mkdir "$run"
    cp "$source/configs/synthetic-base.yaml" "$run/run.yaml"
    for step in 10 20 30; do
        echo "{\"event\":\"step\",\"step\":$step,\"loss\":0.6,\"samples\":1,\"samples_per_s\":$step}"
        echo "{\"event\":\"eval\",\"split\":\"test\",\"step\":$step,\"auc\":0.7$step,\"gauc\":null,\"logloss\":0.5,\"samples\":9}"
    done > "$run/metrics.jsonl"
done
cp "$source/configs/synthetic-din.yaml" 'a<b&"c/run.yaml'
printf '{"event":"step","st' >> base/metrics.jsonl

"$dips" report base 'a<b&"c/' --out page.html > table.txt
grep -Eq '^base +base +30 +0\.7300 +0\.7300 +- +- +0\.5000 +0\.5000 +- +20$' table.txt ||
    fail "the table: $(cat table.txt)"
grep -Eq '^a<b&"c +din ' table.txt || fail "the second run"
grep -q '^  model.kind$' table.txt || fail "model.kind differs"
[ "$(grep -c '^  [a-z]' table.txt)" -eq 1 ] || fail "more than model.kind differs"
[ ! -e report.html ] || fail "--out names the page"

grep -q '<svg' page.html || fail "no curves"
grep -q 'a&lt;b&amp;&quot;c' page.html || fail "the name is not escaped"
grep -q 'a<b' page.html && fail "the name stands there as it is"
grep -Eq 'https?://|<script|<link' page.html && fail "the page needs something else"
ls | grep -q partial && fail "a part of a page was left"
if command -v python3 > /dev/null; then
    python3 - << 'END' || fail "tags do not match"
from html.parser import HTMLParser
class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []
    def handle_starttag(self, tag, attributes):
        if tag != "meta":
            self.open.append(tag)
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
tags = Tags()
tags.feed(open("page.html").read())
assert not tags.open, tags.open
END
fi

"$dips" report base > /dev/null
[ -e report.html ] || fail "report.html is the page where none is named"
"$dips" report --help | grep -q 'usage: dips report' || fail "--help"

mkdir empty
refused 2 "which run? usage: dips report RUN [RUN...] [--out FILE.html]"
refused 2 "empty/run.yaml: No such file or directory" empty
cp base/run.yaml empty
refused 3 "empty/metrics.jsonl: No such file or directory" base empty
refused 5 "writing nowhere/page.html.partial: No such file or directory" base --out nowhere/page.html
