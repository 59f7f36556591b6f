"use strict";
for (const box of document.querySelectorAll(".slider")) {
  const handle = box.querySelector("input");
  handle.hidden = false;
  handle.addEventListener("input", () => box.style.setProperty("--at", `${handle.value}%`));
}
