// Buttons that ask the API for something: data-post, data-patch or data-delete with an address, data-body with JSON.
// What has changed comes back over the stream of events; only what no event tells is shown here.

import { ask, note, reason } from "./notes.js";

const VERBS = ["post", "patch", "delete"];

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.stage) {
    show(button.dataset.stage);
    return;
  }
  const verb = VERBS.find((name) => name in button.dataset);
  if (!verb || (button.dataset.ask && !confirm(button.dataset.ask))) return;
  button.disabled = true;
  try {
    const body = button.dataset.body && JSON.parse(button.dataset.body);
    await ask(verb.toUpperCase(), button.dataset[verb], body || undefined);
    if (verb === "delete") removed(button);
    else if (button.matches(".star")) starred(button, body.starred);
    else for (const part of ["#queue", "#campaign"]) refresh(part);
  } catch (error) {
    note(error.message);
  } finally {
    button.disabled = false;
  }
});

// A job on the large picture, because somebody wants to see this one.
export async function show(job) {
  await window.htmx.ajax("GET", `/studio/stage?job=${job}`, { target: "#stage", swap: "outerHTML" });
  const stage = document.getElementById("stage");
  stage.dataset.picked = "";
  stage.dispatchEvent(new CustomEvent("picked", { bubbles: true }));
  stage.scrollIntoView({ block: "nearest" });
}

function refresh(part) {
  const found = document.querySelector(part);
  if (found) window.htmx.trigger(found, "refresh");
}

function removed(button) {
  const tile = button.closest("li.tile");
  if (tile) {
    tile.remove();
    return;
  }
  window.htmx.ajax("GET", "/studio/stage", { target: "#stage", swap: "outerHTML" });
  refresh("#recent");
}

function starred(button, is) {
  button.setAttribute("aria-pressed", String(is));
  button.dataset.body = JSON.stringify({ starred: !is });
}

document.addEventListener("htmx:responseError", ({ detail: { xhr } }) => note(reason(xhr.responseText, xhr.status)));
document.addEventListener("htmx:sendError", () => note("the service cannot be reached; is it still running?"));
