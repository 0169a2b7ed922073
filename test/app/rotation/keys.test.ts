import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Evidence } from "../../../src/rules/model.ts";
import { type FakeHost, startFakeHost } from "../../fake-host/fake-host.ts";
import { json, type SeenRequest } from "../../fake-host/model.ts";
import { COMMAND_ID, calm, runOf } from "../../io/http/world.ts";
import { openWorker, type RotationWorker, warningAbout } from "../../support/process/rotation.ts";
import { SecretVolume } from "../../support/process/secret-volume.ts";

const DATABASE = { DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" };
const SANDBOX = "shared";
const OUTPUTS = [{ commandId: COMMAND_ID, exitCode: 0 }];
const REFUSED = "an older key";

interface Key {
  readonly variable: string;
  readonly env: (host: FakeHost) => Readonly<Record<string, string>>;
  /** Makes the host accept its own service key for this use, and nothing else. */
  readonly prepare: (host: FakeHost) => void;
  /** What was sent as the key; `undefined` with calls that need none. */
  readonly keyIn: (request: SeenRequest) => unknown;
}

const keys: readonly Key[] = [
  {
    variable: "AUTOMATION_SERVICE_KEY",
    env: (host) => ({ AUTOMATION_OPENHANDS_API_BASE_URL: host.url }),
    prepare: () => undefined,
    keyIn: ({ headers }) => headers["x-service-api-key"],
  },
  {
    variable: "AUTOMATION_AGENT_SERVER_API_KEY",
    env: (host) => ({ AUTOMATION_AGENT_SERVER_URL: host.agentUrl(SANDBOX) }),
    prepare: (host) => {
      host.addSandbox({ id: SANDBOX, agentKey: host.serviceKey, outputs: OUTPUTS });
    },
    keyIn: ({ headers }) => headers["x-session-api-key"],
  },
  {
    variable: "WATCHDOG_HTTP_TOKEN",
    env: (host) => ({
      WATCHDOG_BACKEND: "http",
      WATCHDOG_HTTP_VERIFY_URL: `${host.url}/verify/{run_id}`,
    }),
    prepare: (host) => {
      host.intercept(({ headers }) =>
        headers.authorization === `Bearer ${host.serviceKey}`
          ? json(200, { state: "succeeded" })
          : json(403, { detail: "another token" }),
      );
    },
    keyIn: ({ headers }) => headers.authorization?.replace(/^Bearer /, ""),
  },
];

for (const key of keys) {
  const file = `${key.variable}_FILE`;

  describe(file, () => {
    it(`${file} is read again when the key is refused, and not for the questions after that`, async () => {
      await using world = await setup(key, () => REFUSED);
      const accepted = world.host.serviceKey;
      await world.replace(accepted);
      expect(await world.ask()).toMatchObject({ kind: "exited", exitCode: 0 });
      expect(world.sent()).toEqual([REFUSED, accepted]);
      expect(await world.ask()).toMatchObject({ kind: "exited", exitCode: 0 });
      expect(world.sent()).toEqual([REFUSED, accepted, accepted]);
      expect(world.worker.warnings()).toEqual([]);
    });

    it(`${file} that has not changed leaves it at one refused call`, async () => {
      await using world = await setup(key, () => REFUSED);
      expect(await world.ask()).toMatchObject({ kind: "unreachable" });
      expect(world.sent()).toEqual([REFUSED]);
      expect(world.worker.warnings()).toEqual([]);
    });

    it(`${file} that has changed is of no interest as long as the key is accepted`, async () => {
      await using world = await setup(key, (host) => host.serviceKey);
      await world.replace("not known to the host yet");
      await world.ask();
      expect(await world.ask()).toMatchObject({ kind: "exited", exitCode: 0 });
      expect(world.sent()).toEqual([world.host.serviceKey, world.host.serviceKey]);
    });

    it(`${file} that is gone leaves the key as it was, with one warning, until it is back`, async () => {
      await using world = await setup(key, () => REFUSED);
      await world.replace(null);
      await world.ask();
      await world.ask();
      expect(world.sent()).toEqual([REFUSED, REFUSED]);
      expect(world.worker.warnings()).toEqual([warningAbout(file)]);
      await world.replace(world.host.serviceKey);
      expect(await world.ask()).toMatchObject({ kind: "exited", exitCode: 0 });
      expect(world.worker.warnings()).toHaveLength(1);
    });
  });
}

interface KeyWorld extends AsyncDisposable {
  readonly host: FakeHost;
  readonly worker: RotationWorker;
  /** `null` takes the file away. */
  replace(value: string | null): Promise<void>;
  /** A question about a run of a new user: no minted key is there yet. */
  ask(): Promise<Evidence>;
  /** Every key that was sent, in order. */
  sent(): readonly unknown[];
}

async function setup(
  { variable, env, prepare, keyIn }: Key,
  first: (host: FakeHost) => string,
): Promise<KeyWorld> {
  await using resources = new AsyncDisposableStack();
  const host = resources.use(await startFakeHost());
  prepare(host);
  const volume = resources.use(await SecretVolume.create({ [variable]: first(host) }));
  const worker = resources.use(openWorker({ ...DATABASE, ...env(host), ...volume.env(variable) }));
  const opened = resources.move();
  return {
    host,
    worker,
    replace: (value) => volume.swap(value === null ? {} : { [variable]: `${value}\n` }),
    async ask() {
      const owner = { userId: randomUUID(), orgId: randomUUID() };
      const { id: sandboxId } = host.addSandbox({ ...owner, outputs: OUTPUTS });
      return await worker.runtime.deps.backend.verify(runOf({ ...owner, sandboxId }), calm());
    },
    sent: () => host.requests.map(keyIn).filter((sent) => sent !== undefined),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
