// The order of a table: by which column, told by its heads, and kept while its rows change.

import { el, setAttribute, setText } from "./dom.js";

/**
 * `columns` are [head, key, value(thing), is largest first]; a column without a key is none to sort by. `chosen` is
 * what stands in the address: "rate", or "-rate" the other way round. `change(text)` hears another choice.
 */
export function sorting(columns, chosen, change) {
  let places = new Map();
  const buttons = new Map();
  const heads = columns.map(([head, key]) => {
    if (!key) return el("th", { scope: "col" }, head);
    const mark = el("span", { class: "arrow", "aria-hidden": "true" });
    const button = el("button", { type: "button", class: "sort", onclick: () => choose(chosen === key ? `-${key}` : chosen === `-${key}` ? "" : key) }, head, mark);
    const node = el("th", { scope: "col" }, button);
    buttons.set(key, [node, mark]);
    return node;
  });
  const select = el("select", { "aria-label": "Sort by", class: "narrow", onchange: () => choose(select.value) },
    el("option", { value: "" }, "in their order"), columns.filter(([, key]) => key).map(([head, key]) => el("option", { value: key }, `by ${head.toLowerCase()}`)));
  const again = el("button", { type: "button", class: "link", hidden: true, onclick: () => { places = new Map(); change(chosen); } }, "sort again");

  function choose(text) {
    chosen = text;
    places = new Map();
    mark();
    change(text);
  }

  function mark() {
    const [key, isTurned] = [chosen.replace("-", ""), chosen.startsWith("-")];
    const column = columns.find((one) => one[1] === key);
    if (!column) chosen = "";
    for (const [name, [node, arrow]] of buttons) {
      const isDown = Boolean(column?.[3]) !== isTurned;
      setAttribute(node, "aria-sort", name === key ? (isDown ? "descending" : "ascending") : null);
      setText(arrow, name === key ? (isDown ? " ▼" : " ▲") : "");
    }
    select.value = column ? key : "";
  }

  function inOrder(things) {
    const [, , value, isLargestFirst] = columns.find((one) => one[1] === chosen.replace("-", ""));
    const sign = Boolean(isLargestFirst) !== chosen.startsWith("-") ? -1 : 1;
    return things.map((thing) => [value(thing), thing]).sort(([one], [other]) => {
      // Whoever has no value is last, whichever way round.
      if (one === null || other === null) return (one === null) - (other === null);
      return sign * (typeof one === "string" ? one.localeCompare(other) : one - other);
    }).map(([, thing]) => thing);
  }

  /** True where a person would see that one of two neighbours stands wrong: not where a rate goes from 9.9 to 10. */
  function isOutOfPlace(first, second) {
    if (inOrder([first, second])[0] === first) return false;
    const [, , value] = columns.find((one) => one[1] === chosen.replace("-", ""));
    const [one, other] = [value(first), value(second)];
    if (typeof one !== "number" || typeof other !== "number") return true;
    return Math.abs(one - other) > 1 + 0.2 * Math.max(Math.abs(one), Math.abs(other));
  }

  mark();
  return {
    heads, select, again,
    get chosen() { return chosen; },
    /** Forgets the order: another search is made. */
    renew() { places = new Map(); },
    /** These in their order. Rows stay where they are while their values change: who is about to press one finds it there. */
    sorted(things, keyOf) {
      if (!chosen) { again.hidden = true; return things; }
      const now = inOrder(things);
      if (!places.size) places = new Map(now.map((thing, at) => [keyOf(thing), at]));
      const kept = [...things].sort((one, other) => (places.get(keyOf(one)) ?? Infinity) - (places.get(keyOf(other)) ?? Infinity) || 0);
      again.hidden = kept.every((thing, at) => !at || !isOutOfPlace(kept[at - 1], thing));
      return kept;
    },
  };
}
