(() => {
  const key = "impasto-campaign-" + document.body.querySelector("main").dataset.place;
  let said = {};
  try { said = JSON.parse(localStorage.getItem(key)) || JSON.parse(document.getElementById("decisions").textContent); }
  catch { said = JSON.parse(document.getElementById("decisions").textContent); }
  const count = document.getElementById("count"), link = document.getElementById("save");
  const show = () => {
    for (const card of document.querySelectorAll("[data-slot]")) {
      const mine = said[card.dataset.slot];
      for (const button of card.querySelectorAll("button"))
        button.setAttribute("aria-pressed", String(mine?.decision === button.value));
      const strength = card.querySelector("input");
      strength.parentElement.hidden = mine?.decision !== "redo";
      if (mine?.strength != null) strength.value = mine.strength;
    }
    const all = Object.values(said);
    count.textContent = ["approve", "reject", "redo"]
      .map((name) => `${all.filter((one) => one.decision === name).length} ${name}`).join(" · ");
    try { localStorage.setItem(key, JSON.stringify(said)); } catch { /* a page opened as a file may have none */ }
  };
  const decide = (card, decision) => {
    const { slot, key: output } = card.dataset;
    if (said[slot]?.decision === decision) delete said[slot];
    else said[slot] = { decision, key: output,
      ...(decision === "redo" ? { strength: Number(card.querySelector("input").value) } : {}) };
    show();
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-slot] button");
    if (button) decide(button.closest("[data-slot]"), button.value);
  });
  document.addEventListener("input", (event) => {
    const card = event.target.closest("[data-slot]");
    if (card && said[card.dataset.slot]) said[card.dataset.slot].strength = Number(event.target.value);
    show();
  });
  link.addEventListener("click", () => {
    link.href = URL.createObjectURL(new Blob([JSON.stringify(said, null, 1)], { type: "application/json" }));
  });
  show();
})();
