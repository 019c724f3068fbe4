// What has happened: newest on top, of all devices or of one.

import { el, fill, List, setAttribute, setText, withCode } from "./dom.js";
import { ask } from "./feed.js";
import { counted, harmless, moment, nextStep, stateOf, zoned } from "./words.js";

/** Kind of event → how it is called here. */
const KINDS = { device: "devices", port: "ports", platform: "platform", process: "processes", change: "changes from a page", log: "warnings and errors of the log" };
const GOOD = new Set(["up", "alive", "done"]);
const PAGE = 100;
/** Rows that are kept here; the gateway has more. */
const MOST_ROWS = 500;
const MOST_OF_A_DEVICE = 8;

/** The page: {node, update(), close(), fits(query)}. `query` is what stands behind ? in the address. */
export function events(feed, query, go) {
  const wanted = { device: query.get("device") ?? "", kind: Object.hasOwn(KINDS, query.get("kind") ?? "") ? query.get("kind") : "" };
  let soon = 0;
  const names = el("datalist", { id: "known-devices" });
  const device = el("input", { type: "search", list: "known-devices", placeholder: "Device  /", "aria-label": "Only events of this device", value: wanted.device,
    oninput: () => { clearTimeout(soon); soon = setTimeout(choose, 250); } });
  const kind = el("select", { "aria-label": "Only events of this kind", onchange: () => choose() },
    el("option", { value: "" }, "all kinds"), Object.entries(KINDS).map(([value, text]) => el("option", { value }, text)));
  kind.value = wanted.kind;
  const hold = el("button", { type: "button", onclick: () => list.pause() }, "pause");
  const everything = el("a", { href: "#/events", hidden: true }, "show all");
  const older = el("button", { type: "button", hidden: true, onclick: () => list.older() }, "older ones");
  const list = eventList(feed, { size: PAGE, tell });
  const node = el("section", { class: "events" }, el("h1", {}, "Events"),
    el("div", { class: "tools" }, device, names, kind, hold, everything), list.note, list.node, el("p", {}, older));
  let known = "";

  function choose() {
    wanted.device = device.value.trim();
    wanted.kind = kind.value;
    go("/events", wanted);
    everything.hidden = !wanted.device && !wanted.kind;
    list.show(wanted);
  }

  function tell(state) {
    older.hidden = !state.more;
    setText(hold, state.isPaused ? (state.missed ? `go on (${state.missed} since)` : "go on") : "pause");
  }

  everything.hidden = !wanted.device && !wanted.kind;
  list.show(wanted);
  return {
    node,
    search: device,
    fits: (other) => (other.get("device") ?? "") === wanted.device && (other.get("kind") ?? "") === wanted.kind,
    update() {
      const all = [...feed.devices.keys()];
      if (all.join("\n") !== known) { known = all.join("\n"); fill(names, all.map((name) => el("option", { value: name }))); }
    },
    key(letter) { if (letter === "p") list.pause(); },
    close() { clearTimeout(soon); list.close(); },
  };
}

/** The last events of one device, for its page. */
export function lastEvents(feed, name) {
  const list = eventList(feed, { size: MOST_OF_A_DEVICE, most: MOST_OF_A_DEVICE, isOfOne: true, tell() {} });
  list.show({ device: name, kind: "" });
  const node = el("section", { class: "events" }, el("h2", {}, "Events"), list.note, list.node,
    el("p", {}, el("a", { href: `#/events?${new URLSearchParams({ device: name })}` }, "all its events")));
  return { node, close() { list.close(); } };
}

