#!/bin/bash
# bench_rows over sizes, and a picture of what they give.
#
#     rows.sh BENCH_ROWS OUT.svg [LARGEST [SECONDS]]
#
# Sizes from a million to LARGEST (200000000) rows of dim 16 in steps of about 2.5; SECONDS
# of each figure. Needs 1.05 LARGEST x 90 bytes and 13 bytes a row more. The figures stay
# beside the picture, as OUT.txt.
set -euo pipefail
bench=$1 out=$2 largest=${3:-200000000} seconds=${4:-3}
here=$(dirname "$(readlink -f "$0")")
text=${out%.svg}.txt

: > "$text"
for rows in 1000000 2000000 5000000 10000000 20000000 50000000 100000000 200000000; do
    if ((rows <= largest)); then
        "$bench" "$rows" 16 fp32 limit "$seconds" | tee -a "$text"
    fi
done
awk -f "$here/rows.awk" "$text" > "$out"
echo "picture: $out"
