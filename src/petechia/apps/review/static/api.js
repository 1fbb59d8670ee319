/* Questions to the server. An answer that is none becomes a `Fault`. */

export class Fault extends Error {
  /** `status` 0: the server was not reached. */
  constructor(status, told, body) {
    super(told ? [told.where, told.what].filter(Boolean).join(": ") : `HTTP ${status}`);
    Object.assign(this, { status, told, body });
  }
}

let csrf = "";

async function ask(address, options) {
  let answer;
  try { answer = await fetch(address, { credentials: "same-origin", ...options }); } catch (error) { throw new Fault(0, null, String(error)); }
  if (answer.ok) { return answer; }
  const body = await answer.json().catch(() => null);
  throw new Fault(answer.status, body?.error, body);
}

export async function get(address, as = "json") {
  const answer = await ask(address);
  try { return await (as === "bytes" ? answer.arrayBuffer() : answer.json()); } catch (error) { throw new Fault(0, null, String(error)); }
}

/** Post JSON; `keepalive` lets it outlive the page. A new start of the server has new tokens. */
export async function post(address, body, keepalive = false) {
  if (!csrf) { await session(); }
  const send = () => ask(address, {
    method: "POST", body: JSON.stringify(body), keepalive, headers: { "content-type": "application/json", "x-csrf": csrf },
  });
  try { return await (await send()).json(); } catch (error) {
    if (!(error instanceof Fault) || error.status !== 403) { throw error; }
    await session();
    return (await send()).json();
  }
}

export async function session() {
  const told = await get("/api/session");
  csrf = told.csrf;
  return told;
}

export const scanAddress = (scan) => `/api/scans/${encodeURIComponent(scan)}`;

/** A UUID of version 4; `crypto.randomUUID` is there on secure origins only. */
export function newUuid() {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40; b[8] = (b[8] & 0x3f) | 0x80;
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
