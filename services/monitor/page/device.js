// One device: how it is, what it says just now beside what that became, and what can be called.

import { el, fill, List, setAttribute, setCoded, setText, withCode } from "./dom.js";
import { timeline } from "./chart.js";
import { lastEvents } from "./events.js";
import { Samples, ask } from "./feed.js";
import { byteAt, frameMarks } from "./marks.js";
import { age, ago, asHex, asText, asValue, bytes, clock, count, counted, harmless, stateOf } from "./words.js";

const MOST_ROWS = 100;
const MOST_POINTS = 600;
/** Values that are shown beside each other: what is called how is the device's to say. */
const MOST_VALUES = 200;

/** The page: {node, update(), close()}. */
export function device(feed, name) {
  const title = el("h1", {}, harmless(name));
  const state = el("span", { class: "state" });
  const since = el("span", { class: "quiet" });
  const reason = el("p", { class: "reason" });
  const advice = el("p", { class: "advice" });
  const facts = el("dl", { class: "facts" });
  const live = liveFrames(name);
  const more = el("div");
  const letters = deadLetters(name);
  const happened = lastEvents(feed, name);
  const node = el("article", {}, el("p", { class: "back" }, el("a", { href: "#/" }, "← all devices")), title,
    el("p", { class: "how" }, state, " ", since), reason, advice, facts, live.values, live.node, more, letters.node, happened.node);
  let isEditable = false;

  ask(`api/device?name=${encodeURIComponent(name)}`).then((found) => {
    if (found.error) { fill(more, el("p", { class: "reason" }, found.error)); return; }
    isEditable = found.is_editable;
    fill(more, forms(name, found));
    letters.allow(isEditable);
    live.allow(isEditable);
    if (found.line) facts.append(...fact("Line", found.line.form), ...fact("Type", harmless(found.line.type)));
  });
  const dynamic = ["Port", "Last frame", "Rate", "Frames read", "Waiting", "Accepted", "Dead letters", "Errors"];
  const cells = new Map(dynamic.map((label) => [label, fact(label, "")]));
  facts.append(...[...cells.values()].flat());
  const say = (label, text) => setText(cells.get(label)[1], text || "–");

  return {
    node,
    update() {
      const found = feed.devices.get(name);
      if (!found) { setText(state, "not there"); setText(reason, "No device of this name is configured."); return; }
      const [word, look, next] = stateOf(found.state);
      setText(state, word);
      setAttribute(state, "class", `state ${look}`);
      setText(since, `for ${age(feed.nowMs / 1000 - found.since_s)}`);
      setCoded(reason, found.reason);
      fill(advice, next && !found.reason ? withCode(next) : []);
      const process = [...feed.processes.values()].find((one) => one.device === name);
      say("Port", harmless(found.port));
      say("Last frame", found.frame_at_s === null ? "" : ago(feed.nowMs / 1000 - found.frame_at_s));
      say("Rate", feed.rateOf(name));
      say("Frames read", count(process?.counters?.frames_read));
      say("Waiting", found.backlog ? `${counted(found.backlog, "frame")}, ${bytes(process?.facts?.backlog_bytes ?? 0)}` : "nothing");
      say("Accepted", count(process?.counters?.frames_settled));
      say("Dead letters", count(found.dead_letters) || "none");
      say("Errors", count(found.conversion_errors) || "none");
      letters.tell(found.dead_letters);
      live.tick(feed.nowMs);
    },
    key(letter) { if (letter === "p") live.pause(); },
    close() { live.close(); happened.close(); },
  };
}

function fact(label, text) {
  return [el("dt", {}, label), el("dd", {}, text)];
}

