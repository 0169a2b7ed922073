/** What is in force, as it may be shown to anybody: no part of a secret is in it. */
export interface ShownConfig {
  /** `null` when there are problems. */
  readonly fingerprint: string | null;
  readonly settings: readonly ShownSetting[];
  readonly derived: readonly { readonly name: string; readonly value: string }[];
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

export interface ShownSetting {
  readonly name: string;
  /** `null`: unset, and there is no default. */
  readonly value: string | null;
  readonly source: "variable" | "file" | "default";
  /** For `file`. */
  readonly file: string | null;
  /** False when nothing looks at it under these circumstances, such as the key of another backend. */
  readonly used: boolean;
}
