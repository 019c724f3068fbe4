// The serial ports of this host, and who has them.

import { el, fill, List, setAttribute, setText } from "./dom.js";
import { ask } from "./feed.js";
import { harmless } from "./words.js";

const AGAIN_MS = 3000;

export function ports(feed, go) {
  const note = el("p", { class: "quiet" }, "Looking …");
  const body = el("tbody");
  const list = new List(body, () => row(feed, go));
  const table = el("table", { class: "devices" }, el("thead", {}, el("tr", {}, ["Port", "State", "Adapter", ""].map((head) => el("th", { scope: "col" }, head)))), body);
  const node = el("article", {}, el("h1", {}, "Ports"), note, table);
  let isOver = false, known = "";

  async function look() {
    const found = await ask("api/ports");
    if (isOver) return;
    if (found.error) setText(note, harmless(found.error));
    else {
      setText(note, found.ports.length ? "An adapter that is plugged in appears here by itself." : "No serial port is there. Plug an adapter in; this page notices. Nothing comes? The cable may carry power only.");
      const text = JSON.stringify(found.ports) + [...feed.devices.values()].map((device) => device.state).join();
      if (text !== known) { known = text; show(found.ports, found.is_editable); }
    }
    setTimeout(() => { if (!isOver) look(); }, AGAIN_MS);
  }

  function show(found, isEditable) {
    const here = new Set(found.map((port) => port.device).filter(Boolean));
    const gone = [...feed.devices.values()].filter((device) => device.port.startsWith("/dev/") && !here.has(device.name) && device.state === "port_closed");
    const all = [...found.map((port) => ({ ...port, key: port.path, isEditable })),
      ...gone.map((device) => ({ key: `gone ${device.name}`, path: device.port, device: device.name, isGone: true, vendor: "", product: "", advice: device.reason }))];
    table.hidden = all.length === 0;
    list.show(all, (port) => port.key);
  }

  look();
  return { node, update() {}, close() { isOver = true; } };
}

function row(feed, go) {
  const path = el("span", { class: "name" }), link = el("span", { class: "port" }), state = el("span", { class: "state" }), advice = el("span", { class: "reason" });
  const adapter = el("td"), act = el("td");
  const node = el("tr", {}, el("th", { scope: "row" }, path, link), el("td", { class: "how" }, state, advice), adapter, act);
  return {
    node,
    update(port) {
      setText(path, harmless(port.path));
      setText(link, harmless(port.by_id || port.usb || ""));
      const device = port.device ? feed.devices.get(port.device) : null;
      const [word, look] = port.isGone ? ["gone", "bad"] : device ? [device.is_served ? "in use" : "in use, not served", device.is_served ? "good" : "bad"] : port.may_open ? ["free", "quiet"] : ["not permitted", "bad"];
      setText(state, word);
      setAttribute(state, "class", `state ${look}`);
      setText(advice, harmless(port.may_open === false || port.isGone ? port.advice : ""));
      setText(adapter, harmless([port.vendor, port.product, port.serial_number].filter(Boolean).join(", ")));
      if (port.device) fill(act, el("a", { href: `#/device/${encodeURIComponent(port.device)}` }, harmless(port.device)));
      else if (port.may_open) fill(act, el("button", { type: "button", onclick: () => go("/add", { port: port.by_id || port.path }) }, "set up"));
      else fill(act);
    },
  };
}
