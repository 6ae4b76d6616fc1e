// The canvas: reads the state, changes nothing of it but the places of what it drew.

const SMALL = '11px "Source Sans", "Source Sans Pro", Inter, system-ui, sans-serif';
const PLAIN = '12px "Source Sans", "Source Sans Pro", Inter, system-ui, sans-serif';
const BOLD = '600 15px "Source Sans", "Source Sans Pro", Inter, system-ui, sans-serif';
const MOST_ARROWS = 260;

const inks = new Map();
function inkOn(fill) {
  if (!inks.has(fill)) {
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(fill.slice(i, i + 2), 16) / 255).map((c) => (c <= 0.04 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    inks.set(fill, 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.3 ? "#0b0e13" : "#ffffff");
  }
  return inks.get(fill);
}

// The colour of the groups that take the most time; those of launches and copies mean these alone.
function hue(t, place) {
  const { kernels, launch, copy, unsure } = t.data.palette;
  return kernels.filter((one) => one !== launch && one !== copy)[place] ?? unsure;
}

function fillOf(t, side, lane, i) {
  const p = t.data.palette;
  const tone = lane.tone[i];
  if (tone === 6) return side.trusted ? p.causes[t.data.names[lane.name[i]][1]] ?? p.bubble : p.unsure_fill;
  if (tone === 0) {
    if (t.colour !== "kernel") return p.kernel;
    const place = t.data.names[groupOf(lane, i)][3];
    return hue(t, place);
  }
  return [p.kernel, p.copy, p.launch, p.unsure, p.unsure_fill, p.rule][tone];
}

function paint(t) {
  const { canvas, data, view } = t;
  if (!data || !t.width) return;
  const ratio = window.devicePixelRatio || 1;
  const height = t.height;
  if (canvas.width !== Math.round(t.width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(t.width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const c = canvas.getContext("2d");
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.fillStyle = data.palette.paper;
  c.fillRect(0, 0, t.width, height);
  const right = t.width - RIGHT;
  t.x = (ns) => GUTTER + ((ns - view.lo) / (view.hi - view.lo)) * (right - GUTTER);
  t.ns = (x) => view.lo + ((x - GUTTER) / (right - GUTTER)) * (view.hi - view.lo);
  scale(t, c, right);
  for (const side of data.sides) {
    ground(t, c, side, right);
    c.save();
    c.beginPath();
    c.rect(GUTTER, side.top, right - GUTTER, side.bottom - side.top + 2);
    c.clip();
    for (const lane of side.lanes) row(t, c, side, lane, right);
    shade(t, c, side, right);
    arrows(t, c, side);
    memoryRows(t, c, side, right);
    if (side.calls) raster(t, c, side, right);
    c.restore();
    headings(t, c, side, right);
  }
  marks(t, c, right);
  c.font = SMALL;
  c.fillStyle = data.palette.muted;
  c.textBaseline = "alphabetic";
  c.textAlign = "right";
  c.fillText(data.source, right, height - 6);
  c.textAlign = "left";
  c.fillText(clip(c, data.axis, right - GUTTER - c.measureText(data.source).width - 30), GUTTER, height - 6);
}

function scale(t, c, right) {
  const { data, view } = t;
  const p = data.palette;
  const [lo, hi] = data.limits;
  const map = (ns) => GUTTER + ((ns - lo) / (hi - lo)) * (right - GUTTER);
  c.fillStyle = p.panel;
  c.fillRect(GUTTER, 3, right - GUTTER, 8);
  c.fillStyle = p.unsure;
  c.fillRect(Math.max(GUTTER, map(view.lo)), 3, Math.max(4, Math.min(right, map(view.hi)) - Math.max(GUTTER, map(view.lo))), 8);
  const found = axis(view.hi - view.lo, right - GUTTER);
  c.font = PLAIN;
  c.textBaseline = "middle";
  c.textAlign = "center";
  const first = Math.ceil(view.lo / found.step);
  const last = Math.floor(view.hi / found.step);
  for (let n = first; n <= last; n++) {
    const x = Math.round(t.x(n * found.step)) + 0.5;
    c.strokeStyle = p.rule;
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(x, TOP - 12);
    c.lineTo(x, t.height - NOTE);
    c.stroke();
    const text = ((n * found.step) / found.scale || 0).toLocaleString("en-US", { minimumFractionDigits: found.decimals, maximumFractionDigits: found.decimals });
    c.fillStyle = p.muted;
    if (x > GUTTER + 8 && x < right - 16) c.fillText(text, x, TOP - 21);
  }
  c.textAlign = "right";
  c.fillStyle = p.muted;
  c.fillText(found.unit, GUTTER - 12, TOP - 21);
}

// The stretch of time that the side is about, behind its lanes.
function ground(t, c, side, right) {
  const p = t.data.palette;
  const x0 = Math.max(GUTTER, t.x(side.begin));
  const x1 = Math.min(right, t.x(side.end));
  if (x1 <= x0) return;
  c.fillStyle = p.panel;
  for (const lane of side.lanes) {
    if (lane.role === "kernel" || lane.role === "bubble") c.fillRect(x0, lane.top, x1 - x0, lane.height);
  }
}

function row(t, c, side, lane, right) {
  const p = t.data.palette;
  const { start, end } = lane;
  const chosen = marking(t);
  const from = Math.max(0, above(end, t.view.lo) - 1);
  c.font = lane.height > 24 ? PLAIN : SMALL;
  c.textBaseline = "middle";
  c.textAlign = "left";
  for (let i = from; i < start.length && start[i] < t.view.hi; i++) {
    const x0 = Math.max(GUTTER - 1, t.x(start[i]));
    const x1 = Math.min(right + 1, t.x(end[i]));
    if (x1 < GUTTER - 1) continue;
    const width = Math.max(x1 - x0, 0.8);
    const merged = lane.count !== undefined && lane.count[i] > 1;
    const fill = fillOf(t, side, lane, i);
    let alpha = merged ? 0.35 + (0.65 * lane.fill[i]) / 255 : 1;
    if (chosen) {
      const about = lane.role === "kernel" || lane.role === "bubble" || !t.name;
      if (!stands(t, lane, i)) alpha *= about ? 0.34 : 0.7;
    }
    c.globalAlpha = alpha;
    c.fillStyle = fill;
    c.fillRect(x0, lane.top, width > 3 && !merged ? width - 0.6 : width, lane.height);
    if (width > 26 && !merged) {
      const text = label(t, lane, i, width - 8, c);
      if (text) {
        c.fillStyle = alpha < 0.6 ? p.ink : inkOn(fill); // what is pale lets the ground through
        c.fillText(text, x0 + 4, lane.top + lane.height / 2 + 0.5);
      }
    }
  }
  c.globalAlpha = 1;
}

function label(t, lane, i, width, c) {
  const found = t.data.names[lane.name[i]];
  if (lane.role === "range") return clip(c, found[2], width) === found[2] ? found[2] : tail(c, found[1], width);
  if (lane.role !== "bubble") return clip(c, found[2], width);
  const long = `${found[2]} ${time(lane.end[i] - lane.start[i])}`;
  return c.measureText(long).width <= width ? long : clip(c, time(lane.end[i] - lane.start[i]), width, true);
}

// Of many calls of one range the number tells them apart: it is what stays of a long name.
function tail(c, text, width) {
  const number = /#\d+$/.exec(text)?.[0] ?? "";
  const spare = width - c.measureText(number).width;
  return spare < 0 ? "" : spare < 24 ? number : `${clip(c, text.slice(0, text.length - number.length), spare)}${number}`;
}

function clip(c, text, width, whole = false) {
  if (c.measureText(text).width <= width) return text;
  if (whole || width < 20) return "";
  let lo = 0;
  let hi = text.length;
  while (lo < hi) {
    const mid = (lo + hi + 1) >> 1;
    if (c.measureText(`${text.slice(0, mid)}…`).width <= width) lo = mid;
    else hi = mid - 1;
  }
  return lo > 1 ? `${text.slice(0, lo)}…` : "";
}

// What lies outside the side's own part is paler: device lanes by [0, end), host lanes by the call's host time.
function shade(t, c, side, right) {
  c.fillStyle = t.data.palette.paper;
  c.globalAlpha = 0.62;
  for (const lane of side.lanes) {
    const device = lane.role === "kernel" || lane.role === "bubble";
    const about = device ? [side.begin, side.end] : side.host;
    if (!about) continue;
    const x0 = Math.min(right, t.x(about[0]));
    const x1 = Math.max(GUTTER, t.x(about[1]));
    if (x0 > GUTTER) c.fillRect(GUTTER, lane.top, x0 - GUTTER, lane.height);
    if (x1 < right) c.fillRect(x1, lane.top, right - x1, lane.height);
  }
  c.globalAlpha = 1;
}

function arrows(t, c, side) {
  const drawn = [];
  const parted = side.lanes.every((lane) => lane.role !== "kernel" || lane.exact); // else a few would stand for many
  for (const lane of side.lanes) {
    if (!lane.link) continue;
    const from = Math.max(0, above(lane.end, t.view.lo) - 1);
    for (let i = from; i < lane.start.length && lane.start[i] < t.view.hi; i++) {
      if (lane.linkLane[i] >= 0 && drawn.length <= MOST_ARROWS) drawn.push([lane, i]);
    }
  }
  const p = t.data.palette;
  c.lineWidth = 1;
  for (const [lane, i] of drawn) {
    const mine = about(t.picked, side, lane, i) || (t.hover && t.hover.lane === lane && t.hover.i === i);
    if (!mine && (!parted || drawn.length > MOST_ARROWS || t.name || lane.start[i] < side.begin || lane.start[i] >= side.end)) continue;
    c.globalAlpha = mine ? 1 : 0.45;
    c.lineWidth = mine ? 1.8 : 1;
    arrow(t, c, side, lane, i, mine ? p.ink : p.launch);
  }
  c.globalAlpha = 1;
}

function about(picked, side, lane, i) {
  return picked !== null && picked.side === side.id && picked.lane === lane.lane && picked.item === lane.item[i];
}

function arrow(t, c, side, lane, i, colour) {
  const host = side.byLane.get(lane.linkLane[i]);
  if (!host) return;
  const x0 = t.x(lane.link[i]);
  const x1 = t.x(lane.start[i]);
  const y0 = host.top + host.height;
  const y1 = lane.top;
  const bend = Math.max(8, (y1 - y0) * 0.6);
  c.strokeStyle = colour;
  c.fillStyle = colour;
  c.beginPath();
  c.moveTo(x0, y0);
  c.bezierCurveTo(x0, y0 + bend, x1, y1 - bend, x1, y1);
  c.stroke();
  c.beginPath();
  c.moveTo(x1 - 3, y1 - 5);
  c.lineTo(x1 + 3, y1 - 5);
  c.lineTo(x1, y1);
  c.fill();
}

// Every call from its own zero, a thin row each.
function raster(t, c, side, right) {
  const p = t.data.palette;
  const calls = side.calls;
  const high = Math.max(1, calls.step - 1);
  c.fillStyle = p.bubble_fill;
  calls.lengths.forEach((length, k) => {
    const x0 = Math.max(GUTTER, t.x(0));
    const x1 = Math.min(right, t.x(length));
    c.fillStyle = side.trusted ? p.bubble_fill : p.unsure_fill;
    if (x1 > x0) c.fillRect(x0, calls.top + k * calls.step, x1 - x0, high);
  });
  for (let i = 0; i < calls.row.length; i++) {
    const x0 = t.x(calls.start[i]);
    const x1 = t.x(calls.end[i]);
    if (x1 < GUTTER || x0 > right) continue;
    c.fillStyle = calls.tone[i] === 1 ? p.copy : p.kernel;
    c.fillRect(x0, calls.top + calls.row[i] * calls.step, Math.max(0.8, x1 - x0), high);
  }
}

function headings(t, c, side, right) {
  const p = t.data.palette;
  c.textBaseline = "middle";
  c.fillStyle = p.paper;
  c.fillRect(0, side.top, t.width, HEAD - 2);
  c.fillStyle = p.ink;
  c.textAlign = "left";
  c.font = BOLD;
  c.fillText(side.title, 2, side.top + 14);
  const used = c.measureText(side.title).width + 30;
  c.font = PLAIN;
  c.fillStyle = p.muted;
  c.textAlign = "right";
  c.fillText(clip(c, [side.facts, side.note].filter(Boolean).join("  ·  "), right - used), right, side.top + 14);
  c.fillStyle = p.muted;
  for (const lane of side.lanes) {
    if (lane.label) c.fillText(clip(c, lane.label, GUTTER - 16), GUTTER - 10, lane.top + lane.height / 2);
  }
  memoryLabels(t, c, side);
  const calls = side.calls;
  if (!calls) return;
  const more = calls.more ? `, ${calls.more} more` : "";
  c.fillText(clip(c, `all ${calls.numbers.length} calls${more}`, GUTTER - 16), GUTTER - 10, calls.top + 8);
  const shown = calls.numbers.indexOf(calls.shown);
  if (shown >= 0) {
    const y = calls.top + shown * calls.step + calls.step / 2;
    c.fillStyle = p.ink;
    c.beginPath();
    c.moveTo(GUTTER - 7, y - 4);
    c.lineTo(GUTTER - 7, y + 4);
    c.lineTo(GUTTER - 1, y);
    c.fill();
  }
}

// The chosen stretch, the picked span, and the line under the pointer.
function marks(t, c, right) {
  const p = t.data.palette;
  const foot = t.height - NOTE;
  if (t.stretch) {
    const x0 = Math.max(GUTTER, t.x(t.stretch[0]));
    const x1 = Math.min(right, t.x(t.stretch[1]));
    if (x1 > x0) {
      c.fillStyle = p.ink;
      c.globalAlpha = 0.08;
      c.fillRect(x0, TOP - 12, x1 - x0, foot - TOP + 12);
      c.globalAlpha = 1;
      c.strokeStyle = p.ink;
      c.lineWidth = 1;
      c.strokeRect(x0 + 0.5, TOP - 11.5, x1 - x0 - 1, foot - TOP + 11);
      c.font = SMALL;
      c.textAlign = "center";
      c.textBaseline = "middle";
      const text = time(t.stretch[1] - t.stretch[0]);
      const half = c.measureText(text).width / 2 + 6;
      const at = Math.min(Math.max((x0 + x1) / 2, GUTTER + half), right - half);
      c.fillStyle = p.ink;
      c.fillRect(at - half, TOP - 19, 2 * half, 15);
      c.fillStyle = p.paper;
      c.fillText(text, at, TOP - 11);
    }
  }
  const picked = t.picked;
  const side = picked && t.data.sides.find((one) => one.id === picked.side);
  const lane = side && side.byLane.get(picked.lane);
  if (lane) {
    const x0 = Math.max(GUTTER - 2, t.x(picked.start));
    const x1 = Math.min(right + 2, Math.max(t.x(picked.end), t.x(picked.start) + 1));
    if (x1 >= GUTTER && x0 <= right) {
      c.strokeStyle = p.paper;
      c.lineWidth = 5;
      c.strokeRect(x0 - 1, lane.top - 1, x1 - x0 + 2, lane.height + 2);
      c.strokeStyle = p.ink;
      c.lineWidth = 2;
      c.strokeRect(x0 - 1, lane.top - 1, x1 - x0 + 2, lane.height + 2);
    }
  }
  if (t.pointer && t.pointer.x > GUTTER && t.pointer.x < right && t.pointer.y > TOP - 12) {
    c.strokeStyle = p.unsure;
    c.lineWidth = 1;
    c.setLineDash([3, 3]);
    c.beginPath();
    c.moveTo(t.pointer.x + 0.5, TOP - 12);
    c.lineTo(t.pointer.x + 0.5, foot);
    c.stroke();
    c.setLineDash([]);
  }
}
