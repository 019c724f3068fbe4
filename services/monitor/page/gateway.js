// The gateway itself: its link to the platform, and all processes.

import { el, fill, List, setAttribute, setText } from "./dom.js";
import { age, bytes, count, counted, harmless } from "./words.js";

const KINDS = ["monitor", "broker", "publisher", "converter", "connector_host", "port_reader"];
const SHOWN = {
  broker: ["frames_in", "frames_dropped", "requests"],
  publisher: ["readings_accepted", "publishes", "publishes_refused", "reconnects", "rpc_calls"],
  converter: ["frames_converted", "conversion_errors", "user_errors"],
  connector_host: ["submissions", "frames_settled", "dead_letters"],
  port_reader: ["frames_read", "frames_settled", "frames_resent", "dead_letters"],
  monitor: ["heartbeats", "requests"],
};

export function gateway(feed) {
  const link = el("dl", { class: "facts" });
  const body = el("tbody");
  const list = new List(body, () => row(feed), true);
  const node = el("article", {}, el("h1", {}, "Gateway"), el("h2", {}, "Platform"), link, el("h2", {}, "Processes"),
    el("table", { class: "processes" }, el("thead", {}, el("tr", {}, ["Process", "State", "Running for", "Counted"].map((head) => el("th", { scope: "col" }, head)))), body),
    el("p", { class: "quiet" }, "More: ", el("a", { href: "readyz?verbose" }, "readiness"), ", ", el("a", { href: "metrics" }, "metrics"), ", ", el("a", { href: "api/status" }, "status as JSON"), "."));
  return {
    node,
    update() {
      const said = feed.link ?? {};
      const protocol = { 4: "MQTT 3.1.1", 5: "MQTT 5" }[said.protocol] ?? "";
      const rows = [["State", `${said.state ?? "unknown"}${said.fault ? `: ${said.fault}` : ""}`],
        ["Where", said.host ? `${said.host}:${said.port}` : "–"], ["Protocol", protocol || "–"],
        ["Waiting in journals", feed.backlog ? `${counted(feed.backlog.frames, "frame")}, ${bytes(feed.backlog.bytes)}` : "–"]];
      fill(link, rows.flatMap(([label, text]) => [el("dt", {}, label), el("dd", {}, harmless(text))]));
      const all = [...feed.processes.values()].sort((one, other) =>
        KINDS.indexOf(one.kind) - KINDS.indexOf(other.kind) || one.name.localeCompare(other.name));
      list.show(all, (process) => process.address);
    },
    close() { list.close(); },
  };
}

function row(feed) {
  const name = el("th", { scope: "row" }), state = el("span", { class: "state" }), old = el("td", { "data-label": "Running for" }), counters = el("td", { class: "counters" });
  const node = el("tr", {}, name, el("td", {}, state), old, counters);
  return {
    node,
    update(process) {
      setText(name, harmless(`${process.kind.replaceAll("_", " ")}${process.kind === "converter" || process.device ? ` ${process.device || process.name}` : ""}`));
      setText(state, process.state);
      setAttribute(state, "class", `state ${process.state === "alive" ? "good" : "bad"}`);
      setText(old, process.started_s === null ? "–" : age(feed.nowMs / 1000 - process.started_s));
      const wanted = SHOWN[process.kind] ?? [];
      const pid = process.pid === null ? "" : `pid ${process.pid}  `;
      setText(counters, pid + wanted.filter((key) => process.counters[key]).map((key) => `${key.replaceAll("_", " ")} ${count(process.counters[key])}`).join(", "));
    },
  };
}
