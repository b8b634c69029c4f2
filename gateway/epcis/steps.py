"""What business steps of CBV 2.0 (section 7.1) say of goods, by their bare words."""

SENT = frozenset({"shipping", "departing", "transporting", "loading"})
SOLD = frozenset({"dispensing", "retail_selling"})
DESTROYED = frozenset({"destroying", "decommissioning", "consuming"})
GONE = SOLD | DESTROYED | {"killing"}
