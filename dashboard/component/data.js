// What comes from the server, made ready to draw: base64 to typed arrays, places on the canvas, words for times.

const GUTTER = 128; // pixels left of the time scale, for labels
const RIGHT = 10;
const TOP = 44; // minimap and axis
const HEIGHTS = { range: 16, op: 15, launch: 18, kernel: 26, bubble: 18 };
const HEAD = 28;
const FOOT = 10;
const NOTE = 22; // the line under everything

function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}
const f8 = (text) => new Float64Array(bytes(text).buffer);
const i4 = (text) => new Int32Array(bytes(text).buffer);

function decoded(data) {
  for (const side of data.sides) {
    for (const lane of side.lanes) {
      for (const part of ["start", "end", "link"]) if (lane[part] !== undefined) lane[part] = f8(lane[part]);
      for (const part of ["name", "group", "item", "count", "linkLane"]) if (lane[part] !== undefined) lane[part] = i4(lane[part]);
      for (const part of ["tone", "fill", "hit"]) if (lane[part] !== undefined) lane[part] = bytes(lane[part]);
    }
    for (const row of side.memory) for (const part of ["at", "allocated", "reserved"]) row[part] = f8(row[part]);
    const calls = side.calls;
    if (calls) {
      calls.row = i4(calls.row);
      calls.start = f8(calls.start);
      calls.end = f8(calls.end);
      calls.tone = bytes(calls.tone);
    }
  }
  return data;
}

// Tops and heights of everything, in CSS pixels; `byLane` finds a lane of a side by its number.
function placed(data) {
  let y = TOP;
  for (const side of data.sides) {
    side.top = y;
    y += HEAD;
    side.byLane = new Map();
    let before = null;
    for (const lane of side.lanes) {
      if (before !== null && lane.role !== before) y += before === "launch" ? 12 : 4;
      before = lane.role;
      lane.top = y;
      lane.height = HEIGHTS[lane.role];
      side.byLane.set(lane.lane, lane);
      y += lane.height + 2;
    }
    for (const row of side.memory) {
      y += 6;
      row.y = y;
      y += DEEP;
    }
    if (side.calls) {
      y += 6;
      side.calls.top = y;
      side.calls.step = Math.max(2, Math.min(8, Math.floor(150 / Math.max(1, side.calls.numbers.length))));
      y += side.calls.step * side.calls.numbers.length;
    }
    side.bottom = y;
    y += FOOT;
  }
  return y + NOTE;
}

const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

function significant(value, digits) {
  let decimals = 0;
  let size = Math.abs(value);
  while (size > 0 && size < 10 ** (digits - 1) && decimals < 12) {
    size *= 10;
    decimals += 1;
  }
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

function time(ns) {
  for (const [scale, unit] of UNITS) if (Math.abs(ns) >= scale) return `${significant(ns / scale, 3)} ${unit}`;
  return `${significant(ns, 3)} ns`;
}

// The unit of the axis for a window of that length, and the step of its ticks.
function axis(span, pixels) {
  const [scale, unit] = UNITS.find(([size]) => span >= 2 * size) ?? UNITS[3];
  const rough = (span * 95) / Math.max(pixels, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  return { scale, unit, step, decimals: Math.max(0, -Math.floor(Math.log10(step / scale) + 1e-9)) };
}

// First index whose value is over `limit`.
function above(array, limit) {
  let lo = 0;
  let hi = array.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (array[mid] > limit) hi = mid;
    else lo = mid + 1;
  }
  return lo;
}
