// The timeline owns its viewport: it draws what it has at once and asks the server for the window it has not.

const LEAST = 20; // ns across the whole window
const SETTLE = 90; // ms without a change before the server is told
const LOST = 4000; // ms after which an answer is no longer waited for
const instances = new WeakMap();

function created(root) {
  const box = root.querySelector(".tl");
  const t = {
    root, box, canvas: box.querySelector("canvas"), part: (name) => box.querySelector(`.tl-${name}`),
    data: null, view: { lo: 0, hi: 1 }, fitted: true, width: 0, height: 0, seq: 0, waiting: 0, dirty: false, timer: 0, frame: 0,
    group: "name", find: "", hit: null, want: 0, only: false, below: "table", flame: "",
    colour: "kind", ops: false, overlay: false, stretch: null, picked: null, name: null, mode: "pan", pointer: null, hover: null, drag: null, reveal: false,
  };
  keyList(t);
  listen(t);
  t.watch = new ResizeObserver(() => resize(t));
  t.watch.observe(t.part("stage"));
  return t;
}

function resize(t) {
  const width = t.part("stage").clientWidth;
  if (!width || width === t.width) return;
  t.width = width;
  redraw(t);
  if (t.data && !t.data.exact && width > 1.3 * t.data.width) ask(t);
}

function redraw(t) {
  if (t.frame) return;
  t.frame = requestAnimationFrame(() => {
    t.frame = 0;
    paint(t);
    if (t.pointer && !t.drag && t.ns) t.hover = hitAt(t, t.pointer.x, t.pointer.y);
    tip(t);
    if (t.data) windowText(t);
    t.box.dataset.window = `${t.view.lo},${t.view.hi}`;
  });
}

function received(t, data) {
  const fresh = t.data === null || t.data.id !== data.id;
  const fit = t.data && t.data.fit.join();
  t.data = decoded(data);
  if (fresh) {
    [t.view.lo, t.view.hi] = data.window;
    t.fitted = data.window.join() === data.fit.join();
    Object.assign(t, { colour: data.colour, ops: data.ops, overlay: data.overlay, stretch: data.table.stretch, name: data.wanted });
    Object.assign(t, { group: data.group, find: data.find, hit: null, want: 0, only: data.only, below: data.below, flame: data.flameBy });
    Object.assign(t, { picked: null, hover: null, drag: null, waiting: 0, dirty: false });
    clearTimeout(t.timer);
    t.seq = Math.max(t.seq, data.seq);
  } else if (t.fitted && fit !== data.fit.join()) [t.view.lo, t.view.hi] = data.fit;
  if (data.seq >= t.waiting) t.waiting = 0;
  if (data.picked && (fresh || ((t.picked || t.hit !== null) && data.seq >= t.seq))) {
    t.picked = data.picked;
    if (t.step) show(t, data.picked);
    t.step = false;
    if (t.hit !== null) {
      t.ops = data.ops; // a hit among operators brings them
      t.part("stage").scrollIntoView({ block: "nearest" });
    }
  } else if (!data.picked && data.seq >= t.seq) t.picked = null;
  t.height = placed(t.data);
  dress(t);
  t.box.dataset.seq = data.seq;
  t.box.dataset.asked = t.seq;
  redraw(t);
  if (t.dirty && !t.waiting) send(t);
  if (t.want && data.found.text === t.find) step(t, t.want);
}

// Colours, controls, legend and tables follow the state.
function dress(t) {
  const p = t.data.palette;
  for (const name of ["ink", "muted", "rule", "panel", "paper", "unsure", "kernel"]) t.box.style.setProperty(`--tl-${name}`, p[name]);
  t.box.style.setProperty("--tl-mark", `color-mix(in srgb, ${p.kernel} 18%, ${p.paper})`);
  t.box.style.colorScheme = p.ground;
  t.box.querySelector('[data-do="colour"]').value = t.colour;
  t.box.querySelector('[data-do="ops"]').checked = t.ops;
  t.box.querySelector('[data-do="overlay"]').checked = t.overlay;
  t.box.querySelector('[data-for="ops"]').hidden = !t.data.sides.some((side) => side.hasOps);
  t.box.querySelector('[data-for="overlay"]').hidden = !t.data.sides.some((side) => side.hasCalls);
  for (const label of t.box.querySelectorAll(".tl-check")) label.style.display = label.hidden ? "none" : "";
  t.box.querySelector('[data-do="select"]').setAttribute("aria-pressed", String(t.mode === "select"));
  t.canvas.classList.toggle("tl-cross", t.mode === "select");
  for (const name of ["table", "flame"]) t.box.querySelector(`.tl-tabs [data-do="${name}"]`).setAttribute("aria-pressed", String(t.below === name));
  t.part("sums").hidden = t.below !== "table";
  found(t);
  legend(t);
  sums(t);
  flameGraph(t);
  factSheet(t);
}

// Whether what is held covers the window, fine enough.
function covered(t) {
  const { have, limits, exact, pixel } = t.data;
  const { lo, hi } = t.view;
  if (lo < Math.max(have[0], limits[0]) - 1 && have[0] > limits[0]) return false;
  if (hi > Math.min(have[1], limits[1]) + 1 && have[1] < limits[1]) return false;
  return exact || (hi - lo) / Math.max(t.width, 1) > 0.62 * pixel;
}

