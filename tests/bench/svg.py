"""Charts as SVG, written by hand: lines over two axes, and spans with a name behind them."""

import math
from collections import namedtuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 960, 400
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 40, 56
# Told apart by people who see few colours, too (Okabe and Ito).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
LABEL_ROWS = 3
LABEL_WIDTH = 70

Line = namedtuple("Line", "name points")
Span = namedtuple("Span", "name begin end")
Axis = namedtuple("Axis", "label low high is_log")


def axis(label, values, is_log=False):
    """An axis that holds all values; a logarithmic one from power to power of ten."""
    values = [value for value in values if not is_log or value > 0] or [1]
    low, high = min(values), max(values)
    if is_log:
        low = 10 ** math.floor(math.log10(low))
        high = max(10 ** math.ceil(math.log10(high)), low * 10)
    else:
        low = min(low, 0)
        high = high if high > low else low + 1
    return Axis(label, low, high, is_log)


def place(one, value):
    """Where a value is on an axis, from 0 to 1."""
    if one.is_log:
        value = max(value, one.low)
        return math.log(value / one.low) / math.log(one.high / one.low)
    return (value - one.low) / (one.high - one.low)


def ticks(one):
    """The values that an axis names."""
    if one.is_log:
        count = round(math.log10(one.high / one.low))
        return [one.low * 10 ** n for n in range(count + 1)]
    raw = (one.high - one.low) / 8
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw)
    first = math.ceil(one.low / step)
    return [n * step for n in range(first, math.floor(one.high / step) + 1)]


def short(value):
    """A number for a tick: 1k and 1M for thousands and millions."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


class Chart:
    """The parts of one chart."""

    def __init__(self, across, up):
        self.across, self.up = across, up
        self.parts = []

    def x(self, value):
        """The place of a value across, in pixels."""
        return LEFT + place(self.across, value) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        """The place of a value up, in pixels."""
        return HEIGHT - BOTTOM - place(self.up, value) * (HEIGHT - TOP - BOTTOM)

    def add(self, name, text=None, **attributes):
        """An element."""
        words = " ".join(f'{key.replace("_", "-")}="{value:.1f}"' if isinstance(value, float)
                         else f'{key.replace("_", "-")}="{escape(str(value))}"'
                         for key, value in attributes.items())
        end = "/>" if text is None else f">{escape(text)}</{name}>"
        self.parts.append(f"<{name} {words}{end}")

    def label(self, x, y, text, anchor="middle", **more):
        """A text."""
        self.add("text", text, x=float(x), y=float(y), text_anchor=anchor, **more)

    def axes(self):
        """Both axes with their grid."""
        for value in ticks(self.across):
            x = self.x(value)
            self.add("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, stroke="#eeeeee")
            self.label(x, HEIGHT - BOTTOM + 16, short(value))
        for value in ticks(self.up):
            y = self.y(value)
            self.add("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, stroke="#dddddd")
            self.label(LEFT - 6, y + 4, short(value), "end")
        self.label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 34, self.across.label)
        middle = (TOP + HEIGHT - BOTTOM) / 2
        self.label(18, middle, self.up.label, transform=f"rotate(-90 18 {middle:g})")

    def spans(self, spans):
        """Names at the top, in rows, so that neighbours do not cover each other."""
        free = [0.0] * LABEL_ROWS
        for span in sorted(spans, key=lambda one: one.begin):
            left, right = self.x(span.begin), self.x(span.end)
            self.add("rect", x=left, y=TOP, width=max(right - left, 1.0),
                     height=HEIGHT - TOP - BOTTOM, fill="#f0c000", fill_opacity="0.45")
            row = next((n for n, end in enumerate(free) if end <= left), LABEL_ROWS - 1)
            free[row] = left + LABEL_WIDTH
            self.label(left, TOP - 4 - 11 * row, span.name, "start")

    def lines(self, lines, with_dots):
        """The lines, and what they are."""
        for number, line in enumerate(lines):
            color = COLORS[number % len(COLORS)]
            places = [(self.x(x), self.y(y)) for x, y in line.points]
            text = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            self.add("polyline", points=text, fill="none", stroke=color, stroke_width="1.3")
            for x, y in places if with_dots else ():
                self.add("circle", cx=x, cy=y, r=3, fill=color)
            left = LEFT + number * (WIDTH - LEFT - RIGHT) / max(len(lines), 1)
            self.add("rect", x=float(left), y=HEIGHT - 14, width=12, height=4, fill=color)
            self.label(left + 16, HEIGHT - 8, line.name, "start")

    def text(self, title):
        """The whole file."""
        head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
                'font-family="sans-serif" font-size="11">')
        return "\n".join([
            head, f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>', *self.parts, "</svg>", "",
        ])


def chart(title, across, up, lines, spans=(), with_dots=False):
    """The text of an SVG file. `across` and `up` are (label, is_log)."""
    points = [point for line in lines for point in line.points]
    one = axis(across[0], [x for x, _ in points], across[1])
    if not across[1] and points:
        one = one._replace(low=min(x for x, _ in points))
    drawn = Chart(one, axis(up[0], [y for _, y in points], up[1]))
    drawn.spans(spans)
    drawn.axes()
    drawn.lines(lines, with_dots)
    return drawn.text(title)
