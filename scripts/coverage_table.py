"""Prints a table of line coverage per floor from the summary of `llvm-cov export`. Called by scripts/coverage."""

import json
import re
import sys

FLOORS = ["base", "wire", "io", "pki", "tls", "proxy", "watch", "linux", "testing"]


def main(path, option):
    with open(path, encoding="utf-8") as text:
        files = json.load(text)["data"][0]["files"]
    floors = {floor: [0, 0] for floor in FLOORS}
    rows = []
    for entry in files:
        match = re.search(r"(?:^|/)((?:lib|include/trestle)/(\w+)/\S+)$", entry["filename"])
        if match is None or match.group(2) not in floors:
            continue
        lines = entry["summary"]["lines"]
        floors[match.group(2)][0] += lines["covered"]
        floors[match.group(2)][1] += lines["count"]
        rows.append((lines["percent"], lines["count"] - lines["covered"], match.group(1)))
    print("| floor | lines | run by unit tests |\n|---|---|---|")
    for floor, (covered, count) in floors.items():
        if count:
            print(f"| {floor} | {count} | {100 * covered / count:.1f} % |")
    if option == "--files":
        print()
        for percent, missing, name in sorted(rows):
            print(f"{percent:6.1f} %  {missing:4d} lines missing  {name}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
