"use strict";
// One sample's card: image, question and answer, the text with its tokens, and what was chosen.
(() => {
  const { el } = pixcore;
  const TRUTH = "#0072b2", MASK = [230, 159, 0], MASK_LINE = "#e69f00";
  const STATES = { right: "✓ right", wrong: "✗ wrong", undecided: "✗ undecided" };
  const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  const best = (values) => (values && values.length ? Math.max(...values) : null);
  const argmax = (values) => values.indexOf(Math.max(...values));

  /**
   * data: what `pixcore.report.payload.sample_payload` made. settings (shared by all cards): {rows, protocol, strategy,
   * truth, points}. memory: what the card remembers while it is off the screen. What is in focus is
   * {pick: row name} or {candidate: index, mask: index, or null for its relevance map}.
   */
  pixcore.Card = class {
    constructor(data, settings, memory) {
      Object.assign(this, { data, settings, memory, shapes: new Map(), heats: new Map() });
      this.element = el("div.card-body");
      this.picture = data.image ? el("img.picture", { src: data.image, alt: "", onload: () => this.draw() }) : null;
      this.render();
    }

    get protocol() {
      const names = Object.keys(this.data.protocols);
      const wanted = this.memory.protocol ?? this.settings.protocol;
      return names.includes(wanted) ? wanted : names[0];
    }

    /** CSS pixels for the image; the element has no width before it is on the page. */
    get width() { return this.element.querySelector(".look")?.clientWidth || 360; }

    get result() { return this.data.protocols[this.protocol]; }

    get focus() {
      if (this.memory.focus) return this.memory.focus;
      const picks = Object.keys(this.result?.picks ?? {});
      if (picks.includes(this.settings.strategy)) return { pick: this.settings.strategy };
      if (picks.length) return { pick: picks[0] };
      return this.result?.candidates.length ? { candidate: 0, mask: null } : {};
    }

    /** What a focus shows: its phrase, point, map and mask. */
    view(focus) {
      const { candidates = [], grid, picks = {} } = this.result ?? {};
      if (focus.pick !== undefined) {
        const pick = picks[focus.pick], candidate = candidates[pick.candidate];
        const at = candidate ? candidate.masks.indexOf(pick.mask) : -1;
        return {
          pick, candidate, index: pick.candidate, at, phrase: pick.phrase, point: pick.point, shape: pick.mask, filled: true,
          map: null, iou: pick.iou, score: candidate?.scores[at],
        };
      }
      const candidate = candidates[focus.candidate];
      if (!candidate) return { filled: false };
      const onMap = focus.mask === null;
      const at = onMap ? (candidate.ious ? argmax(candidate.ious) : argmax(candidate.scores)) : focus.mask;
      return {
        candidate, index: focus.candidate, at, phrase: candidate.phrase, point: candidate.point,
        shape: candidate.masks[Math.max(0, at)], filled: !onMap, map: onMap && grid ? candidate.map : null,
        iou: candidate.ious?.[at], score: candidate.scores[at],
      };
    }

    render() {
      const { data } = this;
      this.stage = el("canvas.stage", { role: "img" });
      this.caption = el("p.caption");
      this.thumbs = el("div.thumbs");
      this.element.replaceChildren(
        el("div.look", {},
          data.image_error ? el("p.trouble", {}, data.image_error) : null,
          el("div.frame", {}, this.picture, this.stage), this.caption, this.thumbs),
        el("div.read", {}, this.asked(), this.tabs(), this.answered()),
      );
      this.draw();
    }

    asked() {
      const { data } = this;
      const options = data.options.map((text, i) => el(i === data.answer ? "li.true" : "li", {},
        el("span.letter", {}, `${String.fromCharCode(97 + i)}`), text,
        i === data.answer ? el("span.mark", {}, "right answer") : null));
      return el("div.asked", {},
        data.question ? el("p.question", {}, data.question) : null,
        options.length ? el("ol.options", {}, options) : null,
        data.expression ? el("p.expression", {}, el("span.label", {}, "refers to"), data.expression,
          data.absent ? el("span.chip", {}, "not in the image") : null) : null);
    }

    tabs() {
      const names = Object.keys(this.data.protocols);
      const choices = names.map((name) => {
        const result = this.data.protocols[name];
        const iou = result.picks[this.settings.strategy]?.iou;
        const mark = result.error ? "failed" : result.answer ? STATES[result.answer][0] : number(iou);
        return [name, `${name}  ${mark}`, `${this.settings.strategy}: IoU ${number(iou)}`];
      });
      return pixcore.segments("Protocol", choices, this.protocol, (name) => {
        Object.assign(this.memory, { protocol: name, focus: null });
        this.render();
      });
    }

    answered() {
      const { result } = this;
      if (!result) return null;
      this.text = el("p.response", { dir: "auto" });
      const count = result.candidates.length;
      return el("div.answered", {},
        el("p.prompt", {}, el("span.label", {}, "asked"), result.prompt),
        result.error ? el("div.trouble", {}, el("b", {}, "failed"), result.error) : null,
        result.notice ? el("p.prompt.noted", {}, el("span.label", {}, "note"), result.notice) : null,
        result.pieces ? this.pieces() : null,
        result.answer ? el(`p.verdict.${result.answer === "right" ? "right" : "wrong"}`, {},
          el("b", {}, STATES[result.answer]), result.verdict || "") : null,
        this.picks(),
        count ? this.lazy(count === 1 ? "The one candidate" : `All ${count} candidates`, () => this.candidates()) : null,
        Object.keys(this.data.extra).length
          ? this.lazy("More about this sample", () => pixcore.pre(JSON.stringify(this.data.extra, null, 2))) : null);
    }

    /** A section whose content is made when it is first opened. */
    lazy(title, make) {
      const node = el("details.more", {}, el("summary", {}, title));
      node.addEventListener("toggle", () => { if (node.open && node.children.length === 1) node.append(make()); });
      return node;
    }

    pieces() {
      const { candidates, pieces } = this.result;
      for (const [text, owners] of pieces) {
        if (!owners.length || !text.trim()) { this.text.append(pixcore.visible(text)); continue; }
        const ranked = [...owners].sort((a, b) => (best(candidates[b].ious) ?? 0) - (best(candidates[a].ious) ?? 0));
        const iou = best(candidates[ranked[0]].ious);
        const target = () => {
          const now = ranked.indexOf(this.focus.candidate ?? -1);
          return { candidate: ranked[(now + 1) % ranked.length], mask: null };
        };
        const token = el("span.token", {
          role: "button", tabindex: this.text.querySelector(".token") ? -1 : 0,
          "data-candidates": owners.join(" "),
          title: `${candidates[ranked[0]].phrase.trim()}: best IoU ${number(iou)}`,
          onclick: () => this.pin(target()),
          onmouseenter: () => this.draw({ candidate: ranked[0], mask: null }),
          onmouseleave: () => this.draw(),
          onkeydown: (event) => this.walk(event, target),
        }, text);
        if (iou !== null) token.style.setProperty("--iou", iou.toFixed(3));
        this.text.append(token);
      }
      if (!pieces.length) this.text.append(el("span.empty", {}, "the answer is empty"));
      return this.text;
    }

    walk(event, target) {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Enter" || event.key === " ") this.pin(target());
      else if (step) {
        const tokens = [...this.text.querySelectorAll(".token")];
        const next = tokens[tokens.indexOf(event.currentTarget) + step];
        if (!next) return;
        tokens.forEach((token) => { token.tabIndex = token === next ? 0 : -1; });
        next.focus();
        this.pin({ candidate: Number(next.dataset.candidates.split(" ")[0]), mask: null });
      } else return;
      event.preventDefault();
    }

    picks() {
      const { picks } = this.result;
      const rows = this.settings.rows.filter((row) => row.key in picks);
      if (!rows.length) return null;
      this.chips = rows.map((row) => {
        const pick = picks[row.key];
        const found = { absent: "says absent", nothing: "chose nothing" }[pick.outcome];
        const chip = el("button.pick", {
          type: "button", value: row.key, title: row.upper_bound ? "upper bound" : null,
          onclick: () => this.pin({ pick: row.key }),
          onmouseenter: () => this.draw({ pick: row.key }),
          onmouseleave: () => this.draw(),
        }, el("span", {}, row.label, row.upper_bound ? el("i", {}, "▲") : null, row.control ? el("i", {}, "◇") : null),
        found ? el("em", {}, found) : null, el("b", {}, number(pick.iou)));
        chip.style.setProperty("--iou", (pick.iou ?? 0).toFixed(3));
        return chip;
      });
      this.reason = el("p.reason");
      return el("div.picks", {}, el("span.label", {}, "chosen by"), el("div.chips", {}, this.chips), this.reason);
    }

    candidates() {
      const similar = this.result.candidates.some((candidate) => candidate.similarity !== null);
      const rows = this.result.candidates.map((candidate, index) => {
        const top = candidate.ious ? argmax(candidate.ious) : -1;
        const masks = candidate.masks.map((_, i) => el(i === top ? "button.cell.top" : "button.cell", {
          type: "button", onclick: () => this.pin({ candidate: index, mask: i }),
          onmouseenter: () => this.draw({ candidate: index, mask: i }), onmouseleave: () => this.draw(),
          title: `mask ${i + 1}: score ${number(candidate.scores[i])}`,
        }, number(candidate.ious?.[i] ?? candidate.scores[i])));
        const merged = candidate.merged.length ? el("small", {}, ` also ${candidate.merged.join(", ")}`) : null;
        return el("tr", {},
          el("td", {}, el("button.cell", { type: "button", onclick: () => this.pin({ candidate: index, mask: null }) },
            candidate.phrase.trim()), merged),
          el("td.cells", {}, masks),
          similar ? el("td.figure", {}, candidate.similarity === null ? "" : number(candidate.similarity)) : null);
      });
      const measured = this.result.candidates.some((candidate) => candidate.ious);
      return el("table.candidates", {},
        el("thead", {}, el("tr", {}, el("th", {}, "phrase"), el("th", {}, measured ? "IoU of its masks" : "scores of its masks"),
          similar ? el("th.figure", {}, "similarity") : null)),
        el("tbody", {}, rows));
    }

    pin(focus) {
      this.memory.focus = focus;
      this.draw();
    }

    /** Draw what is in focus, or what the pointer is over; nothing before the card is on the page. */
    draw(preview = null) {
      if (!this.element.isConnected) return;
      const focus = preview ?? this.focus, view = this.view(focus);
      this.paint(this.stage, view, this.width, 440, true);
      this.describe(focus, view);
      if (!preview) this.strip(focus, view);
      for (const token of this.text?.querySelectorAll(".token") ?? []) {
        const on = view.index !== undefined && view.index !== null && token.dataset.candidates.split(" ").includes(String(view.index));
        token.classList.toggle("on", on);
      }
      for (const chip of this.chips ?? []) chip.setAttribute("aria-pressed", String(chip.value === focus.pick));
    }

    describe(focus, view) {
      const parts = [];
      if (view.pick && view.pick.outcome !== "chosen") {
        const said = { absent: "says the object is absent", nothing: "chose nothing", failed: "failed" };
        parts.push(`${focus.pick} ${said[view.pick.outcome]}`);
      } else if (view.phrase) {
        parts.push(el("q", {}, view.phrase.trim()));
        if (view.candidate && view.at >= 0) parts.push(view.filled ? `mask ${view.at + 1} of ${view.candidate.masks.length}` : "its best mask");
      }
      if (view.iou !== null && view.iou !== undefined) parts.push(`IoU ${number(view.iou)}`);
      if (view.score !== null && view.score !== undefined) parts.push(`score ${number(view.score)}`);
      this.caption.replaceChildren(...parts.flatMap((part, i) => (i ? [" · ", part] : [part])).map((part) => (part.nodeType ? part : pixcore.visible(part))));
      this.stage.setAttribute("aria-label", `Image of ${this.data.id}: ${this.caption.textContent}`);
      if (!this.reason) return;
      const { pick } = view;
      const details = pick && Object.keys(pick.details).length ? this.lazy("details", () => pixcore.pre(JSON.stringify(pick.details, null, 2))) : null;
      this.reason.replaceChildren(...[pick?.reason ? pixcore.visible(pick.reason) : null, details].filter(Boolean));
    }

    strip(focus, view) {
      const items = [], side = Math.floor((this.width - 18) / 4 - 6);
      if (view.candidate) {
        if (view.candidate.map && this.result.grid) items.push([{ candidate: view.index, mask: null }, "relevance"]);
        view.candidate.masks.forEach((_, i) => {
          const iou = view.candidate.ious?.[i];
          items.push([{ candidate: view.index, mask: i }, iou === undefined ? `mask ${i + 1}` : `IoU ${number(iou)}`]);
        });
      }
      this.thumbs.replaceChildren(...items.map(([target, label]) => {
        const own = this.view(target), picture = el("canvas");
        this.paint(picture, own, side, side, false);
        const pressed = focus.pick !== undefined ? own.filled && own.shape === view.shape : target.mask === focus.mask;
        return el("button.thumb", {
          type: "button", "aria-pressed": String(pressed), onclick: () => this.pin(target),
          onmouseenter: () => this.draw(target), onmouseleave: () => this.draw(),
        }, picture, label);
      }));
    }

    shape(index, colour) {
      const key = `${index} ${colour}`;
      if (!this.shapes.has(key)) this.shapes.set(key, pixcore.shape(this.data.masks[index], ...this.data.mask_size, colour));
      return this.shapes.get(key);
    }

    heat(map) {
      if (!this.heats.has(map)) this.heats.set(map, pixcore.heat(map, this.result.grid, [this.data.width, this.data.height]));
      return this.heats.get(map);
    }

    /** Size a canvas to hold the image within width x height CSS pixels; no side falls below `thinnest`. */
    fit(canvas, width, height, thinnest) {
      const scale = Math.min(width / this.data.width, height / this.data.height), dense = devicePixelRatio || 1;
      const [w, h] = [this.data.width, this.data.height].map((side) => Math.max(thinnest, Math.round(side * scale)));
      canvas.width = Math.round(w * dense);
      canvas.height = Math.round(h * dense);
      canvas.style.width = `${w}px`;
      canvas.style.height = `${h}px`;
      canvas.getContext("2d").scale(dense, dense);
      return [w, h];
    }

    paint(canvas, view, width, height, large) {
      const { data, settings } = this, [w, h] = this.fit(canvas, width, height, large ? 24 : 6);
      const context = canvas.getContext("2d");
      const smooth = w / data.width < 16, { picture } = this;
      context.imageSmoothingEnabled = smooth;
      context.imageSmoothingQuality = "high";
      if (large && picture) { // below the canvas, where a browser draws it on paper too
        Object.assign(picture.style, { width: canvas.style.width, height: canvas.style.height, imageRendering: smooth ? "" : "pixelated" });
      } else if (picture?.complete && picture.naturalWidth) context.drawImage(picture, 0, 0, w, h);
      else { context.fillStyle = "#8884"; context.fillRect(0, 0, w, h); }
      if (view.map) context.drawImage(this.heat(view.map), 0, 0, w, h);
      const [mw, mh] = data.mask_size;
      const line = (shape, colour, thick, dash) => {
        const path = new Path2D();
        path.addPath(shape.outline, new DOMMatrix([w / mw, 0, 0, h / mh, 0, 0]));
        context.lineCap = "square";
        context.lineJoin = "round";
        context.setLineDash([]);
        if (large) { context.lineWidth = thick + 2; context.strokeStyle = dash ? "#fffc" : "#0008"; context.stroke(path); }
        context.lineWidth = thick;
        context.strokeStyle = colour;
        context.stroke(path);
      };
      if (view.shape !== null && view.shape !== undefined) {
        const shape = this.shape(view.shape, MASK);
        if (view.filled) {
          context.save();
          context.globalAlpha = large ? 0.42 : 0.6;
          context.imageSmoothingEnabled = false;
          context.drawImage(shape.picture, 0, 0, w, h);
          context.restore();
        }
        line(shape, MASK_LINE, large ? 1.75 : 1, false);
      }
      if (large && settings.truth && data.truth !== null) line(this.shape(data.truth, [0, 114, 178]), TRUTH, 1.75, true);
      if (large && settings.points && view.point) this.points(context, view.point, w / data.width, h / data.height);
    }

    points(context, { at, box }, sx, sy) {
      for (const [thick, colour] of [[4, "#000a"], [2, "#fff"]]) {
        context.lineWidth = thick;
        context.strokeStyle = colour;
        if (box) context.strokeRect(box[0] * sx, box[1] * sy, (box[2] - box[0]) * sx, (box[3] - box[1]) * sy);
        for (const [x, y, label] of at) {
          const px = (x + 0.5) * sx, py = (y + 0.5) * sy; // a point names a pixel; its centre lies half a pixel on
          context.beginPath();
          if (label) context.arc(px, py, 6, 0, 2 * Math.PI);
          else { context.moveTo(px - 5, py - 5); context.lineTo(px + 5, py + 5); context.moveTo(px + 5, py - 5); context.lineTo(px - 5, py + 5); }
          context.stroke();
        }
      }
      context.fillStyle = "#cc2f7b";
      for (const [x, y, label] of at) if (label) {
        context.beginPath();
        context.arc((x + 0.5) * sx, (y + 0.5) * sy, 4, 0, 2 * Math.PI);
        context.fill();
      }
    }
  };
})();
