// What the gateway tells: one stream of changes for all pages, and one of samples for the device that is looked at.

import { rate } from "./words.js";

const HISTORY = 60;
const STALE_MS = 4000;
/** After this samples are asked for again, where there was no place for one more page, or no such device yet. */
const AGAIN_MS = 10000;

/** Everything that is known, kept up to date. Whoever wants to hear of changes adds itself to `listeners`. */
export class Feed {
  devices = new Map();
  processes = new Map();
  link = null;
  backlog = null;
  /** How the files were taken: {pending, successful, reason, changes}. */
  configuration = null;
  rates = new Map();
  /** Server's clock minus ours, in ms: ages are counted by the server's. */
  #offsetMs = 0;
  #heardAt = 0;
  #source = null;
  #counted = new Map();
  listeners = new Set();
  /** Those who want to hear what has happened: (events, true if some are missing). */
  watchers = new Set();

  open() {
    if (this.#source) return;
    this.#source = new EventSource("api/stream");
    this.#source.onmessage = (event) => this.#take(JSON.parse(event.data));
    this.#source.onerror = () => {
      // The browser comes back by itself; but for an answer that is none it does not.
      if (this.#source.readyState === EventSource.CLOSED) {
        this.close();
        setTimeout(() => { if (!document.hidden) this.open(); }, 3000);
      }
    };
  }

  close() {
    this.#source?.close();
    this.#source = null;
  }

  get nowMs() { return Date.now() + this.#offsetMs; }
  get isStale() { return performance.now() - this.#heardAt > STALE_MS; }
  /** Milliseconds since the last news; Infinity before the first. */
  get silentMs() { return this.#heardAt ? performance.now() - this.#heardAt : Infinity; }

  #take(news) {
    if (news.at_ms === undefined) return;
    this.#offsetMs = news.at_ms - Date.now();
    this.#heardAt = performance.now();
    // A connection that was made anew begins with all that there is.
    const isAnew = news.is_whole && this.devices.size > 0;
    if (news.is_whole) { this.devices.clear(); this.processes.clear(); }
    merge(this.devices, news.devices, "name");
    merge(this.processes, news.processes, "address");
    if ("link" in news) this.link = news.link;
    if ("backlog" in news) this.backlog = news.backlog;
    if ("configuration" in news) this.configuration = news.configuration;
    for (const process of news.processes?.changed ?? []) this.#count(process, news.at_ms);
    for (const name of this.#counted.keys()) {
      if (!this.devices.has(name)) { this.#counted.delete(name); this.rates.delete(name); }
    }
    if (isAnew || news.events) for (const watcher of this.watchers) watcher(news.events ?? [], isAnew || news.events_missed > 0);
    for (const listener of this.listeners) listener();
  }

  #count(process, atMs) {
    const name = process.device;
    const frames = process.counters?.frames_read;
    if (!name || frames === undefined) return;
    const before = this.#counted.get(name);
    this.#counted.set(name, { frames, atMs, pid: process.pid });
    if (!before || before.pid !== process.pid || atMs <= before.atMs || frames < before.frames) return;
    const hz = (frames - before.frames) / ((atMs - before.atMs) / 1000);
    const history = this.rates.get(name) ?? [];
    history.push(hz);
    if (history.length > HISTORY) history.shift();
    this.rates.set(name, history);
  }

  rateOf(device) {
    return rate(this.devices.get(device)?.frames_hz);
  }
}

function merge(known, news, key) {
  if (!news) return;
  for (const row of news.changed) known.set(row[key], row);
  for (const name of news.gone) known.delete(name);
}

/** Samples of one device, until it is closed. */
export class Samples {
  #source;
  #isOver = false;

  /** `take(sample)` hears {skipped, frames}; `fail(sentence)` why there are none. */
  constructor(device, take, fail) {
    this.#begin(`api/live?name=${encodeURIComponent(device)}`, take, fail);
  }

  #begin(place, take, fail) {
    this.#source = new EventSource(place);
    this.#source.onmessage = (event) => {
      const sample = JSON.parse(event.data);
      if (sample.frames) take(sample);
    };
    // The browser comes back by itself; but for an answer that is none it does not.
    this.#source.onerror = async () => {
      if (this.#source.readyState !== EventSource.CLOSED) return;
      const answer = await ask(place).catch((error) => ({ error: error.message }));
      if (this.#isOver) return;
      if (answer.error) fail(answer.error);
      setTimeout(() => { if (!this.#isOver) this.#begin(place, take, fail); }, AGAIN_MS);
    };
  }

  close() {
    this.#isOver = true;
    this.#source.close();
  }
}

/** Asks the gateway; the JSON of its answer, which has an `error` where it refuses. */
export async function ask(place, body = undefined, waitMs = 70000) {
  const control = new AbortController();
  const timer = setTimeout(() => control.abort(), waitMs);
  try {
    const answer = await fetch(place, body === undefined
      ? { signal: control.signal, cache: "no-store" }
      : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal: control.signal });
    const type = answer.headers.get("content-type") ?? "";
    if (type.startsWith("text/event-stream")) { control.abort(); return {}; }
    return await answer.json();
  } catch (error) {
    return { error: `the gateway does not answer: ${error.message}` };
  } finally {
    clearTimeout(timer);
  }
}
