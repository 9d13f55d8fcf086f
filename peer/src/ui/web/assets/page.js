// What the page does by itself: keys, drafts, scrolling, notifications. All that is shown comes from the peer.
"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const body = document.body;
  const main = by("main");
  const scroll = by("scroll");
  const log = by("log");
  const text = by("text");
  const { channel, with: user } = main?.dataset ?? {};

  // Kept in this browser; without it the page works, and forgets.
  const kept = {
    get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
    set: (key, value) => { try { value ? localStorage.setItem(key, value) : localStorage.removeItem(key); } catch { /* full, or forbidden */ } },
  };

  if (location.hash) history.replaceState(null, "", location.pathname + location.search);

  // --- the socket ---------------------------------------------------------------------------------------------------
  let socket = null;
  const say = (said) => socket?.send(JSON.stringify(said));
  const lastEntry = () => [...(log?.querySelectorAll("[data-at]") ?? [])].at(-1)?.dataset.at;

  body.addEventListener("htmx:wsOpen", (event) => {
    socket = event.detail.socketWrapper;
    by("lost").hidden = true;
    socket.sendImmediately(JSON.stringify({ kind: "hello", csrf: body.dataset.csrf, channel, with: user, after: lastEntry() }));
    sayRead();
  });
  body.addEventListener("htmx:wsClose", (event) => {
    if (event.detail.event.code !== 1005 && !by("stopped")) by("lost").hidden = false;
  });
  body.addEventListener("htmx:wsBeforeMessage", () => { atEnd = isAtEnd(); });
  body.addEventListener("htmx:wsAfterMessage", () => {
    takeAlerts();
    showUnreadSoon();
    if (scroll) afterLines();
  });
  body.addEventListener("htmx:responseError", (event) => toast(event.detail.xhr.responseText || "The peer could not do that."));
  body.addEventListener("htmx:sendError", () => { by("lost").hidden = false; });

  // What came for the page itself: desktop notifications, and that it is to look anew.
  function takeAlerts() {
    const alerts = by("alerts");
    let stale = false;
    for (const alert of alerts.querySelectorAll("span")) notify(alert.dataset);
    if (alerts.querySelector("[data-people]")) lookAtPeople();
    if (alerts.querySelector("[data-stale]")) stale = true;
    alerts.replaceChildren();
    if (stale) isAtEnd() ? lookAnew() : showJump(true);
  }

  // Who is there is asked anew, but not under the hands of whoever is about to press something there.
  function lookAtPeople() {
    if (by("about-live") && !document.querySelector("#about-live details[open]")) htmx.trigger("#about-live", "people");
    if (by("people")) htmx.trigger("#people", "people");
    lookWhoIsHere();
  }
  // Of those who are not watched nobody tells: asked when the user comes back to the page.
  function lookWhoIsHere() { if (by("here")) htmx.trigger("#here", "people"); }
  window.addEventListener("focus", lookWhoIsHere);
  setInterval(() => { if (!document.hidden) lookWhoIsHere(); }, 30000);
  // Nor does an answer that was under way already close what was opened meanwhile.
  body.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const isLook = detail.target.id === "about-live" && detail.requestConfig.verb === "get";
    if (isLook && document.querySelector("#about-live details[open]")) detail.shouldSwap = false;
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.matches("#about-live details") && !event.target.open) lookAtPeople();
  }, true);

  // --- messages -----------------------------------------------------------------------------------------------------
  const MANY_ROWS = 700;
  let atEnd = true;
  let isBehind = false;
  let newRows = 0;
  let lastRow = log?.lastElementChild;

  // The list stands on its end, so the way scrolled is counted from there, downward as zero.
  function isAtEnd() { return !scroll || (!isInMiddle() && Math.abs(scroll.scrollTop) < 40); }
  // Opened at a message, a page shows a part of the log that has an end of its own.
  function isInMiddle() { return Boolean(log?.querySelector(".newer")); }

  function afterLines() {
    const added = rowsBehind(lastRow);
    lastRow = log.lastElementChild;
    if (atEnd) {
      scroll.scrollTop = 0;
      if (log.childElementCount > MANY_ROWS) lookAnew();
      sayRead();
    } else if (added > 0) {
      newRows += added;
      showJump();
    }
    takeBack();
  }

  function rowsBehind(row) {
    if (!row?.isConnected) return 0;
    let rows = 0;
    for (let next = row.nextElementSibling; next; next = next.nextElementSibling) rows += next.matches(".message") ? 1 : 0;
    return rows;
  }

  // Begins again with the newest messages, where the peer says that going on makes no sense.
  let looking = false;
  async function lookAnew() {
    if (looking) return;
    looking = true;
    try {
      await htmx.ajax("GET", main.dataset.path + "/newest", { target: "#log", swap: "innerHTML" });
      if (location.search) history.replaceState(null, "", location.pathname);
      isBehind = false;
      scroll.scrollTop = 0;
      atEnd = true;
      hideJump();
      lastRow = log.lastElementChild;
      socket?.reconnect();
    } finally {
      looking = false;
    }
  }

  function showJump(behind) {
    isBehind ||= Boolean(behind);
    const jump = by("jump");
    jump.hidden = false;
    jump.firstElementChild.textContent = isBehind ? "New messages" : newRows > 0 ? (newRows === 1 ? "1 new" : `${newRows} new`) : "Newest";
  }
  function hideJump() { newRows = 0; by("jump").hidden = true; }
  function toEnd() {
    if (isBehind || isInMiddle()) return lookAnew();
    scroll.scrollTop = 0;
    atEnd = true;
    hideJump();
    sayRead();
  }

  let said = null;
  function sayRead() {
    const upto = lastEntry();
    if (!scroll || !upto || upto === said || document.hidden || !isAtEnd()) return;
    said = upto;
    say({ kind: "read", upto });
  }

  if (scroll) {
    const line = by("new-line");
    const found = log.querySelector(".found");
    if (found) {
      found.scrollIntoView({ block: "center" });
      found.focus({ preventScroll: true });
    } else if (line && log.querySelectorAll("#new-line ~ .message").length > 8) line.scrollIntoView({ block: "center" });
    if (!isAtEnd()) showJump();
    scroll.addEventListener("scroll", () => {
      if (!isAtEnd()) return showJump();
      if (isBehind) return toEnd();
      hideJump();
      sayRead();
    }, { passive: true });
    by("jump").addEventListener("click", toEnd);
    document.addEventListener("visibilitychange", sayRead);
    window.addEventListener("focus", sayRead);
    // What comes in below must not move what is being read. At the last of it, the page goes on live.
    let held = null;
    body.addEventListener("htmx:beforeSwap", ({ detail }) => {
      const row = detail.target.matches(".newer") && detail.target.previousElementSibling;
      if (row) held = { row, top: row.getBoundingClientRect().top };
    });
    new MutationObserver(() => {
      if (!held) return;
      scroll.scrollTop += held.row.getBoundingClientRect().top - held.top;
      held = null;
      lastRow = log.lastElementChild;
      if (isInMiddle()) return;
      socket?.reconnect();
      isAtEnd() ? hideJump() : showJump();
    }).observe(log, { childList: true });
  }

  // --- writing ------------------------------------------------------------------------------------------------------
  const draft = channel ? `draft ${channel}` : `draft @${user}`;
  const replaces = by("replaces");

  function setText(value) {
    text.value = value;
    fit();
  }
  function fit() {
    text.style.height = "auto";
    text.style.height = `${Math.min(text.scrollHeight, innerHeight * 0.4)}px`;
  }
  function edit(id, was) {
    replaces.value = id;
    by("editing").hidden = false;
    setText(was);
    text.focus();
  }
  function stopEditing() {
    replaces.value = "";
    by("editing").hidden = true;
    setText(kept.get(draft) ?? "");
  }
  // A message that was not taken comes back, unless the next one has been begun.
  function takeBack() {
    const back = by("given-back");
    if (!back) return;
    if (!text.value) setText(back.content.textContent);
    back.remove();
  }

  if (text) {
    setText(kept.get(draft) ?? "");
    text.addEventListener("input", () => {
      if (!replaces.value) kept.set(draft, text.value);
      fit();
    });
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        by("composer").requestSubmit();
      } else if (event.key === "ArrowUp" && !text.value) {
        document.querySelector("#outbox li:last-of-type [data-edit]")?.click();
      }
    });
    by("composer").addEventListener("htmx:wsConfigSend", (event) => {
      const bytes = new TextEncoder().encode(text.value).length;
      if (!text.value.trim()) return event.preventDefault();
      if (bytes > Number(text.dataset.max)) {
        by("composer-said").replaceChildren(Object.assign(document.createElement("p"), { className: "error", textContent: "A message has at most 16,384 bytes: split it." }));
        return event.preventDefault();
      }
      event.detail.messageBody = JSON.stringify({ kind: "send", text: text.value, replaces: replaces.value });
    });
    by("composer").addEventListener("htmx:wsAfterSend", () => {
      if (replaces.value) return stopEditing();
      setText("");
      kept.set(draft, "");
      toEnd();
    });
    // Sent twice is worse than not sent: what waits for a lost socket stays in the box.
    by("composer").addEventListener("submit", (event) => {
      if (!by("lost").hidden) { event.preventDefault(); event.stopImmediatePropagation(); }
    }, true);
  }

  // --- files --------------------------------------------------------------------------------------------------------
  // A page does not know where a file lies: the peer gets a copy, and offers that.
  function sendFile(file) {
    const row = document.createElement("li");
    row.className = "file";
    const bar = Object.assign(document.createElement("progress"), { max: Math.max(file.size, 1), value: 0 });
    bar.setAttribute("aria-label", file.name);
    const stop = Object.assign(document.createElement("button"), { type: "button", textContent: "Cancel" });
    const words = Object.assign(document.createElement("p"), { className: "what" });
    words.append(Object.assign(document.createElement("b"), { textContent: file.name }), bar);
    row.append(words, stop);
    by("uploads").append(row);
    const request = new XMLHttpRequest();
    request.open("POST", `${main.dataset.path}/upload?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("X-Csrf-Token", body.dataset.csrf);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", ({ loaded }) => { bar.value = loaded; });
    request.addEventListener("loadend", () => {
      row.remove();
      if (request.status >= 400) toast(request.responseText || "The peer could not take that file.");
    });
    request.addEventListener("error", () => toast(`${file.name} could not be handed over.`));
    stop.addEventListener("click", () => request.abort());
    request.send(file);
  }
  function sendAll(items) {
    for (const item of items) {
      if (item.kind !== "file") continue;
      if (item.webkitGetAsEntry?.()?.isDirectory) toast("A folder cannot be dropped: press + and write its path.");
      else sendFile(item.getAsFile());
    }
  }
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  // Elsewhere a dropped file would be opened in place of the page.
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = text ? "copy" : "none";
    if (text) main.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) main?.classList.remove("dropping"); });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    main?.classList.remove("dropping");
    if (text) sendAll(event.dataTransfer.items);
  });
  if (text) {
    text.addEventListener("paste", (event) => {
      if (event.clipboardData.files.length === 0) return;
      event.preventDefault();
      sendAll(event.clipboardData.items);
    });
    by("pick").addEventListener("change", () => {
      for (const file of by("pick").files) sendFile(file);
      by("pick").value = "";
      by("send-file").close();
    });
    body.addEventListener("htmx:afterRequest", ({ detail }) => {
      if (detail.xhr.status < 400 && detail.requestConfig.path.endsWith("/path")) by("send-file").close();
    });
  }

  // --- buttons ------------------------------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const on = (name) => event.target.closest(`[data-${name}]`);
    const open = on("open");
    if (open) openDialog(open.dataset.open);
    on("close")?.closest(".toast").remove();
    const change = on("edit");
    if (change) edit(change.dataset.edit, change.parentElement.querySelector("template").content.textContent);
    if (on("stop-editing")) stopEditing();
    if (on("notify")) askToNotify();
    const menu = on("menu");
    if (menu) openMenu(menu);
    const toggle = on("toggle");
    if (toggle) toggleAbout(toggle);
    if (event.target.matches("input.link")) event.target.select();
  });
  // One menu for all messages, beside the one that it is about.
  function openMenu(button) {
    const menu = by("menu");
    const { right, bottom } = button.getBoundingClientRect();
    menu.dataset.at = button.closest(".message").dataset.at;
    menu.showPopover();
    menu.style.left = `${Math.max(8, right - menu.offsetWidth)}px`;
    menu.style.top = `${Math.min(bottom, innerHeight - menu.offsetHeight - 8)}px`;
    menu.firstElementChild.focus();
  }
  function toggleAbout(button) {
    const shown = main.classList.toggle("with-about");
    button.setAttribute("aria-expanded", String(shown));
    kept.set("about", shown ? "yes" : "");
  }
  if (scroll && kept.get("about") && matchMedia("(min-width: 70rem)").matches) {
    toggleAbout(document.querySelector("[data-toggle]"));
  }

  function toast(words) {
    const box = document.createElement("div");
    box.className = "toast bad";
    box.append(Object.assign(document.createElement("p"), { textContent: words }));
    by("toasts").append(box);
  }
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const box of addedNodes) if (box.nodeType === 1 && !("stays" in box.dataset)) setTimeout(() => box.remove(), 12000);
    }
  }).observe(by("toasts"), { childList: true });

  // Asked in a window of our own, which says what it is about.
  document.addEventListener("htmx:confirm", (event) => {
    if (!event.detail.question) return;
    event.preventDefault();
    const dialog = by("confirm");
    by("confirm-question").textContent = event.detail.question;
    by("confirm-why").hidden = !("why" in event.detail.elt.dataset);
    by("why").value = "";
    dialog.onclose = () => { if (dialog.returnValue === "yes") event.detail.issueRequest(true); };
    dialog.returnValue = "no";
    dialog.showModal();
    if (!by("confirm-why").hidden) by("why").focus();
  });

  document.addEventListener("htmx:configRequest", (event) => {
    const menu = event.detail.elt.closest("#menu");
    if (menu) event.detail.parameters.at = menu.dataset.at;
    if ("why" in event.detail.elt.dataset) event.detail.parameters.why = by("why").value;
  });

  // --- keys ---------------------------------------------------------------------------------------------------------
  function openDialog(id) {
    by(id).showModal();
    if (id === "switcher") { by("switch").value = ""; fillSwitcher(); }
  }
  const entries = () => [...document.querySelectorAll("#channels a, #contacts a[data-name]")];

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, textarea, select");
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      openDialog("switcher");
    } else if (event.altKey && ["ArrowUp", "ArrowDown"].includes(event.key)) {
      event.preventDefault();
      const all = entries();
      const here = all.findIndex((entry) => entry.hasAttribute("aria-current"));
      const step = event.key === "ArrowDown" ? 1 : -1;
      all.at(here < 0 ? 0 : (here + step + all.length) % all.length)?.click();
    } else if (event.key === "/" && (!isTyping || event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      const box = by("search");
      box?.checkVisibility() ? box.focus() : document.querySelector("[data-search]")?.click();
    } else if (event.key === "?" && !isTyping) {
      openDialog("keys");
    } else if (event.key === "Escape" && replaces?.value) {
      stopEditing();
    } else if (event.key === "End" && scroll && !isTyping) {
      event.preventDefault();
      toEnd();
    }
  });

  // --- the switcher -------------------------------------------------------------------------------------------------
  const places = () => [
    ...entries().map((entry) => ({ href: entry.href, name: entry.dataset.name })),
    { href: "/find", name: "Find or host a channel" },
    { href: "/search", name: "Search what was said" },
    { href: "/people", name: "Find people" },
    { href: "/status", name: "What is connected" },
    { href: "/me", name: "You" },
  ];
  let chosen = 0;
  function fillSwitcher() {
    const wanted = by("switch").value.trim().toLowerCase();
    const fitting = places().filter(({ name }) => name.toLowerCase().includes(wanted)).slice(0, 12);
    chosen = Math.max(0, Math.min(chosen, fitting.length - 1));
    by("switch-list").replaceChildren(...fitting.map(({ href, name }, number) => {
      const link = Object.assign(document.createElement("a"), { href, textContent: name });
      if (number === chosen) link.setAttribute("aria-current", "true");
      const row = document.createElement("li");
      row.append(link);
      return row;
    }));
  }
  by("switch").addEventListener("input", () => { chosen = 0; fillSwitcher(); });
  by("switch").addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      chosen += event.key === "ArrowDown" ? 1 : -1;
      fillSwitcher();
    } else if (event.key === "Enter") {
      event.preventDefault();
      by("switch-list").querySelector("[aria-current]")?.click();
    }
  });

  // --- unread, and the desktop --------------------------------------------------------------------------------------
  // What is being read is unread for a moment only: that is not worth a change of the title.
  let titleSoon = 0;
  function showUnreadSoon() {
    clearTimeout(titleSoon);
    titleSoon = setTimeout(showUnread, 300);
  }
  function showUnread() {
    const { unread, mentions } = by("unread").dataset;
    const sign = Number(mentions) > 0 ? `(@${mentions}) ` : Number(unread) > 0 ? `(${unread}) ` : "";
    const title = `${sign}${body.dataset.title} · Natter`;
    if (document.title !== title) document.title = title;
  }
  showUnread();

  const mayNotify = () => "Notification" in window && Notification.permission === "granted" && kept.get("notify") === "yes";
  function notify({ title, body: words, tag, href }) {
    if (!mayNotify() || (document.hasFocus() && !document.hidden)) return;
    const shown = new Notification(title, { body: words, tag });
    shown.onclick = () => { window.focus(); location.href = href; };
  }
  async function askToNotify() {
    const wants = !mayNotify() && (await Notification.requestPermission()) === "granted";
    kept.set("notify", wants ? "yes" : "");
    showNotify();
  }
  function showNotify() {
    const button = document.querySelector("[data-notify]");
    if (button) button.textContent = mayNotify() ? "Do not notify me any more" : "Notify me on the desktop";
  }
  showNotify();
})();
