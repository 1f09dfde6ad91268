"""A made-up `Evidence`: every table that the page can show, of plausible shape."""

import polars as pl

from analysis.evidence import Evidence
from tests.analysis.planted import AXES
from tests.synthetic import TASK

LOOKS = [("default", 0.0, "id"), *((axis, severity, "ood") for axis in AXES for severity in (0.5, 1.0))]


def evidence(encoders: list[str]) -> Evidence:
    cells = [(e, k) for k, e in enumerate(encoders)]
    looks = [
        {"encoder": e, "task": TASK, "axis": a, "severity": s, "split": split, "k": k} for e, k in cells for a, s, split in LOOKS
    ]
    return Evidence(
        claims=_claims(),
        dynamics=_valued(
            looks, [{"metric": m, "horizon": h} for m in ("state_nmse", "embedding_nmse") for h in (0, 1, 3)]
            + [{"metric": "kl", "horizon": 1}], lambda r: 0.1 + 0.1 * r["k"] + 0.05 * r["horizon"] + r["severity"],
        ),
        coverage=_valued(
            looks, [{"level": level, "horizon": h} for level in (0.5, 0.8, 0.9, 0.95) for h in (0, 3)],
            lambda r: r["level"] * (1 - 0.2 * r["severity"]),
        ),
        reliability=pl.DataFrame(
            [{"encoder": e, "algorithm": "dreamerv3", "task": TASK, "predicted": 0.5 * b, "observed": 0.5 * b + 0.1 * k,
              "low": 0.5 * b - 0.1, "high": 0.5 * b + 0.3, "n": 100, "axis": "default"} for e, k in cells for b in range(6)]
        ),
        measures=_valued(
            looks, [{"measure": m, "horizon": h, "n": 100} for m in ("spearman", "event_recall") for h in (0, 3)]
            + [{"measure": "accumulated_33", "horizon": 33, "n": 10}], lambda r: 0.9 - 0.1 * r["k"] - 0.2 * r["severity"],
        ),
        probes=_valued(
            looks, [{"target": t, "method": m} for t in ("reward", "state") for m in ("ridge", "knn")],
            lambda r: 0.2 + 0.1 * r["k"] + 2 * r["severity"],
        ).drop("algorithm"),
        properties=pl.DataFrame(
            [row | {"variant": row["axis"], "property": "signal_to_nuisance", "value": 5 / row["severity"] / (1 + row["k"])}
             for row in looks if row["severity"] and row["encoder"] != "state"]
            + [row | {"variant": "default", "property": "intrinsic_dimension", "value": 3.5}
               for row in looks if not row["severity"]]
        ),
        encoders=pl.DataFrame(
            [{"encoder": e, "architecture": "ViT-B/16", "objective": "none", "data": "task", "images": 1000 if k else None,
              "language": False, "temporal": True, "dim": 256} for e, k in cells]
        ),
        manifold=pl.DataFrame(
            [{"encoder": e, "task": TASK, "episode": 1, "t": t, "reward": t / 50, "x": (t * 7 % 13) / 3, "y": (t * 11 % 17) / 3}
             for e, _ in cells for t in range(50)]
        ),
        costs=pl.DataFrame(
            [{"encoder": e, "task": TASK, "algorithm": "dreamerv3", "encode_cpu_s": 12.0, "stored_mb": 3.5, "update_ms": 80.0,
              "train_cpu_s": 64.0, "online_wall_s": 100.0 if k else None, "return_gained_per_hour": None} for e, k in cells]
        ),
        scores=pl.DataFrame(
            [{"kind": kind, "figure": f, "encoder": e, "algorithm": "dreamerv3", "threshold": t, "estimate": 0.8 - 0.1 * k,
              "low": 0.7 - 0.1 * k if known else None, "high": 0.9 - 0.1 * k if known else None,
              "runs": 2, "tasks": 1, "seeds": 2}
             for kind, known in (("prediction", True), ("return", False))
             for e, k in cells for f, t in (("iqm", None), ("improvement", None), ("profile", 0.0), ("profile", 0.5))]
        ),
        trust=["Intervals of ten clusters covered 90 % in simulation."],
    )  # fmt: skip


def _valued(looks, more, value):  # type: ignore[no-untyped-def]
    rows = [look | extra | {"algorithm": "dreamerv3"} for look in looks for extra in more]
    return pl.DataFrame([row | {"value": (v := float(value(row))), "low": v - 0.05, "high": v + 0.05} for row in rows])


def _claims() -> pl.DataFrame:
    return pl.DataFrame(
        [{"id": str(i), "claim": f"A claim of a certain length that is {verdict}, and that a phone must wrap",
          "test": "Paired difference", "source": "arXiv 2411.10175", "effect_that_counts": 0.05, "unit": "of the score",
          "estimate": 0.1 if verdict != "undecided" else None, "low": 0.06, "high": 0.14, "verdict": verdict,
          "note": "Two seeds." if verdict == "undecided" else None}
         for i, verdict in enumerate(("supported", "contradicted", "undecided"))]
    )  # fmt: skip


PNG = bytes.fromhex(  # one grey pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c63680000008200814cd7fa4d0000000049454e44ae426082"
)
