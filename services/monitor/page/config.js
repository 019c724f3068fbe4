// The configuration: its files, whether they can be used, what they would change, and what was applied before.

import { diffOf } from "./diff.js";
import { el, fill, setText } from "./dom.js";
import { counted, harmless, moment } from "./words.js";

const FEWEST_ROWS = 12;
const MOST_ROWS = 30;
const APPLY_MS = 280000;
/** Name → text, of files that somebody has begun to edit: they stay while one looks at another page. */
const drafts = new Map();

export function config(feed, query) {
  let files = [], tag = "", mayEdit = false, history = [], problems = [], isOver = false, isBusy = false, known = -1;
  const state = el("p", { class: "reason" });
  const chosen = el("select", { "aria-label": "File", onchange: () => showFile() });
  const gutter = el("pre", { class: "gutter", "aria-hidden": "true" });
  const text = el("textarea", { "aria-label": "Text of the file", spellcheck: "false", wrap: "off", autocapitalize: "off", autocomplete: "off",
    oninput: () => edited(), onscroll: () => { gutter.scrollTop = text.scrollTop; }, onkeydown: (event) => hotkey(event) });
  const note = el("p", { class: "quiet" });
  const outcome = el("div", { "aria-live": "polite" });
  const more = el("div", {});
  const rows = el("tbody");
  const button = (words, work, look = "") => el("button", { type: "button", class: look, onclick: work }, words);
  const compare = button("compare with what runs", () => compareWithApplied());
  const checking = button("check", () => run(check));
  const saving = button("save", () => run(save), "main");
  const undo = button("undo my changes", () => { drafts.clear(); load(); });
  const tools = el("div", { class: "tools" }, chosen, checking, saving, compare, undo);
  const node = el("article", { class: "config" }, el("h1", {}, "Configuration"), state, outcome, more, el("h2", {}, "Files"), tools,
    el("div", { class: "editor" }, gutter, text), note, el("h2", {}, "Applied before"),
    el("table", { class: "history" }, el("thead", {}, el("tr", {}, ["", "When", "By", "What it changed", ""].map((head) => el("th", { scope: "col" }, head)))), rows));

  const say = (...parts) => { if (!isOver) fill(outcome, ...parts); };
  const good = (words) => say(el("p", { class: "banner good" }, words));
  const bad = (words) => say(el("p", { class: "banner bad" }, harmless(words)));
  const current = () => files.find((file) => file.name === chosen.value);
  const changed = () => Object.fromEntries([...drafts].filter(([name, draft]) => files.find((file) => file.name === name)?.text !== draft));

  /** One thing at a time; what takes longer says so. */
  async function run(work) {
    if (isBusy) return;
    isBusy = true;
    tell();
    try { await work(); } finally { isBusy = false; tell(); }
  }

  async function load() {
    const answer = await send("api/config");
    if (isOver) return;
    if (answer.error) { bad(answer.error); return; }
    ({ files, is_editable: mayEdit } = answer.said);
    tag = answer.tag;
    const before = chosen.value || query.get("file");
    nameFiles();
    if (files.some((file) => file.name === before)) chosen.value = before;
    showFile();
    await loadHistory();
  }

  /** Files that are there, and those that a draft of the main file names and that nobody has written yet. */
  function nameFiles() {
    const before = chosen.value;
    try {
      for (const entry of JSON.parse(drafts.get(files[0]?.name) ?? "{}").connectors ?? []) {
        const name = entry?.configuration;
        if (typeof name === "string" && name.endsWith(".json") && !files.some((file) => file.name === name)) files.push({ name, path: name, text: "", is_there: false, fault: "", bound: "" });
      }
    } catch { /* The check says what is wrong with it. */ }
    fill(chosen, files.map((file) => el("option", { value: file.name }, `${harmless(file.name)}${drafts.has(file.name) && drafts.get(file.name) !== file.text ? " (changed)" : ""}${file.is_there ? "" : " (not there yet)"}`)));
    if (before) chosen.value = before;
  }

  function showFile() {
    const file = current();
    if (!file) return;
    text.value = drafts.get(file.name) ?? file.text;
    text.readOnly = !mayEdit || file.bound !== "";
    const secrets = text.value.includes("<secret ") ? " A secret is shown as <secret …>, and stays what it is as long as that stands there." : "";
    const why = !mayEdit ? "This page only looks: editing needs \"web\": {\"edit\": true} in the configuration, and the link of serialgw web." : file.bound ? `It can't be edited from here: ${file.bound}.` : "";
    setText(note, harmless(`${file.path}. ${why}${secrets}`));
    number();
    tell();
  }

  function edited() {
    if (!current()) return;
    drafts.set(current().name, text.value);
    problems = [];
    number();
    if (chosen.selectedIndex === 0) nameFiles();
    tell();
  }

  /** The numbers beside the lines; those of lines with a problem are marked. */
  function number() {
    const lines = text.value.split("\n").length;
    text.rows = Math.min(MOST_ROWS, Math.max(FEWEST_ROWS, lines + 1));
    const marked = new Set(problems.filter((one) => one.file === chosen.value && one.line).map((one) => one.line));
    const parts = [];
    let plain = "";
    for (let at = 1; at <= lines; at++) {
      if (!marked.has(at)) { plain += `${at}\n`; continue; }
      parts.push(plain, el("b", {}, `● ${at}`), "\n");
      plain = "";
    }
    fill(gutter, ...parts, plain);
    gutter.scrollTop = text.scrollTop;
  }

  function tell() {
    const is = Object.keys(changed()).length > 0;
    for (const one of [checking, saving, undo]) one.hidden = !mayEdit;
    saving.disabled = undo.disabled = isBusy || !is;
    checking.disabled = compare.disabled = isBusy;
  }

  function hotkey(event) {
    if (!(event.ctrlKey || event.metaKey) || !mayEdit) return;
    if (event.key === "s") { event.preventDefault(); if (!saving.disabled) run(save); }
    else if (event.key === "Enter") { event.preventDefault(); run(check); }
  }

  async function check() {
    say(el("p", { class: "quiet" }, "Checking …"));
    const answer = await send("api/config/check", { files: changed() });
    if (answer.error) bad(answer.error);
    else if (found(answer.said)) good("These files can be used.");
  }

  /** Shows what a check has found; true where that is no problem. */
  function found(said) {
    if (isOver) return false;
    problems = said.problems;
    number();
    fill(more, said.warnings.length ? listOf(said.warnings, "warn") : null, planOf(said.steps, "What they would change"));
    if (said.ok) return true;
    say(el("p", { class: "banner bad" }, `${counted(problems.length, "problem")}: nothing is written, and what runs goes on.`), listOf(problems, "bad"));
    return false;
  }

  function listOf(sentences, look) {
    return el("ul", { class: `findings ${look}` }, sentences.map((one) => el("li", {}, one.line ? el("button", { type: "button", class: "place", onclick: () => go(one) }, `line ${one.line}`) : null, harmless(one.text))));
  }

  /** Puts the cursor to the line of a problem. */
  function go(problem) {
    chosen.value = problem.file;
    showFile();
    const lines = text.value.split("\n");
    const start = lines.slice(0, problem.line - 1).reduce((sum, line) => sum + line.length + 1, 0);
    text.focus();
    text.setSelectionRange(start, start + (lines[problem.line - 1]?.length ?? 0));
    text.scrollTop = Math.max(0, (problem.line - 4) * (text.scrollHeight / lines.length));
  }

  function planOf(steps, title) {
    if (!steps?.length) return null;
    return el("section", { class: "card plan" }, el("h2", {}, title), el("ul", {}, steps.map((step) =>
      el("li", { class: { "+": "come", "-": "gone", "!": "bad" }[step.sign] ?? "" }, el("b", {}, `${{ "+": "comes", "-": "goes", "~": "changes", "!": "restart" }[step.sign] ?? step.sign} `), harmless(`${step.what}${step.text ? `: ${step.text}` : ""}`)))));
  }

  async function save() {
    say(el("p", { class: "quiet" }, "Checking and writing …"));
    const mine = changed();
    const answer = await send("api/config", { files: mine }, { "If-Match": `"${tag}"` });
    if (isOver) return;
    if (answer.status === 412) {
      say(el("p", { class: "banner bad" }, harmless(answer.error)), el("p", {}, button("show what they say now beside my text", async () => {
        await load();
        fill(more, diffOf(Object.fromEntries(files.map((file) => [file.name, file.text])), { ...Object.fromEntries(files.map((file) => [file.name, file.text])), ...mine }) ?? el("p", {}, "They say the same now."));
        say(el("p", { class: "banner warn" }, "Lines with − are on the disk now and not in your text, lines with + are yours. Saving writes your text."));
      })));
      return;
    }
    if (answer.status !== 422 && answer.error) { bad(answer.error); return; }
    if (!found(answer.said)) return;
    for (const name of Object.keys(mine)) drafts.delete(name);
    await load();
    await plan("Saved. ");
  }

  /** What stands in the files, as a plan, with the button that applies it. */
  async function plan(before = "") {
    say(el("p", { class: "quiet" }, `${before}Looking what that changes …`));
    const answer = await send("api/reload", { dry_run: true });
    if (isOver) return;
    if (answer.error) { bad(`${before}${answer.error}`); return; }
    const { steps, warnings } = answer.said;
    const restart = steps.some((step) => step.sign === "!");
    fill(more, warnings.length ? listOf(warnings.map((sentence) => ({ text: sentence })), "warn") : null, planOf(steps, "The plan"));
    say(el("p", { class: "banner warn" }, steps.length ? `${before}This is what applying it does.` : `${before}No process has to do anything for that.`),
      el("p", {}, button(restart ? "apply, and restart all processes" : "apply", () => run(() => apply(restart)), "main")));
  }

  async function waitFor(words, work) {
    const begun = Date.now();
    const said = el("p", { class: "quiet" });
    const tick = () => setText(said, `${words} … ${Math.round((Date.now() - begun) / 1000)} s. What starts anew is watched for some seconds; what does not come up is taken back by itself.`);
    say(said);
    tick();
    const timer = setInterval(tick, 1000);
    const answer = await work();
    clearInterval(timer);
    return answer;
  }

  async function apply(restart) {
    const answer = await waitFor("Applying", () => send("api/reload", { restart }, {}));
    if (isOver) return;
    if (answer.error) bad(answer.error);
    else {
      fill(more, planOf(answer.said.steps, "What was done"), answer.said.orders?.length ? listOf(answer.said.orders.map((one) => ({ text: `To be done by whoever looks after the processes: ${one}` })), "warn") : null);
      good(answer.said.applied ? "Applied: all processes go by these files." : "There was nothing to do.");
    }
    await load();
  }

  async function compareWithApplied() {
    const newest = history[0];
    if (!newest) { say(el("p", { class: "banner warn" }, "Nothing is known of what was applied: the history begins with the next start or reload.")); return; }
    const answer = await send(`api/config/history?number=${newest.number}`);
    if (isOver) return;
    if (answer.error) { bad(answer.error); return; }
    const now = Object.fromEntries(files.map((file) => [file.path, drafts.get(file.name) ?? file.text]));
    const difference = diffOf(answer.said.files, now);
    fill(more, difference);
    say(el("p", { class: "banner warn" }, difference ? "Lines with + stand in the files (with your changes), and do not run yet; lines with − run, and stand there no more." : "The files say what runs."));
  }

  async function loadHistory() {
    const answer = await send("api/config/history");
    if (isOver || answer.error) return;
    history = answer.said.history;
    known = feed.configuration?.changes ?? known;
    fill(rows, history.map((entry, at) => el("tr", {}, el("td", { class: "number" }, String(entry.number)), el("td", { "data-label": "When" }, moment(entry.at_ms).join(" ")), el("td", { "data-label": "By" }, harmless(entry.by)),
      el("td", { class: "what" }, entry.summary.length ? entry.summary.slice(0, 4).map((line) => el("div", {}, harmless(line))) : el("span", { class: "quiet" }, entry.by === "start" ? "all processes were started" : "nothing that a process had to take"), entry.summary.length > 4 ? el("div", { class: "quiet" }, `and ${entry.summary.length - 4} more`) : null),
      el("td", { class: "acts" }, button("show", () => showEntry(entry, history[at + 1])), mayEdit && at ? button("go back", () => run(() => back(entry))) : null))));
    if (!history.length) fill(rows, el("tr", {}, el("td", { colspan: "5", class: "quiet" }, "Nothing yet: the history begins with the next start or reload.")));
  }

  /** What an entry has changed; of the oldest one that is kept, what differs from the files now. */
  async function showEntry(entry, older) {
    const [mine, other] = await Promise.all([entry, older].map((one) => one ? send(`api/config/history?number=${one.number}`) : null));
    if (isOver) return;
    if (mine.error || other?.error) { bad(mine.error ?? other.error); return; }
    const difference = other ? diffOf(other.said.files, mine.said.files) : diffOf(mine.said.files, Object.fromEntries(files.map((file) => [file.path, file.text])));
    fill(more, difference);
    say(el("p", { class: "banner warn" }, !difference ? "There is no difference." : other ? `What ${entry.number} has changed: lines with + came, lines with − went.` : `From ${entry.number}, the oldest one that is kept, to the files now.`));
    outcome.scrollIntoView({ block: "nearest" });
  }

  async function back(entry) {
    say(el("p", { class: "quiet" }, `Looking what going back to ${entry.number} changes …`));
    const [answer, whole] = await Promise.all([send("api/config/back", { number: entry.number, dry_run: true }), send(`api/config/history?number=${entry.number}`)]);
    if (isOver) return;
    if (answer.error && !answer.said?.problems) { bad(answer.error); return; }
    if (!found(answer.said)) return;
    const now = Object.fromEntries(files.filter((file) => Object.hasOwn(whole.said.files, file.path)).map((file) => [file.path, file.text]));
    fill(more, planOf(answer.said.steps, `What going back to ${entry.number} does`), diffOf(now, whole.said.files));
    const restart = answer.said.needs_restart;
    say(el("p", { class: "banner warn" }, `The files become those of ${entry.number}, of ${moment(entry.at_ms).join(" ")}; secrets stay what they are now.`),
      el("p", {}, button(restart ? `go back to ${entry.number}, and restart all processes` : `go back to ${entry.number}`, () => run(async () => {
        const done = await waitFor("Going back", () => send("api/config/back", { number: entry.number, restart }));
        if (isOver) return;
        drafts.clear();
        if (done.error) bad(done.error);
        else { fill(more, planOf(done.said.steps, "What was done")); good(`The files are those of ${entry.number} again${done.said.applied ? ", and all processes go by them" : ""}.`); }
        await load();
      }), "main")));
    outcome.scrollIntoView({ block: "nearest" });
  }

  load().then(() => { if (!isOver && query.get("plan")) (mayEdit ? run(plan) : compareWithApplied()); });
  return {
    node,
    update() {
      const said = feed.configuration;
      if (!said) return;
      const refused = said.successful ? "" : `The last try was refused, and what ran before runs on: ${said.reason}`;
      setText(state, harmless(refused || (said.pending ? "" : "The files are what runs.")));
      // Somebody else has applied something: what is shown here follows, a text that is being edited does not.
      if (known >= 0 && said.changes !== known && !isBusy) { known = said.changes; drafts.size ? loadHistory() : load(); }
      known = known < 0 ? said.changes : known;
    },
    plan: () => (mayEdit ? run(plan) : compareWithApplied()),
    close() { isOver = true; },
  };
}

/** Asks the gateway: {status, said, tag, error}. */
async function send(place, body = undefined, headers = {}) {
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(), APPLY_MS);
  try {
    const answer = await fetch(place, body === undefined ? { signal: control.signal, cache: "no-store" }
      : { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body), signal: control.signal });
    const said = await answer.json();
    return { status: answer.status, said, tag: (answer.headers.get("etag") ?? "").replaceAll('"', ""), error: said.error };
  } catch (error) {
    return { status: 0, said: null, tag: "", error: `the gateway does not answer: ${error.message}` };
  } finally {
    clearTimeout(timer);
  }
}
