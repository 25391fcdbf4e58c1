"""The table of counterfactuals in Markdown: its headings, and one row of figures."""

from __future__ import annotations

from typing import Any

HEADINGS = (
    "change | method | inside: RMSE to truth | unedited | ratio | core ratio | outside RMSE | null outside "
    "| null dB | there and back dB | judge | other reader (on truth) | change made / true | L1 | SSIM "
    "| PSNR to original | LPIPS to original | s per case"
)


def line(name: str, row: dict[str, Any]) -> str:
    """One row of the table in Markdown."""

    def number(value: float | str | None, form: str = ".2f") -> str:
        return "" if value is None else value if isinstance(value, str) else format(value, form)

    ratio = row["inside"] / row["inside_unedited"]
    core = row["core"] / row["core_unedited"] if row["core_unedited"] else None
    effect = row.get("effect")
    cells = [
        name,
        number(row["inside"]),
        number(row["inside_unedited"]),
        number(ratio, ".3f"),
        number(core, ".3f"),
        number(row["outside"]),
        number(row["null_outside"]),
        number(row["null_psnr"], ".1f"),
        number(row["back_psnr"], ".1f"),
        number(row.get("judge")),
        "" if "reader" not in row else f"{row['reader']:.2f} ({row['reader_on_truth']:.2f})",
        "" if effect is None else f"{effect[0]:.1f} / {effect[1]:.1f}",
        number(row["l1"]),
        number(row["ssim"], ".4f"),
        number(row["psnr"], ".1f"),
        number(row["lpips"], ".3f"),
        number(row["seconds"], ".0f"),
    ]
    return "| " + " | ".join(cells) + " |"