/** A table that follows what happens: {node, note, show(wanted), older(), pause(), close()}. */
function eventList(feed, { size, most = MOST_ROWS, isOfOne = false, tell }) {
  let wanted = { device: "", kind: "" }, rows = [], more = false, asked = 0, isPaused = false, missed = [];
  const note = el("p", { class: "quiet" });
  const body = el("tbody");
  const heads = isOfOne ? ["Time", "What"] : ["Time", "Where", "What"];
  const node = el("table", { class: "log", hidden: true }, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))), body);
  const list = new List(body, (event) => row(event, isOfOne));

  async function load(before) {
    const mine = ++asked;
    const query = { ...wanted, limit: size, ...(before === undefined ? {} : { before }) };
    const found = await ask(`api/events?${new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""))}`);
    if (mine !== asked) return;
    if (found.error) { setText(note, harmless(found.error)); return; }
    // What was told while this answer was on its way is newer than all that it has.
    const last = found.events[0]?.id ?? 0;
    rows = before === undefined ? [...rows.filter((event) => event.id > last), ...found.events] : [...rows, ...found.events].slice(0, most);
    more = found.more && rows.length < most;
    draw();
  }

  function draw() {
    list.show(rows, (event) => event.id);
    node.hidden = rows.length === 0;
    const isFiltered = wanted.kind || (wanted.device && !isOfOne);
    if (rows.length) setText(note, isOfOne ? "" : `The newest ${counted(rows.length, "event")}. Times are this browser's, ${zoned(feed.nowMs)}.`);
    else setText(note, isFiltered ? "No event fits. Only what happened lately is kept: the log has more (serialgw logs)."
      : isOfOne ? "Nothing has happened to it since the monitor was started." : "Nothing has happened yet: a port that is lost, a platform that can't be reached, a warning in the log would stand here.");
    tell({ more, isPaused, missed: missed.length });
  }

  function hear(found, isMissing) {
    if (isMissing) { if (!isPaused) load(); return; }
    const mine = found.filter((event) => (!wanted.device || event.device === wanted.device) && (!wanted.kind || event.kind === wanted.kind)).toReversed();
    if (!mine.length) return;
    if (isPaused) { missed = [...mine, ...missed].slice(0, most); tell({ more, isPaused, missed: missed.length }); return; }
    more ||= rows.length + mine.length > most;
    const known = new Set(rows.map((event) => event.id));
    rows = [...mine.filter((event) => !known.has(event.id)), ...rows].slice(0, most);
    draw();
  }

  feed.watchers.add(hear);
  return {
    node, note,
    show(other) { wanted = { ...other }; missed = []; rows = []; setText(note, "Looking …"); load(); },
    older() { load(rows.at(-1)?.id); },
    pause() {
      isPaused = !isPaused;
      if (!isPaused) { missed = []; load(); }
      tell({ more, isPaused, missed: missed.length });
    },
    close() { asked += 1; feed.watchers.delete(hear); },
  };
}

function row(event, isOfOne) {
  const [date, time] = moment(event.ms);
  const when = el("td", { class: "time" }, el("time", { datetime: new Date(event.ms).toISOString(), title: zoned(event.ms) }, el("span", { class: "date" }, date), " ", time));
  const where = event.device ? el("a", { href: `#/device/${encodeURIComponent(event.device)}` }, harmless(event.device))
    : el("span", {}, event.kind === "platform" ? "platform" : harmless(event.process.replace(/:0$/, "").replaceAll("_", " ")) || "gateway");
  const what = el("td", { class: "how" });
  const isState = event.kind === "device" || event.kind === "port";
  const word = (state) => (isState ? stateOf(state)[0] : state);
  const look = isState && !["added", "removed"].includes(event.to) ? stateOf(event.to)[1] : event.level === "info" ? (GOOD.has(event.to) ? "good" : "quiet") : event.level === "error" ? "bad" : "warn";
  if (event.to) what.append(event.from ? el("span", { class: "quiet" }, `${word(event.from)} → `) : "", el("span", { class: `state ${look}` }, harmless(word(event.to))));
  else what.append(el("span", { class: `state ${look}` }, event.level));
  if (event.kind === "process" && event.device) what.append(" ", el("span", { class: "quiet" }, "its process"));
  // A reason has commands in it; what was logged, or changed, is said as it is.
  const isReason = event.kind !== "log" && event.kind !== "change";
  if (event.text) what.append(el("span", { class: event.kind === "log" ? "reason said" : "reason" }, isReason ? withCode(harmless(event.text)) : harmless(event.text)));
  const next = nextStep(event);
  if (next) what.append(el("span", { class: "advice" }, withCode(next)));
  const node = el("tr", {}, when, isOfOne ? null : el("td", { class: "where" }, where), what);
  setAttribute(node, "class", `of-${event.kind}`);
  return { node, update() {} };
}
