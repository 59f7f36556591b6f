// The page: what is shown and asked for. All computing is worker.js's.

const $ = (id) => document.getElementById(id);
const STYLE_PX = 320;    // shorter side at which styles are looked at, as in Python
const SMALLEST_PX = 36;  // of the transfer graph
const FADE = 0.2;        // at a smaller strength the painted picture fades into the photo, as in Python
const OWN_EVERY_MS = 1000;

const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let asked = 0;
let photo = null;        // ImageBitmap
let ownCode = null;      // of the photo itself: strength lies between it and the style's
let styleCode = null;
let about = null;
let busy = false, again = false;
let camera = null;       // MediaStream
const facts = document.body.dataset;  // what the page has done, for whoever looks from outside
facts.painted = facts.frames = "0";

worker.onmessage = ({ data: { id, error, ...answer } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error)); else resolve(answer);
};
worker.onerror = (event) => fail(event.message || "the worker could not start");

function ask(what, rest = {}, moved = []) {
  return new Promise((resolve, reject) => {
    waiting.set(++asked, { resolve, reject });
    worker.postMessage({ id: asked, ask: what, ...rest }, moved);
  });
}

function say(text) {
  // Written only when it changes, so that a screen reader hears it once.
  if ($("state").textContent !== text) $("state").textContent = text;
}

function fail(error) {
  facts.error = String(error.message || error);
  say(`that did not work: ${facts.error}`);
}

// The pixels of a source at a size, over white where it is transparent.
function pixelsOf(source, width, height, canvas = new OffscreenCanvas(width, height)) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

const sidesOf = (source) => [source.videoWidth || source.width, source.videoHeight || source.height];

function fitted(source) {
  const [width, height] = sidesOf(source);
  const factor = Math.min(1, Number($("size").value) / Math.max(width, height));
  return [width, height].map((side) => Math.max(SMALLEST_PX, Math.round(side * factor)));
}

async function codeOf(source) {
  const [width, height] = sidesOf(source);
  const factor = Math.min(1, STYLE_PX / Math.min(width, height));
  const size = [width, height].map((side) => Math.max(16, 2 * Math.floor(Math.round(side * factor) / 2)));
  const { data } = pixelsOf(source, ...size);
  return (await ask("encode", { data, width: size[0], height: size[1] }, [data.buffer])).code;
}

const strength = () => Number($("strength").value);

// The code to paint with; strength lies between the content's own code and the style's.
function blended() {
  if (!about.any_style || strength() === 1 || !ownCode) return styleCode;
  return styleCode.map((value, index) => ownCode[index] + strength() * (value - ownCode[index]));
}

async function paintOnce(source) {
  const [width, height] = fitted(source);
  const { data } = pixelsOf(source, width, height, $("photo"));
  const share = about.any_style ? Math.min(1, strength() / FADE) : strength();
  const answer = await ask("paint", { data, width, height, code: blended(), share }, [data.buffer]);
  const canvas = $("painted");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(answer.data, width, height), 0, 0);
  canvas.hidden = false;
  $("photo").hidden = false;
  $("save").disabled = false;
  for (const name of ["photo-hint", "painted-hint"]) $(name).hidden = true;
  facts.painted = String(Number(facts.painted) + 1);
  delete facts.error;
  return { width, height, ms: answer.ms };
}

// Paints the photo; asked again meanwhile, it paints once more with what is set then.
async function repaint() {
  if (photo && $("photo").hidden) {
    pixelsOf(photo, ...fitted(photo), $("photo"));
    $("photo").hidden = false;
    $("photo-hint").hidden = true;
  }
  if (camera || !photo || !ready()) return;
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  document.body.setAttribute("aria-busy", "true");
  try {
    do {
      again = false;
      say("painting");
      if (about.any_style && strength() < 1 && !ownCode) ownCode = await codeOf(photo);
      const { width, height, ms } = await paintOnce(photo);
      say(`${width} × ${height} px in ${(ms / 1000).toFixed(2)} s`);
    } while (again);
  } catch (error) {
    fail(error);
  } finally {
    busy = false;
    document.body.removeAttribute("aria-busy");
  }
}

const ready = () => about && (styleCode || !about.any_style);

