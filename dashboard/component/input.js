// Pointer, wheel and keys -> changes of the state.

const CLICK = 4; // pixels that a hand may move in a click

function hitAt(t, x, y) {
  if (x < GUTTER) return null;
  for (const side of t.data.sides) {
    const calls = side.calls;
    if (calls && y >= calls.top && y < calls.top + calls.step * calls.numbers.length) {
      return { side, call: Math.floor((y - calls.top) / calls.step) };
    }
    const memory = side.memory.find((one) => y >= one.y && y < one.y + DEEP);
    if (memory) return { side, memory };
    const lane = side.lanes.find((one) => y >= one.top && y < one.top + one.height);
    if (!lane) continue;
    const reach = 3 * ((t.view.hi - t.view.lo) / Math.max(1, t.width - GUTTER - RIGHT));
    const at = t.ns(x);
    const after = above(lane.start, at);
    let best = null;
    for (const i of [after - 1, after]) {
      if (i < 0 || i >= lane.start.length) continue;
      const off = Math.max(lane.start[i] - at, at - lane.end[i], 0);
      if (off <= reach && (best === null || off < best.off)) best = { side, lane, i, off };
    }
    return best;
  }
  return null;
}

function listen(t) {
  const { canvas } = t;
  const over = new AbortController();
  const on = (node, kind, act, more = {}) => node.addEventListener(kind, act, { signal: over.signal, ...more });
  t.end = () => {
    over.abort();
    t.watch.disconnect();
    clearTimeout(t.timer);
    cancelAnimationFrame(t.frame);
  };
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  on(canvas, "wheel", (event) => wheel(t, event, at(event)), { passive: false });
  on(canvas, "pointerdown", (event) => down(t, event, at(event)));
  on(canvas, "pointermove", (event) => move(t, event, at(event)));
  on(canvas, "pointerup", (event) => up(t, event, at(event)));
  on(canvas, "pointercancel", () => { t.drag = null; redraw(t); });
  on(canvas, "pointerleave", () => { if (!t.drag) { t.pointer = t.hover = null; redraw(t); } });
  on(canvas, "dblclick", (event) => {
    const hit = hitAt(t, at(event).x, at(event).y);
    if (hit && hit.lane) near(t, hit.lane.start[hit.i], hit.lane.end[hit.i]);
  });
  on(t.box, "keydown", (event) => key(t, event));
  // With nothing focused the keys are the timeline's.
  on(document, "keydown", (event) => { if (event.target === document.body) key(t, event); });
  on(document, "click", (event) => linked(t, event));
  on(t.box, "click", (event) => pressed(t, event.target.closest("[data-do]")));
  on(t.part("find"), "input", (event) => t.data && seek(t, event.target.value));
  on(t.box, "change", (event) => changed(t, event.target));
}

