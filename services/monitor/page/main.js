// Which page is shown, and when it is drawn anew.

import { fill, setAttribute, setText, withCode } from "./dom.js";
import { Feed } from "./feed.js";
import { overview } from "./overview.js";
import { device } from "./device.js";
import { events } from "./events.js";
import { gateway } from "./gateway.js";
import { ports } from "./ports.js";
import { add } from "./add.js";
import { config } from "./config.js";
import { age, harmless, sentenceOf } from "./words.js";

const HIDDEN_MS = 30000;
const feed = new Feed();
/** Address behind the # → what makes its page; `query` is what stands behind the ?. */
const PAGES = {
  "/": (query) => overview(feed, query, go),
  "/gateway": () => gateway(feed),
  "/events": (query) => events(feed, query, go),
  "/ports": () => ports(feed, visit),
  "/add": (query) => add(feed, query, visit),
  "/config": (query) => config(feed, query),
};
const main = document.getElementById("main");
const sentence = document.getElementById("sentence");
const stale = document.getElementById("stale");
const pending = document.getElementById("pending");
let page = null, place = "", hiding = 0, said = "";

/** Goes to another page, or to another search on this one. */
function go(path, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value);
  const text = pairs.length ? `?${new URLSearchParams(pairs)}` : "";
  history.replaceState(null, "", `#${path}${text}`);
  draw();
}

/** Goes to another page, to which the browser's back leads back. */
function visit(path, query = {}) {
  const text = Object.keys(query).length ? `?${new URLSearchParams(query)}` : "";
  location.hash = `${path}${text}`;
}

function route() {
  const [path, query] = decodeHash();
  const key = path.startsWith("/device/") || Object.hasOwn(PAGES, path) ? path : "/";
  if (key !== place || !page || page.fits?.(query) === false) {
    const isOther = key !== place;
    page?.close();
    place = key;
    page = key.startsWith("/device/") ? device(feed, decoded(key.slice(8))) : PAGES[key](query);
    fill(main, page.node);
    if (isOther) window.scrollTo(0, 0);
  }
  const name = key === "/add" ? "ports" : key.slice(1).split("/")[0] || "devices";
  for (const link of document.querySelectorAll("nav a")) setAttribute(link, "aria-current", link.dataset.page === (name === "device" ? "devices" : name) ? "page" : null);
  draw();
}

/** A name in an address; as it stands there where a person has typed what is none. */
function decoded(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function decodeHash() {
  const [path, query] = location.hash.slice(1).split("?");
  return [path || "/", new URLSearchParams(query ?? "")];
}

function draw() {
  if (feed.silentMs === Infinity) return;
  page?.update();
  const [text, look] = sentenceOf([...feed.devices.values()], feed.link, feed.backlog);
  if (text !== said) { said = text; fill(sentence, withCode(harmless(text))); }
  setAttribute(sentence, "class", `sentence ${look}`);
  pending.hidden = !feed.configuration?.pending;
  document.title = look === "bad" ? "● serialgw" : "serialgw";
}

function tick() {
  const isStale = feed.isStale && feed.silentMs !== Infinity;
  document.body.classList.toggle("is-stale", isStale);
  stale.hidden = !isStale;
  if (isStale) setText(stale, `no news for ${age(feed.silentMs / 1000)}; trying to reach the gateway`);
  else if (feed.silentMs === Infinity) setText(sentence, "Connecting … If this stays, the gateway does not run, or you need a new link: `serialgw web`.".replaceAll("`", ""));
  draw();
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => feed.close(), HIDDEN_MS);
  else feed.open();
});

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "/" && page?.search) { event.preventDefault(); page.search.focus(); }
  else if (event.key === "j" || event.key === "k") move(event.key === "j" ? 1 : -1);
  else page?.key?.(event.key);
});

function move(step) {
  const links = [...main.querySelectorAll("tbody a")];
  const at = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
}

pending.querySelector("button").addEventListener("click", () => { if (page?.plan) page.plan(); else visit("/config", { plan: "1" }); });
window.addEventListener("hashchange", route);
feed.listeners.add(draw);
feed.open();
route();
setInterval(tick, 1000);
