// After "too fast": works out the server's puzzle in a worker and sends the form again by itself. Without it, one waits.
(() => {
  const MOST = 3; // solutions in a row that were not accepted

  let last = null; // the form that was sent last
  let worker = null;
  let edited = false;
  let tries = 0;

  function stop() {
    worker?.terminate();
    worker = null;
  }

  function look() {
    for (const field of document.querySelectorAll("[data-solution]")) field.remove(); // it has been used
    const box = document.querySelector("#notice [data-puzzle]");
    if (!box) {
      tries = 0;
      return stop();
    }
    if (box.dataset.begun || !last?.isConnected || tries >= MOST) return;
    box.dataset.begun = "1";
    tries += 1;
    edited = false;
    stop();
    worker = new Worker(box.dataset.worker);
    worker.onmessage = ({ data }) => solved(box, data);
    worker.onerror = () => ((box.hidden = true), stop()); // no workers here: the countdown goes on
    worker.postMessage({ token: box.dataset.puzzle, bits: Number(box.dataset.bits) });
    box.hidden = false;
  }

  function solved(box, answer) {
    stop();
    if (!box.isConnected || !last?.isConnected) return; // the person has gone on
    for (const [name, value] of [["puzzle", box.dataset.puzzle], ["answer", answer]]) {
      const field = Object.assign(document.createElement("input"), { type: "hidden", name, value });
      field.dataset.solution = "";
      last.append(field);
    }
    if (edited) box.textContent = box.dataset.ready; // a text that is being changed is not sent behind one's back
    else last.requestSubmit();
  }

  document.addEventListener("submit", (event) => (last = event.target), true);
  document.addEventListener("input", (event) => (edited ||= Boolean(last?.contains(event.target))));
  document.addEventListener("htmx:after:swap", look);
  window.addEventListener("pagehide", stop);
})();
