// What the pages of the console do in the browser beside htmx: times in the browser's own zone, keys, a list that submits
// itself, and a talk that stays at its end.
(function () {
  "use strict";

  function localise(root) {
    root.querySelectorAll("time[data-local]").forEach(function (time) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) return;
      const today = new Date().toDateString() === at.toDateString();
      const options = today ? { hour: "2-digit", minute: "2-digit" }
        : { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit" };
      time.textContent = at.toLocaleString(document.documentElement.lang, options);
      time.title = at.toLocaleString(document.documentElement.lang);
    });
    root.querySelectorAll("time[data-title]").forEach(function (time) {
      const at = new Date(time.dateTime);
      if (!isNaN(at)) time.title = at.toLocaleString(document.documentElement.lang);
    });
  }

  function toEnd(root) {
    const talk = root.querySelector ? root.querySelector("[data-end]") : null;
    if (talk) talk.scrollTop = talk.scrollHeight;
  }

  document.addEventListener("change", function (event) {
    if (event.target.matches("[data-submit]")) event.target.form.submit();
  });
  document.addEventListener("input", function (event) {  // what was pasted is not cut in silence, as by a maxlength
    const field = event.target;
    if (field.dataset.most) field.setCustomValidity(field.value.length > field.dataset.most ? field.dataset.tooLong : "");
  });
  document.addEventListener("submit", function (event) {
    const question = event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.matches("textarea[data-enter]")) {
      event.preventDefault();
      event.target.form.requestSubmit();
    }
  });
  function isTyping(element) {
    return element.matches("input, textarea, select") || element.isContentEditable;
  }

  function step(by) {  // j and k: through the links of a list, from the one that has the focus or is shown
    const links = Array.from(document.querySelectorAll(".contact-list a, main .list .row > .grow > a, main .list .row > .grow > p:first-child > a, main tbody tr > :first-child a"));
    const here = links.indexOf(document.activeElement);
    const shown = links.findIndex(function (link) { return link.getAttribute("aria-current"); });
    const next = links[here >= 0 ? here + by : shown >= 0 ? shown + by : 0];
    if (next) next.focus();
  }

  const KEYS = {
    "/": function () { const field = document.querySelector("main input[type=search]"); if (field) field.focus(); return field; },
    "j": function () { step(1); return true; },
    "k": function () { step(-1); return true; },
    "w": function () { const field = document.querySelector(".write textarea"); if (field) field.focus(); return field; },
    "?": function () { const help = document.getElementById("keys"); if (help) help.showModal(); return help; },
    "Escape": function () { const back = document.querySelector("main .only-phone a"); if (back) back.click(); return back; },
  };

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
    } else if (Object.hasOwn(KEYS, event.key) && KEYS[event.key]()) {
      event.preventDefault();
    }
  });
  document.addEventListener("click", function (event) {
    const opener = event.target.closest("[data-open]");
    if (opener) document.getElementById(opener.dataset.open).showModal();
  });
  document.addEventListener("input", function (event) {  // a template as its recipient will read it
    const form = event.target.closest("form[data-filled]");
    if (!form) return;
    const shown = form.querySelector("[data-preview]");
    shown.textContent = shown.dataset.preview.replace(/\{\{\s*(\w+)\s*\}\}/g, function (whole, name) {
      const field = form.querySelector('[data-fills="' + name + '"]');
      return (field && field.value.trim()) || whole;
    });
  });
  document.addEventListener("dragover", function (event) {
    if (event.target.closest("[data-drop]")) event.preventDefault();
  });
  document.addEventListener("drop", function (event) {
    const area = event.target.closest("[data-drop]");
    const file = event.dataTransfer && event.dataTransfer.files[0];
    if (!area || !file) return;
    event.preventDefault();
    file.text().then(function (text) { area.value = text; });
  });
  document.addEventListener("change", function (event) {
    const into = event.target.dataset && event.target.dataset.readInto;
    if (into && event.target.files[0]) {
      event.target.files[0].text().then(function (text) { document.getElementById(into).value = text; });
    }
  });

  let before = null;  // of a talk whose messages are being replaced: where it was read, and the last thing that was said

  function lastSaid(root) {
    const said = root.querySelectorAll("[data-said]");
    return said.length ? said[said.length - 1] : null;
  }

  document.addEventListener("htmx:beforeSwap", function (event) {
    const talk = event.target.matches("[data-keep-end]") && event.target.querySelector("[data-end]");
    if (!talk) return;
    const below = talk.scrollHeight - talk.scrollTop - talk.clientHeight;
    const last = lastSaid(talk);
    before = { top: below > 40 ? talk.scrollTop : null, said: last ? last.dataset.said : "" };
  });
  document.addEventListener("htmx:afterSwap", function (event) {
    localise(event.target);
    if (!before || !event.target.matches("[data-keep-end]")) return;
    if (before.top === null) toEnd(event.target);
    else event.target.querySelector("[data-end]").scrollTop = before.top;
    const last = lastSaid(event.target);  // a screen reader hears what is new, and not the whole talk again
    if (last && last.dataset.said !== before.said) document.getElementById("news").textContent = last.textContent;
  });
  // A page that is left stays in memory for "back", and would keep its stream: six of them are all the connections that
  // a browser has for one address. So the stream that htmx listens to is closed then, and opened again.
  class Live extends EventTarget {
    constructor(address) {
      super();
      this.address = address;
      this.open();
    }
    open() {
      this.source = new EventSource(this.address);
      this.source.addEventListener("changed", () => this.dispatchEvent(new Event("changed")));
      this.source.onopen = (event) => this.onopen(event);
      this.source.onerror = (event) => this.onerror(event);
    }
    close() { this.source.close(); }
    get readyState() { return this.source.readyState; }
  }
  let live = null;
  htmx.createEventSource = function (address) { return live = new Live(address); };
  window.addEventListener("pagehide", function () { if (live) live.close(); });
  window.addEventListener("pageshow", function (event) {
    if (!event.persisted || !live) return;
    live.open();
    live.dispatchEvent(new Event("changed"));
  });

  document.addEventListener("error", function (event) {  // a picture that was not kept
    if (event.target.matches && event.target.matches(".bubble img")) event.target.replaceWith("[" + event.target.alt + "]");
  }, true);
  document.addEventListener("DOMContentLoaded", function () {
    localise(document);
    const current = document.querySelector("nav a[aria-current]");
    if (current) current.scrollIntoView({ block: "nearest", inline: "center" });
    toEnd(document);
    if (location.hash === "#write") KEYS.w();
  });
})();
