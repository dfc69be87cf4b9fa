// The next document is fetched while this one is read, and shown the moment the act is saved.
// Both are held for the reader: renewed while the page is seen, given back when it is left.
"use strict";
(() => {
  const RENEW = 120_000; // ms; a lease lasts five minutes
  const hold = document.getElementById("hold");
  const desk = () => document.getElementById("desk");
  let next = null; // the desk to come: parsed, and not yet in the page
  let asking = null; // the request under way
  let renewedAt = performance.now();

  async function prefetch() {
    // What is in store stays until another comes: an act may be under way that counts on it.
    // Should it be lost, the server says so by sending a whole desk.
    asking?.abort();
    const shown = desk().dataset.document;
    if (!shown) return;
    const asked = new AbortController();
    asking = asked;
    try {
      const answer = await fetch(`${hold.dataset.next}?after=${shown}`, {
        headers: { "HX-Request": "true" },
        signal: asked.signal,
      });
      if (answer.status !== 200 || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (asking === asked) store(page, shown);
    } catch {
      // Aborted, or the server is away: the act then brings its next document itself.
    }
  }

  function store(from, shown) {
    const main = from.querySelector("#desk[data-document]");
    if (main && main.dataset.document !== shown) next = document.adoptNode(main);
  }

  const leaseOf = (main) => main?.querySelector("input[name=lease]")?.value;

  const isUndo = (form) => form.matches(".undo");

  document.addEventListener("htmx:configRequest", (event) => {
    const form = event.detail.elt;
    if (!next || !form.matches("form[data-act]") || isUndo(form)) return;
    event.detail.parameters.prefetched = leaseOf(next);
  });

  // The server's word that the act is saved; it brings the document after the next along, in
  // <template id="following">. htmx first finishes with its answer.
  document.addEventListener("desk:saved", () => {
    queueMicrotask(() => {
      if (!next) {
        location.reload();
        return;
      }
      const main = next;
      next = null;
      asking?.abort();
      asking = null;
      desk().replaceWith(main);
      document.title = `${main.querySelector("#title").textContent} · Tagger`;
      window.htmx.process(main);
      const { content } = document.getElementById("following");
      store(content, main.dataset.document);
      content.replaceChildren();
      document.dispatchEvent(new CustomEvent("desk:swapped"));
    });
  });

  document.addEventListener("desk:arrived", () => {
    hold.hidden = true;
    hold.textContent = "";
    renewedAt = performance.now();
  });

  // A whole answer came: it says nothing of the document after it.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target !== desk()) return;
    if (event.detail.xhr.getResponseHeader("HX-Reswap") === "none") return;
    requestAnimationFrame(() => setTimeout(prefetch)); // first what is seen
  });

  // --- Leases -------------------------------------------------------------------

  function fields(leases) {
    const token = document.querySelector("input[name=csrfmiddlewaretoken]");
    const form = new FormData();
    form.append("csrfmiddlewaretoken", token?.value ?? "");
    for (const lease of leases) form.append("lease", lease);
    return form;
  }

  const held = () => [leaseOf(desk()), leaseOf(next)].filter(Boolean);

  async function renew() {
    renewedAt = performance.now();
    const shown = desk();
    if (!leaseOf(shown)) return;
    const ask = (leases) => fetch(hold.dataset.renew, { method: "POST", body: fields(leases) });
    try {
      let { status } = await ask(held());
      // Decided meanwhile, or just being decided: then a lost lease is as it should be.
      if (shown !== desk() || document.querySelector(".htmx-request")) return;
      if (status === 409 && next) {
        prefetch(); // whichever was lost: another next one does no harm
        ({ status } = await ask([leaseOf(shown)]));
      }
      if (shown !== desk()) return;
      hold.hidden = status !== 409;
      hold.textContent = status === 409 ? hold.dataset.lost : "";
    } catch {
      // Offline. The next time will do, and a late act still counts while nobody took it.
    }
  }

  setInterval(() => {
    if (document.visibilityState === "visible") renew();
  }, RENEW);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && performance.now() - renewedAt > RENEW / 2) renew();
  });
  window.addEventListener("pagehide", () => {
    if (held().length) navigator.sendBeacon(hold.dataset.release, fields(held()));
  });
  window.addEventListener("pageshow", (event) => {
    // After a reload the old page gives back, a moment late, what the new one just got.
    setTimeout(renew, event.persisted ? 0 : 1000);
  });
  prefetch();
})();
