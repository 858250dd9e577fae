"""Whether the joules of a campaign add up, in words."""

from __future__ import annotations

from typing import Any

from collector.i18n import current, t
from db import Store
from db.texts import pick

__all__ = ["balance", "balance_lines"]

_CLOSED = 0.01


def balance(store: Store, campaign_id: str) -> list[dict[str, Any]]:
    """The rows of ``closures``, oldest first: one per call that measured; unknown is None."""
    rows = store.query(
        "SELECT scope, tier, total_j, runs_j, loads_j, baselines_j, between_j, mismatch, reason FROM closures"
        " WHERE campaign_id = ? ORDER BY started_at",
        [campaign_id],
    )
    return [{str(k): None if v != v else v for k, v in row.items()} for row in rows.to_dict("records")]


def balance_lines(store: Store, campaign_id: str) -> list[str]:
    """One line per call that measured: total, parts, and what is left open."""
    lines = []
    for row in balance(store, campaign_id):
        why = f" ({pick(row['reason'], current())})" if row["reason"] else ""
        if row["total_j"] is None:
            lines.append(t("energy balance: none", "能量核对：无") + why)
            continue
        parts = [round(float(row[f"{kind}_j"]), 1) for kind in ("runs", "loads", "baselines", "between")]
        verdict = t("closed", "吻合") if abs(row["mismatch"]) <= _CLOSED else t("NOT CLOSED", "不吻合")
        lines.append(t(
            f"energy balance ({row['scope']}, {row['tier']}): {row['total_j']:.1f} J = answers {parts[0]} + loads {parts[1]}"
            f" + baselines {parts[2]} + between {parts[3]}, {verdict}: {row['mismatch']:+.2%}",
            f"能量核对（{row['scope']}，{row['tier']}）：{row['total_j']:.1f} J = 回答 {parts[0]} + 加载 {parts[1]}"
            f" + 基线 {parts[2]} + 间隙 {parts[3]}，{verdict}：{row['mismatch']:+.2%}",
        ) + why)  # fmt: skip
    return lines
