// The token view: a picture, what was said about it word by word, where the model looked at each word, what was chosen.
// It stands on the report's pixels.js, and works in a notebook's cell as in a page: all that it needs is an element.
// All text reaches the page through `textContent`: model output is never parsed as HTML.
(() => {
  const MASK = [230, 159, 0];

  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  };

  /** The mean map of some tokens, as bytes in base64 between its own ends. */
  const mean = (maps, tokens) => {
    const sums = [];
    for (const token of tokens) {
      const [low, high, cells] = maps[token];
      pixcore.fromBase64(cells).forEach((byte, i) => { sums[i] = (sums[i] ?? 0) + low + ((high - low) * byte) / 255; });
    }
    const low = sums.reduce((one, other) => Math.min(one, other), Infinity);
    const span = sums.reduce((one, other) => Math.max(one, other), -Infinity) - low || 1;
    return btoa(String.fromCharCode(...sums.map((value) => Math.round((255 * (value - low)) / span))));
  };

  const between = (a, b) => Array.from({ length: Math.abs(a - b) + 1 }, (_, i) => Math.min(a, b) + i);

  /**
   * Show an answer in an element.
   *   data: what `token_data` of pixcore_notebook.tokens gives.
   *   pinned: the tokens whose map stays; changed(tokens): hears when they are others.
   * Gives { pin(tokens), close(), update(data) }; `update` takes what more is known of the same answer. While data has
   * "going" the answer is being written: the newest word's map is shown, unless one looks at another.
   */
  pixcore.tokenView = (place, data, { pinned = [], changed = () => {} } = {}) => {
    const root = make("div", "tokens"), sheet = make("canvas"), told = make("p", "told"), said = make("p", "said");
    const size = [data.width, data.height], chips = [], pen = sheet.getContext("2d");
    let picture = null, hovered = null, from = null, choice = 0, shapes = [];

    const scale = Math.min(4, Math.max(0.25, 880 / Math.max(...size)));
    [sheet.width, sheet.height] = size.map((one) => Math.max(1, Math.round(one * scale)));
    sheet.setAttribute("role", "img");
    told.setAttribute("role", "status");

    const looked = () => {
      const newest = data.going && !pinned.length ? [data.maps.length - 1] : pinned;
      return (hovered !== null ? [hovered] : newest).filter((one) => data.maps[one]);
    };
    const words = (tokens) => tokens.map((one) => data.tokens[one]).join("").trim();
    const paint = () => {
      const tokens = looked(), chosen = data.choices[choice];
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.fillStyle = "#888";
      pen.fillRect(0, 0, sheet.width, sheet.height);
      pen.imageSmoothingEnabled = true;
      pen.imageSmoothingQuality = "high";
      if (picture) pen.drawImage(picture, 0, 0, sheet.width, sheet.height);
      if (tokens.length) pen.drawImage(pixcore.heat(mean(data.maps, tokens), data.grid, size), 0, 0, sheet.width, sheet.height);
      if (chosen && chosen.mask !== null) mask(chosen, !tokens.length);
      let line = "";
      if (tokens.length) line = `where the model looked at “${words(tokens)}” (dark: little, bright: much)`;
      else if (chosen) line = chosen.told;
      else line = data.maps.length || data.going ? "" : "the answer has no maps";
      told.textContent = line;
      sheet.setAttribute("aria-label", line || "the picture");
      chips.forEach((chip, i) => {
        chip.classList.toggle("on", tokens.includes(i));
        chip.setAttribute("aria-pressed", String(pinned.includes(i)));
      });
    };
    const mask = (chosen, filled) => {
      shapes[chosen.mask] ??= pixcore.shape(data.masks[chosen.mask], ...data.mask_size, MASK);
      const { picture: tint, outline } = shapes[chosen.mask];
      pen.setTransform(sheet.width / data.mask_size[0], 0, 0, sheet.height / data.mask_size[1], 0, 0);
      pen.imageSmoothingEnabled = false;
      if (filled) { pen.globalAlpha = 0.4; pen.drawImage(tint, 0, 0); pen.globalAlpha = 1; }
      const thick = (2 * data.mask_size[0]) / sheet.width;
      for (const [colour, wide] of [["rgba(0,0,0,.6)", 2.2], [`rgb(${MASK})`, 1.2]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = thick * wide;
        pen.stroke(outline);
      }
      pen.setTransform(sheet.width / size[0], 0, 0, sheet.height / size[1], 0, 0);
      for (const [x, y, label] of chosen.point ? chosen.point.at : []) {
        pen.beginPath();
        pen.arc(x + 0.5, y + 0.5, 6 / scale, 0, 7);
        [pen.fillStyle, pen.strokeStyle, pen.lineWidth] = [label ? "#cc2f7b" : "#222", "#fff", 2 / scale];
        pen.fill();
        pen.stroke();
      }
    };
    const pin = (tokens) => {
      pinned = tokens;
      changed(tokens);
      paint();
    };
    const reach = (to) => pin(between(from ?? to, to));

    const word = (text, i) => {
      const chip = make("button", "token", text.trim() || "␣");
      chip.type = "button";
      chip.dir = "auto";
      chip.tabIndex = i ? -1 : 0;
      chip.addEventListener("pointerenter", (event) => { hovered = i; if (from !== null && event.buttons & 1) { hovered = null; reach(i); } else paint(); });
      chip.addEventListener("pointerleave", () => { hovered = null; paint(); });
      chip.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        if (chip.hasPointerCapture?.(event.pointerId)) chip.releasePointerCapture(event.pointerId); // a finger drags too
        if (event.shiftKey && from !== null) return void reach(i);
        from = i;
        pin(pinned.length === 1 && pinned[0] === i ? [] : [i]);
      });
      chip.addEventListener("focus", () => { for (const one of chips) one.tabIndex = one === chip ? 0 : -1; });
      chip.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step && chips[i + step]) {
          chips[i + step].focus();
          if (event.shiftKey) reach(i + step);
        } else if (event.key === " " || event.key === "Enter") {
          from = i;
          pin(pinned.length === 1 && pinned[0] === i ? [] : [i]);
        } else if (event.key === "Escape") pin([]);
        else return;
        event.preventDefault();
      });
      chips.push(chip);
      said.append(chip, text.endsWith("\n") ? make("br") : " ");
    };

    const choices = make("div", "choices");
    choices.setAttribute("role", "group");
    choices.setAttribute("aria-label", "strategies");
    const strategy = (one, i) => {
      const button = make("button", "choice", one.name);
      button.type = "button";
      button.setAttribute("aria-pressed", String(i === choice));
      button.addEventListener("click", () => {
        choice = i;
        for (const other of choices.children) other.setAttribute("aria-pressed", String(other === button));
        pin([]);
      });
      choices.append(button);
    };

    const update = (more) => {
      [data, shapes] = [more, []];
      while (chips.length < data.tokens.length) word(data.tokens[chips.length], chips.length);
      choices.replaceChildren();
      data.choices.forEach(strategy);
      choices.hidden = !data.choices.length;
      paint();
    };

    root.append(sheet, told, said, choices);
    place.append(root);
    if (data.image) {
      const image = new Image();
      image.onload = () => { picture = image; paint(); };
      image.src = data.image;
    }
    update(data);
    return { pin: (tokens) => { pinned = tokens; paint(); }, close: () => root.remove(), update };
  };
})();
