# limiter.gnuplot - draws the traces of sim_limiter: make simulate-plot.
#
#     gnuplot -e "dir='build/release'" test/limiter.gnuplot       from DIR/aimd.trace and DIR/gradient.trace
#
# Makes DIR/limiter.svg and DIR/limiter.png: for each kind of limit, the capacity as it moves, the limit that finds it,
# and what was refused (aimd) or the latency, which grows where there is a queue (gradient).

if (!exists("dir")) dir = "build/release"

set style line 1 linewidth 2 linecolor rgb "#888888"   # the capacity
set style line 2 linewidth 2 linecolor rgb "#0b6fb8"   # the limit
set style line 3 pointtype 7 pointsize 0.25 linecolor rgb "#d1495b"   # a refusal
set style line 4 linecolor rgb "#d9822b"   # the latency
set grid ytics linecolor rgb "#dddddd"
set border 11
set tics nomirror out
set key outside top center horizontal
set xrange [0:3600]
set yrange [0:80]
set xlabel "completed requests"
set ylabel "requests in flight"
set lmargin 9
set rmargin 9

do for [format in "svg png"] {
    if (format eq "svg") {
        set terminal svg size 1100,760 font "sans-serif,13" background rgb "white"
    } else {
        set terminal pngcairo size 1100,760 font "sans-serif,11" background rgb "white"
    }
    set output dir . "/limiter." . format
    set multiplot layout 2,1
    unset y2tics
    unset y2label
    set title "additive increase, multiplicative decrease: the service refuses what is too much for it"
    plot dir . "/aimd.trace" using 1:($3 * 0.8):($3 * 1.2) \
            with filledcurves fillcolor rgb "#eeeeee" title "within 20 %", \
         "" using 1:3 with steps linestyle 1 title "capacity", \
         "" using 1:4 with steps linestyle 2 title "limit", \
         "" using 1:($8 == 1 ? 2 : 1 / 0) with points linestyle 3 title "refused"
    set y2tics
    set y2range [0:400]
    set y2label "latency, ms"
    set title "gradient: the service queues what is too much for it"
    plot dir . "/gradient.trace" using 1:($3 * 0.8):($3 * 1.2) \
            with filledcurves fillcolor rgb "#eeeeee" title "within 20 %", \
         "" using 1:7 axes x1y2 with dots linestyle 4 title "latency", \
         "" using 1:3 with steps linestyle 1 title "capacity", \
         "" using 1:4 with steps linestyle 2 title "limit"
    unset multiplot
    unset output
}
