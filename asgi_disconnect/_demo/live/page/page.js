// The live demo: starts requests and WebSockets, leaves them, and shows what their handlers say.
"use strict";

const NAMES = {
  query: "Slow query",
  bounded: "Query with deadline",
  stream: "Streamed answer",
  upload: "Upload",
  alert: "WebSocket",
};
const STATES = {
  "working": "working",
  "for nobody": "working for nobody",
  "cleaning up": "cancelled, cleaning up",
  "cleaned up": "cancelled, cleaned up",
  "answered": "answered",
  "for nothing": "done, for nobody",
};
const PAST_DEADLINE = {
  "cleaning up": "deadline passed, cleaning up",
  "cleaned up": "deadline passed, cleaned up",
};
const UPLOAD_BYTES = 16_000_000;
// A browser opens six connections to a server at most, beside those of WebSockets; one of them is
// the live list's, and one is left for the page itself.
const AT_A_TIME = 4;
const FULL =
  "Four requests are running, and a browser opens only six connections to one server. " +
  "Leave one to start another.";
const NOTHING = "Nothing of yours is running that you could leave.";
const STOPPED = "The server has stopped.";
const RESTART = " What you see is what it said last. Start it again, and this page goes on by itself.";

const find = (id) => document.getElementById(id);
const tab = Math.random().toString(36).slice(2);
const mine = new Map(); // key -> { job, abort, text }
const rows = new Map(); // key -> the row's element
let count = 0;
let stopped = false;

// Requests and WebSockets

async function start(job) {
  const key = `${tab}-${++count}`;
  const guarded = find("switch").getAttribute("aria-checked") === "true";
  const url = `${job}?key=${key}${guarded ? "&guarded=1" : ""}`;
  await (job === "alert" ? listen(key, job, url) : ask(key, job, url));
  mine.delete(key);
  allowButtons();
}

async function ask(key, job, url) {
  const controller = new AbortController();
  const request = { job, abort: () => controller.abort(), text: "" };
  mine.set(key, request);
  allowButtons();
  const options = { signal: controller.signal, cache: "no-store" };
  if (job === "upload") {
    options.method = "POST";
    options.body = new Blob([new Uint8Array(UPLOAD_BYTES)]);
  }
  try {
    const response = await fetch(url, options);
    if (job === "bounded") {
      request.text = `${response.status} ${response.statusText}`;
      showText(key, job, request.text);
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      if (job !== "stream") continue;
      request.text += piece.value;
      showText(key, job, request.text);
    }
  } catch (error) {
    if (error.name !== "AbortError") console.info(`${job} was cut off:`, error.message);
  }
}

async function listen(key, job, url) {
  const socket = new WebSocket(new URL(url, location.href.replace(/^http/, "ws")));
  const request = { job, abort: () => socket.close(), text: "" };
  mine.set(key, request);
  allowButtons();
  socket.addEventListener("message", (event) => {
    request.text = event.data;
    showText(key, job, request.text);
  });
  await new Promise((resolve) => socket.addEventListener("close", resolve));
}

// What can be pressed, and why the rest cannot

function allowButtons() {
  const requests = [...mine.values()].filter((request) => request.job !== "alert").length;
  const full = requests >= AT_A_TIME ? FULL : "";
  const nothing = mine.size === 0 ? NOTHING : "";
  const gone = stopped ? STOPPED : "";
  for (const button of document.querySelectorAll("[data-start]")) {
    allow(button, gone || (button.dataset.start !== "alert" && full));
  }
  allow(find("leave-all"), gone || nothing);
  allow(find("switch"), gone);
  find("why").textContent = gone || full || nothing;
  for (const [key, row] of rows) row.querySelector(".leave").hidden = stopped || !mine.has(key);
}

function allow(button, why) {
  button.dataset.title ??= button.title;
  button.disabled = Boolean(why);
  button.title = why || button.dataset.title;
  if (why) button.setAttribute("aria-describedby", "why");
  else button.removeAttribute("aria-describedby");
}

// The live list

function show(board) {
  find("for-clients").textContent = board.for_clients;
  find("for-nobody").textContent = board.for_nobody;
  find("wasted").textContent = board.wasted.toFixed(1);
  find("saved").textContent = board.saved.toFixed(1);
  find("empty").hidden = board.handlers.length > 0;
  const shown = new Set();
  for (const handler of board.handlers) {
    const id = handler.key || `#${handler.number}`;
    shown.add(id);
    showRow(id, handler);
  }
  for (const [id, row] of rows) {
    if (!shown.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
}

function showRow(id, handler) {
  let row = rows.get(id);
  if (!row) {
    row = find("row").content.firstElementChild.cloneNode(true);
    row.querySelector(".number").textContent = handler.number;
    row.querySelector(".job").textContent = NAMES[handler.job];
    row.querySelector(".guard").textContent = handler.guarded ? "guarded" : "bare";
    row.querySelector(".leave").addEventListener("click", () => mine.get(id)?.abort());
    row.querySelector(".leave").hidden = !mine.has(id);
    row.dataset.number = handler.number;
    rows.set(id, row);
    insert(row, handler.number);
    if (mine.has(id)) showText(id, handler.job, mine.get(id).text);
  }
  const part = (seconds) => `${(100 * seconds) / handler.seconds}%`;
  row.dataset.state = handler.state;
  const words = handler.past_deadline ? { ...STATES, ...PAST_DEADLINE } : STATES;
  row.querySelector(".state").textContent = words[handler.state];
  row.querySelector(".useful").style.width = part(handler.done - handler.wasted);
  row.querySelector(".useless").style.width = part(handler.wasted);
  row.querySelector(".spared").style.width = part(handler.saved);
}

function insert(row, number) {
  const list = find("handlers");
  const older = [...list.children].find((other) => Number(other.dataset.number) < number);
  list.insertBefore(row, older ?? null);
}

function showText(key, job, text) {
  const row = rows.get(key);
  if (!row || job === "query" || job === "upload") return;
  // The last words: that is where something happens.
  const words = text.trim().split(" ");
  row.querySelector(".text").textContent = (words.length > 7 ? "… " : "") + words.slice(-7).join(" ");
}

// The controls

for (const button of document.querySelectorAll("[data-start]")) {
  button.addEventListener("click", () => start(button.dataset.start));
}
find("leave-all").addEventListener("click", () => {
  for (const request of [...mine.values()]) request.abort();
});
find("switch").addEventListener("click", () => {
  const on = find("switch").getAttribute("aria-checked") !== "true";
  find("switch").setAttribute("aria-checked", on);
  find("switch-state").textContent = on ? "on" : "off";
});

// Whether the server is there

function connect() {
  const events = new EventSource("events");
  events.addEventListener("message", (event) => show(JSON.parse(event.data)));
  events.addEventListener("open", () => noteServer(true));
  events.addEventListener("error", () => {
    noteServer(false);
    // Some browsers go on trying by themselves, others do not.
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  });
}

function noteServer(there) {
  stopped = !there;
  document.body.classList.toggle("stopped", stopped);
  const words = stopped ? STOPPED + RESTART : "";
  if (find("stopped").textContent !== words) find("stopped").textContent = words;
  if (stopped) {
    find("for-clients").textContent = find("for-nobody").textContent = "0";
    for (const row of rows.values()) {
      if (!["working", "for nobody", "cleaning up"].includes(row.dataset.state)) continue;
      row.dataset.state = "stopped";
      row.querySelector(".state").textContent = "ended with the server";
    }
  }
  allowButtons();
}

allowButtons();
connect();
