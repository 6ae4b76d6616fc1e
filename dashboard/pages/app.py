"""The dashboard: `python -m rope_prof dashboard [RUN]`, or `streamlit run dashboard/pages/app.py [-- --run RUN]`."""

from __future__ import annotations

import sys
from base64 import b64encode
from importlib.util import find_spec
from pathlib import Path

if find_spec("rope_prof") is None:  # started from a clone that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import streamlit as st

from rope_prof.dashboard import pages_last, shell

pages_last(str(Path(__file__).absolute().parent))

# A picture of our own, since Streamlit fetches its named icons from the internet; Pillow would make a file anew.
icon = "data:image/png;base64," + b64encode((Path(__file__).parents[1] / "icon.png").read_bytes()).decode()
st.set_page_config(page_title="rope_prof", page_icon=icon, layout="wide", initial_sidebar_state="collapsed")
shell.style()
pages = shell.pages()
page = st.navigation(list(pages.values()), position="hidden")
st.session_state["notes"] = []
st.session_state["seen"] = shell.header(pages, page.url_path or "overview")
shell.notes()
try:
    page.run()
finally:
    shell.drawn.set()
