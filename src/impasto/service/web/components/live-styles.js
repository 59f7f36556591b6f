// The library's styles on the webcam's page: a button gives its picture to the page as if somebody had chosen the file.

const input = document.getElementById("style-file");
const buttons = [...document.querySelectorAll("[data-style]")];

for (const button of buttons) {
  button.addEventListener("click", async () => {
    const { style } = button.dataset;
    const picture = await (await fetch(`/studio/pictures/styles/${style}?px=400`)).blob();
    const given = new DataTransfer();
    given.items.add(new File([picture], `${style}.webp`, { type: picture.type }));
    input.files = given.files;
    input.dispatchEvent(new Event("change"));
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
  });
}

// Once the network is there.
new MutationObserver(() => {
  if (document.body.dataset.ready) for (const button of buttons) button.disabled = false;
}).observe(document.body, { attributes: true, attributeFilter: ["data-ready"] });
