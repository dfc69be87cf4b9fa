// A note to the curator is sent without leaving the page; it is none of the desk's acts.
"use strict";
(() => {
  const isNote = (element) => element instanceof Element && element.matches("form[data-note]");

  // W opens it, and the very next key is the note's first letter: so not on `toggle`, which
  // comes a moment later.
  document.addEventListener("click", (event) => {
    const details = event.target.closest("#note > summary")?.parentElement;
    if (!details || details.open) return;
    event.preventDefault();
    details.open = true;
    document.querySelector(".told").textContent = "";
    document.getElementById("note-text").focus({ preventScroll: true });
    details.scrollIntoView({ block: "nearest" });
  });

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!isNote(form)) return;
    event.preventDefault();
    if (form.dataset.busy) return;
    form.dataset.busy = "yes";
    const trouble = form.querySelector(".trouble");
    trouble.textContent = "";
    let [sent, says] = [false, form.dataset.unsent];
    try {
      const body = new FormData(form);
      const answer = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" } });
      sent = answer.ok && !answer.redirected; // a redirect is the sign-in page
      if (sent || answer.status === 422) says = await answer.text();
    } catch {
      // The server is away.
    }
    delete form.dataset.busy;
    if (!sent) {
      trouble.textContent = says;
      return;
    }
    form.reset();
    if (!form.isConnected) return; // the next document has come meanwhile
    const details = form.closest("details");
    details.open = false;
    details.querySelector("summary").focus({ preventScroll: true });
    document.querySelector(".told").textContent = says;
  });
})();
