import type { Health } from "../../rules/health.ts";
import { type Html, html } from "./html.ts";

/** Each status has a shape of its own: round, three corners, four corners. */
const SHAPES: Readonly<Record<Health["status"], { readonly path: string; readonly fill: string }>> =
  {
    ok: { path: "M12 1a11 11 0 1 0 0 22a11 11 0 1 0 0-22z", fill: "#1a7f37" },
    degraded: { path: "M12 1L23.5 22H.5z", fill: "#bf8700" },
    failing: { path: "M2 2H22V22H2z", fill: "#cf222e" },
  };

const SIGNS: Readonly<Record<Health["status"], string>> = {
  ok: "M6.5 12.5l3.7 3.7 7.3-8",
  degraded: "M12 8.5v6.5M12 18v1.6",
  failing: "M7.5 7.5l9 9M16.5 7.5l-9 9",
};

/** @param use `icon`: an image of its own, for the browser's tab; `mark`: within the page, beside the word. */
export function statusIcon(status: Health["status"], use: "icon" | "mark"): Html {
  const { path, fill } = SHAPES[status];
  const attribute = use === "icon" ? html` xmlns="http://www.w3.org/2000/svg"` : html``;
  return html`<svg${attribute} viewBox="0 0 24 24" aria-hidden="true"><path d="${path}" fill="${fill}"/><path d="${SIGNS[status]}" fill="none" stroke="#fff" stroke-width="2.6"/></svg>`;
}
