// The few lines that stand between the pages and the browser. Whatever a device, a user or a log says goes in as a text
// node: nothing here takes HTML.

import { harmless } from "./words.js";

/** Makes an element: el("td", {class: "name", onclick: f}, "text", child, …). Null children are left out. */
export function el(name, attributes = {}, ...children) {
  const made = name.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "value") made.value = value;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Puts other children into an element. */
export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

/** Sets a text only where it is another one: what a person has marked stays marked. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Words with `commands` in them, as nodes. */
export function withCode(text) {
  return text.split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));
}

/** Sets a text with `commands` in it, only where it is another one. */
export function setCoded(node, text) {
  if (node.textContent !== text.replaceAll("`", "")) fill(node, withCode(harmless(text)));
}

/** Sets or removes an attribute, only where that changes anything. */
export function setAttribute(node, name, value) {
  if (value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/**
 * Keeps the children of an element in step with a list of things: those that stay keep their place in the document and
 * their state, and one that can't be shown says so in its own place.
 */
export class List {
  #parent; #make; #rows = new Map();

  /** `make(thing)` gives {node, update(thing)}. */
  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
  }

  /** Shows these things; `keyOf` tells them apart. */
  show(things, keyOf) {
    const wanted = new Set(things.map(keyOf));
    for (const [key, row] of this.#rows) {
      if (!wanted.has(key)) { row.node.remove(); this.#rows.delete(key); }
    }
    let before = this.#parent.firstChild;
    for (const thing of things) {
      const key = keyOf(thing);
      let row = this.#rows.get(key);
      if (!row) { row = this.#make(thing); this.#rows.set(key, row); }
      try { row.update(thing); } catch (error) { console.error(error); setText(row.node, `${key}: can't be shown`); }
      if (row.node === before) before = before.nextSibling;
      else this.#parent.insertBefore(row.node, before);
    }
  }
}
