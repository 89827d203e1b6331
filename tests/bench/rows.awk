# The lines "figures ..." of bench_rows as a picture: rates above, bytes below, rows across.
/^machine:/ { machine = substr($0, 10) }
/^figures/ {
    delete at
    for (i = 3; i <= NF; i++) {
        split($i, pair, "=")
        at[pair[1]] = pair[2]
    }
    if ($2 == "fill") {
        size[++sizes] = at["rows"]
        put("insert", sizes, at["insert"] / 1e6)
        put("overhead", sizes, at["overhead"])
    } else if (at["chance"] == "uniform") {
        put(at["name"] "-lookup", sizes, at["lookup"] / 1e6)
        put(at["name"] "-update", sizes, at["update"] / 1e6)
    }
}

function put(name, k, value)
{
    figure[name, k] = value
    if (name != "overhead" && value > highest)
        highest = value
    if (name == "overhead" && value > most)
        most = value
}

function x(k) { return 70 + 560 * (log(size[k]) - log(size[1])) / (log(size[sizes]) - log(size[1])) }
function y(panel, value) { return panel ? 470 - 110 * value / top_bytes : 300 - 230 * value / top_rate }

function short(n) { return n >= 1e6 ? n / 1e6 " M" : n / 1e3 " k" }

function grid(panel, top, step, unit,    v)
{
    for (v = 0; v <= top + 1e-9; v += step) {
        printf "<line x1='70' x2='630' y1='%.1f' y2='%.1f' stroke='#ddd'/>\n", y(panel, v), y(panel, v)
        printf "<text x='62' y='%.1f' text-anchor='end'>%g</text>\n", y(panel, v) + 4, v
    }
    printf "<text x='70' y='%.1f' fill='#555'>%s</text>\n", y(panel, top) - 8, unit
}

function curve(panel, name, label, color, dash,    k, line)
{
    if (!((name, 1) in figure))
        return
    for (k = 1; k <= sizes; k++) {
        line = line sprintf("%.1f,%.1f ", x(k), y(panel, figure[name, k]))
        printf "<circle cx='%.1f' cy='%.1f' r='2.5' fill='%s'/>\n", x(k), y(panel, figure[name, k]), color
    }
    printf "<polyline points='%s' fill='none' stroke='%s' stroke-width='2'%s/>\n", line, color, dash
    printf "<text x='638' y='%.1f' fill='%s'>%s</text>\n", label_place(panel, y(panel, figure[name, sizes]) + 4), color, label
}

# Labels keep 13 from one another.
function label_place(panel, wanted,    k)
{
    for (k = 1; k <= labels; k++)
        if (wanted - placed[k] < 13 && placed[k] - wanted < 13) {
            wanted = placed[k] + 13
            k = 0
        }
    placed[++labels] = wanted
    return wanted
}

END {
    if (sizes < 2) {
        print "rows.awk: wanted the figures of two sizes or more" > "/dev/stderr"
        exit 1
    }
    top_rate = 10 * int(highest / 10 + 1)
    top_bytes = 10 * int(most / 10 + 1)
    print "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 840 530' font-family='sans-serif' font-size='12'>"
    print "<rect width='840' height='530' fill='white'/>"
    print "<text x='70' y='24' font-size='15'>One core, rows of dim 16 fp32 with row-wise Adagrad, random ids</text>"
    printf "<text x='70' y='42' fill='#555'>%s</text>\n", machine
    grid(0, top_rate, 10, "M rows/s")
    grid(1, top_bytes, 10, "bytes a row beside the payload")
    for (k = 1; k <= sizes; k++)
        printf "<text x='%.1f' y='490' text-anchor='middle'>%s</text>\n", x(k), short(size[k])
    print "<text x='350' y='512' text-anchor='middle' fill='#555'>rows</text>"
    curve(0, "dips-update", "update", "#c0392b", "")
    curve(0, "bare-update", "bare update", "#c0392b", " stroke-dasharray='4 4' opacity='.6'")
    curve(0, "dips-lookup", "look-up", "#2471a3", "")
    curve(0, "bare-lookup", "bare probe + copy", "#2471a3", " stroke-dasharray='4 4' opacity='.6'")
    curve(0, "insert", "insert", "#1e8449", "")
    labels = 0
    curve(1, "overhead", "id, count, touched, index, slack", "#444", "")
    print "</svg>"
}
