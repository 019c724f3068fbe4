// Which data point takes which bytes of one frame, and the other way round.

import { el, fill, setAttribute, setText } from "./dom.js";
import { ask } from "./feed.js";
import { asText, asValue, clock, harmless } from "./words.js";

/** {node, look(seen, at, key), close()}: a frame taken apart; `at` is the byte, or `key` the value, that was clicked. */
export function frameMarks(name) {
  let bytes = [], points = [], chips = [], asked = 0;
  const head = el("h3");
  const row = el("div", { class: "mark-row", role: "group", "aria-label": "Bytes of the frame" });
  const taken = el("div", { class: "tools" });
  const note = el("p", { "aria-live": "polite" });
  const shut = el("button", { type: "button", onclick: () => { node.hidden = true; } }, "close");
  const node = el("div", { class: "card marked", hidden: true }, el("div", { class: "tools" }, head, shut), row, taken, note);

  /** Marks the bytes of a point; of none: the byte that nobody takes. */
  function mark(point, at = null) {
    bytes.forEach((byte, place) => {
      const is = point ? place >= point.from && place < point.to : place === at;
      setAttribute(byte, "class", is ? "byte is" : "byte");
      setAttribute(byte, "aria-pressed", is);
    });
    chips.forEach((chip, place) => setAttribute(chip, "aria-pressed", points[place] === point));
  }

  function place(point) {
    const last = point.to - 1;
    return last > point.from ? `bytes ${point.from} to ${last}` : `byte ${point.from}`;
  }

  function pick(at) {
    const found = points.filter((point) => point.from <= at && at < point.to);
    mark(found[0], at);
    setText(note, found.length ? `Byte ${at} is taken by ${found.map((point) => `${harmless(point.key)} (${place(point)}, ${point.type})`).join(", ")}.`
      : `No data point takes byte ${at}.`);
  }

  function choose(point) {
    mark(point.from === undefined ? undefined : point);
    setText(note, point.from === undefined ? `${harmless(point.key)}: ${harmless(point.why) || "it has no bytes of its own"}.`
      : `${harmless(point.key)} takes ${place(point)}, as ${point.type}${point.why ? `: ${harmless(point.why)}` : ""}.`);
  }

  return {
    node,
    async look(seen, at = null, key = null) {
      const mine = ++asked;
      node.hidden = false;
      node.scrollIntoView({ block: "nearest" });
      setText(head, `Frame of ${clock(seen.ts)}`);
      points = [];
      fill(taken);
      const all = seen.hex.match(/../g) ?? [];
      const isText = /^([2-7].|0[9ad])*$/.test(seen.hex);
      bytes = all.map((byte, place) => el("button", { type: "button", class: place === at ? "byte is" : "byte", title: `byte ${place}: 0x${byte}`, "aria-label": `byte ${place}: ${byte}`, onclick: () => pick(place) }, isText ? asText(byte) : byte));
      fill(row, bytes);
      setText(note, "Looking …");
      if (seen.bytes > all.length) { setText(note, `It has ${seen.bytes} bytes, of which the first ${all.length} are shown: that is too little to say which point takes what.`); return; }
      const query = new URLSearchParams({ name, hex: seen.hex });
      for (const value of seen.values) query.append("key", value.key);
      const found = await ask(`api/marks?${query}`);
      if (mine !== asked) return;
      if (found.error) { setText(note, harmless(found.error)); return; }
      points = found.points;
      const value = (point) => seen.values.find((one) => one.key === point.key);
      chips = points.map((point) => el("button", { type: "button", class: "chip", "aria-pressed": "false", onclick: () => choose(point) },
        el("b", {}, harmless(point.key)), value(point) ? ` ${asValue(value(point).value)}` : ""));
      fill(taken, chips);
      const chosen = points.find((point) => point.key === key);
      if (chosen) choose(chosen);
      else if (at !== null && !found.why) pick(at);
      else setText(note, found.why ? `${harmless(found.why)}.` : "Press a byte to see what takes it, or a value to see its bytes.");
    },
  };
}

/** Which byte of a frame stands at a place of its text, which is in hex or text with escapes. */
export function byteAt(hex, isHex, place) {
  if (isHex) return Math.min(Math.floor(place / 3), hex.length / 2 - 1);
  let length = 0;
  for (let at = 0; at < hex.length / 2; at += 1) {
    length += asText(hex.slice(at * 2, at * 2 + 2)).length;
    if (place < length) return at;
  }
  return null;
}
