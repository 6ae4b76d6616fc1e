// The flame graph under the timeline: boxes in shares of the whole; a click on one makes it the whole.

const BOX = 20; // pixels a level

function flameGraph(t) {
  const place = t.part("flame");
  const { flame } = t.data;
  place.hidden = t.below !== "flame";
  const by = t.box.querySelector('[data-do="flame-by"]');
  by.hidden = place.hidden || !flame || flame.sources.length < 2;
  if (place.hidden || !flame) return;
  options(by, flame.sources, flame.by);
  const said = JSON.stringify([flame, t.data.palette.ground]);
  if (said === t.flamed) return; // a zoom changes nothing of it
  t.flamed = said;
  if (!flame.by) {
    place.replaceChildren(el("p", "tl-hint", "The file has no ranges, modules, Python stacks or operators to fold by."));
    return;
  }
  place.replaceChildren(...flame.sides.flatMap((side) => flameOf(side)));
}

function flameOf(side) {
  const head = el("div", "tl-head");
  const left = side.left ? ` · ${side.left.toLocaleString("en-US")} frames too narrow to draw` : "";
  const above = side.skipped ? ` · below ${side.skipped} frames that hold all of it` : "";
  head.append(el("h3", "", side.title), el("span", "", `${side.total} of GPU time${above}${left}`));
  const levels = Math.max(0, ...side.boxes.map(([depth]) => depth)) + 1;
  const stage = el("div", "tl-boxes");
  stage.style.height = `${levels * BOX}px`;
  const nodes = side.boxes.map(([depth, at, width, name, short, leaf, told]) => {
    const node = el("button", leaf ? "tl-leaf" : "", short);
    node.type = "button";
    node.title = `${name}\n${told}`;
    node.style.top = `${depth * BOX}px`;
    node.onclick = () => show(at, width);
    return node;
  });
  const whole = el("button", "", "Show all");
  whole.type = "button";
  whole.onclick = () => show(0, 1);
  head.append(whole);
  const show = (from, wide) => {
    whole.hidden = wide === 1;
    side.boxes.forEach(([, at, width], k) => {
      const lo = Math.max(0, (at - from) / wide);
      const hi = Math.min(1, (at + width - from) / wide);
      nodes[k].hidden = hi - lo < 1e-4;
      nodes[k].style.left = `${100 * lo}%`;
      nodes[k].style.width = `${100 * (hi - lo)}%`;
    });
  };
  show(0, 1);
  stage.append(...nodes);
  return [head, stage];
}
