"""page.py DIPS CHECKPOINT [words]: dips rank builds a page of ads, from the top: each place goes to the most
probable ad under those above it, which the next request has among its contextual ads.

Each place's probabilities are those of a request that had these contextual ads from the beginning, and
differ from those of an empty page."""
import json
import subprocess
import sys

ADS = [{"ad": 3 * i + 1, "cate": i % 3} for i in range(8)]
PLACES = 4
BEFORE = {"clicked": {"ad": [5], "cate": [2]}, "unclicked": {"ad": [], "cate": []}}


def ranking(words):
    return subprocess.Popen([words[0], "rank", "run.yaml", "--checkpoint", *words[1:]], text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def ask(rank, above, ads):
    request = {**BEFORE, "contextual": {name: [ad[name] for ad in above] for name in ("ad", "cate")}}
    rank.stdin.write(json.dumps({**request, "candidates": ads}) + "\n")
    rank.stdin.flush()
    return json.loads(rank.stdout.readline())["candidates"]


def probability(answer, ad):
    return next(x["probability"] for x in answer if x["ad"] == ad["ad"])


rank, plain = ranking(sys.argv[1:]), ranking([*sys.argv[1:], "--plain"])
page, rest, empty = [], list(ADS), ask(rank, [], ADS)
for place in range(PLACES):
    answer = ask(rank, page, rest)
    for ad in rest:
        alone = ask(plain, page, [ad])
        assert abs(probability(alone, ad) - probability(answer, ad)) < 1e-5, (ad, alone, answer)
    moved = max(abs(probability(empty, ad) - probability(answer, ad)) for ad in rest)
    assert (moved > 1e-4) == (place > 0), f"place {place}: the ads above change {moved}"
    best = next(ad for ad in rest if ad["ad"] == answer[0]["ad"])
    page.append(best)
    rest.remove(best)
for process in rank, plain:
    process.stdin.close()
    assert process.wait() == 0
