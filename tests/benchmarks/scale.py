"""How a round's time grows: `python tests/benchmarks/scale.py [--write] [--keep FILE]`.

Measures the constants of the model in scale_model.py, runs rounds of 2 to 64 parties over a hub's
exchange, and fills the tables of docs/scale.md: constants, prediction against measurement, and
predictions to 10,000 parties. Five minutes or so on two quiet cores. `--keep` holds the figures in
a file and measures only what is not in it; `--deployed 8` adds a run of the deployed system, which
takes two minutes and 8 GB more.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import scale_tables  # noqa: E402
from docs_page import written_between  # noqa: E402
from scale_measured import constants, measured, saved  # noqa: E402
from typed import options  # noqa: E402

PAGE = HERE.parents[1] / "docs" / "scale.md"
ROUNDS = 6
# What the processes of the deployed run are called there, and in the model.
KINDS = {
    "SeaweedFS door": "exchange",
    "SeaweedFS storage": "exchange",
    "sessions": "sessions",
    "coordinator": "coordinator",
    "Prefect server": "Prefect",
}
OTHERS = "all others: workers, keeper, MLflow"


def main() -> None:
    parser = options(__doc__, deployed=0)
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    parser.add_argument("--keep", type=Path, help="a file for the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        place = given.keep or Path(folder) / "figures.json"
        raw = measured(place)
        name = f"deployed {given.deployed}"
        if given.deployed and name not in raw:
            saved(place, raw, name, deployed(given.deployed))
    known = constants(raw)
    texts = {
        "constants": scale_tables.constants_table(raw, known),
        "check": scale_tables.check_table(raw, known),
        "kinds": scale_tables.kinds_table(raw, known),
        "prediction": scale_tables.prediction_table(known),
        "remedies": scale_tables.remedies_table(known),
    }
    for name, text in texts.items():
        print(text)
        if given.write and (name != "kinds" or given.deployed):
            written_between(PAGE, name, text)


def deployed(parties: int) -> dict[str, Any]:
    """A round of the deployed system on this machine; the program is the peers' comparison's."""
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        words = [sys.executable, str(HERE / "peers" / "ours_deployed.py"), str(parties)]
        words += [str(ROUNDS), "float32", str(Path(folder) / "marks")]
        printed = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds = re.search(r"^rounds: ([\d. ]+) s", printed, re.MULTILINE)
    if seconds is None:
        sys.exit(printed)
    kinds = Counter[str]()
    for name, used in re.findall(r"^(.+): ([\d.]+) CPU s per round", printed, re.MULTILINE):
        kinds[KINDS.get(name, OTHERS)] += float(used)
    each = statistics.median(float(one) for one in seconds[1].split())
    return {"seconds": each, "kinds": dict(kinds)}


if __name__ == "__main__":
    main()
