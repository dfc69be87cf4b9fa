// An upload shows how far it is; without this the form works as forms do.
"use strict";
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-upload]")) return;
  event.preventDefault();
  if (form.elements.file.files[0]?.size > Number(form.dataset.most)) {
    form.querySelector(".trouble").textContent = form.dataset.tooLarge;
    return;
  }
  const [bar, button, trouble] = ["progress", "button", ".trouble"].map((one) => form.querySelector(one));
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.upload.onprogress = ({ loaded, total }) => (bar.value = (100 * loaded) / total);
  request.onload = () => {
    // The page that answers is the import's; or this one, with the reason.
    if (request.status < 400) location.assign(request.responseURL);
    else document.open().write(request.responseText), document.close();
  };
  request.onerror = () => {
    trouble.textContent = form.dataset.failed;
    bar.hidden = true;
    button.disabled = false;
  };
  trouble.textContent = "";
  bar.hidden = false;
  button.disabled = true;
  request.send(new FormData(form));
});
