"""The chart: a row for each server, a column for each case, drawn as SVG text with no dependency.

It lies on a ground of its own, whose colours follow the reader's choice of light or dark, so that it can be read on any
page. Nothing is told by colour alone: each bar has its figure beside it, Pier's row is bold, the floor's bars are
dashed outlines.
"""
from html import escape
from statistics import median

from . import words
from .summary import ratios

WIDTH, LABELS, MARGIN, GAP = 880, 138, 20, 16
TOP, ROW, BAR, FIGURE = 134, 26, 14, 44  # FIGURE: what the figure beside the longest bar takes

STYLE = """
  .ground { fill: #ffffff; stroke: #d1d9e0 }
  text { font-family: -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", Helvetica, Arial, sans-serif;
         font-size: 12px; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .strong { font-weight: 600 }
  .quiet { fill: #59636e; font-size: 11px }
  .pier { fill: #0969da }
  .rival { fill: #b6bfc8 }
  .floor { fill: none; stroke: #59636e; stroke-dasharray: 3 2 }
  .range { stroke: #59636e; fill: none }
  .axis { stroke: #d1d9e0 }
  .one { stroke: #0969da; stroke-dasharray: 1 3 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .pier { fill: #4493f8 }
    .rival { fill: #565e68 }
    .floor, .range { stroke: #9198a1 }
    .axis { stroke: #3d444d }
    .one { stroke: #4493f8 }
  }
"""


class Column:
    """One case: for each server its value, and between which values its rounds lie."""

    def __init__(self, results, case, language):
        self.name, self.bars = case, {}
        self.heading = words.HEADINGS[case][language]
        alone = results.alone(case)
        self.is_ratio = not alone
        if alone:
            self.bars = {server: (row["bytes_client"],) * 3 for server, row in alone.items()}
            self.unit = words.UNITS["bytes"][language]
            return
        own = []
        for rival in results.rivals(case):
            pairs = results.pairs(case, rival)
            times = [1 / ratio for ratio in ratios(pairs, "cpu_us")]
            if times:
                self.bars[rival] = (median(times), min(times), max(times))
                own += [mine["cpu_us"] for mine, _ in pairs]
        if self.bars:
            self.bars["pier"] = (1, 1, 1)
            self.unit = words.UNITS["ratio"][language].format(median(own))

    def figure(self, server):
        value = self.bars[server][0]
        return f"{value:.2f}" if self.is_ratio else f"{value:,.0f}".replace(",", " ")


def draw(results, source, language):
    columns = [Column(results, case, language) for case in words.HEADINGS if results.pairs_or_alone(case)]
    columns = [column for column in columns if column.bars]
    if not columns:
        raise ValueError("there is no case to draw: a chart needs Pier beside at least one rival")
    servers = order(columns)
    height = TOP + ROW * len(servers) + 58
    width = (WIDTH - 2 * MARGIN - LABELS - GAP * (len(columns) - 1)) / len(columns)
    title, subtitle = words.TITLE[language]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-labelledby="title figures">',
        f'<title id="title">{escape(title)}</title>', f'<desc id="figures">{escape(told(columns, servers))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        text(MARGIN, 32, title, "title"), text(MARGIN, 53, subtitle),
    ]
    for row, server in enumerate(servers):
        style = "strong" if server == "pier" else ""
        lines.append(text(MARGIN, TOP + ROW * row + BAR - 2, words.SERVERS[server][language], style))
    for number, column in enumerate(columns):
        left = MARGIN + LABELS + number * (width + GAP)
        lines += panel(column, servers, left, width - FIGURE)
    for number, line in enumerate(words.footer(results, source, language)):
        lines.append(text(MARGIN, height - 30 + 16 * number, line, "quiet"))
    return "\n".join([*lines, "</svg>", ""])


def order(columns):
    """The cheapest first, by the first case: so it reads as what it is, a ranking."""
    first = {server: value for server, (value, _, _) in columns[0].bars.items()}
    known = [server for server in words.SERVERS if any(server in column.bars for column in columns)]
    return sorted(known, key=lambda server: first.get(server, float("inf")))


def panel(column, servers, left, width):
    """A column: its heading, the axis from which its bars begin, and for each server bar, range and figure."""
    bottom = TOP + ROW * len(servers) - (ROW - BAR) + 5
    scale = width / max(high for _, _, high in column.bars.values())
    for number, (line, style) in enumerate(zip([*column.heading, column.unit], ["strong", "", "quiet"])):
        yield text(left, TOP - 50 + 16 * number, line, style)
    yield f'<path class="axis" d="M{left:.1f} {TOP - 8}V{bottom}"/>'
    if column.is_ratio:
        yield f'<path class="one" d="M{left + scale:.1f} {TOP - 8}V{bottom}"/>'
    for row, server in enumerate(servers):
        top = TOP + ROW * row
        if server not in column.bars:
            yield text(left + 6, top + BAR - 3, "–", "quiet")
            continue
        value, low, high = column.bars[server]
        style = server if server in ("pier", "floor") else "rival"
        yield f'<rect class="{style}" x="{left:.1f}" y="{top}" width="{value * scale:.1f}" height="{BAR}"/>'
        if high > low:
            middle = top + BAR / 2
            yield (f'<path class="range" d="M{left + low * scale:.1f} {middle}H{left + high * scale:.1f}'
                   f'M{left + low * scale:.1f} {middle - 3}v6M{left + high * scale:.1f} {middle - 3}v6"/>')
        yield text(left + high * scale + 6, top + BAR - 3, column.figure(server), "strong" if server == "pier" else "")


def text(x, y, string, style=""):
    return f'<text x="{x:.1f}" y="{y:.1f}"' + (f' class="{style}"' if style else "") + f">{escape(string)}</text>"


def told(columns, servers):
    """The same in words, for who does not see it."""
    return " ".join(
        f"{' '.join(column.heading)}, {column.unit}: "
        + "; ".join(f"{words.SERVERS[name][0]} {column.figure(name)}" for name in servers if name in column.bars)
        + "." for column in columns)
