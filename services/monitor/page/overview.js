// All devices, one row each.

import { el, fill, List, setAttribute, setCoded, setText } from "./dom.js";
import { sorting } from "./sorting.js";
import { sparkline } from "./chart.js";
import { ago, count, counted, harmless, stateOf } from "./words.js";

/** How bad the look of a state is. */
const LOOKS = ["bad", "warn", "quiet", "good"];
const columnsOf = (feed) => [
  ["Device", "device", (device) => device.name],
  ["State", "state", (device) => `${LOOKS.indexOf(stateOf(device.state)[1])} ${stateOf(device.state)[0]}`],
  ["Last frame", "last", (device) => (device.frame_at_s === null ? null : feed.nowMs / 1000 - device.frame_at_s)],
  ["Rate", "rate", (device) => device.frames_hz, true],
  ["Waiting", "waiting", (device) => device.backlog, true],
  ["Dead letters", "letters", (device) => device.dead_letters, true],
  ["Errors", "errors", (device) => device.conversion_errors, true],
];

/** The page: {node, update(), close(), fits(query)}. `query` is what stands behind ? in the address. */
export function overview(feed, query, go) {
  const note = () => { order.renew(); tell(); };
  const tell = () => go("/", { q: search.value, problems: problems.checked ? "1" : "", sort: order.chosen });
  const search = el("input", { type: "search", placeholder: "Search  /", "aria-label": "Search devices", value: query.get("q") ?? "", oninput: note });
  const problems = el("input", { type: "checkbox", onchange: note });
  problems.checked = query.get("problems") === "1";
  const order = sorting(columnsOf(feed), query.get("sort") ?? "", () => tell());
  const shown = el("span", { class: "quiet" });
  const body = el("tbody");
  const table = el("table", { class: "devices" }, el("thead", {}, el("tr", {}, order.heads)), body);
  const nothing = el("p", { class: "quiet", hidden: true });
  const node = el("section", {}, el("div", { class: "tools" }, search, el("label", {}, problems, " problems only"), order.select, shown, order.again), table, nothing);
  const list = new List(body, () => row(feed), true);
  let said = "";

  return {
    node,
    search,
    fits: (other) => (other.get("q") ?? "") === search.value && (other.get("problems") === "1") === problems.checked && (other.get("sort") ?? "") === order.chosen,
    update() {
      const all = [...feed.devices.values()];
      const wanted = search.value.trim().toLowerCase();
      const found = all.filter((device) => (!problems.checked || !device.is_served || stateOf(device.state)[1] === "warn")
        && (!wanted || `${device.name} ${device.port} ${stateOf(device.state)[0]}`.toLowerCase().includes(wanted)));
      list.show(order.sorted(found, (device) => device.name), (device) => device.name);
      const isFiltered = found.length !== all.length;
      const text = isFiltered ? `${found.length} of ${all.length} shown, ` : counted(all.length, "device");
      if (text !== said) { said = text; fill(shown, text, isFiltered ? el("a", { href: "#/" }, "show all") : null); }
      nothing.hidden = found.length > 0 || all.length === 0;
      setText(nothing, "No device fits the search.");
      table.hidden = all.length === 0;
    },
    close() { list.close(); },
  };
}

function row(feed) {
  const name = el("a", { class: "name" });
  const port = el("span", { class: "port" });
  const state = el("span", { class: "state" });
  const reason = el("span", { class: "reason" });
  const last = el("td", { "data-label": "Last frame" });
  const speed = el("span");
  const spark = sparkline();
  const waiting = el("td", { "data-label": "Waiting", class: "number" });
  const letters = el("td", { "data-label": "Dead letters", class: "number" });
  const errors = el("td", { "data-label": "Errors", class: "number" });
  const node = el("tr", {}, el("th", { scope: "row" }, name, port), el("td", { class: "how" }, state, reason), last,
    el("td", { class: "rate", "data-label": "Rate" }, spark.node, speed), waiting, letters, errors);
  return {
    node,
    update(device) {
      const [word, look] = stateOf(device.state);
      setText(name, harmless(device.name));
      setAttribute(name, "href", `#/device/${encodeURIComponent(device.name)}`);
      setText(port, harmless(device.port));
      setText(state, word);
      setAttribute(state, "class", `state ${look}`);
      setCoded(reason, device.reason);
      setText(last, device.frame_at_s === null ? "–" : ago(feed.nowMs / 1000 - device.frame_at_s));
      setText(speed, feed.rateOf(device.name));
      spark.update(feed.rates.get(device.name) ?? []);
      setText(waiting, count(device.backlog));
      setText(letters, count(device.dead_letters));
      setText(errors, count(device.conversion_errors));
    },
  };
}
