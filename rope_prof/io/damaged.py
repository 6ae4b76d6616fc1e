"""What decoders raise over a text of JSON or TOML that is cut, of another encoding, of other fields or bottomless."""

from __future__ import annotations

from typing import Final

import msgspec

#: UnicodeDecodeError is none of msgspec's own; TOML that is none is a ValueError.
DAMAGED: Final = (msgspec.MsgspecError, ValueError, RecursionError)
