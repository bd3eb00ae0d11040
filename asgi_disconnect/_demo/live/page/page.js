// The live demo: starts requests and WebSockets, leaves them, and shows what their handlers say.
"use strict";

const NAMES = { query: "Slow query", stream: "Streamed answer", upload: "Upload", alert: "WebSocket" };
const STATES = {
  "working": "working",
  "for nobody": "working for nobody",
  "cleaning up": "cancelled, cleaning up",
  "cleaned up": "cancelled, cleaned up",
  "answered": "answered",
  "for nothing": "done, for nobody",
};
const UPLOAD_BYTES = 16_000_000;
// A browser opens six connections to a server at most, and one of them is the live list's.
const AT_A_TIME = 4;

const find = (id) => document.getElementById(id);
const tab = Math.random().toString(36).slice(2);
const mine = new Map(); // key -> { abort, text }
const rows = new Map(); // key -> the row's element
let count = 0;

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
  const request = { abort: () => controller.abort(), text: "" };
  mine.set(key, request);
  allowButtons();
  const options = { signal: controller.signal, cache: "no-store" };
  if (job === "upload") {
    options.method = "POST";
    options.body = new Blob([new Uint8Array(UPLOAD_BYTES)]);
  }
  try {
    const response = await fetch(url, options);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      request.text += piece.value;
      showText(key, job, request.text);
    }
  } catch (error) {
    if (error.name !== "AbortError") console.info(`${job} was cut off:`, error.message);
  }
}

async function listen(key, job, url) {
  const socket = new WebSocket(new URL(url, location.href.replace(/^http/, "ws")));
  const request = { abort: () => socket.close(), text: "" };
  mine.set(key, request);
  allowButtons();
  socket.addEventListener("message", (event) => {
    request.text = event.data;
    showText(key, job, request.text);
  });
  await new Promise((resolve) => socket.addEventListener("close", resolve));
}

function allowButtons() {
  const full = mine.size >= AT_A_TIME;
  for (const button of document.querySelectorAll("[data-start]")) {
    button.disabled = full;
    button.title = full ? "Browsers limit how many connections they open to one server." : "";
  }
  find("leave-all").disabled = mine.size === 0;
  for (const [key, row] of rows) row.querySelector(".leave").hidden = !mine.has(key);
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
  row.querySelector(".state").textContent = STATES[handler.state];
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
  if (!row || !["stream", "alert"].includes(job)) return;
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

const events = new EventSource("events");
const note = find("note").textContent;
events.addEventListener("message", (event) => show(JSON.parse(event.data)));
events.addEventListener("open", () => {
  find("note").textContent = note;
  find("note").className = "";
});
events.addEventListener("error", () => {
  find("note").textContent = "The server does not answer. Has it been stopped?";
  find("note").className = "ended";
});
