// Search and groups: the text that is sought, the hit that is shown, and which spans stand out.

const TYPED = 180; // ms after the last key until the server is asked

// The number of the name that stands for a span: its group where kernels are grouped otherwise than by name.
const groupOf = (lane, i) => (lane.group ?? lane.name)[i];

function seek(t, text) {
  Object.assign(t, { find: text, hit: null, want: 0, name: null });
  found(t);
  redraw(t);
  ask(t, TYPED);
}

// Show the hit after or before the one that is shown; without one, that of the window. It goes round.
function step(t, by) {
  const { found: answer } = t.data;
  if (!t.find) {
    t.part("find").focus();
    return;
  }
  if (answer.text !== t.find) {
    t.want = by; // as soon as it is known where they are
    ask(t, 0);
    return;
  }
  if (!answer.count) return;
  const next = t.hit !== null ? t.hit + by : by > 0 ? answer.next : answer.next - 1;
  t.hit = (next + answer.count) % answer.count;
  Object.assign(t, { step: true, want: 0, name: null });
  found(t);
  redraw(t);
  ask(t, 0);
}

// Whether anything stands out, and whether that span does.
const marking = (t) => Boolean(t.name || (t.find && t.data.found.text === t.find));

function stands(t, lane, i) {
  if (!t.name) return Boolean(lane.hit[i]);
  if (t.data.names[groupOf(lane, i)][0] === t.name) return true;
  return lane.count !== undefined && lane.count[i] > 1 && t.data.wanted === t.name && Boolean(lane.hit[i]);
}

// The controls follow the state.
function found(t) {
  const { found: answer, groups } = t.data;
  const input = t.part("find");
  if (input.value !== t.find) input.value = t.find;
  const known = answer.text === t.find;
  const count = known ? `${t.hit === null ? "" : `${(t.hit + 1).toLocaleString("en-US")} of `}${answer.count.toLocaleString("en-US")} found` : "…";
  t.part("count").textContent = t.find ? count : "";
  for (const name of ["next", "prev"]) t.box.querySelector(`[data-do="${name}"]`).disabled = !t.find || (known && !answer.count);
  const only = t.box.querySelector('[data-do="only"]');
  only.checked = t.only;
  only.disabled = !t.find && !t.name && !t.only;
  options(t.box.querySelector('[data-do="group"]'), groups, t.group);
}

function options(select, pairs, value) {
  const said = JSON.stringify(pairs);
  if (select.dataset.said !== said) {
    select.dataset.said = said;
    select.replaceChildren(...pairs.map(([key, text]) => Object.assign(el("option", "", text), { value: key })));
  }
  select.value = value;
}
