// The address says what is seen: #/run/KEY?filter=…, so that a link shows the same.
import { useLayoutEffect, useState } from "preact/hooks";

export interface Route { path: string[]; words: URLSearchParams }

export function read(hash = location.hash): Route {
  const [path = "", words = ""] = hash.replace(/^#\/?/, "").split("?", 2) as [string, string?];
  return { path: path.split("/").filter(Boolean).map(decoded), words: new URLSearchParams(words) };
}

/** A part of a path as it was meant: a link that somebody wrote by hand may hold a bare %. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function link(path: string[], words?: URLSearchParams | Record<string, string | null | undefined>): string {
  const kept = new URLSearchParams();
  const given = words instanceof URLSearchParams ? [...words] : Object.entries(words ?? {});
  for (const [name, value] of given) if (value != null && value !== "") kept.set(name, value);
  const said = kept.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${said ? `?${said}` : ""}`;
}

export function go(hash: string, replaces = false): void {
  if (hash === location.hash) return;
  if (replaces) { history.replaceState(null, "", hash); dispatchEvent(new HashChangeEvent("hashchange")); }
  else location.hash = hash;
}

/** Change words of the address; null takes one away. */
export function set(changed: Record<string, string | null>, replaces = true): void {
  const { path, words } = read();
  for (const [name, value] of Object.entries(changed)) value === null || value === "" ? words.delete(name) : words.set(name, value);
  go(link(path, words), replaces);
}

export function useRoute(): Route {
  const [route, change] = useState(read);
  useLayoutEffect(() => {
    const heard = () => change(read());
    addEventListener("hashchange", heard);
    return () => removeEventListener("hashchange", heard);
  }, []);
  return route;
}
