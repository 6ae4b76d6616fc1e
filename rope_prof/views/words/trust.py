"""What a reader must be told of figures that cannot be trusted as they stand."""

from __future__ import annotations

ON_CPU = "Recorded on a CPU: a kernel is a leaf operator, and nothing here is a GPU figure."
#: A corrected bubble that its cross-check denies, as in the table that `show` prints; and what it means.
DENIED = "≠"
MARKED = f"{DENIED}: the cross-check by graph replay disagrees."
