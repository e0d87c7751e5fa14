# peers.gnuplot - draws what bench_peers has found: make bench-peers bench-plot.
#
#     gnuplot -e "dir='build/release'" bench/peers/peers.gnuplot       from DIR/peers.table
#
# Makes DIR/peers.svg and DIR/peers.png: a picture a case, a bar a library, the shorter the better; the whiskers are the
# quartiles. The scale is logarithmic where one figure is more than twelve times another, and begins at 0 where not.
# Ours is blue, the sequential loop grey, what the machine allows dark grey.

if (!exists("dir")) dir = "build/release"
file = dir . "/peers.table"

ours = 0x0b6fb8
loop = 0xb8b8b8
limit = 0x6e6e6e
peer = 0xe0b27a
color(name) = name eq "libexec" ? ours : name eq "loop" ? loop : name eq "limit" ? limit : peer

figure(value) = value >= 9995 ? sprintf("%.3gk", value / 1000) : value >= 999.5 ? sprintf("%.0f", value) : \
    sprintf("%.3g", value)

stats file using 2 nooutput
cases = STATS_blocks
columns = cases < 5 ? cases : 5
rows = int((cases + columns - 1) / columns)

set style fill solid 0.9 noborder
set boxwidth 0.7
set border 3
set tics nomirror out
set xtics rotate by -40 scale 0
set grid ytics linecolor rgb "#e4e4e4"
set offsets 0.6, 0.6, 0, 0
set format y "%g"
unset key

do for [format in "svg png"] {
    if (format eq "svg") {
        set terminal svg size 340 * columns, 300 * rows font "sans-serif,12" background rgb "white"
    } else {
        set terminal pngcairo size 340 * columns, 300 * rows font "sans-serif,10" background rgb "white"
    }
    set output dir . "/peers." . format
    set multiplot layout rows, columns
    do for [i = 0 : cases - 1] {
        unset logscale y
        set yrange [*:*]
        stats file index i using (name = strcol(5), unit = strcol(6), $2) nooutput
        if (STATS_min > 0 && STATS_max > 12 * STATS_min) {
            set logscale y
            set yrange [STATS_min / 3 : STATS_max * 3]
        } else {
            set yrange [0 : STATS_max > 0 ? STATS_max * 1.2 : 1]
        }
        set title sprintf("%s (%s)", name, unit) noenhanced
        plot file index i using 0:2:(color(strcol(1))):xtic(1) with boxes linecolor rgb variable, \
             "" index i using 0:3:(0):($4 - $3) with vectors nohead linecolor rgb "#333333", \
             "" index i using 0:4:(figure($2)) with labels font ",7.5" offset 0, 0.6
    }
    unset multiplot
    unset output
}
