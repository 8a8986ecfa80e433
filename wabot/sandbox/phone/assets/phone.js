// The phone: shows what the stand-in says is so, and asks it to do things. It keeps nothing of its own but who is chosen.
(function () {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const talks = new Map();
  const exchanges = new Map();
  let chosen = null, replyTo = null, recorder = null;
  const TICKS = { waits: "🕓", sent: "✓", delivered: "✓✓", read: "✓✓", played: "✓✓", failed: "✗" };
  const SAYS = { waits: "waits for wabot", sent: "sent", delivered: "delivered", read: "read", played: "played", failed: "did not arrive" };

  function element(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties || {});
    made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return made;
  }

  function post(path, body) {
    const isForm = body instanceof FormData;
    return fetch(path, {
      method: "POST",
      headers: isForm ? {} : { "Content-Type": "application/json" },
      body: isForm ? body : JSON.stringify(body || {}),
    });
  }

  // --- customers and bubbles ---

  function showCustomers() {
    $("customers").replaceChildren(...[...talks.values()].map((talk) => {
      const last = talk.bubbles[talk.bubbles.length - 1];
      const number = talk.hidden ? "@" + talk.username + " (number hidden)" : "+" + talk.number;
      const button = element("button", { type: "button", onclick: () => choose(talk.who) },
        talk.name, element("small", {}, last ? last.text || "[" + last.kind + "]" : number));
      if (talk.who === chosen) button.setAttribute("aria-current", "true");
      return element("li", {}, button);
    }));
  }

  function choose(who) {
    chosen = who;
    answer(null);
    showCustomers();
    showTalk();
    $("message").focus();
  }

  function showTalk() {
    const talk = talks.get(chosen);
    if (!talk) return;
    $("who").textContent = talk.name;
    $("about").textContent = (talk.hidden ? "@" + talk.username + ", number hidden" : "+" + talk.number)
      + (talk.window ? " · the 24 hours are open" : " · the 24 hours are not open");
    const log = $("bubbles");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    // What has not changed stays, so that a click in the moment of a tick is not lost.
    const there = new Map([...log.children].map((each) => [each.dataset.id, each]));
    talk.bubbles.forEach((said, place) => {
      const { ticks, ...lasting } = said;
      const sign = chosen + JSON.stringify(lasting);
      let made = there.get(said.id);
      if (!made || made.dataset.sign !== sign) {
        if (made) made.remove();
        made = bubble(said);
        made.dataset.id = said.id;
        made.dataset.sign = sign;
      }
      there.delete(said.id);
      showTicks(made, ticks);
      if (log.children[place] !== made) log.insertBefore(made, log.children[place] || null);
    });
    there.forEach((gone) => gone.remove());
    if (atEnd) log.scrollTop = log.scrollHeight;
    $("typing").textContent = talk.typing ? "wabot is typing …" : "";
  }

  function bubble(said) {
    const made = element("div", { className: "bubble" + (said.mine ? " mine" : "") });
    if (said.quoted) made.append(element("div", { className: "quote" }, said.quoted));
    if (said.media && said.kind === "image") made.append(element("img", { src: said.media, alt: said.text || "picture" }));
    else if (said.media && said.kind === "audio") made.append(element("audio", { src: said.media, controls: true }));
    else if (!said.text) made.append(element("p", {}, "[" + said.kind + "]"));
    if (said.text) made.append(element("p", {}, said.text));
    if (said.taps.length) {
      made.append(element("div", { className: "taps" }, ...said.taps.map((title) => element("button", {
        type: "button", onclick: () => post("/phone/say", { who: chosen, tap: { of: said.id, title: title } }),
      }, title))));
    }
    const time = new Date(said.at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const meta = element("div", { className: "meta" });
    if (!said.mine) {
      meta.append(
        element("button", { type: "button", onclick: () => answer(said) }, "Reply"),
        element("button", { type: "button", title: "React with 👍", onclick: () => post("/phone/say", { who: chosen, reaction: { of: said.id, emoji: said.reaction ? "" : "👍" } }) }, "👍"));
    }
    meta.append(element("span", {}, time));
    meta.append(element("span", { className: "ticks" }));
    made.append(meta);
    if (said.reaction) made.append(element("span", { className: "reaction" }, said.reaction));
    return made;
  }

  function showTicks(made, ticks) {
    const shown = made.querySelector(".ticks");
    if (shown.dataset.ticks === ticks) return;
    shown.dataset.ticks = ticks;
    shown.className = "ticks " + ticks;
    shown.title = SAYS[ticks] || "";
    shown.replaceChildren(TICKS[ticks] || "", element("span", { className: "hidden" }, " " + (SAYS[ticks] || "")));
  }

  function answer(said) {
    replyTo = said ? said.id : null;
    $("replying").hidden = !said;
    $("quoted").textContent = said ? "Reply to: " + (said.text || said.kind) : "";
    if (said) $("message").focus();
  }

  // --- the wire ---

  function exchange(each) {
    const inbound = each.kind === "webhook";
    const bad = each.status === 0 || each.status >= 400;
    const summary = element("summary", {},
      element("span", { className: "arrow" }, inbound ? "→ " : "← "),
      (each.about || each.method + " " + each.path.split("?")[0]) + " ", element("span", { className: bad ? "badly" : "" }, each.status || "no answer"),
      " " + each.ms + " ms");
    const details = element("details", {}, summary);
    details.addEventListener("toggle", () => {
      if (!details.open || details.dataset.filled) return;
      details.dataset.filled = "1";
      details.append(
        element("div", { className: "dim" }, new Date(each.at * 1000).toLocaleTimeString() + " " + each.method + " " + each.path),
        each.asked ? element("pre", { tabIndex: 0 }, each.asked) : "",
        element("div", { className: "dim" }, "answered"),
        element("pre", { tabIndex: 0 }, each.answered || "(nothing)"),
        element("button", { type: "button", onclick: () => post("/phone/replay", { number: each.number }) }, "Replay"));
    });
    const item = element("li", {}, details);
    item.dataset.text = (each.about + " " + each.path + " " + each.asked + " " + each.answered + " " + each.status).toLowerCase();
    return item;
  }

  function addExchange(each) {
    if (exchanges.has(each.number)) return;
    const item = exchange(each);
    exchanges.set(each.number, item);
    $("exchanges").append(item);
    if (exchanges.size > 400) {
      const oldest = exchanges.keys().next().value;
      exchanges.get(oldest).remove();
      exchanges.delete(oldest);
    }
    search(item);
  }

  function search(item) {
    const words = $("search").value.toLowerCase();
    item.hidden = !item.dataset.text.includes(words);
  }

  // --- what is so ---

  function showProcess(process) {
    const days = Math.round(process.ahead / 86400);
    $("process").textContent = "wabot " + (process.state === "running" ? "runs" : "is " + process.state)
      + (process.pid && process.state === "running" ? " (pid " + process.pid + ")" : "")
      + (process.kills ? " · killed " + process.kills + "×" : "") + (days ? " · " + days + (days === 1 ? " day later" : " days later") : "");
  }

  function showTrouble(trouble) {
    for (const name of Object.keys(trouble)) {
      const field = $("t-" + name);
      if (document.activeElement !== field) field.value = trouble[name];
    }
  }

  function took(news) {
    if (news.talk) {
      talks.set(news.talk.who, news.talk);
      if (chosen === null) choose(news.talk.who);
      showCustomers();
      if (news.talk.who === chosen) showTalk();
    }
    if (news.exchange) addExchange(news.exchange);
    if (news.process) showProcess(news.process);
    if (news.process && news.process.state === "running") load();  // it may listen elsewhere now
    if (news.trouble) showTrouble(news.trouble);
  }

  async function load() {
    const state = await (await fetch("/phone/state")).json();
    for (const talk of state.talks) talks.set(talk.who, talk);
    if (chosen === null && state.talks.length) chosen = state.talks[0].who;
    state.wire.forEach(addExchange);
    showCustomers();
    showTalk();
    $("bubbles").scrollTop = $("bubbles").scrollHeight;
    showProcess(state.process);
    showTrouble(state.trouble);
    $("console").href = state.console;
  }

  const live = new EventSource("/phone/live");
  live.onopen = load;
  live.onmessage = (event) => took(JSON.parse(event.data));

  // --- what one does ---

  $("write").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("message").value.trim();
    if (!text) return;
    post("/phone/say", { who: chosen, text: text, reply_to: replyTo });
    $("message").value = "";
    answer(null);
  });
  $("unquote").addEventListener("click", () => answer(null));
  $("file").addEventListener("change", () => {
    if ($("file").files[0]) sendFile($("file").files[0]);
    $("file").value = "";
  });
  function sendFile(file) {
    const form = new FormData();
    form.append("who", chosen);
    form.append("text", $("message").value.trim());
    form.append("file", file, file.name || "recording.ogg");
    post("/phone/say", form);
    $("message").value = "";
  }
  $("record").addEventListener("click", async () => {
    if (recorder) { recorder.stop(); return; }
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const pieces = [];
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = (event) => pieces.push(event.data);
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      $("record").setAttribute("aria-pressed", "false");
      sendFile(new File(pieces, "voice.ogg", { type: (recorder.mimeType || "audio/ogg").split(";")[0] }));
      recorder = null;
    };
    recorder.start();
    $("record").setAttribute("aria-pressed", "true");
  });
  $("new").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const made = await (await post("/phone/person", { name: form.get("name"), hidden: form.has("hidden") })).json();
    event.target.reset();
    choose(made.who);
  });
  $("troubles").addEventListener("change", (event) => {
    const values = {};
    values[event.target.name] = event.target.name === "code" ? Number(event.target.value) : event.target.value;
    post("/phone/trouble", values);
  });
  $("troubles").addEventListener("submit", (event) => event.preventDefault());
  $("mend").addEventListener("click", () => post("/phone/mend"));
  $("day").addEventListener("click", () => post("/phone/day"));
  $("kill").addEventListener("click", () => post("/phone/kill"));
  $("search").addEventListener("input", () => exchanges.forEach(search));
  document.querySelectorAll("nav button").forEach((button) => button.addEventListener("click", () => {
    document.body.dataset.tab = button.dataset.go;
    document.querySelectorAll("nav button").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
  }));
})();
