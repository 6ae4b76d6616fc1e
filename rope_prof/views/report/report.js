"use strict";
// Zoom of the timelines, kept in the address; details of what is clicked. Asks nobody for anything.
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const figures = new Map();
  const state = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const remember = (name, value) => {
    const held = state();
    if (value === null) held.delete(name); else held.set(name, value);
    const text = held.toString().replace(/%2C/g, ",");
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  };
  const number = (us, step) => {
    const digits = step >= 1 ? 0 : Math.min(3, Math.ceil(-Math.log10(step) - 1e-9));
    return us.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  };
  const steps = (low, high, most) => {
    const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) || 10 * power;
  };

  class Figure {
    constructor(svg) {
      this.svg = svg;
      this.name = svg.dataset.zoom;
      for (const key of ["lo", "hi", "x0", "x1", "y0", "y1"]) this[key] = Number(svg.dataset[key]);
      this.full = [this.lo, this.hi];
      this.ticks = svg.querySelector(".ticks");
      this.spans = [...svg.querySelectorAll("[data-a]")].map((node) => {
        const span = { node, a: Number(node.dataset.a), b: Number(node.dataset.b), kind: node.tagName };
        if (span.kind === "polyline") span.y = node.getAttribute("points").split(" ").map((p) => p.split(",")[1]);
        if (span.kind === "text") span.room = Number(node.dataset.room);
        return span;
      });
      this.box = svg.closest("figure");
      this.info = this.box.querySelector(".info");
      this.band = document.createElementNS(NS, "rect");
      this.band.setAttribute("class", "band");
      this.band.setAttribute("visibility", "hidden");
      svg.append(this.band);
      this.listen();
    }
    at(ns) { return this.x0 + (ns - this.lo) / (this.hi - this.lo) * (this.x1 - this.x0); }
    ns(x) { return this.lo + (x - this.x0) / (this.x1 - this.x0) * (this.hi - this.lo); }
    x(event) {
      const box = this.svg.getBoundingClientRect();
      return (event.clientX - box.left) / box.width * this.svg.viewBox.baseVal.width;
    }
    show(lo, hi, keep = true) {
      const width = Math.max(10, Math.min(hi - lo, 4 * (this.full[1] - this.full[0])));
      const centre = (lo + hi) / 2;
      this.lo = centre - width / 2; this.hi = centre + width / 2;
      this.draw();
      const whole = Math.abs(this.lo - this.full[0]) < 1 && Math.abs(this.hi - this.full[1]) < 1;
      if (keep) remember(this.name, whole ? null : `${Math.round(this.lo)},${Math.round(this.hi)}`);
    }
    draw() {
      const clamp = (x) => Math.max(-1e5, Math.min(1e5, x)).toFixed(2);
      for (const { node, a, b, kind, y, room } of this.spans) {
        const x = this.at(a), end = this.at(b);
        if (kind === "rect") {
          const left = Math.max(-2000, x), right = Math.min(4000, Math.max(end, x + 0.8));
          node.setAttribute("x", left.toFixed(2));
          node.setAttribute("width", Math.max(0, right - left).toFixed(2));
        } else if (kind === "polyline") {
          node.setAttribute("points", `${clamp(x)},${y[0]} ${clamp(end)},${y[y.length - 1]}`);
        } else {
          const left = Math.max(x, this.x0), right = Math.min(end, this.x1);
          const fits = right - left >= room;
          node.setAttribute("visibility", fits ? "visible" : "hidden");
          if (fits) node.setAttribute("x", ((left + right) / 2).toFixed(2));
        }
      }
      const step = steps(this.lo / 1e3, this.hi / 1e3, 10), nodes = [];
      for (let k = Math.ceil(this.lo / 1e3 / step); k * step <= this.hi / 1e3; k++) {
        const x = this.at(k * step * 1e3).toFixed(2);
        const line = document.createElementNS(NS, "polyline");
        line.setAttribute("points", `${x},${this.y0} ${x},${this.y1}`);
        line.setAttribute("class", "s-rule");
        line.setAttribute("fill", "none");
        const text = document.createElementNS(NS, "text");
        text.setAttribute("x", x); text.setAttribute("y", this.y1 + 16);
        text.setAttribute("text-anchor", "middle"); text.setAttribute("font-size", "12");
        text.setAttribute("class", "f-muted");
        text.textContent = number(k * step || 0, step);
        nodes.push(line, text);
      }
      this.ticks.replaceChildren(...nodes);
    }
    zoom(factor, centre = (this.lo + this.hi) / 2) {
      this.show(centre - (centre - this.lo) * factor, centre + (this.hi - centre) * factor);
    }
    pan(share) {
      const by = share * (this.hi - this.lo);
      this.show(this.lo + by, this.hi + by);
    }
    fit() { this.show(...this.full); }
    listen() {
      let from = null, moved = false, panning = false, held = null;
      this.svg.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        from = this.x(event); moved = false; panning = event.shiftKey; held = [this.lo, this.hi];
        this.svg.focus({ preventScroll: true });
      });
      this.svg.addEventListener("pointermove", (event) => {
        if (from === null) return;
        const x = this.x(event);
        if (!moved && Math.abs(x - from) > 4) { moved = true; this.svg.setPointerCapture(event.pointerId); }
        if (!moved) return;
        if (panning) {
          const by = (from - x) / (this.x1 - this.x0) * (held[1] - held[0]);
          this.show(held[0] + by, held[1] + by);
          return;
        }
        const [a, b] = [Math.min(from, x), Math.max(from, x)];
        for (const [k, v] of [["x", a], ["y", this.y0], ["width", b - a], ["height", this.y1 - this.y0],
          ["visibility", "visible"]]) this.band.setAttribute(k, v);
      });
      const end = (event) => {
        this.band.setAttribute("visibility", "hidden");
        if (from !== null && moved && !panning && event.type === "pointerup") {
          const x = this.x(event);
          this.show(this.ns(Math.min(from, x)), this.ns(Math.max(from, x)));
        } else if (from !== null && !moved) this.tell(event.target);
        from = null;
      };
      this.svg.addEventListener("pointerup", end);
      this.svg.addEventListener("pointercancel", end);
      this.svg.addEventListener("dblclick", () => this.fit());
      this.svg.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.altKey) return;
        event.preventDefault();
        this.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.ns(this.x(event)));
      }, { passive: false });
      this.svg.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const does = { w: () => this.zoom(0.7), s: () => this.zoom(1.43), a: () => this.pan(-0.2), d: () => this.pan(0.2),
          f: () => this.fit(), "+": () => this.zoom(0.7), "-": () => this.zoom(1.43),
          ArrowLeft: () => this.pan(-0.2), ArrowRight: () => this.pan(0.2) }[
          event.key.length === 1 ? event.key.toLowerCase() : event.key];
        if (does) { event.preventDefault(); does(); }
      });
      const does = { in: () => this.zoom(0.6), out: () => this.zoom(1.67), left: () => this.pan(-0.25),
        right: () => this.pan(0.25), fit: () => this.fit() };
      for (const button of this.box.querySelectorAll("button[data-do]")) {
        button.addEventListener("click", () => does[button.dataset.do]());
      }
    }
    tell(node) {
      const span = node.closest("[data-a]");
      const title = span && span.querySelector("title");
      for (const old of this.svg.querySelectorAll(".picked")) old.classList.remove("picked");
      if (span && title) span.classList.add("picked");
      this.info.textContent = title ? title.textContent : "";
    }
  }

  const go = (target, how) => {
    const folded = target.querySelector(":scope > details");
    if (folded) folded.open = true;
    target.scrollIntoView(how);
  };
  const read = () => {
    const held = state();
    for (const [name, figure] of figures) {
      const [lo, hi] = (held.get(name) || "").split(",").map(Number);
      if (hi > lo) {
        for (let fold = figure.svg.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
        figure.show(lo, hi, false);
      } else if (figure.lo !== figure.full[0]) figure.show(...figure.full, false);
    }
    const at = held.get("at"), target = at && document.getElementById(at);
    if (target) go(target);
  };
  for (const svg of document.querySelectorAll("svg[data-zoom]")) {
    const figure = new Figure(svg);
    figures.set(figure.name, figure);
  }
  for (const link of document.querySelectorAll("nav a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const name = link.getAttribute("href").slice(1);
      remember("at", name);
      go(document.getElementById(name), { behavior: "smooth" });
    });
  }
  addEventListener("hashchange", read);
  addEventListener("beforeprint", () => { for (const fold of document.querySelectorAll("details")) fold.open = true; });
  document.documentElement.classList.add("scripted");
  read();
})();
