// Holds the ONNX Runtime Web sessions, so that the page stays quick while it paints. Pictures come and go as RGBA bytes.
// Asked by {id, ask, ...}, it answers {id, ...} or {id, error}.

const THREADS = 4;  // more gain little on networks this small
let ort, transfer, encoder;

async function start({ compute, anyStyle }) {
  const adapter = await usable(compute);
  let backend = adapter ? "WebGPU" : "WebAssembly";
  let problem = null;
  try {
    await load(Boolean(adapter), anyStyle);
  } catch (error) {
    if (!adapter) throw error;
    problem = String(error.message || error);  // the driver's fault, mostly: say so and compute on the CPU
    backend = "WebAssembly";
    await load(false, anyStyle);
  }
  const threads = backend === "WebGPU" ? 0 : ort.env.wasm.numThreads;
  return { backend, threads, problem };
}

// A GPU to compute on. One that the CPU only imitates is slower than WebAssembly, so it counts only if asked for.
async function usable(compute) {
  if (compute === "cpu" || !self.navigator.gpu) return null;
  const adapter = await self.navigator.gpu.requestAdapter().catch(() => null);
  return adapter && compute !== "gpu" && adapter.info.isFallbackAdapter ? null : adapter;
}

// The build with WebGPU is twice as large, so it is fetched only where there is one.
async function load(gpu, anyStyle) {
  ort = await import(gpu ? "./ort/ort.webgpu.min.mjs" : "./ort/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = new URL("ort/", self.location.href).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(THREADS, self.navigator.hardwareConcurrency || 1) : 1;
  ort.env.logLevel = "error";
  const [painting, coding] = await Promise.all(["transfer", "encoder"].map((name) => anyStyle || name === "transfer"
    ? fetch(`${name}.onnx`).then((answer) => answer.arrayBuffer()) : null));
  const quiet = { logSeverityLevel: 3 };
  transfer = await ort.InferenceSession.create(painting, { executionProviders: [gpu ? "webgpu" : "wasm"], ...quiet });
  // Once for each style, and made of many tiny steps: the CPU is better at it.
  encoder = coding && await ort.InferenceSession.create(coding, { executionProviders: ["wasm"], ...quiet });
  // The first picture compiles what the others use; a bad driver fails here, where the CPU can still step in.
  const empty = { data: new Uint8ClampedArray(4 * 64 * 64).fill(128), width: 64, height: 64 };
  const code = encoder ? (await encode(empty)).code : null;
  await paint({ ...empty, code, share: 1 });
}

async function encode({ data, width, height }) {
  const { code } = await encoder.run({ style: tensor(data, width, height) });
  return { code: await code.getData() };
}

async function paint({ data, width, height, code, share }) {
  const began = performance.now();
  const inputs = { pixels: tensor(data, width, height) };
  if (encoder) inputs.code = new ort.Tensor("float32", code, [1, code.length]);
  const { painted } = await transfer.run(inputs);
  const values = await painted.getData(), count = width * height;
  painted.dispose();
  for (let channel = 0; channel < 3; channel++) {
    for (let place = 0, from = channel * count, to = channel; place < count; place++, from++, to += 4) {
      // Rounded by the clamped array. Below a full share the photo shows through.
      data[to] += share * (255 * values[from] - data[to]);
    }
  }
  return { data, ms: performance.now() - began };
}

function tensor(data, width, height) {
  const count = width * height, values = new Float32Array(3 * count);
  for (let channel = 0; channel < 3; channel++) {
    for (let place = 0, from = channel, to = channel * count; place < count; place++, from += 4, to++) {
      values[to] = data[from] / 255;
    }
  }
  return new ort.Tensor("float32", values, [1, 3, height, width]);
}

const asked = { start, encode, paint };

async function answer({ id, ask, ...rest }) {
  try {
    const result = await asked[ask](rest);
    self.postMessage({ id, ...result }, result.data ? [result.data.buffer] : []);
  } catch (error) {
    self.postMessage({ id, error: String(error.message || error) });
  }
}

// One after the other: a session cannot run twice at a time.
let turn = Promise.resolve();
self.onmessage = ({ data }) => { turn = turn.then(() => answer(data)); };