async function bitmapOf(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is no picture that this browser can read; choose a JPEG, PNG or WebP file`);
  }
}

async function choosePhoto(file) {
  stopCamera();
  photo = await bitmapOf(file);
  ownCode = null;
  if (!ready()) say("now choose a style");
  pixelsOf(photo, ...fitted(photo), $("photo"));
  $("photo").hidden = false;
  $("photo-hint").hidden = true;
  await repaint();
}

async function chooseStyle(file) {
  const picture = await bitmapOf(file);
  say("looking at the style");
  const [width, height] = sidesOf(picture), factor = Math.min(1, 480 / Math.max(width, height));
  pixelsOf(picture, Math.ceil(width * factor), Math.ceil(height * factor), $("style"));
  $("style").hidden = false;
  $("style-hint").hidden = true;
  styleCode = await codeOf(picture);
  $("known").value = "";
  say(photo || camera ? "painting" : "now choose a photo");
  await repaint();
}

async function chooseKnown(name) {
  if (!name) return;
  styleCode = Float32Array.from(about.codes[name]);
  $("style").hidden = true;
  $("style-hint").textContent = name;
  $("style-hint").hidden = false;
  await repaint();
}

async function startCamera() {
  if (!ready()) {
    say("choose a style first");
    return;
  }
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
  camera = stream;
  const video = $("video");
  video.srcObject = stream;
  await video.play();
  $("camera").textContent = "Stop the webcam";
  $("camera").setAttribute("aria-pressed", "true");
  say("painting what the webcam sees");
  const shown = [];
  let looked = -Infinity;
  const photoCode = ownCode;
  try {
    while (camera === stream) {
      const now = performance.now();
      if (about.any_style && strength() < 1 && now - looked > OWN_EVERY_MS) {
        looked = now;  // seldom: it hardly changes from frame to frame, and would only flicker
        ownCode = await codeOf(video);
      }
      const seen = performance.now();
      await paintOnce(video);
      if (camera !== stream) break;
      facts.frames = String(Number(facts.frames) + 1);
      shown.push(performance.now());
      while (shown.length > 30 || shown[0] < shown.at(-1) - 3000) shown.shift();
      if (shown.length > 1) {
        const rate = 1000 * (shown.length - 1) / (shown.at(-1) - shown[0]);
        facts.fps = rate.toFixed(2);
        facts.latency = (shown.at(-1) - seen).toFixed(1);
        $("rate").textContent = `${rate.toFixed(1)} frames per second, ${facts.latency} ms behind the webcam`;
      }
      await new Promise(requestAnimationFrame);  // rests while the page is hidden
    }
  } catch (error) {
    stopCamera();
    fail(error);
  } finally {
    ownCode = photoCode;
  }
}

function stopCamera() {
  if (!camera) return;
  for (const track of camera.getTracks()) track.stop();
  camera = null;
  $("video").srcObject = null;
  $("camera").textContent = "Start the webcam";
  $("camera").setAttribute("aria-pressed", "false");
  $("rate").textContent = "";
  say("the webcam is off");
}

function save() {
  $("painted").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = "impasto.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
}

const told = (call) => (...words) => call(...words).catch(fail);

function takes(frame, input, choose) {
  $(input).addEventListener("change", told(async () => {
    if ($(input).files.length) await choose($(input).files[0]);
    $(input).value = "";  // so that the same file can be chosen again
  }));
  $(frame).addEventListener("dragover", (event) => {
    event.preventDefault();
    $(frame).classList.add("over");
  });
  $(frame).addEventListener("dragleave", () => $(frame).classList.remove("over"));
  $(frame).addEventListener("drop", told(async (event) => {
    event.preventDefault();
    $(frame).classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) await choose(file);
  }));
}

function showNumbers() {
  $("strength-is").textContent = strength().toFixed(2);
  $("size-is").textContent = `${$("size").value} px`;
}

async function start() {
  about = await (await fetch("about.json")).json();
  for (const name of Object.keys(about.codes)) $("known").append(new Option(name, name));
  $("known-row").hidden = !Object.keys(about.codes).length;
  $("style-figure").hidden = !about.any_style;
  say("loading the network");
  const compute = new URLSearchParams(location.search).get("compute");  // "cpu" or "gpu": not the one chosen here
  const { backend, threads, problem } = await ask("start", { compute, anyStyle: about.any_style });
  if (backend === "WebAssembly") $("size").value = "384";  // without a GPU a picture should not take seconds
  showNumbers();
  facts.backend = backend;
  $("backend").textContent = backend === "WebGPU" ? "on the GPU (WebGPU)"
    : `on the CPU (WebAssembly, ${threads} thread${threads === 1 ? "" : "s"})`;
  if (problem) $("backend").title = `WebGPU failed: ${problem}`;
  for (const control of document.querySelectorAll("input, select, #camera")) control.disabled = false;
  say(about.any_style ? "choose a photo and a style" : "choose a photo");
  facts.ready = "true";
}

takes("photo-frame", "photo-file", choosePhoto);
takes("style-frame", "style-file", chooseStyle);
$("known").addEventListener("change", told(() => chooseKnown($("known").value)));
for (const name of ["strength", "size"]) {
  $(name).addEventListener("input", () => {
    showNumbers();
    repaint();
  });
}
$("camera").addEventListener("click", told(async () => camera ? stopCamera() : startCamera()));
$("save").addEventListener("click", save);
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());  // never leave
start().catch(fail);
