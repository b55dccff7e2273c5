"use strict";
// The list of samples: filters, search, and cards that are drawn when they come near the screen.
(() => {
  const { el, segments } = pixcore;
  // what `packed` packed
  const unpack = (node) => JSON.parse(new TextDecoder().decode(pixcore.inflate(pixcore.fromBase64(node.textContent))));
  // a card's data; maps are a byte a cell again
  const LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const bytes = (levels) => [...levels].map((one) => String.fromCharCode(Math.round((LEVELS.indexOf(one) * 255) / 63)));
  const opened = (node) => {
    const data = unpack(node);
    for (const { candidates } of Object.values(data.protocols)) {
      for (const one of candidates) one.map = one.map && btoa(bytes(one.map).join(""));
    }
    return data;
  };
  const { rows, samples, reduced, beyond, view, grounded } = unpack(document.getElementById("index"));
  const blocks = document.querySelectorAll("script[data-sample]");
  const list = document.getElementById("cards"), toolbar = document.getElementById("toolbar");
  const nothing = document.getElementById("nothing");
  if (!samples.length) {
    toolbar.remove();
    Object.assign(nothing, { hidden: false, textContent: "The run has no samples." });
    return;
  }

  const protocols = [...new Set(samples.flatMap((sample) => Object.keys(sample.protocols)))];
  const usual = {
    protocol: protocols.includes("segment") ? "segment" : protocols[0],
    strategy: rows.find((row) => !row.upper_bound && !row.control)?.key ?? rows[0]?.key,
  };
  // the address says what is shown: what is not as usual stands in it, and a link opens the same
  const address = new URLSearchParams(location.search);
  const asked = (name, choices, otherwise = "") => (choices.includes(address.get(name)) ? address.get(name) : otherwise);
  const settings = {
    rows,
    protocol: asked("protocol", protocols, usual.protocol),
    strategy: asked("row", rows.map((row) => row.key), usual.strategy),
    truth: true,
    points: true,
  };
  const filter = { text: (address.get("q") ?? "").trim().toLowerCase(), categories: {} };
  const remember = () => {
    const state = new URLSearchParams(), { text, categories, ...chosen } = filter;
    const parts = {
      protocol: settings.protocol === usual.protocol ? "" : settings.protocol,
      row: settings.strategy === usual.strategy ? "" : settings.strategy,
      q: text, ...chosen,
      ...Object.fromEntries(Object.entries(categories).map(([name, value]) => [`of ${name}`, value])),
    };
    for (const [name, value] of Object.entries(parts)) if (value) state.set(name, value);
    const query = String(state) && `?${state}`;
    if (query === location.search) return;
    try { history.replaceState(null, "", `${location.pathname}${query}${location.hash}`); } catch { /* a browser that has no addresses for files */ }
  };
  samples.forEach((sample, i) => Object.assign(sample, { i, low: sample.text.toLowerCase(), memory: {} }));

  // cards
  const live = new Map(), wanted = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const sample = samples[Number(target.dataset.i)];
      if (isIntersecting && !live.has(sample)) wanted.add(sample);
      else if (!isIntersecting) { wanted.delete(sample); clear(sample); }
    }
    schedule();
  }, { rootMargin: "900px 0px" });

  // one card a frame, the one nearest to the middle first: scrolling stays smooth however fast it is
  let scheduled = false;
  const schedule = () => {
    if (!scheduled && wanted.size) requestAnimationFrame(next);
    scheduled = wanted.size > 0;
  };
  const next = () => {
    scheduled = false;
    if (!wanted.size) return;
    const distance = (sample) => {
      const { top, bottom } = sample.node.getBoundingClientRect();
      return Math.abs(top + bottom - innerHeight);
    };
    const places = new Map([...wanted].map((sample) => [sample, distance(sample)]));
    const nearest = [...wanted].reduce((a, b) => (places.get(b) < places.get(a) ? b : a));
    wanted.delete(nearest);
    fill(nearest);
    schedule();
  };

  const fill = (sample) => {
    if (live.has(sample)) return;
    const data = opened(blocks[sample.i]);
    const card = new pixcore.Card(data, settings, sample.memory);
    live.set(sample, card);
    sample.node.replaceChildren(heading(sample, data), card.element);
    sample.node.style.minHeight = "";
    card.draw(); // its width is known now
  };
  const clear = (sample) => {
    if (!live.delete(sample)) return;
    sample.node.style.minHeight = `${sample.node.offsetHeight}px`;
    sample.node.replaceChildren();
  };
  const pairOf = (pair) => `pair:${pair}`.trim().toLowerCase(); // in the search, that pair and no other
  const heading = (sample, data) => el("header", {},
    el("a.id", { href: `#sample-${sample.i}`, title: "Link to this sample" }, sample.id),
    Object.entries(data.categories).map(([name, value]) => el("span.chip", { title: name }, value)),
    data.pair ? el("button.chip", { type: "button", title: "Show the pair", onclick: () => search(`pair:${data.pair}`) }, `pair ${data.pair}`) : null,
    Object.values(sample.protocols).some((state) => state.failed) ? el("span.chip.failed", {}, "failed") : null);
  for (const sample of samples) {
    sample.node = el("article.card", { id: `sample-${sample.i}`, "data-i": sample.i });
    list.append(sample.node);
    observer.observe(sample.node);
  }

  // filters
  const iouOf = (sample) => sample.protocols[settings.protocol]?.iou[rows.findIndex((row) => row.key === settings.strategy)] ?? null;
  // the first card shows something: the first sample whose object is there and found, and nothing about it wrong
  const finds = samples.filter((sample) => !sample.absent && iouOf(sample) > grounded);
  const flawless = (sample) => Object.values(sample.protocols).every(({ answer, failed }) => !failed && (answer ?? "right") === "right");
  const phrases = (sample) => sample.protocols[settings.protocol]?.phrases ?? [0, 0];
  const elsewhere = (sample) => (phrases(sample)[0] > 1 ? phrases(sample)[1] : 0); // of several phrases those that find nothing
  const good = finds.filter(flawless);
  const telling = good.reduce((a, b) => (elsewhere(b) > elsewhere(a) || (elsewhere(b) === elsewhere(a) && iouOf(b) > iouOf(a)) ? b : a), good[0]);
  const first = telling ?? finds[0] ?? samples[0];
  const inOrder = [first, ...samples.filter((sample) => sample !== first)];
  if (telling) {
    document.querySelector("#samples .lead").append(
      " The first card is chosen to show what a card says: of the samples that were found, with nothing about them wrong, the one whose answer "
      + `has most phrases that look elsewhere${elsewhere(telling) ? ` (${elsewhere(telling)} of ${phrases(telling)[0]})` : ""}, and of several such the best fit. All others stand in the benchmark's order.`);
  }
  const found = (sample) => (filter.text.startsWith("pair:") ? filter.text === pairOf(sample.pair) : filter.text.split(/\s+/).every((word) => sample.low.includes(word)));
  const passes = (sample) => {
    if (!found(sample)) return false;
    if (filter.answer) {
      const [protocol, wanted] = filter.answer.split(":"), state = sample.protocols[protocol]?.answer;
      if (!state || (wanted === "right") !== (state === "right")) return false;
    }
    const iou = iouOf(sample);
    if (filter.grounding === "yes" && !(iou !== null && iou > grounded)) return false;
    if (filter.grounding === "no" && !(iou !== null && iou <= grounded)) return false;
    if (filter.grounding === "absent" && !sample.absent) return false;
    if (filter.grounding === "none" && iou !== null) return false;
    const failed = Object.values(sample.protocols).some((state) => state.failed);
    if (filter.status && failed !== (filter.status === "failed")) return false;
    return Object.entries(filter.categories).every(([name, value]) => !value || sample.categories[name] === value);
  };
  const apply = () => {
    const order = [...inOrder], iou = (sample) => iouOf(sample) ?? (filter.order === "low" ? Infinity : -Infinity);
    if (filter.order) order.sort((a, b) => (filter.order === "low" ? iou(a) - iou(b) : iou(b) - iou(a)) || a.i - b.i);
    let shown = 0;
    for (const sample of order) {
      const visible = passes(sample);
      shown += visible;
      sample.node.hidden = !visible;
    }
    if (order.some((sample, place) => list.children[place] !== sample.node)) list.append(...order.map((sample) => sample.node));
    const all = samples.length === 1 ? "1 sample" : `${samples.length} samples`;
    count.textContent = shown === samples.length ? all : `${shown} of ${all}`;
    nothing.hidden = shown > 0;
    remember();
  };
  const refresh = () => { for (const card of live.values()) card.render(); };
  const forget = () => { for (const sample of samples) for (const key of Object.keys(sample.memory)) delete sample.memory[key]; };

  // the toolbar
  const select = (label, choices, value, changed) => {
    const node = el("select", { "aria-label": label, onchange: () => changed(node.value) },
      choices.map(([key, text]) => el("option", { value: key }, text)));
    node.value = value;
    return node;
  };
  /** A filter by one of several values; `name` is its name in the address. */
  const choice = (label, name, choices, kept = filter, key = name) => {
    kept[key] = asked(name, choices.map(([value]) => value));
    return select(label, choices, kept[key], (value) => { kept[key] = value; apply(); });
  };
  for (const box of document.querySelectorAll("input[data-layer]")) {
    box.checked = true; // a reloaded page may remember otherwise
    box.addEventListener("change", () => {
      settings[box.dataset.layer] = box.checked;
      for (const card of live.values()) card.draw();
    });
  }
  const judged = protocols.filter((name) => samples.some((sample) => sample.protocols[name]?.answer));
  const answers = judged.flatMap((name) => [[`${name}:right`, `${name}: right`], [`${name}:wrong`, `${name}: wrong`]]);
  const categories = [...new Set(samples.flatMap((sample) => Object.keys(sample.categories)))].map((name) => {
    const values = [...new Set(samples.map((sample) => sample.categories[name]).filter(Boolean))].sort();
    return choice(name, `of ${name}`, [["", `any ${name}`], ...values.map((value) => [value, value])], filter.categories, name);
  });
  const text = el("input.search", {
    type: "search", placeholder: "Search questions, answers, ids", "aria-label": "Search", value: address.get("q"),
    oninput: () => { filter.text = text.value.trim().toLowerCase(); apply(); },
  });
  const search = (words) => { text.value = words; text.dispatchEvent(new Event("input")); };
  const count = el("span.tally", { role: "status" });
  const failures = samples.some((sample) => Object.values(sample.protocols).some((state) => state.failed));
  toolbar.append(
    el("div.line", {},
      protocols.length > 1 ? segments("Protocol", protocols.map((name) => [name, name]), settings.protocol, (name) => {
        settings.protocol = name;
        forget();
        apply();
        refresh();
      }) : null,
      rows.length > 1 ? el("label.field", {}, "chosen by", select("Selection", rows.map((row) => [row.key, row.label]), settings.strategy, (name) => {
        settings.strategy = name;
        for (const sample of samples) sample.memory.focus = null;
        apply();
        refresh();
      })) : null,
      text),
    el("div.line", {},
      answers.length ? choice("Answer", "answer", [["", "any answer"], ...answers]) : null,
      choice("Grounding", "grounding", [["", "any grounding"], ["yes", `grounded, IoU > ${grounded}`], ["no", `not grounded, IoU ≤ ${grounded}`],
        ["absent", "object absent"], ["none", "not measured"]]),
      categories,
      failures ? choice("Status", "status", [["", "failed or not"], ["failed", "failed"], ["whole", "not failed"]]) : null,
      choice("Order", "order", [["", "in order"], ["low", "lowest IoU first"], ["high", "highest IoU first"]]),
      count));
  if (reduced) toolbar.after(el("p.notes", {}, `The last ${reduced === 1 ? "sample shows its" : `${reduced} samples show their`} chosen masks alone, to keep this file small.`));
  if (beyond) {
    const [shown, every] = [samples.length, samples.length + beyond].map((one) => one.toLocaleString("en"));
    toolbar.before(el("p.notes", { id: "beyond" }, `The first ${shown} of ${every} samples are here. All of them, with filters and sorting, are in `,
      el("code", {}, view), "; the tables and plots are of all."));
  }
  apply();

  // a link to a card lands below the toolbar, also while cards above it are still being drawn
  const root = document.documentElement;
  new ResizeObserver(() => {
    const sticks = getComputedStyle(toolbar).position === "sticky";
    root.style.setProperty("--covered", `${sticks ? toolbar.offsetHeight : 0}px`);
  }).observe(toolbar);
  const land = () => {
    const sample = samples.find(({ node }) => `#${node.id}` === location.hash);
    if (!sample) return;
    sample.node.hidden = false; // who links to a card means it, whatever the filters say
    sample.node.scrollIntoView();
  };
  const arrive = () => {
    land();
    const late = new ResizeObserver(land), stop = () => late.disconnect();
    late.observe(list);
    for (const event of ["wheel", "touchmove", "keydown", "pointerdown"]) addEventListener(event, stop, { once: true, passive: true });
    setTimeout(stop, 3000);
  };
  addEventListener("hashchange", arrive);
  if (location.hash.startsWith("#sample-")) requestAnimationFrame(arrive);

  // on paper every card is whole, those that were never near the screen too: a browser asks once, and waits for nothing
  const PAPER = 500, drawn = [], cut = el("p.notes");
  addEventListener("beforeprint", () => {
    const all = [...list.children].filter((node) => !node.hidden).map((node) => samples[Number(node.dataset.i)]);
    drawn.push(...all.slice(0, PAPER).filter((sample) => !live.has(sample)));
    drawn.forEach(fill);
    for (const { node } of all.slice(PAPER)) node.dataset.unprinted = "";
    cut.textContent = all.length > PAPER ? `The first ${PAPER} of ${all.length} cards are printed; filter for others.` : "";
    list.before(cut);
  });
  addEventListener("afterprint", () => {
    cut.remove();
    for (const { node } of samples) delete node.dataset.unprinted;
    for (const sample of drawn.splice(0)) {
      const { top, bottom } = sample.node.getBoundingClientRect();
      if (bottom < -900 || top > innerHeight + 900) clear(sample);
    }
  });
  let resizing = 0;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => { for (const card of live.values()) card.draw(); }, 120);
  });
})();
