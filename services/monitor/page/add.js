// Adds a device in four steps: choose a port, listen, say what the bytes mean, save.

import { el, fill, setAttribute, setText } from "./dom.js";
import { ask } from "./feed.js";
import { asHex, asText, asValue, harmless } from "./words.js";

const MOST_ROWS = 8;
const TYPING_MS = 300;
const TEXT_TYPES = ["text", "float", "int"];
const BYTE_TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "hex"];
const SEPARATORS = [";", ",", " ", "\t", "|", "="];

export function add(feed, query, go) {
  const node = el("article", { class: "wizard" });
  let isOver = false;
  const say = (...parts) => { if (!isOver) fill(node, el("h1", {}, "Add a device"), ...parts); };

  function choose() {
    const place = el("input", { "aria-label": "Port", value: query.get("port") ?? "", placeholder: "/dev/ttyUSB0" });
    const known = el("datalist", { id: "known-ports" });
    place.setAttribute("list", "known-ports");
    const note = el("p", { class: "quiet" }, "Looking for adapters …");
    ask("api/ports").then((found) => {
      if (found.error) { setText(note, harmless(found.error)); return; }
      const free = found.ports.filter((port) => !port.device);
      fill(known, free.map((port) => el("option", { value: port.by_id || port.path }, [port.vendor, port.product].filter(Boolean).join(" "))));
      if (!place.value && free.length === 1) place.value = free[0].by_id || free[0].path;
      setText(note, found.is_editable ? (free.length ? `Free: ${free.map((port) => port.path).join(", ")}.` : "No free port is there: plug the adapter in, or type its path.")
        : "This page only looks: adding needs \"web\": {\"edit\": true} in the configuration, and the link of serialgw web.");
      setAttribute(listen, "disabled", found.is_editable ? null : "");
    });
    const listen = el("button", { class: "main", disabled: true }, "Listen");
    say(el("p", {}, "1. Which port is the device at? Nothing is opened yet."),
      el("form", { onsubmit: (event) => { event.preventDefault(); if (place.value.trim()) hear(place.value.trim()); } }, place, known, listen), note,
      el("p", { class: "quiet" }, "Listening opens the port and writes nothing. Some boards (Arduino, ESP32) start anew when their port is opened."));
  }

  async function hear(port) {
    const begun = Date.now();
    const note = el("p", { class: "quiet" }, "");
    say(el("p", {}, `2. Listening at ${port} …`), note);
    const timer = setInterval(() => setText(note, `${Math.round((Date.now() - begun) / 1000)} s of 150 at most. What talks once a minute needs its time.`), 1000);
    const found = await ask("api/probe", { port }, 160000);
    clearInterval(timer);
    if (isOver) return;
    if (found.error || !found.guesses.length) {
      say(el("p", { class: "reason" }, found.error ? harmless(found.error) : "Nothing came, at any setting. Is the device on, are its wires crossed (TX to RX), does it talk unasked? A device that must be asked is found by serialgw identify PORT --ask, or described by hand."),
        el("p", {}, el("button", { type: "button", onclick: () => hear(port) }, "listen again"), " ", el("button", { type: "button", onclick: choose }, "another port")));
      return;
    }
    const cards = found.guesses.flatMap((guess) => {
      const frames = (guess.frames.length ? guess.frames : [guess.sample]).slice(-3);
      const isText = isPrinted(frames.join(""));
      return el("section", { class: "card" }, el("h2", {}, guess.setting), el("p", { class: "quiet" }, harmless(guess.reason)),
        el("pre", {}, frames.map((frame) => isText ? asText(frame) : asHex(frame.slice(0, 128))).join("\n")),
        ...guess.profiles.slice(0, 3).map((profile) => el("button", { type: "button", class: "main", onclick: () => save({ name: profile, port, profile }, guess) }, `it is ${profile}`)),
        el("button", { type: "button", onclick: () => mark(port, guess) }, guess.profiles.length ? "something else: mark its bytes" : "this is it"));
    });
    say(el("p", {}, "2. Which of these is your device? You will know it when you see it."), ...cards,
      el("p", {}, el("button", { type: "button", onclick: choose }, "none of them: back")));
  }

  function mark(port, guess) {
    const frames = guess.frames.slice(-MOST_ROWS);
    if (!frames.length) { hear(port); return; }
    const section = Object.fromEntries(Object.entries(guess.section).filter(([key]) => key !== "profile"));
    Object.assign(section, { port, telemetry: [] });
    if (guess.section.profile) Object.assign(section, plainLine(guess));
    const isText = isPrinted(frames.join(""));
    const separator = isText ? SEPARATORS.find((one) => frames.every((frame) => asText(frame).includes(one))) : undefined;
    const points = [];
    let chosen = null, soon = 0, asked = 0;
    const rows = el("div", { class: "marks", role: "grid" });
    const name = el("input", { "aria-label": "Name of the value", placeholder: "temperature" });
    const type = el("select", { "aria-label": "Type", onchange: () => preview() }, (isText ? TEXT_TYPES : BYTE_TYPES).map((one) => el("option", {}, one)));
    const order = el("select", { "aria-label": "Order of bytes", hidden: isText, onchange: () => preview() }, ["big", "little"].map((one) => el("option", {}, one)));
    const put = el("button", { type: "button", disabled: true, onclick: () => { points.push(pointOf()); chosen = null; draw(); preview(); } }, "add this value");
    const table = el("table", { class: "frames" });
    const json = el("pre");
    const note = el("p", { class: "quiet" }, "Click the first and the last byte of a value.");

    function pointOf() {
      const key = name.value.trim() || "value";
      const [from, to] = [Math.min(...chosen), Math.max(...chosen) + 1];
      if (!isText) return { key, type: type.value, at: from, ...(type.value === "hex" ? { length: to - from } : {}), ...(order.value === "little" && !type.value.endsWith("8") && type.value !== "hex" ? { byteorder: "little" } : {}) };
      const end = Math.min(...frames.map((frame) => frame.length / 2)) - (guess.delimiter.length / 2);
      return { key, type: type.value === "text" ? "string" : type.value, fromByte: from, toByte: to >= end ? -1 : to };
    }

    function draw() {
      fill(rows, frames.map((frame) => el("div", { class: "mark-row", role: "row" }, Array.from({ length: Math.min(frame.length / 2, 96) }, (_, at) => {
        const byte = frame.slice(at * 2, at * 2 + 2);
        const is = chosen && at >= Math.min(...chosen) && at <= Math.max(...chosen);
        return el("button", { type: "button", class: is ? "byte is" : "byte", title: `byte ${at}`, "aria-label": `byte ${at}: ${byte}`, onclick: () => pick(at) }, isText ? asText(byte) : byte);
      }))));
      put.disabled = !chosen;
    }

    function pick(at) {
      chosen = chosen && chosen[0] === chosen[1] && chosen[0] !== at ? [chosen[0], at] : [at, at];
      if (isText) type.value = chosen && /^[-+0-9. ]+$/.test(asText(frames[0].slice(Math.min(...chosen) * 2, Math.max(...chosen) * 2 + 2))) ? "float" : "text";
      draw();
      preview();
    }

    /** Not at each letter that is typed: each is a command of its own, and an older answer is no answer. */
    function preview() {
      clearTimeout(soon);
      soon = setTimeout(show, TYPING_MS);
    }

    async function show() {
      const mine = ++asked;
      const tried = { ...section, telemetry: [...points, ...(chosen ? [pointOf()] : [])] };
      setText(json, JSON.stringify({ ...tried, name: "…" }, null, 1));
      if (!tried.telemetry.length) { fill(table); return; }
      const found = await ask("api/try", { section: tried, frames });
      if (isOver || mine !== asked) return;
      if (found.error) { setText(note, harmless(found.error)); fill(table); return; }
      setText(note, "Each row is one frame with the values that the gateway makes of it.");
      fill(table, el("thead", {}, el("tr", {}, el("th", {}, "Frame"), tried.telemetry.map((point) => el("th", { scope: "col" }, harmless(point.key))))),
        el("tbody", {}, found.filter((row) => row.hex).slice(0, MOST_ROWS).map((row) => el("tr", {}, el("td", { class: "frame" }, isText ? asText(row.hex) : asHex(row.hex)),
          tried.telemetry.map((point) => { const value = (row.points ?? []).find((one) => one.key === point.key);
            return el("td", { class: value && value.status === "value" ? "" : "bad" }, value ? (value.status === "value" ? asValue(value.value) : harmless(value.why ?? value.status)) : "–"); })))));
    }

    name.addEventListener("input", () => preview());
    draw();
    preview();
    say(el("p", {}, "3. What do the bytes mean? All rows take the same place."), rows, note,
      el("div", { class: "tools" }, name, type, order, put,
        separator && isText ? el("button", { type: "button", onclick: () => { byFields(); } }, `split at ${separator === "\t" ? "tab" : JSON.stringify(separator)}`) : null),
      table, el("details", {}, el("summary", {}, "What will be written"), json),
      el("p", {}, el("button", { type: "button", class: "main", onclick: () => save({ ...section, name: "", telemetry: points.length ? points : [{ type: "string", key: "frame" }] }, guess) }, "go on"), " ",
        el("button", { type: "button", onclick: () => hear(port) }, "back")));

    function byFields() {
      const fields = asText(frames[0]).replace(/(\\r|\\n)+$/, "").split(separator).length;
      section.framing = "lines";
      delete section.delimiter;
      section.fields = separator;
      points.splice(0, points.length, ...Array.from({ length: fields }, (_, field) => ({ key: `value${field}`, type: "text", field })));
      chosen = null;
      draw();
      preview();
    }
  }

  function save(section, guess) {
    const name = el("input", { "aria-label": "Name of the device", value: section.name, placeholder: "press1" });
    const answer = el("p", { class: "reason" });
    const button = el("button", { class: "main" }, "Save and start");
    const send = async (event) => {
      event.preventDefault();
      const called = name.value.trim();
      if (!called) { setText(answer, "The device needs a name."); return; }
      button.disabled = true;
      setText(answer, "Checking, writing, starting …");
      const said = await ask("api/add", { section: { ...section, name: called } }, 280000);
      button.disabled = false;
      if (said.error) { setText(answer, harmless(said.error)); return; }
      go(`/device/${encodeURIComponent(called)}`);
    };
    say(el("p", {}, "4. What is it called? The platform shows it under this name."), el("form", { onsubmit: send }, name, button), answer,
      el("details", { open: true }, el("summary", {}, "What will be written"), el("pre", {}, JSON.stringify({ ...section, name: section.name || "…" }, null, 1))),
      el("p", {}, el("button", { type: "button", onclick: choose }, "back to the start")));
  }

  choose();
  return { node, update() {}, close() { isOver = true; } };
}

/** The line's settings of a guess whose section is a profile's. */
function plainLine(guess) {
  const [rate, form] = guess.setting.split(" ");
  const end = guess.delimiter ? { delimiter: decode(guess.delimiter) } : { framing: { silenceMs: 50 } };
  return { baudrate: Number(rate), bytesize: Number(form[0]), parity: form[1], stopbits: Number(form.slice(2)), ...end };
}

function decode(hex) {
  return String.fromCharCode(...(hex.match(/../g) ?? []).map((byte) => parseInt(byte, 16)));
}

function isPrinted(hex) {
  const all = hex.match(/../g) ?? [];
  return all.filter((byte) => { const code = parseInt(byte, 16); return (code >= 32 && code < 127) || code === 10 || code === 13 || code === 9; }).length * 4 >= all.length * 3;
}
