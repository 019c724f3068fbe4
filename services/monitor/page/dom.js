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

const MOST_MOVES = 20;

/**
 * Keeps the children of an element in step with a list of things: those that stay keep their place in the document and
 * their state, and one that can't be shown says so in its own place.
 */
export class List {
  #parent; #make; #rows = new Map(); #sight = null;

  /** `make(thing)` gives {node, update(thing)}. `isLong`: rows that nobody sees are brought up to date when they are. */
  constructor(parent, make, isLong = false) {
    this.#parent = parent;
    this.#make = make;
    if (isLong) {
      const look = (seen) => { for (const entry of seen) this.#look(entry.target.serialgwRow, entry.isIntersecting); };
      this.#sight = new IntersectionObserver(look, { rootMargin: "600px 0px" });
    }
  }

  #look(row, isSeen) {
    row.isSeen = isSeen;
    if (isSeen) this.#update(row);
  }

  #update(row) {
    try { row.update(row.thing); } catch (error) { console.error(error); setText(row.node, `${row.key}: can't be shown`); }
  }

  #add(key, thing) {
    const row = { ...this.#make(thing), key, thing, isSeen: !this.#sight };
    this.#rows.set(key, row);
    this.#update(row);
    if (this.#sight) { row.node.serialgwRow = row; this.#sight.observe(row.node); }
    return row;
  }

  #remove(row) {
    this.#sight?.unobserve(row.node);
    row.node.remove();
    this.#rows.delete(row.key);
  }

  /** Shows these things; `keyOf` tells them apart. */
  show(things, keyOf) {
    const wanted = new Set(things.map(keyOf));
    for (const row of this.#rows.values()) if (!wanted.has(row.key)) this.#remove(row);
    const nodes = things.map((thing) => {
      const key = keyOf(thing);
      const row = this.#rows.get(key);
      if (!row) return this.#add(key, thing).node;
      row.thing = thing;
      if (row.isSeen) this.#update(row);
      return row.node;
    });
    // At once where it is another order: a thousand moves, one by one, take seconds.
    if (this.#moves(nodes) > MOST_MOVES) { this.#parent.replaceChildren(...nodes); return; }
    let before = this.#parent.firstChild;
    for (const node of nodes) {
      if (node === before) before = before.nextSibling;
      else this.#parent.insertBefore(node, before);
    }
  }

  /** How many nodes that are there already would have to go elsewhere. */
  #moves(nodes) {
    let place = this.#parent.firstChild, moves = 0;
    for (const node of nodes) {
      if (node === place) place = place.nextSibling;
      else if (node.parentNode) moves += 1;
    }
    return moves;
  }

  /** Watches nothing any more. */
  close() { this.#sight?.disconnect(); }
}
