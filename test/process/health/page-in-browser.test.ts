/** The status page in a real browser: what it asks for, what it complains about, and whether it fits. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openHealthServer } from "../../../src/io/health/server.ts";
import type { PageFacts } from "../../../src/report/page/model.ts";
import { statusPage } from "../../../src/report/page/page.ts";
import { BUILD, HELD, STATES } from "../../report/page/page-states.ts";
import { findChromium, startChromium, WITHOUT_CHROMIUM } from "../../services/chromium.ts";

const program = findChromium();
const SIZES = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
];
const SCHEMES = ["light", "dark"] as const;
/** What a machine gives its texts, at its longest and without a place to break. */
const LONG = "x".repeat(300);

describe("the status page in Chromium", () => {
  let browser: Browser | null = null;
  beforeAll(async () => {
    if (program === null) process.stderr.write(`${WITHOUT_CHROMIUM}\n`);
    else browser = await startChromium(program);
  });
  afterAll(async () => browser?.close());

  const states = { ...STATES, "long texts": longTexts() };
  for (const [name, facts] of Object.entries(states)) {
    it(`loads nothing else, has nothing to complain of, and fits every width and scheme: ${name}`, async ({
      skip,
    }) => {
      if (browser === null) return skip(WITHOUT_CHROMIUM);
      await using server = await serve(facts);
      for (const viewport of SIZES) {
        for (const colorScheme of SCHEMES) {
          const page = await browser.newPage({ viewport, colorScheme });
          const seen = watch(page);
          const response = await page.goto(server.url);
          expect(response?.status()).toBe(200);
          const { scrollWidth, background, shown } = await measured(page);
          expect({ viewport, scrollWidth }).toEqual({ viewport, scrollWidth: viewport.width });
          expect({ colorScheme, background }).toEqual({
            colorScheme,
            background: colorScheme === "light" ? "rgb(244, 245, 247)" : "rgb(13, 17, 23)",
          });
          expect(shown).toBeGreaterThan(5);
          expect(seen).toEqual({ complaints: [], requests: [`${server.url}/`] });
          await page.close();
        }
      }
    });
  }

  it("has headings, tables and pictures that can be read out", async ({ skip }) => {
    if (browser === null) return skip(WITHOUT_CHROMIUM);
    await using server = await serve(HELD);
    const page = await browser.newPage();
    await page.goto(server.url);
    expect(await page.getByRole("heading", { level: 1 }).count()).toBe(1);
    expect(
      await page.getByRole("heading", { name: "Held back by the guard: 73 runs" }).count(),
    ).toBe(1);
    expect(await page.getByRole("region", { name: "Last sweeps of this process" }).count()).toBe(1);
    expect(await page.getByRole("columnheader", { name: "Outcome, basis" }).count()).toBe(1);
    expect(await page.getByRole("img", { name: /^Runs held, skipped or in error/ }).count()).toBe(
      1,
    );
    await page.close();
  });

  it("runs nothing that a hostile text brings along", async ({ skip }) => {
    if (browser === null) return skip(WITHOUT_CHROMIUM);
    const hostile = `</style><script>document.title = "taken"</script><img src="/taken" onerror="document.title='taken'">`;
    await using server = await serve({ ...HELD, heldFor: hostile, holder: hostile });
    const page = await browser.newPage();
    const seen = watch(page);
    await page.goto(server.url);
    expect(await page.title()).toBe(`degraded - run-watchdog ${hostile}`);
    expect(await page.getByText(hostile).count()).toBeGreaterThan(1);
    expect(seen).toEqual({ complaints: [], requests: [`${server.url}/`] });
    await page.close();
  });

  it("is protected by its policy even where something is not escaped", async ({ skip }) => {
    if (browser === null) return skip(WITHOUT_CHROMIUM);
    const evil = `<script>document.title = "taken"</script><img src="/taken"><p style="color: red" id="evil">evil</p>`;
    const asked: string[] = [];
    const hurt = (html: string) => html.replace("</main>", `${evil}</main>`);
    await using server = await serve(HELD, hurt, () => asked.push("/taken"));
    const page = await browser.newPage();
    const seen = watch(page);
    await page.goto(server.url);
    expect(await page.title()).not.toBe("taken");
    expect(asked).toEqual([]);
    expect(await page.locator("#evil").evaluate("(evil) => getComputedStyle(evil).color")).not.toBe(
      "rgb(255, 0, 0)",
    );
    expect(seen.complaints.length).toBeGreaterThanOrEqual(3);
    await page.close();
  });
});

function serve(facts: PageFacts, change = (html: string) => html, onTaken: () => void = () => {}) {
  const route = () => {
    const { html, contentSecurityPolicy } = statusPage(facts, BUILD);
    const headers = {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": contentSecurityPolicy,
    };
    return { status: 200, text: change(html), headers };
  };
  const taken = () => {
    onTaken();
    return { status: 200, body: {} };
  };
  const routes = { "/": route, "/taken": taken };
  return openHealthServer({ host: "127.0.0.1", port: 0, routes });
}

/** Grows: what the page asks for, besides what is within itself, and what the browser says about it. */
function watch(page: Page) {
  const requests: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith("data:")) requests.push(request.url());
  });
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  return { requests, complaints };
}

/** Asked for as text: the browser's globals are none of this program's. */
function measured(page: Page) {
  return page.evaluate<{ scrollWidth: number; background: string; shown: number }>(`({
    scrollWidth: document.documentElement.scrollWidth,
    background: getComputedStyle(document.body).backgroundColor,
    shown: document.querySelectorAll("section h2").length,
  })`);
}

function longTexts(): PageFacts {
  const verdicts = HELD.recentVerdicts.map(({ decidedAt, outcome }) => ({
    decidedAt,
    outcome: { ...outcome, reason: LONG },
  }));
  return {
    ...HELD,
    holder: LONG,
    heldFor: LONG,
    leaseHolder: LONG,
    postgres: { problem: LONG },
    waiting: {
      ...STATES["degraded"]?.waiting,
      held: 1_234_567,
      causes: [{ cause: LONG, count: 1_234_567 }],
    } as PageFacts["waiting"],
    recentVerdicts: verdicts,
    lastPause: { until: HELD.at.toISOString(), by: LONG, reason: LONG, leftMs: 1 },
    replicas: [{ holder: LONG, version: LONG, fingerprint: LONG, upMs: 1, seenAgoMs: 1 }],
  };
}
