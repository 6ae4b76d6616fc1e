"""The page that hands a trace to https://ui.perfetto.dev inside the browser, by its documented postMessage way.

The bytes are fetched from here first; the window opens in the click itself, or the browser would block it; PING goes
out until PONG comes back, then the trace. It goes from window to window of one browser: no server gets it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape

_SCRIPT = """
const trace = %s;
const button = document.querySelector('button'), said = document.querySelector('output');
fetch(trace.path).then(answer => {
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}).then(buffer => {
  said.textContent = `${(buffer.byteLength / 1048576).toFixed(1)} MiB ready`;
  button.disabled = false;
  button.onclick = () => hand(buffer);
}).catch(error => { said.textContent = `cannot read the trace: ${error.message}`; });
function hand(buffer) {
  const ui = window.open(trace.ui), origin = new URL(trace.ui).origin;
  if (!ui) { said.textContent = 'the browser blocked the window; allow it for this page'; return; }
  said.textContent = 'waiting for ui.perfetto.dev; this needs the internet';
  const timer = setInterval(() => ui.closed ? stop('the window was closed') : ui.postMessage('PING', origin), 50);
  const stop = text => {
    clearInterval(timer);
    removeEventListener('message', listen);
    said.textContent = text;
  };
  const listen = event => {
    if (event.source !== ui || event.origin !== origin || event.data !== 'PONG') return;
    stop('handed over');
    ui.postMessage({perfetto: {buffer, title: trace.title, fileName: trace.title}}, origin);
  };
  addEventListener('message', listen);
}
"""

_STYLE = """
:root { color-scheme: light dark; } body { margin: 20vh auto 0; max-width: 34rem; padding: 0 1.5rem;
  font: 15px/1.5 system-ui, sans-serif; } button { font: inherit; padding: .5rem 1rem; } output { margin-left: 1rem; }
h1 { font-size: 1.2rem; overflow-wrap: anywhere; }
"""


def online_page(title: str, path: str, ui: str) -> tuple[str, str]:
    """(the page, its content policy): fetches `path` of its own origin, hands it to the window at `ui`."""
    told = json.dumps({"title": title, "path": path, "ui": ui}).replace("<", "\\u003c")
    script = _SCRIPT % told
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        "<p>Opens in ui.perfetto.dev. The trace goes from this window to that one and to no server.</p>"
        "<button disabled>Open in ui.perfetto.dev</button><output>reading the trace</output>"
        f"<script>{script}</script></body></html>"
    )
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy
