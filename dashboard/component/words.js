// The page around the canvas: legend, sums, facts, tip, keys. Names are put down as text nodes, never as markup.

const KEYS = [
  ["wheel", "once the timeline is clicked: zoom at the pointer; before that the page scrolls"],
  ["Ctrl + wheel", "zoom at the pointer at once; sideways or with Shift: pan"],
  ["drag", "pan"],
  ["Shift + drag, or E", "select a stretch to sum it"],
  ["click", "all facts of a span, and every other of its name"],
  ["double click", "zoom to a span"],
  ["W  S", "zoom in, out"],
  ["A  D", "earlier, later"],
  ["F", "fit: show all"],
  ["Z", "zoom to the stretch, else to the picked span"],
  ["/  N  Shift + N", "search names; the next hit, the hit before"],
  [",  .", "the neighbour before, after"],
  ["Esc", "let go of stretch and span"],
  ["?", "this list"],
];

const HEADS = [
  ["count", "spans that touch the stretch"],
  ["sum", "their time inside the stretch"],
  ["mean", "of their whole lengths"],
  ["share", "of kernels: of all GPU time in the stretch; of idle time: of the stretch"],
];

function el(tag, kind, text) {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  if (text !== undefined) node.textContent = text;
  return node;
}

function dot(colour) {
  const node = el("span", "tl-dot");
  node.style.background = colour;
  return node;
}

function legend(t) {
  const p = t.data.palette;
  const roles = new Set(t.data.sides.flatMap((side) => side.lanes.map((lane) => lane.role)));
  const tones = new Set();
  for (const side of t.data.sides) for (const lane of side.lanes) for (const tone of new Set(lane.tone)) tones.add(tone);
  const found = [];
  if (roles.has("launch")) found.push([p.launch, "launch call"]);
  if (tones.has(3)) found.push([p.unsure, "other host call"]);
  if (t.colour === "kernel") {
    for (const n of t.data.legend) found.push([hue(t, t.data.names[n][3]), t.data.names[n][2], t.data.names[n][1]]);
    found.push([p.unsure, "other groups"]);
  } else found.push([p.kernel, "kernel"]);
  if (tones.has(1)) found.push([p.copy, "copy or set"]);
  const trusted = t.data.sides.some((side) => side.trusted);
  if (trusted) for (const line of t.data.table.causes) found.push([p.causes[line.name[1]] ?? p.bubble, `idle: ${line.name[2]}`]);
  if (t.data.sides.some((side) => !side.trusted)) found.push([p.unsure_fill, "idle, stretched by the profiler"]);
  t.part("legend").replaceChildren(
    ...found.map(([colour, text, whole]) => {
      const node = el("span");
      if (whole) node.title = whole;
      node.append(dot(colour), el("b", "", text));
      return node;
    }),
  );
}

function sums(t) {
  const said = JSON.stringify([t.data.table, t.stretch, t.data.whole, t.name, t.colour, t.data.palette.ground]);
  if (said === t.said) return; // a zoom changes nothing of it
  t.said = said;
  const { table, palette } = t.data;
  const head = el("div", "tl-head");
  head.append(el("h3", "", t.stretch ? "In the stretch" : t.data.whole));
  if (t.stretch) {
    head.append(el("span", "", `${time(t.stretch[1] - t.stretch[0])} from ${instant(t, t.stretch[0])}`));
    const clear = el("button", "", "Clear");
    clear.type = "button";
    clear.onclick = () => choose(t, null);
    head.append(clear);
  } else head.append(el("span", "", table.titles.length > 1 ? table.lengths.map((text, k) => `${table.titles[k]} ${text}`).join("  ·  ") : table.lengths[0]));
  const grid = el("table");
  const top = el("thead");
  const first = el("tr");
  const second = el("tr");
  first.append(el("th", "", ""));
  second.append(el("th", "", t.data.groups.find(([by]) => by === t.data.group)[1]));
  const several = table.titles.length > 1;
  for (const title of table.titles) {
    const cell = el("th", "tl-title tl-first", title);
    cell.colSpan = 4;
    first.append(cell);
    HEADS.forEach(([word, means], k) => {
      const cell = el("th", k ? "" : "tl-first", word);
      cell.title = means;
      second.append(cell);
    });
  }
  if (several) top.append(first);
  else second.querySelectorAll("th").forEach((cell) => (cell.style.top = "0"));
  top.append(second);
  grid.append(top);
  const body = el("tbody");
  const colour = (line) => {
    const place = line.name[3];
    if (line.tone === 1) return palette.copy;
    return t.colour === "kernel" && place >= 0 ? hue(t, place) : palette.kernel;
  };
  lines(t, body, table.kernels, colour);
  if (table.more) body.append(separator(table.more, table.titles.length));
  if (table.causes.length) {
    body.append(separator("idle, by cause: share of the stretch", table.titles.length));
    lines(t, body, table.causes, (line) => palette.causes[line.name[1]] ?? palette.bubble);
  }
  if (!table.kernels.length && !table.causes.length) body.append(separator("nothing ran and nothing waited here", table.titles.length));
  grid.append(body);
  const scroll = el("div", "tl-scroll");
  scroll.append(grid);
  const old = t.part("sums").querySelector(".tl-scroll");
  const at = old ? old.scrollTop : 0;
  t.part("sums").replaceChildren(head, scroll);
  scroll.scrollTop = at;
  const marked = body.querySelector('[aria-selected="true"]');
  if (marked && t.reveal) {
    t.reveal = false;
    const place = marked.offsetTop - 60;
    if (place < scroll.scrollTop || place > scroll.scrollTop + scroll.clientHeight - 100) scroll.scrollTop = place;
  }
}

