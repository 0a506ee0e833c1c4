// Follows what happens to whoever is signed in, and misses nothing. onEvent gets each
// event once, in order; onResync says that what is shown must be fetched anew; onEnd,
// that one has to sign in again. What they do with a frame, they have done on return.
export function follow({ base = "/v1", cursor = "", onEvent, onResync, onEnd }) {
  const waiting = new Map(); // commands without an answer yet
  let socket, silence, failures = 0, commands = 0, stopped = false;

  function connect() {
    const address = new URL(`${base}/ws`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    if (cursor) address.searchParams.set("after", cursor);
    socket = new WebSocket(address);
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      failures = 0;
      clearTimeout(silence); // there is a heartbeat every 25 seconds
      silence = setTimeout(() => socket.close(), 60_000);
      if (frame.type === "resync") onResync(frame);
      else if (frame.ref) waiting.get(frame.ref)?.(frame);
      else if (!["hello", "heartbeat", "error"].includes(frame.type)) onEvent(frame);
      if (frame.id) cursor = frame.id;
    };
    socket.onclose = async ({ code, reason }) => {
      clearTimeout(silence);
      for (const answer of waiting.values()) answer({ type: "error", data: { code: "disconnected" } });
      if (stopped) return;
      const told = reason.startsWith("{") ? JSON.parse(reason) : {};
      const unknown = await fetch(`${base}/me`, { signal: AbortSignal.timeout(10_000) }).then((r) => r.status === 401, () => false);
      if (unknown || [4100, 1008, 1002, 1007, 1009].includes(code)) return onEnd(told.code ?? code);
      const backoff = Math.min(30_000, 1000 * 2 ** failures++) * (0.5 + Math.random() / 2);
      setTimeout(() => stopped || connect(), told.retry_ms ?? backoff);
    };
  }

  // Resolves to the answer, or to an error; after "disconnected", ask again: a message
  // with the same client_id is sent once.
  const command = (type, data) => new Promise((resolve) => {
    const id = `c${++commands}`;
    const done = (frame) => resolve((waiting.delete(id), frame));
    waiting.set(id, done);
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ id, type, data }));
    else done({ type: "error", data: { code: "disconnected" } });
  });
  connect();
  return { command, stop() { stopped = true; socket.close(); } };
}
