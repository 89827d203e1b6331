# dips prepare on logs, against what Python makes of the same lines; and the lines that are none,
# of every source.
# usage: test_prepare_logs.sh DIPS SOURCE, in a folder of its own
dips=$1
source=$2
failed=0
rm -rf ./room && mkdir room && cd room || exit 1

python3 "$source/tests/launch/prepare_logs.py" "$dips" || failed=1
python3 "$source/tests/launch/prepare_spoiled.py" "$dips" || failed=1

# refuse TEXT COMMAND WORDS... < LINE: status 3 with TEXT, and nothing left
refuse() {
    text=$1
    shift
    "$dips" prepare "$@" --out bad > output.txt 2>&1
    got=$?
    if [ $got -ne 3 ] || ! grep -qF -- "$text" output.txt || [ -n "$(ls -A bad)" ]; then
        echo "FAILED: $*: status $got, wanted 3 and '$text':"
        head -5 output.txt
        failed=1
    fi
}
printf '1,2,3,pv,100\n1,2,3,pv\n' > t.csv
refuse "t.csv:2: 4 fields, wanted 5" taobao --in t.csv
printf '1,2,3,view,100\n' > t.csv
refuse "t.csv:1: behavior 'view' is not one of pv, cart, fav, buy" taobao --in t.csv
printf '1,2,3,pv,100\n1,2,3,pv,200\n' > t.csv
refuse "a user chose all 1 goods" taobao --in t.csv
refuse "fewer than two items occur" taobao --in t.csv --negatives uniform
refuse "t.csv has no events of buy" taobao --in t.csv --behaviors buy
printf '1\tu\ta\tc\ta\2b\tc\n' > d.txt
refuse "d.txt:1: the history has 2 items and 1 categories" dien --train d.txt
printf '2\tu\ta\tc\t\t\n' > d.txt
refuse "d.txt:1: label '2' is neither 0 nor 1" dien --train d.txt
printf '1\tu\ta\tc\t\n' > d.txt
refuse "d.txt:1: 5 fields, wanted 6" dien --train d.txt
printf '63133,6406,83237,1,,170.0\n' > ad.csv
printf '1,100,63133,p,1,1\n' > s.csv
refuse "s.csv:1: nonclk '1' and clk '1', wanted 0 and 1 or 1 and 0" taobao-ads --samples s.csv --ads ad.csv
printf '1,100,7,p,1,0\n' > s.csv
refuse "s.csv:1: ad 7 is not in ad.csv" taobao-ads --samples s.csv --ads ad.csv
printf '63133,6406,83237,1,,170.0\n63133,6406,83237,1,,170.0\n' > ad.csv
refuse "ad.csv:2: ad 63133 was there before" taobao-ads --samples s.csv --ads ad.csv
printf 'label,user,time,ad\n' > i.csv
refuse "i.csv:1: the header has no column 'page'" impressions --in i.csv
printf 'label,user,time,page,ad,ad\n' > i.csv
refuse "i.csv:1: the header has the column 'ad' twice" impressions --in i.csv
printf 'label,user,time,page,a d\n' > i.csv
refuse "i.csv:1: the header's column 'a d' is no name of a feature" impressions --in i.csv
printf 'label,user,time,page,ad\n0,u,5,p,x\n0,u,y,p,x\n' > i.csv
refuse "i.csv:3: time 'y' is not a whole number" impressions --in i.csv
printf '0\t1\n' > c.txt
refuse "c.txt:1: 2 fields, wanted 40" criteo --in c.txt
printf '0\tx%38s\n' ' ' | tr ' ' '\t' > c.txt
refuse "c.txt:1: I1 'x' is not a whole number" criteo --in c.txt
printf 'id,click,hour,C2%20s\n' ' ' | tr ' ' ',' > a.csv
refuse "a.csv:1: the header's column 4 is 'C2', wanted C1" avazu --in a.csv
{
    echo "id,click,hour,C1,banner_pos,site_id,site_domain,site_category,app_id,app_domain,app_category,device_id,device_ip,device_model,device_type,device_conn_type,C14,C15,C16,C17,C18,C19,C20,C21"
    printf '1,0,14103224%21s\n' ' ' | tr ' ' ','
} > a.csv
refuse "a.csv:2: hour '14103224' is not YYMMDDHH" avazu --in a.csv

cd .. && rm -rf room
exit $failed