function separator(text, sides) {
  const node = el("tr", "tl-sep");
  const cell = el("td", "", text);
  cell.colSpan = 1 + 4 * sides;
  cell.style.maxWidth = "none";
  node.append(cell);
  return node;
}

function lines(t, body, found, colour) {
  for (const line of found) {
    const [key, name, short] = line.name;
    const node = el("tr");
    node.tabIndex = 0;
    node.dataset.key = key;
    node.setAttribute("aria-selected", String(t.name === key));
    const first = el("td");
    first.title = name;
    first.append(dot(colour(line)), document.createTextNode(short));
    node.append(first);
    for (const cell of line.cells) {
      (cell ?? ["–", "", "", ""]).forEach((text, k) => node.append(el("td", `${k ? "" : "tl-first"}${cell ? "" : " tl-none"}`, text)));
    }
    node.onclick = () => follow(t, key);
    node.onkeydown = (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        follow(t, key);
      }
    };
    body.append(node);
  }
}

function factSheet(t) {
  const place = t.part("facts");
  const picked = t.data.picked;
  const held = Boolean(t.picked && picked);
  place.classList.toggle("tl-docked", held);
  if (!held) {
    place.replaceChildren(el("p", "tl-hint", "Nothing picked. Click a kernel, a launch or a bubble for all its facts; click a line of the table for every span of that name. Hold Shift and drag to sum a stretch."));
    return;
  }
  const head = el("div", "tl-head");
  const close = el("button", "", "Close");
  close.type = "button";
  close.title = "Let go (Esc)";
  close.onclick = () => pick(t, null);
  head.append(el("h3", "", picked.role === "op" ? "operator" : picked.role), el("span", "", `${(picked.item + 1).toLocaleString("en-US")} of ${picked.of.toLocaleString("en-US")} · ${picked.where}`), close);
  const list = el("dl");
  for (const [label, text] of picked.facts) {
    const pair = el("div");
    pair.append(el("dt", "", label), el("dd", "", text));
    list.append(pair);
  }
  place.replaceChildren(head, el("p", "tl-name", picked.name), list);
}

function tip(t) {
  const node = t.part("tip");
  const hover = t.hover;
  if (!hover || t.drag) {
    node.hidden = true;
    return;
  }
  const { side, lane, i, call, memory } = hover;
  if (memory) {
    const [held, at] = memoryAt(t, memory, t.ns(t.pointer.x));
    node.replaceChildren(el("b", "", held), el("span", "", at));
  } else if (call !== undefined) {
    node.replaceChildren(el("b", "", `call ${side.calls.numbers[call]}`), el("span", "", `${time(side.calls.lengths[call])}; click to show it`));
  } else {
    const [, whole, short] = t.data.names[lane.name[i]];
    const name = lane.role === "bubble" ? short : whole;
    const many = lane.count !== undefined && lane.count[i] > 1;
    const length = time(lane.end[i] - lane.start[i]);
    const said = many ? `${lane.count[i].toLocaleString("en-US")} spans in ${length}, this one the longest; zoom in to part them` : `${length} from ${instant(t, lane.start[i])}`;
    node.replaceChildren(el("b", "", name), el("span", "", said));
  }
  node.hidden = false;
  const wide = node.offsetWidth;
  node.style.left = `${Math.max(4, Math.min(t.pointer.x + 14, t.width - wide - 4))}px`;
  node.style.top = `${t.pointer.y + 18}px`;
}

function keyList(t) {
  const node = t.part("keys");
  const list = el("dl");
  for (const [key, text] of KEYS) list.append(el("dt", "", key), el("dd", "", text));
  node.replaceChildren(el("h4", "", "Keys"), list);
}

function windowText(t) {
  const { lo, hi } = t.view;
  t.part("window").textContent = `${instant(t, lo, false)} to ${instant(t, hi)}  (${time(hi - lo)})`;
}

// An instant as finely as the window shows it.
function instant(t, ns, unit = true) {
  const found = axis(t.view.hi - t.view.lo, t.width * 4);
  const text = (ns / found.scale || 0).toLocaleString("en-US", { minimumFractionDigits: found.decimals, maximumFractionDigits: found.decimals });
  return unit ? `${text} ${found.unit}` : text;
}

// A cell that a spreadsheet must not take for a formula gets a leading quote.
function csvCell(text) {
  const safe = /^[=+\-@\t\r]/.test(text) && !/^-?[\d.,]+( |$)/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}

function csv(t) {
  const { table } = t.data;
  const head = ["kind", "name", ...table.titles.flatMap((title) => HEADS.map(([word]) => `${title} ${word}`))];
  const rows = [["kernel", table.kernels], ["idle", table.causes]].flatMap(([kind, found]) =>
    found.map((line) => [kind, line.name[1], ...line.cells.flatMap((cell) => cell ?? ["", "", "", ""])]),
  );
  return [head, ...rows].map((cells) => cells.map(csvCell).join(",")).join("\r\n");
}

function save(blob, name) {
  const link = el("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
