// Keeps the page fresh: ages every second, the gateway's numbers every two, the rest when the log has grown.
"use strict";

const STATUS_MS = 2000;
const REFRESH_MS = 5000; // at most this often: a busy gateway has better things to do than to draw pages
const STEPS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

function ago(us) {
  const seconds = Date.now() / 1000 - us / 1e6;
  if (us === 0) return "never";
  if (seconds < 1) return "just now";
  const [size, unit] = STEPS.find(([step]) => seconds >= step);
  return `${Math.round(seconds / size)} ${unit} ago`;
}

function showAges() {
  for (const time of document.querySelectorAll("time[data-us]")) {
    const text = ago(Number(time.dataset.us));
    if (time.textContent !== text) time.textContent = text;
  }
}

function showNumbers(status) {
  for (const place of document.querySelectorAll("[data-live]")) {
    const value = status[place.dataset.live];
    const text = typeof value === "number" ? value.toLocaleString("en") : place.textContent;
    if (place.textContent === text) continue;
    place.textContent = text;
    place.classList.remove("changed");
    void place.offsetWidth; // restarts the animation
    place.classList.add("changed");
  }
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const other = fresh.getElementById(part.id);
    if (other && !part.contains(document.activeElement) && other.innerHTML !== part.innerHTML) {
      part.replaceWith(document.adoptNode(other));
    }
  }
  document.title = fresh.title;
}

let seen = "";
let refreshed = -REFRESH_MS;

async function poll() {
  if (document.hidden) return;
  const offline = document.querySelector(".offline");
  try {
    const answer = await fetch("/v1/status");
    if (!answer.ok) throw new Error(String(answer.status));
    const status = await answer.json();
    showNumbers(status);
    const now = [status.events, status.anchored_size, status.ready, String(status.connected)].join(" ");
    if (now !== seen && performance.now() - refreshed > REFRESH_MS) { // the first time too: much may have happened
      refreshed = performance.now();
      await refresh();
      seen = now;
    }
    offline.hidden = true;
  } catch {
    offline.hidden = false;
  }
}

function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

setInterval(showAges, 1000);
offerCopies();
if (document.querySelector("[data-refresh]")) {
  setInterval(poll, STATUS_MS);
  document.addEventListener("visibilitychange", poll);
}
