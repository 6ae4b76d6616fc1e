"""The font that pictures are drawn with."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from rope_prof.errors import UnavailableError


def picture_font() -> bytes:
    """The font of the pictures: the dashboard's own, out of the Streamlit package, which is not loaded for it.

    Errors: UnavailableError where Streamlit is not installed and the system has no DejaVu Sans either.
    """
    spec = find_spec("streamlit")
    roots = [Path(p) for p in (spec.submodule_search_locations or ())] if spec is not None else []
    fonts = [font for root in roots for font in sorted(root.glob("static/static/media/SourceSansVF-Upright*"))]
    fonts += [p for p in (Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),) if p.is_file()]
    if not fonts:
        raise UnavailableError(
            "no font for the pictures (Streamlit's Source Sans and the system's DejaVu Sans are both missing); "
            "install one: pip install streamlit, or apt-get install fonts-dejavu-core"
        )
    return fonts[0].read_bytes()
