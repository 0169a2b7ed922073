import { describe, expect, it } from "vitest";
import { html } from "../../../src/report/page/html.ts";

describe("html", () => {
  it("escapes what has a meaning in content and in quoted attributes", () => {
    const hostile = `"><script>alert('x')</script>&amp;`;
    const text = html`<b title="${hostile}">${hostile}</b>`.toString();
    const escaped = "&#34;&#62;&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;&#38;amp;";
    expect(text).toBe(`<b title="${escaped}">${escaped}</b>`);
  });

  it("keeps its own pieces as they are, one or many", () => {
    const items = ["a", "<"].map((item) => html`<li>${item}</li>`);
    expect(html`<ul>${items}</ul>${html`<hr>`}`.toString()).toBe(
      "<ul><li>a</li><li>&#60;</li></ul><hr>",
    );
  });

  it("shows numbers, and nothing for null", () => {
    expect(html`${0}${null}${7}`.toString()).toBe("07");
  });

  it("replaces control characters and those that turn text around", () => {
    expect(html`a\u0000b\u001bc\u0085d\u202ee\u2066f`.toString()).toBe(
      "a\u0000b\u001bc\u0085d\u202ee\u2066f",
    );
    expect(html`${"a\u0000b\u001bc\u0085d\u202ee\u2066f\n\tg"}`.toString()).toBe(
      "a\uFFFDb\uFFFDc\uFFFDd\uFFFDe\uFFFDf\n\tg",
    );
  });

  it("escapes a list of texts as it escapes one", () => {
    expect(html`${["<", "&"]}`.toString()).toBe("&#60;&#38;");
  });
});
