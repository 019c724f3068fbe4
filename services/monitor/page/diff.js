// Two texts line by line: what has gone, what has come, and a little of what stands around it.

import { el } from "./dom.js";
import { harmless } from "./words.js";

const AROUND = 3;
/** Cells of the table below; of texts that are larger and differ all over each line has gone, and each has come. */
const MOST_CELLS = 4000000;

/** [[sign, line], …]; the sign is "+", "-", " ", or "…" for equal lines that are left out. [] for equal texts. */
export function linesOfDiff(before, after) {
  if (before === after) return [];
  const a = before.split("\n"), b = after.split("\n");
  let head = 0, tail = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const rows = [...a.slice(0, head).map((line) => [" ", line]), ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail).map((line) => [" ", line])];
  const near = new Set();
  rows.forEach(([sign], at) => { if (sign !== " ") for (let one = at - AROUND; one <= at + AROUND; one++) near.add(one); });
  const found = [];
  rows.forEach((row, at) => {
    if (near.has(at)) found.push(row);
    else if (found.at(-1)?.[0] !== "…") found.push(["…", ""]);
  });
  return found;
}

/** The longest common lines of both, found from behind. */
function middle(a, b) {
  if (a.length * b.length > MOST_CELLS) return [...a.map((line) => ["-", line]), ...b.map((line) => ["+", line])];
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i * width + j] = a[i] === b[j] ? longest[(i + 1) * width + j + 1] + 1 : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const rows = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { rows.push([" ", a[i]]); i++; j++; }
    else if (j >= b.length || (i < a.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) rows.push(["-", a[i++]]);
    else rows.push(["+", b[j++]]);
  }
  return rows;
}

const NAMES = { "+": "come", "-": "gone", "…": "left-out", " ": "same" };

/** The differences of two sets of files, name → text, as nodes; null where there is none. */
export function diffOf(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const parts = names.flatMap((name) => {
    const rows = linesOfDiff(before[name] ?? "", after[name] ?? "");
    if (!rows.length) return [];
    return [el("h3", {}, harmless(name)), el("div", { class: "diff" }, rows.map(([sign, line]) =>
      el("div", { class: NAMES[sign] }, `${sign} ${harmless(line.replaceAll("\t", "    ").replace(/\r$/, ""))}`)))];
  });
  return parts.length ? el("div", {}, parts) : null;
}
