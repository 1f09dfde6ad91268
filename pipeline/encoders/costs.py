COSTS: dict[str, tuple[float, float]] = {}
