// What is broadcast: the ticker, and "a new board has been published". Pages work without it; figures are then as of the load.
(() => {
  const ticker = [...document.querySelectorAll("[data-live]")];
  const board = document.querySelector("[data-live-board]");
  if (!ticker.length && !board) return;
  const LONGEST_WAIT_MS = 60_000;
  let failures = 0;

  const hear = {
    ticker(message) {
      for (const element of ticker) {
        const value = message[element.dataset.live];
        if (!Number.isInteger(value)) continue;
        const words = value === 1 ? element.dataset.one : element.dataset.many;
        element.textContent = words.replace("{n}", value.toLocaleString(document.documentElement.lang));
        element.hidden = value === 0;
      }
    },
    board() {
      if (board) board.hidden = false;
    },
  };

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/live/`);
    socket.addEventListener("message", (event) => {
      failures = 0;
      const message = JSON.parse(event.data);
      hear[message.type]?.(message);
    });
    // Wait longer each time, and never all at once: a restart of the server meets every open page.
    socket.addEventListener("close", () => {
      failures += 1;
      const longest = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** failures);
      setTimeout(connect, longest * (0.5 + Math.random() / 2));
    });
  }

  connect();
})();