function liveFrames(name) {
  let isHex = false, isPaused = false, missed = 0, skipped = 0, rows = [], wanted = "";
  const latest = new Map(), points = new Map();
  let charted = null;
  const body = el("tbody");
  const note = el("p", { class: "quiet" }, "Waiting for the next frame …");
  const marks = frameMarks(name);
  const record = recorder(name);
  const form = el("button", { type: "button", onclick: () => { isHex = !isHex; setText(form, isHex ? "show as text" : "show as hex"); draw(true); } }, "show as hex");
  const hold = el("button", { type: "button", onclick: () => pause() }, "pause");
  const filter = el("input", { type: "search", placeholder: "only frames with …", "aria-label": "Only frames with this text or hex",
    oninput: () => { wanted = filter.value.trim(); draw(true); } });
  const node = el("section", { class: "live" }, el("h2", {}, "Live frames"), el("div", { class: "tools" }, hold, form, filter, record.node), note, marks.node,
    el("div", { class: "window" }, el("table", { class: "frames" }, el("thead", {}, el("tr", {}, ["Time", "Frame", "Became"].map((head) => el("th", { scope: "col" }, head)))), body)));
  const tiles = el("div", { class: "tiles" });
  const chart = timeline();
  const values = el("section", { class: "values", hidden: true }, el("h2", {}, "Values"), tiles, chart.node);
  const tileList = new List(tiles, (value) => tile(value));
  const list = new List(body, (seen) => frameRow(seen));

  const samples = new Samples(name, take, (why) => setText(note, why));

  function take(sample) {
    for (const seen of sample.frames) for (const value of seen.values) keep(value, seen.ts);
    if (isPaused) { missed += sample.frames.length + sample.skipped; return; }
    skipped += sample.skipped;
    rows = [...sample.frames.toReversed(), ...rows].slice(0, MOST_ROWS);
    draw(false);
  }

  function keep(value, ms) {
    const key = value.device ? `${value.device} ${value.key}` : value.key;
    if (!latest.has(key) && latest.size >= MOST_VALUES) {
      const oldest = [...latest.values()].reduce((one, other) => (other.ms < one.ms ? other : one)).key;
      latest.delete(oldest);
      points.delete(oldest);
      if (charted === oldest) charted = null;
    }
    latest.set(key, { key, value: value.value, ms });
    if (typeof value.value === "number") {
      const known = points.get(key) ?? [];
      known.push([ms, value.value]);
      if (known.length > MOST_POINTS) known.shift();
      points.set(key, known);
      charted ??= key;
    }
  }

  function tile(first) {
    const label = el("span", { class: "key" }), number = el("span", { class: "value" }), old = el("span", { class: "quiet" });
    const node = el("button", { type: "button", class: "tile", onclick: () => { if (points.has(first.key)) { charted = first.key; draw(true); } } }, label, number, old);
    return { node, update(value) {
      setText(label, harmless(value.key)); setText(number, asValue(value.value)); setText(old, value.age);
      setAttribute(node, "aria-pressed", value.key === charted);
    } };
  }

  function frameRow(seen) {
    const text = el("span", { role: "button", tabindex: "0", title: "which point takes which byte",
      onclick: (event) => { if (document.getSelection().isCollapsed) marks.look(seen, byteOf(event, text)); },
      onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); marks.look(seen); } } });
    const frame = el("td", { class: "frame" }, text), became = el("td", { class: seen.dead ? "became bad" : "became" });
    const node = el("tr", {}, el("td", { class: "time" }, clock(seen.ts)), frame, became);
    const more = seen.bytes * 2 > seen.hex.length ? ` … (${seen.bytes} bytes)` : "";
    fill(became, seen.dead ? `dead letter: ${harmless(seen.dead)}` : seen.values.length ? seen.values.map((value) =>
      el("span", { class: "pair", onclick: () => marks.look(seen, null, value.key) }, value.device ? `${harmless(value.device)} ` : "", el("b", {}, harmless(value.key)), ` ${asValue(value.value)}`)) : el("span", { class: "quiet" }, "no value"));
    const byteOf = (event, text) => {
      const caret = document.caretPositionFromPoint?.(event.clientX, event.clientY);
      return caret && text.contains(caret.offsetNode) ? byteAt(seen.hex, isHex, caret.offset) : null;
    };
    return { node, update() { setText(text, (isHex ? asHex(seen.hex) : asText(seen.hex)) + more); } };
  }

  function fits(seen) {
    if (!wanted) return true;
    const plain = wanted.replaceAll(" ", "").toLowerCase();
    return asText(seen.hex).includes(wanted) || (/^[0-9a-f]+$/.test(plain) && seen.hex.includes(plain));
  }

  function draw() {
    const found = rows.filter(fits);
    list.show(found, (seen) => `${seen.number} ${seen.ts}`);
    if (rows.length) {
      const left = skipped ? ` ${counted(skipped, "frame")} passed in between, too many to show.` : "";
      setText(note, `${wanted ? `${found.length} of the ` : "The "}last ${counted(rows.length, "frame")}.${left}`);
    }
    if (charted && points.has(charted)) chart.update(points.get(charted), charted);
  }

  function pause() {
    isPaused = !isPaused;
    setText(hold, isPaused ? "go on" : "pause");
    if (!isPaused) { skipped += missed; missed = 0; draw(); }
  }

  return {
    node, values, pause,
    allow(is) { record.node.hidden = !is; },
    tick(nowMs) {
      values.hidden = latest.size === 0;
      const shown = [...latest.values()].map((value) => ({ ...value, age: ago((nowMs - value.ms) / 1000) }));
      tileList.show(shown, (value) => value.key);
      if (isPaused) setText(hold, missed ? `go on (${missed} since)` : "go on");
    },
    close() { samples.close(); },
  };
}

/** Records the line for a while, and hands the file over. */
function recorder(name) {
  const seconds = el("select", { "aria-label": "For how long" }, [10, 60, 300].map((one) => el("option", { value: one }, age(one))));
  seconds.value = "60";
  const said = el("output");
  const begin = el("button", { type: "button", onclick: async () => {
    const begun = performance.now(), most = Number(seconds.value);
    begin.disabled = true;
    const tell = () => setText(said, `recording, ${Math.min(most, Math.round((performance.now() - begun) / 1000))} of ${most} s …`);
    tell();
    const timer = setInterval(tell, 1000);
    const found = await ask("api/capture", { device: name, seconds: most }, (most + 30) * 1000);
    clearInterval(timer);
    begin.disabled = false;
    setAttribute(said, "class", found.error ? "bad" : "good");
    setText(said, found.error ? harmless(found.error) : "recorded; `serialgw try` and `serialgw replay` take the file".replaceAll("`", ""));
    if (!found.error) save(found.capture, `${name.replace(/[^\w.-]+/g, "_")}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.txt`);
  } }, "record the line");
  return { node: el("span", { class: "tools record", hidden: true }, begin, seconds, said) };
}

