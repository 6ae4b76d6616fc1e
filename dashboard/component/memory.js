// Memory over time, a row a device: what is allocated as an area, what is reserved as a line.

const DEEP = 46; // pixels of a row

function memoryRows(t, c, side, right) {
  const p = t.data.palette;
  for (const row of side.memory) {
    const foot = row.y + DEEP;
    const y = (value) => foot - (DEEP - 4) * (value / Math.max(1, row.top));
    const steps = (values) => {
      c.moveTo(t.x(row.at[0]), y(values[0]));
      for (let i = 1; i < row.at.length; i++) {
        c.lineTo(t.x(row.at[i]), y(values[i - 1]));
        c.lineTo(t.x(row.at[i]), y(values[i]));
      }
      c.lineTo(right, y(values[values.length - 1]));
    };
    c.fillStyle = p.panel;
    c.fillRect(GUTTER, row.y, right - GUTTER, DEEP);
    if (!row.at.length) continue;
    c.beginPath();
    steps(row.allocated);
    c.strokeStyle = p.ink;
    c.lineWidth = 1;
    c.stroke();
    c.lineTo(right, foot);
    c.lineTo(t.x(row.at[0]), foot);
    c.fillStyle = p.muted;
    c.globalAlpha = 0.3;
    c.fill();
    c.globalAlpha = 1;
    if (Number.isNaN(row.reserved[0])) continue;
    c.beginPath();
    steps(row.reserved);
    c.setLineDash([4, 3]);
    c.strokeStyle = p.muted;
    c.stroke();
    c.setLineDash([]);
  }
}

function memoryLabels(t, c, side) {
  c.fillStyle = t.data.palette.muted;
  c.textAlign = "right";
  for (const row of side.memory) {
    c.fillText(clip(c, row.label, GUTTER - 16), GUTTER - 10, row.y + 13);
    c.fillText(clip(c, row.peak, GUTTER - 16), GUTTER - 10, row.y + 31);
  }
}

// What is held at an instant, as two lines of a tip.
function memoryAt(t, row, ns) {
  const i = above(row.at, ns) - 1;
  if (i < 0) return ["nothing known yet", instant(t, ns)];
  const reserved = Number.isNaN(row.reserved[i]) ? "" : `, ${bytesText(row.reserved[i])} reserved`;
  return [`${bytesText(row.allocated[i])} allocated${reserved}`, `at ${instant(t, ns)}, the most of a pixel`];
}

function bytesText(bytes) {
  const [scale, unit] = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]].find(([one]) => Math.abs(bytes) >= one) ?? [1, "B"];
  return `${significant(bytes / scale, 3)} ${unit}`;
}
