// The desk's keys, focus and announcements. htmx posts and swaps; without JavaScript the
// same forms work. A control says its own key: data-key="1".
"use strict";
(() => {
  const CALM = 200; // ms after a new document in which nothing is picked: a double press or
  // a double click, begun on the last document, must not decide this one.
  let openAt = 0;
  let busy = false;

  const desk = () => document.getElementById("desk");
  const isPick = (element) => element instanceof Element && element.matches(".candidates form");

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

  // --- Keys -------------------------------------------------------------------

  function pressed(event) {
    if (event.key === "？") return "?"; // full width, from a Chinese keyboard
    // The digit row gives digits only with Shift on some layouts (French): go by the place.
    if (/^Digit\d$/.test(event.code) && !event.shiftKey) return event.code.slice(5);
    return event.key.length === 1 ? event.key.toLowerCase() : event.key;
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") desk().classList.add("hushed"); // hides the meanings
    if (event.repeat || event.isComposing || event.defaultPrevented) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
    if (document.querySelector("dialog[open]")) return;
    const control = document.querySelector(`[data-key="${CSS.escape(pressed(event))}"]`);
    if (!control || control.hidden || control.disabled) return;
    event.preventDefault();
    if (control.type === "submit") control.form.requestSubmit(control);
    else control.click();
  });

  document.addEventListener("pointermove", (event) => {
    if (event.movementX || event.movementY) desk().classList.remove("hushed");
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens).showModal();
  });

  // --- A pick -----------------------------------------------------------------

  document.addEventListener(
    "submit",
    (event) => {
      if (!isPick(event.target)) return;
      if (!busy && performance.now() >= openAt) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    },
    true, // before htmx
  );

  // Whose request it is: the event's own target is another once the form is swapped away.
  const asker = (event) => event.detail.requestConfig?.elt;

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (!isPick(asker(event))) return;
    busy = true;
    document.getElementById("trouble").textContent = "";
    asker(event).classList.add("chosen");
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    if (!isPick(asker(event))) return;
    busy = false;
    asker(event).classList.remove("chosen");
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { detail } = event;
    const { xhr, requestConfig } = detail;
    const isDesk = xhr.responseText.includes("data-desk");
    if (!isDesk) {
      // The sign-in page, an error page, a proxy's page: the choice stays on screen.
      detail.shouldSwap = false;
      if (isPick(asker(event))) trouble(xhr);
      else if (isSignIn(xhr)) location.reload();
    } else if (requestConfig.verb === "get") {
      // Polling an empty queue: swap only news, so that nobody's place is lost.
      const mark = document.querySelector("[data-mark]")?.outerHTML.match(/data-mark="[^"]*"/);
      if (mark && xhr.responseText.includes(mark[0])) detail.shouldSwap = false;
    }
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id === "desk") arrive(event.detail.requestConfig.verb === "post");
  });

  function arrive(picked) {
    const title = document.getElementById("title");
    const notice = document.querySelector(".notice");
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
  }

  // --- Trouble ----------------------------------------------------------------

  const isSignIn = (xhr) =>
    Boolean(xhr?.responseURL) &&
    new URL(xhr.responseURL).pathname === document.getElementById("said").dataset.signIn;

  function trouble(xhr) {
    const place = document.getElementById("trouble");
    const words = place.dataset;
    if (isSignIn(xhr)) {
      const link = document.createElement("a");
      link.href = location.href; // asks for the sign-in, and comes back here
      link.textContent = words.signInAgain;
      place.replaceChildren(words.signedOut, " ", link);
    } else if (!xhr || [0, 502, 503, 504].includes(xhr.status)) {
      place.textContent = words.unreachable;
    } else {
      place.textContent = xhr.status >= 500 ? words.failed : words.old;
    }
  }

  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:sendAbort"]) {
    document.addEventListener(name, (event) => {
      if (isPick(asker(event))) trouble(null);
    });
  }

  for (const control of document.querySelectorAll("[data-opens]")) control.hidden = false;
  open();
  reachScrollers();
})();