/** Hands a text over as a file. */
function save(text, file) {
  const place = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  el("a", { href: place, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(place), 10000);
}

function forms(name, found) {
  if (!found.calls.length && !found.settings.length) return el("section", {}, el("h2", {}, "Calls"),
    el("p", { class: "quiet" }, "None are configured: serverSideRpc and attributeUpdates in its section would be here."));
  const parts = [el("h2", {}, "Calls")];
  if (!found.is_editable) parts.push(el("p", { class: "quiet" }, withCode("This page only looks. With `\"web\": {\"edit\": true}` in the configuration and the link of `serialgw web` it can call, too.")));
  for (const call of found.calls) parts.push(callForm(name, call, found.is_editable));
  for (const attribute of found.settings) parts.push(settingForm(name, attribute, found.is_editable));
  return el("section", { class: "forms" }, parts);
}

function callForm(name, call, isEditable) {
  const input = call.params === "none" ? null : el("input", { "aria-label": `Params of ${call.method}`, disabled: !isEditable,
    placeholder: { number: "a number", text: "a text", json: "JSON" }[call.params] ?? "" });
  const answer = el("output");
  const send = async (event) => {
    event.preventDefault();
    let params = null;
    if (input) {
      if (call.params === "text") params = input.value;
      else {
        try { params = input.value.trim() === "" ? null : JSON.parse(input.value); }
        catch { setText(answer, call.params === "number" ? "That is no number." : "That is no JSON: texts stand in double quotes."); return; }
      }
    }
    setText(answer, "…");
    const begun = performance.now();
    const said = await ask("api/rpc", { device: name, method: call.method, params });
    const ms = Math.round(performance.now() - begun);
    setAttribute(answer, "class", said && said.error ? "bad" : "good");
    setText(answer, said && said.error ? harmless(said.error) : `${asValue(said)} (${ms} ms)`);
  };
  return el("form", { onsubmit: send }, el("b", {}, harmless(call.method)), input,
    el("button", { disabled: !isEditable }, "call"), answer);
}

function settingForm(name, attribute, isEditable) {
  const input = el("input", { "aria-label": `New value of ${attribute}`, disabled: !isEditable, placeholder: "JSON, or a text" });
  const answer = el("output");
  const send = async (event) => {
    event.preventDefault();
    let value = input.value;
    try { value = JSON.parse(input.value); } catch { /* A text then. */ }
    setText(answer, "…");
    const said = await ask("api/attributes", { device: name, values: { [attribute]: value } });
    setAttribute(answer, "class", said && said.error ? "bad" : "good");
    setText(answer, said && said.error ? harmless(said.error) : "written");
  };
  return el("form", { onsubmit: send }, el("b", {}, harmless(attribute)), input, el("button", { disabled: !isEditable }, "set"), answer);
}

function deadLetters(name) {
  let known = 0, isEditable = false;
  const note = el("p", { class: "quiet" });
  const body = el("tbody");
  const again = el("button", { type: "button", hidden: true, onclick: async () => {
    again.disabled = true;
    const said = await ask("api/retry", { device: name });
    again.disabled = false;
    setText(note, said.error ? harmless(said.error) : `${counted(said.retried, "frame")} sent through again${said.kept ? `; ${said.kept} stay, which never were frames` : ""}.`);
    load(false);
  } }, "send them through again");
  const look = el("button", { type: "button", onclick: () => load(true) }, "show");
  const table = el("table", { class: "frames", hidden: true }, el("thead", {}, el("tr", {}, ["Time", "Bytes", "Why"].map((head) => el("th", { scope: "col" }, head)))), body);
  const node = el("section", { hidden: true }, el("h2", {}, "Dead letters"), note, el("div", { class: "tools" }, look, again), table);

  async function load(isAsked) {
    const found = await ask(`api/letters?name=${encodeURIComponent(name)}`);
    if (found.error) { if (isAsked) setText(note, harmless(found.error)); return; }
    table.hidden = false;
    again.hidden = !isEditable;
    setText(note, `The newest ${found.letters.length} of ${counted(found.count, "dead letter")}.`);
    fill(body, found.letters.map((letter) => el("tr", {}, el("td", { class: "time" }, clock(letter.ts)),
      el("td", { class: "frame" }, letter.hex === undefined ? counted(letter.bytes, "byte") : asText(letter.hex)), el("td", {}, harmless(letter.reason)))));
  }

  return {
    node,
    allow(is) { isEditable = is; },
    tell(number) {
      if (number === known) return;
      known = number;
      node.hidden = number === 0;
      if (table.hidden) setText(note, `${counted(number, "dead letter")} kept: nothing of this is sent by itself.`);
    },
  };
}
