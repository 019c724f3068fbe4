// Small charts as SVG: a line through numbers, nothing more.

import { el } from "./dom.js";

/** A line as wide as its place. `update(numbers)` draws it anew. */
export function sparkline(width = 84, height = 22) {
  const line = el("svg:polyline", { class: "line" });
  const node = el("svg:svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, line);
  return {
    node,
    update(numbers) {
      node.toggleAttribute("hidden", !numbers.some((number) => number > 0));
      const top = Math.max(...numbers, 0.001);
      const step = numbers.length > 1 ? width / (numbers.length - 1) : 0;
      line.setAttribute("points", numbers.map((n, at) => `${(at * step).toFixed(1)},${(height - 2 - (n / top) * (height - 4)).toFixed(1)}`).join(" "));
    },
  };
}

/** A value over time: {node, update([[ms, number], …], name)}, with its range at the side. */
export function timeline(width = 640, height = 120) {
  const line = el("svg:polyline", { class: "line" });
  const high = el("span", { class: "mark high" });
  const low = el("span", { class: "mark low" });
  const drawing = el("svg:svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, line);
  const node = el("figure", { class: "chart", hidden: true }, drawing, high, low);
  return {
    node,
    update(points, name) {
      node.hidden = points.length < 2;
      if (node.hidden) return;
      const values = points.map(([, value]) => value);
      const top = Math.max(...values), bottom = Math.min(...values);
      const span = top - bottom || 1, first = points[0][0], wide = points.at(-1)[0] - first || 1;
      line.setAttribute("points", points.map(([ms, value]) =>
        `${(((ms - first) / wide) * width).toFixed(1)},${(height - 8 - ((value - bottom) / span) * (height - 16)).toFixed(1)}`).join(" "));
      high.textContent = String(top);
      low.textContent = String(bottom);
      node.setAttribute("aria-label", `${name}, from ${bottom} to ${top} in the last ${Math.round(wide / 1000)} seconds`);
    },
  };
}
