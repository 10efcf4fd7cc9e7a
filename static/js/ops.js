// Operations, live: each announced tick brings the fragment anew. Says when the figures are old or nobody announces them.
(() => {
  const LONGEST_WAIT_MS = 60_000;
  const lost = document.getElementById("ops-lost");
  const late = document.getElementById("ops-late");
  let failures = 0;
  let asking = false;
  let computedAt = 0;

  function noteAge() {
    const shown = document.getElementById("ops");
    computedAt = Date.now() - Number(shown.dataset.age || 0) * 1000;
    sayIfOld();
  }

  function sayIfOld() {
    const shown = document.getElementById("ops");
    late.hidden = !shown.dataset.figures || Date.now() - computedAt <= Number(shown.dataset.late) * 1000;
    for (const said of shown.querySelectorAll("[data-computed]")) said.hidden = !late.hidden; // "just now" was true when it came
  }

  async function refresh() {
    if (asking) return;
    asking = true;
    try {
      const answer = await fetch(location.pathname, { headers: { "HX-Request": "true" }, credentials: "same-origin" });
      if (!answer.ok && answer.status !== 503) throw new Error(String(answer.status));
      show(await answer.text());
    } catch {
      lost.hidden = false; // signed out, or the server is away: what is shown stays
    } finally {
      asking = false;
    }
  }

  function show(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("ops");
    if (!fresh) return;
    const old = document.getElementById("ops");
    for (const part of old.querySelectorAll("details[id]")) {
      const same = fresh.querySelector(`#${CSS.escape(part.id)}`);
      if (same) same.open = part.open;
    }
    const scrolled = [...old.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    const focused = old.contains(document.activeElement) ? labelOf(document.activeElement) : "";
    old.replaceWith(document.adoptNode(fresh));
    fresh.querySelectorAll(".scroll").forEach((one, number) => (one.scrollLeft = scrolled[number] || 0));
    if (focused) fresh.querySelector(focused)?.focus({ preventScroll: true });
    noteAge();
  }

  function labelOf(element) {
    const part = element.closest("details[id]");
    if (part) return `#${CSS.escape(part.id)} > summary`;
    const label = element.getAttribute("aria-labelledby");
    return label ? `[role=region][aria-labelledby="${CSS.escape(label)}"]` : "";
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/live/ops/`);
    socket.addEventListener("open", () => {
      if (failures) refresh(); // what was missed
      failures = 0;
      lost.hidden = true;
    });
    socket.addEventListener("message", refresh);
    socket.addEventListener("close", () => {
      failures += 1;
      lost.hidden = false;
      const longest = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** failures);
      setTimeout(connect, longest * (0.5 + Math.random() / 2));
    });
  }

  noteAge();
  setInterval(sayIfOld, 1000);
  connect();
})();
