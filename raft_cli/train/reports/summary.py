"""A finished run in a few lines, for the terminal. Prints nothing."""

from collections.abc import Mapping
from typing import Any

from raft_cli.train.reports.facts import list_results
from raft_cli.train.units import Figures, look_up, show_bytes, show_value


def outcome_figures(manifest: Mapping[str, Any]) -> Figures:
    """Return the titled groups that end a training run."""
    rows = look_up(manifest, "rows", {})
    share = rows["supervised_tokens"] / max(1, rows["tokens"])
    set_aside = sum(rows["overflow"].values())
    said = [(label, show_value(value)) for label, value in list_results(manifest) if value not in (None, "", "–")]
    planned = look_up(manifest, "plan.memory.total", 0)
    return [
        (
            "Rows",
            [
                ("Trained on", f"{rows['trained']:,} ({rows['oracle_share']:.1%} with their oracle)"),
                ("Tokens", f"{rows['tokens']:,}, {share:.1%} of them in answers"),
                ("Lost distractors", f"{rows['shortened']:,}"),
                ("Set aside", f"{set_aside:,}" + (", see overflow.jsonl" if set_aside else "")),
            ],
        ),
        ("Training", [*said, ("Memory planned", show_bytes(planned))]),
    ]
