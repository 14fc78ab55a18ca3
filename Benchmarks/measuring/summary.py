"""The summary of results: for each case and rival the median of the rounds' own ratios, processor time first."""
from statistics import median

from .cases import CASES


def ratios(pairs, column):
    """Subject by rival, of each round in which both have the figure."""
    return [a[column] / b[column] for a, b in pairs if a[column] is not None and b[column]]


def summary(results):
    about = {case.name: case.about for case in CASES}
    blocks = []
    for name in results.cases():
        alone = results.alone(name)
        lines = memory(alone) if alone else list(paired(results, name))
        blocks.append("\n".join([f"{name}: {about.get(name, '')}", *lines]))
    return "\n\n".join(blocks)


def memory(alone):
    yield f"  {'server':14}{'bytes a client':>16}{'resident MB':>14}"
    for server, row in alone.items():
        yield f"  {server:14}{row['bytes_client']:16.0f}{row['after_bytes'] / 1e6:14.1f}"


def paired(results, case):
    yield f"  {'':14}{'--- processor time for a message, µs ---':>50}   {'--- the other ratios, pier / rival ---':>38}"
    yield (f"  {'rival':14}{'pier':>9}{'rival':>9}{'pier/rival':>12}{'least':>10}{'most':>10}"
           f"   {'rate':>8}{'p50':>10}{'p99':>10}{'p99.9':>10}")
    for rival in results.rivals(case):
        pairs = results.pairs(case, rival)
        if not pairs:
            continue
        cpu = ratios(pairs, "cpu_us")
        line = f"  {rival:14}{median(a['cpu_us'] for a, _ in pairs):9.2f}{median(b['cpu_us'] for _, b in pairs):9.2f}"
        line += f"{median(cpu):12.3f}{min(cpu):10.3f}{max(cpu):10.3f}   "
        for column, width in (("per_s", 8), ("p50_us", 10), ("p99_us", 10), ("p99.9_us", 10)):
            values = ratios(pairs, column)
            line += f"{median(values):{width}.3f}" if values else f"{'-':>{width}}"
        yield line
        again = [sum(row["sent_again"] or 0 for row in side) for side in zip(*pairs)]
        if any(again):
            yield f"  {'':14}datagrams lost, or later than half a second: pier {again[0]:.0f}, {rival} {again[1]:.0f}"
        spread = [a["fullest_loop"] for a, _ in pairs if a["fullest_loop"]]
        if spread:
            yield f"  {'':14}clients of the fullest loop, of an even share: {median(spread):.3f}, most {max(spread):.3f}"
