"""A file of results: a head of `# name: value`, then a row for each run with all that was noted of it. It is written
row by row, so that a run that is cut short leaves what it had found."""
import datetime
from dataclasses import dataclass, field

COLUMNS = ["case", "rival", "round", "server", "cpu_us", "user_us", "per_s", "messages", "seconds", "p50_us", "p99_us",
           "p99.9_us", "sent_again", "fullest_loop", "bytes_client", "clients", "before_bytes", "after_bytes"]


class Writer:
    def __init__(self, folder, what):
        now = datetime.datetime.now(datetime.timezone.utc)
        self.path = folder / f"{now:%Y-%m-%d-%H%M%S}-{what}.tsv"
        folder.mkdir(exist_ok=True)
        self.file = open(self.path, "x", encoding="utf-8")
        self.note("date", f"{now:%Y-%m-%dT%H:%M:%SZ}")

    def note(self, name, value):
        self.file.write(f"# {name}: {value}\n")
        self.file.flush()

    def columns(self):
        self.file.write("\t".join(COLUMNS) + "\n")

    def row(self, case, rival, number, server, figures):
        cells = {"case": case, "rival": rival, "round": number, "server": server, **figures}
        self.file.write("\t".join(written(cells.get(column)) for column in COLUMNS) + "\n")
        self.file.flush()

    def close(self, text):
        self.file.writelines(f"# {line}".rstrip() + "\n" for line in ["", *text.splitlines()])
        self.file.close()


def written(value):
    if value is None:
        return "-"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


@dataclass
class Results:
    head: dict = field(default_factory=dict)
    rows: list = field(default_factory=list)

    @staticmethod
    def read(path):
        results, columns = Results(), COLUMNS
        with open(path, encoding="utf-8") as file:
            for line in map(str.rstrip, file):
                if line.startswith("#"):
                    name, colon, value = line[1:].partition(": ")
                    if colon and not results.rows:
                        results.head[name.strip()] = value.strip()
                elif line.startswith("case\t"):
                    columns = line.split("\t")  # its own: a file that was written before a column was added is read too
                else:
                    results.rows.append(parsed(columns, line.split("\t")))
        return results

    def cases(self):
        return list(dict.fromkeys(row["case"] for row in self.rows))

    def rivals(self, case):
        return list(dict.fromkeys(row["rival"] for row in self.rows if row["case"] == case))

    def pairs(self, case, rival):
        """The rounds in which both were measured: the subject's row and the rival's."""
        rounds = {}
        for row in self.rows:
            if row["case"] == case and row["rival"] == rival:
                rounds.setdefault(row["round"], {})[row["server"] == "pier"] = row
        return [(two[True], two[False]) for two in rounds.values() if len(two) == 2]

    def pairs_or_alone(self, case):
        return self.alone(case) or any(self.pairs(case, rival) for rival in self.rivals(case))

    def alone(self, case):
        """The row of each server, of a case in which each was measured once."""
        return {row["server"]: row for row in self.rows if row["case"] == case and row["rival"] == "-"}


def parsed(columns, cells):
    row = dict(zip(columns, cells))
    for column in COLUMNS[4:]:
        row[column] = None if row.get(column, "-") == "-" else float(row[column])
    return row
