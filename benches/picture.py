#!/usr/bin/env python3
"""Draws what deliveries cost the server, against the number of clients and against the size of records.

    cargo bench --bench delivery -- --only saturated --clients 1,10,100,1000,10000 --sizes 32,200,1024,4096 \
        --seconds 0.4 --runs 3 --csv >cost.csv
    benches/picture.py cost.csv examples/pictures

writes cost.svg and cost-dark.svg there. Both axes are logarithmic: a slope of one is a cost that grows in proportion.
"""
import csv
import math
import sys

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 460, 320, 66, 56, 52
LIGHT = {"back": "#ffffff", "text": "#1f2328", "line": "#d0d7de",
         "series": ["#0550ae", "#bc4c00", "#116329", "#8250df", "#a40e26", "#6e5600"]}
DARK = {"back": "#0d1117", "text": "#e6edf3", "line": "#30363d",
        "series": ["#58a6ff", "#f0883e", "#56d364", "#bc8cff", "#ff7b72", "#e3b341"]}


def rows(path):
    with open(path, newline="") as file:
        lines = [line for line in file if line.strip()]
    found = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
    if not found or "CPU ns/delivery" not in found[0]:
        sys.exit(f"{path}: this is no table of saturated runs")
    return found


def amount(nanoseconds):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:g} {unit}"
    return f"{nanoseconds:g} ns"


def count(number):
    return f"{int(number):,}"


def panel(out, colours, left, title, below, series, legend):
    """One diagram: `series` is a list of (name, points)."""
    points = [point for _, line in series for point in line]
    (x_low, x_high), (y_low, y_high) = [
        (math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))) for values in zip(*points)]
    x_high, y_high = max(x_high, x_low + 1), max(y_high, y_low + 1)
    right, bottom = left + WIDTH - LEFT - 84, HEIGHT - BOTTOM
    x = lambda value: left + (math.log10(value) - x_low) / (x_high - x_low) * (right - left)
    y = lambda value: bottom - (math.log10(value) - y_low) / (y_high - y_low) * (bottom - TOP)
    text = lambda at_x, at_y, words, anchor="middle", colour=colours["text"], more="": out.append(
        f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}" fill="{colour}"{more}>{words}</text>')
    for power in range(x_low, x_high + 1):
        at = x(10 ** power)
        out.append(f'<path d="M{at:.1f} {TOP}V{bottom}" stroke="{colours["line"]}"/>')
        text(at, bottom + 18, count(10 ** power))
    for power in range(y_low, y_high + 1):
        at = y(10 ** power)
        out.append(f'<path d="M{left} {at:.1f}H{right}" stroke="{colours["line"]}"/>')
        text(left - 8, at + 4, amount(10 ** power), "end")
    text(left, 24, title, "start", more=' font-weight="600"')
    text((left + right) / 2, bottom + 40, below)
    text(right + 12, 42, legend, "start")
    labels = []
    for nth, (name, line) in enumerate(series):
        colour = colours["series"][nth % len(colours["series"])]
        path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in line)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.extend(f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"/>' for a, b in line)
        labels.append((y(line[-1][1]), name, colour))
    lowest = -math.inf
    for at, name, colour in sorted(labels):
        lowest = max(at + 4, lowest + 15)  # none over another
        text(right + 12, lowest, name, "start", colour)


def draw(table, colours):
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" width="{2 * WIDTH}" '
           f'height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="12">',
           f'<rect width="100%" height="100%" fill="{colours["back"]}"/>']
    lines = lambda key, x, y: [(count(value), sorted((x(row), y(row)) for row in table if row[key] == value))
                               for value in sorted({row[key] for row in table})]
    clients, size, each = (lambda row: row["clients"]), (lambda row: row["bytes"]), (lambda row: row["CPU ns/delivery"])
    panel(out, colours, LEFT, "Server time for an event to all clients", "clients",
          lines("bytes", clients, lambda row: row["clients"] * each(row)), "bytes")
    panel(out, colours, WIDTH + LEFT, "Server time for a delivery", "bytes in a record",
          lines("clients", size, each), "clients")
    return "\n".join(out + ["</svg>", ""])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    table = rows(sys.argv[1])
    for name, colours in (("cost", LIGHT), ("cost-dark", DARK)):
        with open(f"{sys.argv[2]}/{name}.svg", "w") as file:
            file.write(draw(table, colours))


main()
