// One stream of events for the whole page. It moves bars and pictures; where a job's state has changed, it asks for that
// part of the page again. When the stream breaks (the service is started again, say), the browser takes it up by itself.

import { note } from "./notes.js";

const OPEN = ["queued", "running", "paused"];
const ENDING = { keep: "stopping", discard: "stopping", pause: "pausing" };
const AGAIN_MS = 2000;
const PICTURE_MS = 700;
const SETTLE_MS = 60;

class LiveJobs extends HTMLElement {
  connectedCallback() {
    this.known = new Map();
    this.pictured = new Map();
    this.due = new Map();
    for (const card of document.querySelectorAll("#queue [data-job]")) {
      this.known.set(card.dataset.job, card.dataset.state);
    }
    this.open();
  }

  disconnectedCallback() {
    this.events.close();
  }

  open() {
    this.events = new EventSource(this.dataset.events);
    this.events.addEventListener("job", ({ data, lastEventId }) => this.take(JSON.parse(data), lastEventId));
    this.events.addEventListener("open", () => {
      if (this.isLost) note("connected again");
      this.isLost = false;
    });
    this.events.addEventListener("error", () => {
      if (!this.isLost) note("the connection is lost; trying again");
      this.isLost = true;
      if (this.events.readyState === EventSource.CLOSED) setTimeout(() => this.open(), AGAIN_MS);
    });
  }

  take(job, number) {
    const before = this.known.get(job.id), isOpen = OPEN.includes(job.state);
    this.known.set(job.id, job.state);
    if (isOpen) this.move(job, number);
    if (before === job.state) return;
    if (isOpen || OPEN.includes(before)) this.again("#queue");
    if (job.state === "failed" && OPEN.includes(before)) note(`a picture could not be painted: ${job.error.detail}`);
    if (job.state === "done" && !document.getElementById(`recent-${job.id}`)) this.again("#recent");
    const stage = document.getElementById("stage");
    if (!stage) return;
    const finished = job.state === "done" && OPEN.includes(before);
    const isEmpty = !("job" in stage.dataset) && isOpen;
    const isShown = stage.dataset.job === job.id && stage.dataset.state !== job.state;
    if (isShown || isEmpty || (finished && !("picked" in stage.dataset))) this.stage(job.id, "picked" in stage.dataset);
  }

  // Bars, words and pictures of a job wherever it is shown.
  move(job, number) {
    const { progress } = job;
    for (const place of document.querySelectorAll(`#queue [data-job="${job.id}"], #stage[data-job="${job.id}"]`)) {
      const bar = place.querySelector("progress"), left = place.querySelector(".left");
      if (bar && progress) bar.value = progress.fraction;
      if (left && job.state === "running") left.textContent = ENDING[job.ending] || inWords(progress);
    }
    const now = performance.now();
    if (!progress || now - (this.pictured.get(job.id) || 0) < PICTURE_MS) return;
    this.pictured.set(job.id, now);
    const picture = new Image();  // shown once it is here, so that nothing flickers
    picture.onload = () => {
      for (const place of document.querySelectorAll(`[data-job="${job.id}"] .so-far`)) {
        place.src = picture.src;
        place.dataset.shown = String(Number(place.dataset.shown || 0) + 1);
      }
    };
    picture.src = `/studio/pictures/jobs/${job.id}/so-far?${number}`;
  }

  // Several events in a row ask once.
  again(part) {
    clearTimeout(this.due.get(part));
    this.due.set(part, setTimeout(() => {
      const found = document.querySelector(part);
      if (found) window.htmx.trigger(found, "refresh");
    }, SETTLE_MS));
  }

  async stage(job, picked) {
    await window.htmx.ajax("GET", `/studio/stage?job=${job}`, { target: "#stage", swap: "outerHTML" });
    if (picked) document.getElementById("stage").dataset.picked = "";
  }
}

function inWords(progress) {
  if (!progress) return "beginning";
  const seconds = progress.eta_s;
  return seconds < 90 ? `about ${Math.max(1, Math.round(seconds))} s left` : `about ${Math.round(seconds / 60)} min left`;
}

customElements.define("live-jobs", LiveJobs);
