// Asks the server for the state of the stores, and replaces the parts of the page that have changed.
// All numbers and drawings come from the server; its address is relative, so that a tunnel may end at
// any port.
"use strict";

const PAUSE = 1000; // milliseconds between two questions
const SLOW = 4000; // milliseconds after which an answer is late
const page = document.getElementById("main");
const line = document.getElementById("state");
const shown = new Map(); // HTML of each part by its id
let version = "";
let final = false; // the run has ended, and so will the server

function say(text) {
  if (line.textContent !== text) line.textContent = text;
}

function show(parts) {
  for (const [id, html] of Object.entries(parts)) {
    if (shown.get(id) === html) continue;
    let part = document.getElementById(id);
    if (!part) {
      part = document.createElement("section");
      part.id = id;
      page.append(part);
    }
    const open = [...part.querySelectorAll("details[open]")].map((one) => one.id);
    part.innerHTML = html; // escaped by the server; the policy of the page lets no script run in it
    for (const name of open) {
      const one = document.getElementById(name);
      if (one) one.open = true;
    }
    shown.set(id, html);
  }
}

async function ask() {
  const late = setTimeout(() => say("The stores are being read. This page shows what was there before."), SLOW);
  try {
    const answer = await fetch(`state?seen=${version}`, { cache: "no-store" });
    if (answer.status === 200) {
      const state = await answer.json();
      show(state.parts);
      version = state.version;
      final = state.final;
      document.title = state.title;
      document.getElementById("heading").textContent = state.heading;
    }
  } finally {
    clearTimeout(late);
  }
}

async function look() {
  try {
    await ask();
    document.body.classList.remove("gone");
    say("This page follows the stores as trials arrive.");
  } catch {
    document.body.classList.add("gone");
    say("The command no longer answers. This page shows what it last said.");
  }
  if (final) end();
  else setTimeout(look, PAUSE);
}

function end() {
  say("The run has ended. This page shows what it left.");
  ask().catch(() => {}); // tells the server that the last state is here
}

look();
