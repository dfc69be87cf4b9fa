// The desk: acts, focus and announcements. htmx posts and swaps; without JavaScript the same
// forms work. Keys are in keys.js, the next document in prefetch.js, E in correct.js.
"use strict";
(() => {
  const CALM = 200; // ms after a new document in which nothing is picked: a double press or
  // a double click, begun on the last document, must not decide this one.
  let openAt = 0;
  let busy = false;

  const desk = () => document.getElementById("desk");
  const isAct = (element) => element instanceof Element && element.matches("form[data-act]");

  // The page can be picked on: told in data-open, which the browser tests wait for.
  function open() {
    openAt = performance.now() + CALM;
    const shown = desk();
    setTimeout(() => shown.setAttribute("data-open", ""), CALM);
  }

  function say(...sentences) {
    const text = sentences.filter(Boolean).join(" ");
    const said = document.getElementById("said");
    if (said.textContent !== text) said.textContent = text;
  }

  // A box that scrolls sideways can be reached and scrolled by keyboard.
  function reachScrollers() {
    for (const box of document.querySelectorAll(".doc :is(pre, table, .scroll)")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
  }

  // Escape hides the meanings, and closes what E or S opened.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
    desk().classList.add("hushed");
    const opened = document.querySelector("details.act[open]");
    if (opened) shut(opened);
  });

  let camefrom = null; // what had the focus before E or S

  function shut(details) {
    details.open = false;
    const back = camefrom?.isConnected ? camefrom : details.querySelector("summary");
    back.focus({ preventScroll: true });
  }

  document.addEventListener(
    "click",
    (event) => {
      const summary = event.target.closest("summary");
      const details = summary?.parentElement;
      if (!details || details.open) return;
      const { activeElement } = document;
      camefrom = activeElement?.closest(".pick") ?? summary;
      if (details.matches(".guidelines")) {
        summary.focus({ preventScroll: true });
        requestAnimationFrame(() => details.scrollIntoView({ block: "nearest" }));
      }
    },
    true,
  );

  // `toggle` does not bubble, but it can be caught on the way down.
  document.addEventListener(
    "toggle",
    (event) => {
      if (event.target.id === "skip" && event.target.open) {
        event.target.querySelector("button").focus({ preventScroll: true });
      }
      if (event.target.closest(".doc, .fold")) reachScrollers(); // what was folded has a width now
    },
    true,
  );

  document.addEventListener("pointermove", (event) => {
    if (event.movementX || event.movementY) desk().classList.remove("hushed");
  });

  // --- An act -----------------------------------------------------------------

  document.addEventListener(
    "submit",
    (event) => {
      if (!isAct(event.target)) return;
      if (!busy && performance.now() >= openAt) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    },
    true, // before htmx
  );

  // Whose request it is: the event's own target is another once the form is swapped away.
  const asker = (event) => event.detail.requestConfig?.elt;

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!isAct(asker(event))) return;
    busy = true;
    document.getElementById("trouble")?.replaceChildren();
    asker(event).classList.add("chosen");
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    if (!isAct(asker(event))) return;
    busy = false;
    asker(event).classList.remove("chosen");
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { detail } = event;
    const { xhr, requestConfig } = detail;
    if (isSaved(xhr)) return; // its body moves the progress on, and nothing else
    const isDesk = xhr.responseText.includes("data-desk");
    if (xhr.status === 422) {
      trouble(xhr);
    } else if (!isDesk) {
      // The sign-in page, an error page, a proxy's page: the choice stays on screen.
      detail.shouldSwap = false;
      if (isAct(asker(event))) trouble(xhr);
      else if (isSignIn(xhr)) location.reload();
    } else if (requestConfig.verb === "get") {
      // Polling an empty queue: swap only news, so that nobody's place is lost.
      const mark = document.querySelector("[data-mark]")?.outerHTML.match(/data-mark="[^"]*"/);
      if (mark && xhr.responseText.includes(mark[0])) detail.shouldSwap = false;
    }
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id !== "desk" || isSaved(event.detail.xhr)) return;
    arrive(event.detail.requestConfig.verb === "post");
  });

  // prefetch.js has put the next document there.
  document.addEventListener("desk:swapped", () => arrive(true));

  function arrive(picked) {
    const title = document.getElementById("title");
    const notice = document.querySelector(".notice, [data-undone]");
    const { saved, next } = document.getElementById("said").dataset;
    const isDocument = Boolean(document.querySelector(".candidates"));
    if (picked || isDocument) {
      window.scrollTo(0, 0);
      title.focus({ preventScroll: true });
    }
    say(
      notice ? notice.textContent : picked ? saved : "",
      isDocument ? next : "",
      title.textContent,
    );
    desk().classList.add("hushed"); // no meanings under a pointer that has not moved
    open();
    reachScrollers();
    document.dispatchEvent(new CustomEvent("desk:arrived"));
  }

  // The act is saved, and its next document is here already: prefetch.js shows it.
  const isSaved = (xhr) => xhr.status === 200 && xhr.getResponseHeader("HX-Reswap") === "none";

  // --- Trouble ----------------------------------------------------------------

  const isSignIn = (xhr) =>
    Boolean(xhr?.responseURL) &&
    new URL(xhr.responseURL).pathname === document.getElementById("said").dataset.signIn;

  function trouble(xhr) {
    const place = document.getElementById("trouble");
    if (!place) return; // an empty desk, which looks again by itself
    const words = place.dataset;
    if (isSignIn(xhr)) {
      const link = document.createElement("a");
      link.href = location.href; // asks for the sign-in, and comes back here
      link.textContent = words.signInAgain;
      place.replaceChildren(words.signedOut, " ", link);
    } else if (xhr?.status === 422) {
      const answer = new DOMParser().parseFromString(xhr.responseText, "text/html");
      const why = answer.querySelector(".notice")?.textContent ?? "";
      place.textContent = `${words.refused} ${why}`;
    } else if (!xhr || [0, 502, 503, 504].includes(xhr.status)) {
      place.textContent = words.unreachable;
    } else {
      place.textContent = xhr.status >= 500 ? words.failed : words.old;
    }
  }

  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:sendAbort"]) {
    document.addEventListener(name, (event) => {
      if (isAct(asker(event))) trouble(null);
    });
  }

  open();
  reachScrollers();
})();
