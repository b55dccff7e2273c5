// Small parts that several pages share.
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect } from "@tanstack/virtual-core";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import type { Figure } from "./types";

export const number = (value: number | null | undefined, digits = 2) => (value == null || !Number.isFinite(value) ? "–" : value.toFixed(digits));

/** How long something takes, for a person. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  return s < 90 ? `${s} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

export function FigureCell({ figure, name }: { figure: Figure | undefined; name: string }) {
  if (!figure) return <td class="figure none" data-label={name}>–</td>;
  const [value, low, high, n] = figure;
  return (
    <td class="figure" data-label={name} title={`n = ${n}`}>
      <b>{value.toFixed(1)}</b>
      {low != null && high != null && <span class="interval">{low.toFixed(1)}–{high.toFixed(1)}</span>}
      {low != null && high != null && (
        <svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
          <rect class="track" y="3.5" width="100" height="1" /><rect class="span" x={low} y="2" width={Math.max(high - low, 0.5)} height="4" />
          <rect class="at" x={value - 0.6} width="1.2" height="8" />
        </svg>
      )}
    </td>
  );
}

/** Keys, from when a page is seen, unless somebody types, or a dialog is open that has keys of its own (`above`). */
export function useKeys(keys: Record<string, (event: KeyboardEvent) => void>, above = false): void {
  const latest = useRef(keys);
  latest.current = keys;
  useLayoutEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement, types = target.closest?.("input:not([type=range]):not([type=checkbox]), textarea, select, dialog");
      if (!above && document.querySelector("dialog[open]")) return;
      if (event.ctrlKey || event.metaKey || event.altKey || (types && event.key !== "Escape")) return;
      if (event.key === "Enter" && target.closest?.("a, button, summary")) return; // it presses what has the focus
      const act = latest.current[event.key];
      if (act) { event.preventDefault(); act(event); }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

/** Which of many rows are in sight; `head` is the height of what stands above them and stays in sight. */
export function useVirtual(count: number, height: number, scroller: { current: HTMLElement | null }, head = 0) {
  const [, again] = useReducer((one: number) => one + 1, 0);
  const options = {
    count, estimateSize: () => height, overscan: 6, scrollMargin: head, scrollPaddingStart: head, getScrollElement: () => scroller.current,
    observeElementRect, observeElementOffset, scrollToFn: elementScroll, onChange: () => again(0),
  };
  const virtual = useMemo(() => new Virtualizer<HTMLElement, HTMLElement>(options), []);
  virtual.setOptions(options);
  useLayoutEffect(() => virtual._didMount(), []);
  useLayoutEffect(() => virtual._willUpdate());
  useLayoutEffect(() => virtual.measure(), [height]);
  return virtual;
}

export function useWidth(element: { current: HTMLElement | null }): number {
  const [width, change] = useState(0);
  useLayoutEffect(() => {
    if (!element.current) return;
    const watcher = new ResizeObserver(([seen]) => change(seen!.contentRect.width));
    watcher.observe(element.current);
    return () => watcher.disconnect();
  }, []);
  return width;
}

/** What is asked for anew whenever `on` changes; as long as `of` is the same, the last answer stays until the next comes. */
export function useAsked<T>(ask: () => Promise<T>, on: unknown[], of?: string): [T | null, string | null, (value: T) => void] {
  const [state, change] = useState<[T | null, string | null]>([null, null]);
  const before = useRef<string | undefined>();
  useEffect(() => {
    let over = false;
    if (of === undefined || of !== before.current) change([null, null]);
    before.current = of;
    ask().then((value) => over || change([value, null]), (error: Error) => over || change([null, error.message]));
    return () => { over = true; };
  }, on);
  return [state[0], state[1], (value: T) => change([value, null])];
}

export function Notice({ children }: { children: ComponentChildren }) {
  return <p class="notice" role="status">{children}</p>;
}

/** A text that comes from elsewhere: marks that turn the direction of writing reach no further than itself. */
export function Said({ children, class: name }: { children: string | null | undefined; class?: string }) {
  return <bdi class={name}>{visible(children ?? "")}</bdi>;
}

/** Control characters and marks that turn the direction of writing, made visible. */
export function visible(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (one) =>
    one < " " ? String.fromCharCode(0x2400 + one.charCodeAt(0)) : `\u27e8${one.charCodeAt(0).toString(16)}\u27e9`);
}

let told = 0;
/** Say something for a moment. */
export function tell(text: string): void {
  const place = document.getElementById("told")!;
  place.textContent = text;
  place.hidden = false;
  clearTimeout(told);
  told = window.setTimeout(() => { place.hidden = true; }, 4000);
}

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    tell(`${what} copied`);
  } catch {
    save(new Blob([text], { type: "text/plain" }), `${what}.txt`);
  }
}

export function save(blob: Blob, name: string): void {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
