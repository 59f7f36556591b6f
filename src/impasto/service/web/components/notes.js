// Short sentences at the edge of the page, read out by screen readers, and what the service answers when it refuses.

const STAYS_MS = 7000;

export function note(text) {
  const line = document.createElement("p");
  line.textContent = text;
  document.getElementById("notes").append(line);
  setTimeout(() => line.remove(), STAYS_MS);
}

// The sentence inside a problem+json answer.
export function reason(text, status) {
  try {
    return JSON.parse(text).detail || `the service answers ${status}`;
  } catch {
    return `the service answers ${status}`;
  }
}

// One request to the API; throws what it says if it refuses.
export async function ask(method, address, body) {
  const isForm = body instanceof FormData;
  const answer = await fetch(address, {
    method,
    body: isForm || body === undefined ? body : JSON.stringify(body),
    headers: isForm || body === undefined ? {} : { "Content-Type": "application/json" },
  });
  if (answer.status === 401) location.assign("/signin");
  const text = await answer.text();
  if (!answer.ok) throw new Error(reason(text, answer.status));
  return text ? JSON.parse(text) : null;
}
