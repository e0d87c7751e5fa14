# growth.gnuplot - draws what bench_growth has found: make bench-growth bench-plot.
#
#     gnuplot -e "dir='build/release'" bench/growth.gnuplot       from DIR/growth.table
#
# Makes DIR/growth.svg and DIR/growth.png: a picture a curve; blue is the time by the clock, orange the processor time
# of all threads, each with its quartiles as a band. Where a curve should be flat, the grey band is what it may lie in:
# up to a quarter above its least. The x axes are logarithmic; so is the y axis where the figures are far apart.

if (!exists("dir")) dir = "build/release"
file = dir . "/growth.table"

wall = "#0b6fb8"
processor = "#d9822b"

stats file using 2 nooutput
curves = STATS_blocks
columns = 3
rows = int((curves + columns - 1) / columns)

set logscale x
set border 3
set tics nomirror out
set grid ytics linecolor rgb "#e4e4e4"
set style fill transparent solid 0.25 noborder
set key reverse Left samplen 2 width -2
set offsets graph 0, graph 0, 0, 0

do for [format in "svg png"] {
    if (format eq "svg") {
        set terminal svg size 1400, 380 * rows font "sans-serif,12" background rgb "white"
    } else {
        set terminal pngcairo size 1400, 380 * rows font "sans-serif,10" background rgb "white"
    }
    set output dir . "/growth." . format
    set multiplot layout rows, columns
    do for [i = 0 : curves - 1] {
        unset logscale
        set xrange [*:*]
        set yrange [*:*]
        stats file index i using (name = strcol(10), axis = strcol(11), unit = strcol(12), $1) name "X" nooutput
        stats file index i using ($4 > $7 ? $4 : $7) name "HIGH" nooutput
        stats file index i using ($3 < $6 ? $3 : $6) name "LOW" nooutput
        set logscale x axis eq "workers" ? 2 : axis eq "capacity" ? 16 : 10
        set xrange [X_min / 1.3 : X_max * 1.3]
        set format x axis eq "workers" || axis eq "capacity" ? "%g" : "10^{%L}"
        if (HIGH_max > 10 * LOW_min) {
            set logscale y 10
            set key top right
            set yrange [LOW_min / 2 : HIGH_max * 2]
        } else {
            set key top left
            set yrange [0 : HIGH_max * 1.4]
        }
        set title name noenhanced
        set xlabel axis
        set ylabel unit
        plot file index i using 1:8:9 with filledcurves linecolor rgb "#aaaaaa" \
                 title LOW_records > 0 && HIGH_max <= 10 * LOW_min ? "flat: within 25 %" : "", \
             "" index i using 1:6:7 with filledcurves linecolor rgb processor notitle, \
             "" index i using 1:5 with linespoints linewidth 2 pointtype 7 pointsize 0.6 linecolor rgb processor \
                 title "processor time", \
             "" index i using 1:3:4 with filledcurves linecolor rgb wall notitle, \
             "" index i using 1:2 with linespoints linewidth 2 pointtype 7 pointsize 0.6 linecolor rgb wall \
                 title "time by the clock"
    }
    unset multiplot
    unset output
}