// A link of the page to a place on this timeline moves it there: no page is opened, so an uploaded file stays.
function linked(t, event) {
  const link = event.target.closest("a[href]");
  const start = t.data && t.data.links;
  if (!link || !start || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const address = link.getAttribute("href");
  if (!address.startsWith(start)) return;
  const [lo, hi] = address.slice(start.length).split("~").map((us) => 1000 * us);
  if (!(lo < hi)) return;
  event.preventDefault();
  look(t, lo, hi);
  t.box.scrollIntoView({ block: "center" });
}

// A plain wheel scrolls the page until the canvas has the focus: who passes by is not held up.
function wheel(t, event, { x }) {
  if (!t.data) return;
  const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
  const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
  const mine = t.canvas.matches(":focus") || event.ctrlKey || event.metaKey || event.shiftKey;
  if (!mine && Math.abs(across) <= Math.abs(event.deltaY)) return;
  event.preventDefault();
  if (event.shiftKey || Math.abs(across) > Math.abs(event.deltaY)) pan(t, (across * unit) / 1200);
  else zoom(t, Math.exp(Math.max(-1.2, Math.min(1.2, event.deltaY * unit * 0.0022))), t.ns(Math.max(x, GUTTER)));
}

function down(t, event, { x, y }) {
  if (!t.data || event.button !== 0) return;
  t.canvas.setPointerCapture(event.pointerId);
  const strip = y < TOP - 30;
  const kind = strip ? "strip" : event.shiftKey || t.mode === "select" ? "stretch" : "pan";
  t.drag = { kind, x, y, lo: t.view.lo, hi: t.view.hi, moved: false };
  if (strip) jump(t, x);
}

function jump(t, x) {
  const [least, most] = t.data.limits;
  const at = least + ((x - GUTTER) / (t.width - RIGHT - GUTTER)) * (most - least);
  const half = (t.view.hi - t.view.lo) / 2;
  look(t, at - half, at + half);
}

function move(t, event, { x, y }) {
  if (!t.data || !t.ns) return;
  t.pointer = { x, y };
  const drag = t.drag;
  if (!drag) {
    t.canvas.classList.toggle("tl-over", hitAt(t, x, y) !== null && t.mode !== "select");
    redraw(t);
    return;
  }
  drag.moved ||= Math.abs(x - drag.x) + Math.abs(y - drag.y) > CLICK;
  if (!drag.moved) return;
  if (drag.kind === "strip") jump(t, x);
  else if (drag.kind === "stretch") t.stretch = [drag.x, x].map((one) => t.ns(Math.min(Math.max(one, GUTTER), t.width - RIGHT))).sort((a, b) => a - b);
  else {
    t.canvas.classList.add("tl-drag");
    const by = ((drag.x - x) / (t.width - GUTTER - RIGHT)) * (drag.hi - drag.lo);
    look(t, drag.lo + by, drag.hi + by);
  }
  redraw(t);
}

function up(t, event, { x, y }) {
  const drag = t.drag;
  t.drag = null;
  t.canvas.classList.remove("tl-drag");
  if (!drag || !t.data || drag.kind === "strip") return;
  if (drag.moved) {
    if (drag.kind === "stretch") choose(t, t.stretch);
    return;
  }
  const hit = hitAt(t, x, y);
  if (hit && hit.call !== undefined) t.setTriggerValue("call", hit.side.calls.numbers[hit.call]);
  else pick(t, hit && hit.lane ? hit : null);
}

function near(t, start, end) {
  const spare = Math.max(0.6 * (end - start), LEAST);
  look(t, start - spare, end + spare);
}

function key(t, event) {
  if (!t.data || event.ctrlKey || event.metaKey || event.altKey) return;
  const inside = event.composedPath()[0];
  if (inside === t.part("find")) return typing(t, event);
  if (inside && (/^(SELECT|TEXTAREA)$/.test(inside.tagName) || (inside.tagName === "INPUT" && inside.type !== "checkbox"))) return;
  const acts = {
    w: () => zoom(t, 0.6), s: () => zoom(t, 1 / 0.6), a: () => pan(t, -0.25), d: () => pan(t, 0.25),
    ArrowLeft: () => pan(t, -0.25), ArrowRight: () => pan(t, 0.25), "+": () => zoom(t, 0.6), "-": () => zoom(t, 1 / 0.6),
    f: () => fit(t), e: () => mode(t), ".": () => neighbour(t, 1), ",": () => neighbour(t, -1), "?": () => keys(t),
    "/": () => t.part("find").focus(), n: () => step(t, 1), N: () => step(t, -1),
    z: () => (t.stretch ? look(t, ...t.stretch) : t.picked && near(t, t.picked.start, t.picked.end)), Escape: () => letGo(t),
  };
  const act = acts[event.key] ?? acts[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  event.stopPropagation();
  act();
}

// In the search field all keys are its own but these.
function typing(t, event) {
  event.stopPropagation();
  if (event.key === "Enter") step(t, event.shiftKey ? -1 : 1);
  else if (event.key === "Escape") {
    seek(t, "");
    t.canvas.focus({ preventScroll: true });
  }
}

function letGo(t) {
  if (!t.part("keys").hidden) keys(t);
  else if (t.stretch) choose(t, null);
  else if (t.picked || t.name) pick(t, null);
  else t.canvas.blur();
}

function keys(t) {
  t.part("keys").hidden = !t.part("keys").hidden;
}

function mode(t) {
  t.mode = t.mode === "select" ? "pan" : "select";
  dress(t);
}

function pressed(t, node) {
  if (!node || !t.data || node.tagName !== "BUTTON") return;
  const acts = {
    in: () => zoom(t, 0.6), out: () => zoom(t, 1 / 0.6), fit: () => fit(t), select: () => mode(t), keys: () => keys(t),
    next: () => step(t, 1), prev: () => step(t, -1), table: () => under(t, "table"), flame: () => under(t, "flame"),
    png: () => t.canvas.toBlob((blob) => save(blob, "timeline.png")),
    csv: () => save(new Blob([csv(t)], { type: "text/csv" }), "timeline.csv"),
  };
  acts[node.dataset.do]();
}

function under(t, what) {
  t.below = what;
  dress(t);
  ask(t, 0);
}

function changed(t, node) {
  const what = node.dataset.do;
  if (!what) return;
  t[what === "flame-by" ? "flame" : what] = node.type === "checkbox" ? node.checked : node.value;
  if (what === "group") t.name = null; // it was a group of the other kind
  dress(t);
  redraw(t);
  ask(t, 0);
}