// Tell the server of a change: at once where something is missing (one question at a time), else once it has settled.
function ask(t, delay = SETTLE) {
  t.dirty = true;
  clearTimeout(t.timer);
  if (!t.waiting && (delay === 0 || !covered(t))) {
    send(t);
    return;
  }
  t.timer = setTimeout(() => {
    if (!t.waiting || performance.now() - t.since > LOST) send(t);
  }, delay);
}

function send(t) {
  t.dirty = false;
  t.seq += 1;
  t.waiting = t.seq;
  t.since = performance.now();
  t.box.dataset.asked = t.seq;
  t.setStateValue("look", {
    seq: t.seq,
    id: t.data.id,
    window: t.fitted ? null : [t.view.lo, t.view.hi],
    width: Math.max(200, Math.round(t.width - GUTTER - RIGHT)),
    colour: t.colour,
    ops: t.ops,
    overlay: t.overlay,
    stretch: t.stretch,
    picked: t.picked ? [t.picked.side, t.picked.lane, t.picked.item] : null,
    name: t.name,
    group: t.group,
    find: t.find,
    hit: t.hit,
    only: t.only,
    below: t.below,
    flame: t.flame,
  });
}

function look(t, lo, hi) {
  const [least, most] = t.data.limits;
  let span = Math.min(Math.max(hi - lo, LEAST), most - least);
  const middle = (lo + hi) / 2;
  let from = Math.min(Math.max(middle - span / 2, least), most - span);
  t.view.lo = from;
  t.view.hi = from + span;
  t.fitted = false;
  redraw(t);
  ask(t);
}

function zoom(t, factor, at) {
  const { lo, hi } = t.view;
  const centre = at ?? (lo + hi) / 2;
  const [least, most] = t.data.limits;
  const limited = Math.min(Math.max(factor, LEAST / (hi - lo)), (most - least) / (hi - lo));
  look(t, centre - (centre - lo) * limited, centre + (hi - centre) * limited);
}

function pan(t, share) {
  const by = share * (t.view.hi - t.view.lo);
  look(t, t.view.lo + by, t.view.hi + by);
}

function fit(t) {
  [t.view.lo, t.view.hi] = t.data.fit;
  t.fitted = true;
  redraw(t);
  ask(t);
}

// Move the window, not the zoom, until that span is inside; a span longer than it is fitted.
function show(t, span) {
  const wide = t.view.hi - t.view.lo;
  if (span.start >= t.view.lo && span.end <= t.view.hi) return;
  if (span.end - span.start > wide) look(t, span.start - 0.1 * wide, span.end + 0.1 * wide);
  else look(t, (span.start + span.end - wide) / 2, (span.start + span.end + wide) / 2);
}

function choose(t, stretch) {
  t.stretch = stretch;
  redraw(t);
  ask(t, 0);
}

// Follow a name chosen in the table; chosen again it is let go.
function follow(t, key) {
  t.name = t.name === key ? null : key;
  if (t.picked && t.picked.key !== t.name) t.picked = null;
  dress(t);
  redraw(t);
  ask(t, 0);
}

function pick(t, hit) {
  t.hit = null;
  if (!hit) {
    if (!t.picked && !t.name) return;
    t.picked = null;
    t.name = null;
  } else {
    const { side, lane, i } = hit;
    const key = t.data.names[groupOf(lane, i)][0];
    t.picked = { side: side.id, lane: lane.lane, item: lane.item[i], start: lane.start[i], end: lane.end[i], key };
    t.name = lane.role === "kernel" || lane.role === "bubble" ? key : null;
    t.reveal = true;
  }
  redraw(t);
  ask(t, 0);
}

function neighbour(t, by) {
  if (!t.picked) {
    const side = t.data.sides.find((one) => one.lanes.some((lane) => lane.role === "kernel" && lane.start.length));
    const lane = side && side.lanes.find((one) => one.role === "kernel" && one.start.length);
    if (!lane) return;
    const i = Math.min(above(lane.start, Math.max(t.view.lo, -1)), lane.start.length - 1);
    pick(t, { side, lane, i });
    return;
  }
  t.hit = null;
  t.picked = { ...t.picked, item: Math.max(0, t.picked.item + by) };
  const side = t.data.sides.find((one) => one.id === t.picked.side);
  const lane = side && side.byLane.get(t.picked.lane);
  const i = lane ? lane.item.indexOf(t.picked.item) : -1;
  t.step = true;
  if (i >= 0) {
    Object.assign(t.picked, { start: lane.start[i], end: lane.end[i], key: t.data.names[groupOf(lane, i)][0] });
    if (lane.role === "kernel" || lane.role === "bubble") t.name = t.picked.key;
    show(t, t.picked);
    t.reveal = true;
  }
  redraw(t);
  ask(t, 0);
}

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  let t = instances.get(parentElement);
  const box = parentElement.querySelector(".tl");
  if (!t || t.box !== box) {
    if (t) t.end();
    t = created(parentElement);
    instances.set(parentElement, t);
  }
  t.setStateValue = setStateValue;
  t.setTriggerValue = setTriggerValue;
  t.width = t.part("stage").clientWidth || t.width;
  received(t, data);
  window.ropeProfTimeline = { place: (...where) => place(t, ...where), memory: (side) => t.data.sides[side].memory[0].y, calls: (side) => [t.data.sides[side].calls.top, t.data.sides[side].calls.step] };
  return () => {
    t.end();
    instances.delete(parentElement);
  };
}

// For whoever drives the page from outside (tests do): where an instant lies on the first lane of that role.
function place(t, ns, role, number) {
  const lane = t.data.sides[number].lanes.find((one) => one.role === role);
  return [t.x(ns), lane.top + lane.height / 2];
}
